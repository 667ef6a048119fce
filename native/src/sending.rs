//! What waits to be sent on streams, ahead of quinn.
//!
//! quinn keeps what it takes until it is acknowledged, and takes no more than its send window.
//! Everything beyond waits here, by priority, so that a bulk stream never fills the window
//! against a keystroke, and so that streams can be opened and written before the handshake.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use quinn_proto::{Connection, Dir, Side, StreamId, VarInt, WriteError};

/// Bytes that one stream hands over before the next of its priority has its turn.
const TURN: usize = 64 << 10;
/// What quinn may hold beyond two congestion windows.
const SLACK: u64 = 64 << 10;
/// What each step of priority may hold beyond that: the way is free for a keystroke.
const RESERVE: u64 = 128 << 10;

/// The priority of a session with a terminal (`qsh.net.channel.Channel.set_priority`).
const INTERACTIVE: i32 = 2;

#[derive(Default)]
struct Outgoing {
    queue: VecDeque<Bytes>,
    queued: usize,
    fin: bool,
    reset: Option<VarInt>,
    priority: i32,
    /// quinn knows the stream.
    open: bool,
    /// In `ready`, under this priority.
    ready: Option<i32>,
}

/// The sending halves of all streams that are neither finished nor reset.
pub struct Sending {
    side: Side,
    streams: HashMap<StreamId, Outgoing>,
    /// Streams with something to hand over that quinn may take, the highest priority first.
    ready: BTreeMap<Reverse<i32>, VecDeque<StreamId>>,
    /// Streams of ours, by direction: given out, and known to quinn.
    named: [u64; 2],
    opened: [u64; 2],
    /// Streams of the peer's that it may have opened, bidirectional ones.
    accepted: u64,
}

fn varint(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
}

impl Sending {
    pub fn new(side: Side) -> Self {
        Self {
            side,
            streams: HashMap::new(),
            ready: BTreeMap::new(),
            named: [0; 2],
            opened: [0; 2],
            accepted: 0,
        }
    }

    /// The next stream of ours; quinn opens it when the peer's limit allows.
    pub fn name(&mut self, dir: Dir) -> StreamId {
        let id = StreamId::new(self.side, dir, self.named[dir as usize]);
        self.named[dir as usize] += 1;
        self.streams.insert(id, Outgoing::default());
        id
    }

    /// The peer has opened `id`.
    pub fn accept(&mut self, id: StreamId) {
        if id.dir() == Dir::Bi {
            self.accepted = self.accepted.max(id.index() + 1);
            let stream = Outgoing {
                open: true,
                ..Outgoing::default()
            };
            self.streams.insert(id, stream);
        }
    }

    /// Whether quinn may be asked for the sending half of `id`.
    fn is_open(&self, id: StreamId) -> bool {
        if id.initiator() == self.side {
            id.index() < self.opened[id.dir() as usize]
        } else {
            id.dir() == Dir::Bi && id.index() < self.accepted
        }
    }

    pub fn write(&mut self, id: StreamId, data: Bytes, fin: bool) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.fin || stream.reset.is_some() {
            return;
        }
        stream.queued += data.len();
        stream.fin = fin;
        if !data.is_empty() {
            stream.queue.push_back(data);
        }
        self.make_ready(id);
    }

    /// Whether somebody may be typing by this stream.
    pub fn is_interactive(&self, id: StreamId) -> bool {
        let stream = self.streams.get(&id);
        stream.is_some_and(|stream| stream.priority == INTERACTIVE)
    }

    pub fn unsent(&self, id: StreamId) -> usize {
        self.streams.get(&id).map_or(0, |stream| stream.queued)
    }

    pub fn reset(&mut self, id: StreamId, code: u64, connection: Option<&mut Connection>) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.queue.clear();
            stream.queued = 0;
            stream.reset.get_or_insert(varint(code));
        }
        // Also for a stream whose end quinn has already: not all of it may have arrived.
        if let (true, Some(connection)) = (self.is_open(id), connection) {
            self.streams.remove(&id);
            let _ = connection.send_stream(id).reset(varint(code));
        }
    }

    pub fn set_priority(
        &mut self,
        id: StreamId,
        priority: i32,
        connection: Option<&mut Connection>,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.priority = priority;
        if let (true, Some(connection)) = (stream.open, connection) {
            let _ = connection.send_stream(id).set_priority(priority);
        }
        if let Some(old) = stream.ready.take() {
            if let Some(queue) = self.ready.get_mut(&Reverse(old)) {
                queue.retain(|other| *other != id);
            }
            self.make_ready(id);
        }
    }

    /// quinn may take more of `id`.
    pub fn unblocked(&mut self, id: StreamId) {
        self.make_ready(id);
    }

    /// The peer wants no more of `id`: RFC 9000 section 3.5 demands a reset in return.
    pub fn stopped(&mut self, id: StreamId, code: u64, connection: &mut Connection) {
        if self.streams.remove(&id).is_some() {
            let _ = connection.send_stream(id).reset(varint(code));
        }
    }

    fn make_ready(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let has_work = stream.queued > 0 || stream.fin;
        if stream.open && stream.ready.is_none() && has_work {
            stream.ready = Some(stream.priority);
            let queue = self.ready.entry(Reverse(stream.priority)).or_default();
            queue.push_back(id);
        }
    }

    /// Hands over to quinn what it may take now. True if it took anything.
    pub fn feed(&mut self, connection: &mut Connection, congestion_window: u64) -> bool {
        self.open_named(connection);
        let mut fed = false;
        let priorities: Vec<i32> = self.ready.keys().map(|key| key.0).collect();
        for priority in priorities {
            let reserve = RESERVE * (priority.clamp(-1, 6) + 1) as u64;
            connection.set_send_window(2 * congestion_window + SLACK + reserve);
            while let Some(id) = self.next_ready(priority) {
                fed |= self.hand_over(id, connection);
            }
        }
        fed
    }

    fn next_ready(&mut self, priority: i32) -> Option<StreamId> {
        let queue = self.ready.get_mut(&Reverse(priority))?;
        let id = queue.pop_front();
        if queue.is_empty() {
            self.ready.remove(&Reverse(priority));
        }
        id
    }

    /// Gives quinn one turn's worth of `id`.
    fn hand_over(&mut self, id: StreamId, connection: &mut Connection) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else {
            return false;
        };
        stream.ready = None;
        let before = stream.queued;
        let outcome = stream.write_turn(id, connection);
        let took = stream.queued < before;
        match outcome {
            // quinn reports when the stream is writable again.
            Err(WriteError::Blocked) => {}
            // Reset or stopped meanwhile: nobody wants the rest.
            Err(_) => {
                self.streams.remove(&id);
            }
            Ok(()) if stream.queued > 0 => self.make_ready(id),
            Ok(()) if stream.fin => {
                let _ = connection.send_stream(id).finish();
                self.streams.remove(&id);
                return true;
            }
            Ok(()) => {}
        }
        took
    }

    fn open_named(&mut self, connection: &mut Connection) {
        for dir in [Dir::Bi, Dir::Uni] {
            while self.opened[dir as usize] < self.named[dir as usize] {
                let Some(id) = connection.streams().open(dir) else {
                    break;
                };
                self.opened[dir as usize] += 1;
                self.opened_in_quinn(id, connection);
            }
        }
    }

    fn opened_in_quinn(&mut self, id: StreamId, connection: &mut Connection) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.open = true;
        if stream.priority != 0 {
            let _ = connection.send_stream(id).set_priority(stream.priority);
        }
        if let Some(code) = stream.reset {
            let _ = connection.send_stream(id).reset(code);
            self.streams.remove(&id);
        } else {
            self.make_ready(id);
        }
    }
}

impl Outgoing {
    fn write_turn(&mut self, id: StreamId, connection: &mut Connection) -> Result<(), WriteError> {
        let mut left = TURN;
        while let Some(chunk) = self.queue.front_mut() {
            if left == 0 {
                return Ok(());
            }
            let mut piece = [chunk.split_to(chunk.len().min(left))];
            let offered = piece[0].len();
            let written = match connection.send_stream(id).write_chunks(&mut piece) {
                Ok(written) => written.bytes,
                Err(error) => {
                    self.put_back(piece);
                    return Err(error);
                }
            };
            self.queued -= written;
            left -= written;
            if written < offered {
                self.put_back(piece);
                // Asked again, quinn says that it is blocked, and remembers to tell.
                continue;
            }
            if self.queue.front().is_some_and(Bytes::is_empty) {
                self.queue.pop_front();
            }
        }
        Ok(())
    }

    fn put_back(&mut self, [piece]: [Bytes; 1]) {
        if self.queue.front().is_some_and(Bytes::is_empty) {
            self.queue.pop_front();
        }
        self.queue.push_front(piece);
    }
}
