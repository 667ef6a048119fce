//! What has arrived on streams: read from quinn only as fast as the application consumes it.
//!
//! quinn gives the peer credit for what is read, so reading stops while too much of what was
//! read has not been consumed.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use quinn_proto::{Connection, ReadError, ReadableError, StreamId, VarInt};

use crate::events::Event;

/// Bytes of one stream that the application may hold unconsumed before reading stops.
const UNCONSUMED_PER_STREAM: usize = 1 << 20;
/// The same for all streams together.
const UNCONSUMED_IN_ALL: usize = 16 << 20;
/// Bytes in one event.
const READ_LIMIT: usize = 256 << 10;

#[derive(Default)]
struct Incoming {
    unconsumed: usize,
    /// In `readable`.
    queued: bool,
    /// Something may be there to read, but too much is unconsumed.
    held: bool,
}

/// The receiving halves of all streams that have not ended.
#[derive(Default)]
pub struct Receiving {
    streams: HashMap<StreamId, Incoming>,
    readable: VecDeque<StreamId>,
    unconsumed: usize,
    /// Streams held because of the limit for all together.
    held: Vec<StreamId>,
    /// The connection is over: what came before that is delivered whatever is unconsumed.
    draining: bool,
}

impl Receiving {
    pub fn open(&mut self, id: StreamId) {
        self.streams.insert(id, Incoming::default());
    }

    pub fn mark_readable(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.queued
        {
            stream.queued = true;
            self.readable.push_back(id);
        }
    }

    /// Reads on regardless: nothing that has arrived may be lost now.
    pub fn drain(&mut self) {
        self.draining = true;
        let all: Vec<StreamId> = self.streams.keys().copied().collect();
        all.into_iter().for_each(|id| self.mark_readable(id));
    }

    /// Forgets everything: the connection was ended from this side.
    pub fn discard(&mut self) {
        *self = Self::default();
    }

    pub fn consume(&mut self, id: StreamId, count: usize) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let count = count.min(stream.unconsumed);
        stream.unconsumed -= count;
        if std::mem::take(&mut stream.held) {
            self.mark_readable(id);
        }
        self.release(count);
    }

    /// STOP_SENDING: nothing of this stream will be reported any more.
    pub fn stop(&mut self, id: StreamId, code: u64, connection: &mut Connection) {
        if self.forget(id) {
            let code = VarInt::from_u64(code).unwrap_or(VarInt::MAX);
            let _ = connection.recv_stream(id).stop(code);
        }
    }

    /// The next piece of any stream, in turns.
    pub fn next_event(&mut self, connection: &mut Connection) -> Option<Event> {
        while let Some(id) = self.readable.pop_front() {
            let Some(stream) = self.streams.get_mut(&id) else {
                continue;
            };
            stream.queued = false;
            if !self.draining && self.is_held(id) {
                continue;
            }
            if let Some(event) = self.read(id, connection) {
                return Some(event);
            }
        }
        None
    }

    fn is_held(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else {
            return true;
        };
        if stream.unconsumed >= UNCONSUMED_PER_STREAM {
            stream.held = true;
        } else if self.unconsumed >= UNCONSUMED_IN_ALL {
            self.held.push(id);
        } else {
            return false;
        }
        true
    }

    fn read(&mut self, id: StreamId, connection: &mut Connection) -> Option<Event> {
        let piece = match read_chunks(id, connection) {
            Ok(piece) => piece,
            Err(None) => {
                self.forget(id);
                return None;
            }
            Err(Some(code)) => {
                self.forget(id);
                return Some(Event::StreamReset {
                    stream_id: id.into(),
                    code,
                });
            }
        };
        if piece.fin {
            self.forget(id);
        } else if let Some(stream) = self.streams.get_mut(&id) {
            stream.unconsumed += piece.length;
            self.unconsumed += piece.length;
            if piece.more {
                self.mark_readable(id);
            }
        }
        (piece.length > 0 || piece.fin).then_some(Event::StreamData {
            stream_id: id.into(),
            chunks: piece.chunks,
            fin: piece.fin,
        })
    }

    /// Drops a stream that has ended; what was delivered of it no longer counts.
    fn forget(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.streams.remove(&id) else {
            return false;
        };
        self.release(stream.unconsumed);
        true
    }

    fn release(&mut self, count: usize) {
        self.unconsumed -= count;
        if self.unconsumed < UNCONSUMED_IN_ALL {
            for id in std::mem::take(&mut self.held) {
                self.mark_readable(id);
            }
        }
    }
}

struct Piece {
    chunks: Vec<Bytes>,
    length: usize,
    fin: bool,
    /// READ_LIMIT was reached.
    more: bool,
}

/// Reads what is there, up to READ_LIMIT. The error is the code of a reset, or None where
/// quinn has forgotten the stream.
fn read_chunks(id: StreamId, connection: &mut Connection) -> Result<Piece, Option<u64>> {
    let mut piece = Piece {
        chunks: Vec::new(),
        length: 0,
        fin: false,
        more: false,
    };
    let mut stream = connection.recv_stream(id);
    let mut chunks = match stream.read(true) {
        Ok(chunks) => chunks,
        Err(ReadableError::ClosedStream | ReadableError::IllegalOrderedRead) => return Err(None),
    };
    loop {
        if piece.length >= READ_LIMIT {
            piece.more = true;
            break;
        }
        match chunks.next(READ_LIMIT - piece.length) {
            Ok(Some(chunk)) => {
                piece.length += chunk.bytes.len();
                piece.chunks.push(chunk.bytes);
            }
            Ok(None) => {
                piece.fin = true;
                break;
            }
            Err(ReadError::Blocked) => break,
            Err(ReadError::Reset(code)) => return Err(Some(code.into_inner())),
        }
    }
    // The credit goes out with the next packet in any case.
    let _ = chunks.finalize();
    Ok(piece)
}
