//! A client that is heard from another address: what may be said to it before it is let in.
//!
//! quinn moves at the first packet from there and pads each of its own to 1200 bytes until the
//! address is proved. Three times a keystroke does not carry that (RFC 9000 section 8.1), so the
//! echo would wait a round trip for a proof of it. So quinn learns of the address by a packet that
//! is large enough, for which the client is asked at once; until then what it sends goes there as
//! far as three times what came from there allows, or waits for more to come.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use quinn_proto::{Connection, FrameStats, Side};

/// Bytes of a datagram that lets quinn prove the address and say something beside.
const ROOMY: usize = 800;
const AMPLIFICATION: u64 = 3;
/// How long a roomy datagram is waited for, at least, and in round trips.
const PATIENCE: Duration = Duration::from_millis(250);
const PATIENCE_ROUND_TRIPS: u32 = 2;
/// Datagrams that wait for credit, and bytes of one: what is larger is no echo.
const MOST_HELD: usize = 8;
const LARGEST_HELD: usize = 600;

struct Guest {
    remote: SocketAddr,
    credit: u64,
    since: Instant,
    held: VecDeque<Vec<u8>>,
    /// Something was to be sent that could not even wait.
    is_short: bool,
}

/// The newest address that quinn does not know of, if there is one.
#[derive(Default)]
pub struct Doorstep {
    guest: Option<Guest>,
    /// What waited for one that was let in. Less than the datagram that opened the door, of which
    /// quinn's own count knows nothing else.
    left_over: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// A datagram on its way into quinn: what it is shown as, and how to see that it was genuine.
pub struct Knock {
    pub shown: SocketAddr,
    home: SocketAddr,
    frames: u64,
}

/// What became of a run of datagrams.
pub enum Sent {
    To(SocketAddr, Vec<u8>),
    Held,
}

impl Doorstep {
    /// A datagram of that size has come from `remote`. None where all is as ever.
    pub fn knock(
        &self,
        connection: &Connection,
        remote: SocketAddr,
        size: usize,
        now: Instant,
    ) -> Option<Knock> {
        let home = connection.remote_address();
        if self.guest.is_none() && remote == home {
            return None;
        }
        if connection.side() == Side::Client
            || connection.is_handshaking()
            || connection.is_closed()
        {
            return None;
        }
        let is_let_in = size >= ROOMY
            || self.guest.as_ref().is_some_and(|guest| {
                let patience = PATIENCE.max(PATIENCE_ROUND_TRIPS * connection.rtt());
                guest.remote == remote && (guest.is_short || now - guest.since > patience)
            });
        Some(Knock {
            shown: if is_let_in { remote } else { home },
            home,
            frames: frames(&connection.stats().frame_rx),
        })
    }

    /// quinn has looked at it. True if it was the first from a new address.
    pub fn answered(
        &mut self,
        knock: Knock,
        connection: &Connection,
        remote: SocketAddr,
        size: usize,
        now: Instant,
    ) -> bool {
        let is_genuine = frames(&connection.stats().frame_rx) > knock.frames;
        if !is_genuine {
            return false;
        }
        let was_known = self
            .guest
            .as_ref()
            .is_some_and(|guest| guest.remote == remote);
        if knock.shown == remote {
            if let Some(guest) = self.guest.take() {
                self.keep_held(guest, remote, size);
            }
            return remote != knock.home && !was_known;
        }
        let guest = self.guest.get_or_insert_with(|| Guest::new(remote, now));
        if guest.remote != remote {
            *guest = Guest::new(remote, now);
        }
        guest.credit += AMPLIFICATION * size as u64;
        !was_known
    }

    /// What quinn sends to `remote`, on its way: where it had better go, or None while it waits.
    /// `home` is where quinn takes the client to be.
    pub fn redirected(&mut self, data: Vec<u8>, remote: SocketAddr, home: SocketAddr) -> Sent {
        let guest = self.guest.as_mut().filter(|_| remote == home);
        let Some(guest) = guest else {
            return Sent::To(remote, data);
        };
        if guest.held.is_empty() && guest.spend(data.len()) {
            return Sent::To(guest.remote, data);
        }
        if data.len() <= LARGEST_HELD && guest.held.len() < MOST_HELD {
            guest.held.push_back(data);
            return Sent::Held;
        }
        guest.is_short = true;
        Sent::To(remote, data)
    }

    fn keep_held(&mut self, guest: Guest, remote: SocketAddr, size: usize) {
        let waiting: usize = guest.held.iter().map(Vec::len).sum();
        if guest.remote == remote && waiting <= size {
            self.left_over = guest.held.into_iter().map(|data| (remote, data)).collect();
        }
    }

    /// A datagram that waited, and may leave now.
    pub fn released(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        if let Some(left_over) = self.left_over.pop_front() {
            return Some(left_over);
        }
        let guest = self.guest.as_mut()?;
        let size = guest.held.front()?.len();
        if !guest.spend(size) {
            return None;
        }
        Some((guest.remote, guest.held.pop_front()?))
    }
}

impl Guest {
    fn new(remote: SocketAddr, now: Instant) -> Self {
        Self {
            remote,
            credit: 0,
            since: now,
            held: VecDeque::new(),
            is_short: false,
        }
    }

    fn spend(&mut self, size: usize) -> bool {
        let left = self.credit.checked_sub(size as u64);
        self.credit = left.unwrap_or(self.credit);
        left.is_some()
    }
}

/// Frames of packets that were authentic and new.
fn frames(count: &FrameStats) -> u64 {
    count.acks
        + count.ping
        + count.stream
        + count.datagram
        + count.max_data
        + count.max_stream_data
        + count.max_streams_bidi
        + count.max_streams_uni
        + count.data_blocked
        + count.stream_data_blocked
        + count.reset_stream
        + count.stop_sending
        + count.new_connection_id
        + count.retire_connection_id
        + count.path_challenge
        + count.path_response
}
