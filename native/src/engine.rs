//! One QUIC connection without I/O: datagrams and the time in, events and datagrams out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use quinn_proto::{
    Connection, ConnectionHandle, ConnectionId, DatagramEvent, Endpoint, Side, StreamEvent,
    TransportErrorCode,
};

use crate::amplification::Amplification;
use crate::clock::Clock;
use crate::congestion::Observations;
use crate::doorstep::{Doorstep, Sent};
use crate::events::{Closed, Event};
use crate::facts::handshake_completed;
use crate::ids::{ID_LENGTH, IdSource, Ids};
use crate::moving::wants_acknowledgement;
use crate::path::PathWatch;
use crate::receiving::Receiving;
use crate::sending::Sending;
use crate::settings::{CLOSED_WINDOW, Expected, Settings, SettingsError};
use crate::tls::{self, random_bytes};

/// Datagrams and bytes in one transmit: what the kernel takes at once (UDP_SEGMENT).
const MAX_SEGMENTS: usize = 64;
const MAX_TRANSMIT: usize = 65_000;
/// For how long after a key, or its echo, bulk leaves the path's queue short.
const TYPING: Duration = Duration::from_secs(5);

/// A run of datagrams for one address: `segment_size` bytes each, the last may be shorter.
pub struct Transmit {
    pub data: Vec<u8>,
    pub segment_size: usize,
    pub remote: SocketAddr,
}

/// The engine was asked for something that its state forbids.
#[derive(Debug, PartialEq, Eq)]
pub struct StateError(pub &'static str);

/// One connection, in either role.
pub struct Engine {
    pub(crate) clock: Clock,
    pub(crate) endpoint: Endpoint,
    pub(crate) link: Option<(ConnectionHandle, Connection)>,
    /// A server's client, and when it stops waiting for it; None for a client.
    pub(crate) expected: Option<(Expected, Instant)>,
    pub(crate) original_destination: Vec<u8>,
    pub(crate) observations: Arc<Observations>,
    pub(crate) path: PathWatch,
    pub(crate) doorstep: Doorstep,
    pub(crate) amplification: Amplification,
    /// Counted here, since quinn does not count a server's first datagram.
    pub(crate) datagrams_received: u64,
    pub(crate) bytes_received: u64,
    pub(crate) sending: Sending,
    /// When something last went by a stream with a terminal, in either direction.
    pub(crate) typed: Option<Instant>,
    pub(crate) receiving: Receiving,
    pub(crate) datagrams_waiting: bool,
    pub(crate) events: VecDeque<Event>,
    pub(crate) closed: Option<Closed>,
    pub(crate) closed_reported: bool,
    /// Datagrams that belong to no connection: refusals of a first packet.
    pub(crate) responses: Vec<Transmit>,
}

impl Engine {
    /// A client; its first flight is ready. An empty `server_name`, or one that TLS cannot
    /// carry, is not sent.
    pub fn client(
        settings: &Settings,
        ids: IdSource,
        server_name: &str,
        remote: SocketAddr,
        now: f64,
    ) -> Result<Self, SettingsError> {
        let mut engine = Self::new(settings, Side::Client, Ids::new(ids), now, None);
        engine.original_destination = random_bytes::<ID_LENGTH>().to_vec();
        let first_destination = ConnectionId::new(&engine.original_destination);
        let has_name = tls::is_dns_name(server_name);
        let transport = settings.transport(&engine.observations)?;
        let config = settings.client(transport, has_name, first_destination)?;
        let name = if has_name { server_name } else { "qsh.invalid" };
        let (handle, connection) = engine
            .endpoint
            .connect(engine.clock.latest(), config, remote, name)
            .map_err(|error| SettingsError(error.to_string()))?;
        engine.amplification.lift();
        engine.adopt(handle, connection);
        Ok(engine)
    }

    /// A server for the one client that `expected` describes.
    pub fn server(
        settings: &Settings,
        ids: IdSource,
        certificate: Vec<u8>,
        private_key: Vec<u8>,
        expected: Expected,
        now: f64,
    ) -> Result<Self, SettingsError> {
        let observations = Arc::new(Observations::default());
        let transport = settings.transport(&observations)?;
        let config = settings.server(transport, certificate, private_key, expected.token())?;
        let mut engine = Self::new(
            settings,
            Side::Server,
            Ids::new(ids),
            now,
            Some(observations),
        );
        engine.endpoint.set_server_config(Some(Arc::new(config)));
        engine.original_destination = expected.original_destination.clone();
        if expected.retry_source.is_some() {
            engine.amplification.lift();
        }
        let patience =
            Duration::try_from_secs_f64(settings.idle_timeout).unwrap_or(Duration::from_secs(90));
        engine.expected = Some((expected, engine.clock.latest() + patience));
        Ok(engine)
    }

    fn new(
        settings: &Settings,
        side: Side,
        ids: Ids,
        now: f64,
        observations: Option<Arc<Observations>>,
    ) -> Self {
        let config = Arc::new(settings.endpoint(&ids));
        Self {
            clock: Clock::new(now),
            endpoint: Endpoint::new(config, None, true, None),
            link: None,
            expected: None,
            original_destination: Vec::new(),
            observations: observations.unwrap_or_default(),
            path: PathWatch::default(),
            doorstep: Doorstep::default(),
            amplification: Amplification::default(),
            datagrams_received: 0,
            bytes_received: 0,
            sending: Sending::new(side),
            typed: None,
            receiving: Receiving::default(),
            datagrams_waiting: false,
            events: VecDeque::new(),
            closed: None,
            closed_reported: false,
            responses: Vec::new(),
        }
    }

    pub(crate) fn adopt(&mut self, handle: ConnectionHandle, mut connection: Connection) {
        connection.set_receive_window(CLOSED_WINDOW.into());
        self.path = PathWatch::new(&connection);
        self.link = Some((handle, connection));
        self.pump();
    }

    pub(crate) fn connection(&mut self) -> Option<&mut Connection> {
        self.link.as_mut().map(|(_, connection)| connection)
    }

    /// Runs `work`. A panic in it is a bug (hostile input is meant to end in errors): it ends
    /// this connection, and not the process.
    pub(crate) fn guarded<T: Default>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            self.link = None;
            self.expected = None;
            let code = TransportErrorCode::INTERNAL_ERROR;
            self.end(Closed::local_transport(code, "internal error"));
            T::default()
        })
    }

    /// Takes a run of datagrams from one address: `segment_size` bytes each, the last may be
    /// shorter.
    pub fn receive_datagrams(
        &mut self,
        data: &[u8],
        segment_size: usize,
        remote: SocketAddr,
        now: f64,
    ) {
        let now = self.clock.advance(now);
        self.guarded(|engine| {
            let mut run = BytesMut::from(data);
            let segment_size = if segment_size == 0 {
                data.len()
            } else {
                segment_size
            };
            while !run.is_empty() {
                let datagram = run.split_to(segment_size.min(run.len()));
                engine.datagrams_received += 1;
                engine.bytes_received += datagram.len() as u64;
                engine.amplification.received(&datagram);
                engine.receive(datagram, remote, now);
            }
            engine.pump();
        });
    }

    fn receive(&mut self, datagram: BytesMut, remote: SocketAddr, now: Instant) {
        let Some((handle, connection)) = &mut self.link else {
            return self.receive_first(datagram, remote, now);
        };
        let mut response = Vec::new();
        let size = datagram.len();
        let knock = self.doorstep.knock(connection, remote, size, now);
        let shown = knock.as_ref().map_or(remote, |knock| knock.shown);
        match self
            .endpoint
            .handle(now, shown, None, None, datagram, &mut response)
        {
            Some(DatagramEvent::ConnectionEvent(to, event)) if to == *handle => {
                connection.handle_event(event);
                if let Some(knock) = knock
                    && self.doorstep.answered(knock, connection, remote, size, now)
                {
                    self.events.push_back(Event::PathTried(remote));
                }
                let changed = self.path.received(connection, remote);
                self.events.extend(changed.map(Event::PathChanged));
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.endpoint.ignore(incoming),
            // Resets for unknown IDs are the business of whoever hands out the IDs.
            _ => {}
        }
    }

    /// A server without a connection: only an Initial of the expected client starts one.
    fn receive_first(&mut self, datagram: BytesMut, remote: SocketAddr, now: Instant) {
        let Some((expected, _)) = &self.expected else {
            return;
        };
        if !expected.matches(&datagram) {
            return;
        }
        expected.seen.set(remote);
        let mut buffer = Vec::new();
        let event = self
            .endpoint
            .handle(now, remote, None, None, datagram, &mut buffer);
        let Some(DatagramEvent::NewConnection(incoming)) = event else {
            return;
        };
        match self.endpoint.accept(incoming, now, &mut buffer, None) {
            Ok((handle, connection)) => {
                self.expected = None;
                self.adopt(handle, connection);
            }
            // The first flight broke TLS or QUIC, and the client has proved to be the one that
            // sent it (it is encrypted for this connection ID): tell it why, and end.
            Err(error) => {
                if let Some(transmit) = error.response {
                    buffer.truncate(transmit.size);
                    self.responses.push(Transmit {
                        segment_size: buffer.len(),
                        data: buffer,
                        remote,
                    });
                    self.expected = None;
                    self.end(error.cause.into());
                }
            }
        }
    }

    /// All that may be sent now, or the first `most` runs of it.
    pub fn datagrams_to_send(&mut self, now: f64, most: usize) -> Vec<Transmit> {
        let now = self.clock.advance(now);
        let is_recent = |typed: Instant| now.saturating_duration_since(typed) < TYPING;
        self.observations
            .set_typing(self.typed.is_some_and(is_recent));
        self.guarded(|engine| {
            let mut transmits = std::mem::take(&mut engine.responses);
            while transmits.len() < most
                && let Some(transmit) = engine.next_transmit(now)
            {
                transmits.push(transmit);
            }
            engine.pump();
            transmits
        })
    }

    fn next_transmit(&mut self, now: Instant) -> Option<Transmit> {
        loop {
            self.pump();
            if let Some((remote, data)) = self.doorstep.released() {
                return Some(Transmit {
                    segment_size: data.len(),
                    data,
                    remote,
                });
            }
            let made = self.make_transmit(now)?;
            let (_, connection) = self.link.as_ref()?;
            let home = connection.remote_address();
            if let Sent::To(remote, data) = self.doorstep.redirected(made.data, made.remote, home) {
                return Some(Transmit {
                    data,
                    remote,
                    segment_size: made.segment_size,
                });
            }
        }
    }

    fn make_transmit(&mut self, now: Instant) -> Option<Transmit> {
        let (_, connection) = self.link.as_mut()?;
        let stats = connection.stats();
        let path = stats.path;
        self.sending.feed(connection, path.cwnd);
        let payload = usize::from(path.current_mtu).max(1);
        let most = self.observations.max_segments(MAX_SEGMENTS);
        let segments = (MAX_TRANSMIT / payload).clamp(1, most);
        let segments = match self.amplification.allowance(payload) {
            Some(0) => return None,
            Some(allowance) => segments.min(allowance),
            None => segments,
        };
        let mut data = Vec::with_capacity(segments * payload);
        let transmit = connection.poll_transmit(now, segments, &mut data)?;
        data.truncate(transmit.size);
        self.amplification.sent(data.len());
        if wants_acknowledgement(&connection.stats().frame_tx, &stats.frame_tx) {
            self.observations.sent(data.len() as u64);
        }
        Some(Transmit {
            segment_size: transmit.segment_size.unwrap_or(data.len()),
            remote: transmit.destination,
            data,
        })
    }

    /// When `handle_timer` wants to be called.
    pub fn get_timer(&mut self) -> Option<f64> {
        let deadline = match (&mut self.link, &self.expected) {
            (Some((_, connection)), _) if connection.is_drained() => None,
            (Some((_, connection)), _) => connection.poll_timeout(),
            (None, Some((_, deadline))) => Some(*deadline),
            (None, None) => None,
        };
        deadline.map(|deadline| self.clock.seconds(deadline))
    }

    pub fn handle_timer(&mut self, now: f64) {
        let now = self.clock.advance(now);
        self.guarded(|engine| {
            if let Some((_, connection)) = &mut engine.link {
                connection.handle_timeout(now);
                engine.pump();
            } else if engine
                .expected
                .as_ref()
                .is_some_and(|(_, deadline)| now >= *deadline)
            {
                engine.expected = None;
                engine.end(Closed::idle());
            }
        });
    }

    /// Carries what quinn reports to where it belongs.
    fn pump(&mut self) {
        let Some((handle, connection)) = &mut self.link else {
            return;
        };
        while let Some(event) = connection.poll_endpoint_events() {
            let drained = event.is_drained();
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
            if drained {
                // The endpoint has forgotten the handle, and would panic at the sight of it.
                break;
            }
        }
        while let Some(event) = self.connection().and_then(Connection::poll) {
            self.take(event);
        }
    }

    fn take(&mut self, event: quinn_proto::Event) {
        match event {
            quinn_proto::Event::Stream(event) => self.take_stream_event(event),
            quinn_proto::Event::DatagramReceived => self.datagrams_waiting = true,
            quinn_proto::Event::Connected => {
                self.amplification.lift();
                let completed = self
                    .connection()
                    .map(|connection| handshake_completed(connection));
                self.events.extend(completed);
            }
            quinn_proto::Event::ConnectionLost { reason } => self.end(reason.into()),
            quinn_proto::Event::HandshakeDataReady | quinn_proto::Event::DatagramsUnblocked => {}
        }
    }

    fn take_stream_event(&mut self, event: StreamEvent) {
        let Some((_, connection)) = &mut self.link else {
            return;
        };
        match event {
            StreamEvent::Opened { dir } => {
                while let Some(id) = connection.streams().accept(dir) {
                    self.sending.accept(id);
                    self.receiving.open(id);
                    self.receiving.mark_readable(id);
                }
            }
            StreamEvent::Readable { id } => self.receiving.mark_readable(id),
            StreamEvent::Writable { id } => self.sending.unblocked(id),
            StreamEvent::Stopped { id, error_code } => {
                let code = error_code.into_inner();
                self.sending.stopped(id, code, connection);
                self.events.push_back(Event::StreamStopped {
                    stream_id: id.into(),
                    code,
                });
            }
            // `feed` opens what waits, and finished streams are forgotten already.
            StreamEvent::Available { .. } | StreamEvent::Finished { .. } => {}
        }
    }

    pub(crate) fn end(&mut self, closed: Closed) {
        if self.closed.is_none() {
            self.closed = Some(closed);
            self.receiving.drain();
        }
    }
}
