//! What the application asks of an engine: events, streams, datagrams, the end.

use bytes::Bytes;
use quinn_proto::{Dir, SendDatagramError, StreamId, VarInt};

use crate::engine::{Engine, StateError};
use crate::events::{Closed, Event};
use crate::settings::CONNECTION_WINDOW;

impl Engine {
    /// The next thing that happened. What has arrived before the end is reported before it.
    pub fn next_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if self.closed_reported {
            return None;
        }
        if let Some((_, connection)) = &mut self.link {
            if self.datagrams_waiting {
                self.datagrams_waiting = false;
                let mut arrived = connection.datagrams();
                let datagrams: Vec<_> = std::iter::from_fn(|| arrived.recv()).collect();
                if !datagrams.is_empty() {
                    return Some(Event::DatagramsReceived(datagrams));
                }
            }
            if let Some(event) = self.receiving.next_event(connection) {
                if let Event::StreamData { stream_id, .. } = event {
                    self.note_typing(stream_id);
                }
                return Some(event);
            }
        }
        let closed = self.closed.clone()?;
        self.closed_reported = true;
        Some(Event::ConnectionClosed(closed))
    }

    pub fn open_stream(&mut self, dir: Dir) -> Result<u64, StateError> {
        if self.closed.is_some() {
            return Err(StateError("the connection is over"));
        }
        let id = self.sending.name(dir);
        if dir == Dir::Bi {
            self.receiving.open(id);
        }
        Ok(id.into())
    }

    pub fn send_stream_data(&mut self, stream_id: u64, data: Bytes, fin: bool) {
        if let (Some(id), None) = (stream(stream_id), &self.closed) {
            self.sending.write(id, data, fin);
            self.note_typing(stream_id);
        }
    }

    fn note_typing(&mut self, stream_id: u64) {
        if stream(stream_id).is_some_and(|id| self.sending.is_interactive(id)) {
            self.typed = Some(self.clock.latest());
        }
    }

    pub fn stream_unsent(&self, stream_id: u64) -> usize {
        stream(stream_id).map_or(0, |id| self.sending.unsent(id))
    }

    pub fn consume(&mut self, stream_id: u64, count: usize) {
        if let Some(id) = stream(stream_id) {
            self.receiving.consume(id, count);
        }
    }

    pub fn raise_credit(&mut self) {
        if let Some(connection) = self.connection() {
            connection.set_receive_window(CONNECTION_WINDOW.into());
        }
    }

    pub fn reset_stream(&mut self, stream_id: u64, code: u64) {
        if let Some(id) = stream(stream_id) {
            let connection = self.link.as_mut().map(|(_, connection)| connection);
            self.sending.reset(id, code, connection);
        }
    }

    pub fn stop_stream(&mut self, stream_id: u64, code: u64) {
        if let (Some(id), Some((_, connection))) = (stream(stream_id), &mut self.link) {
            self.receiving.stop(id, code, connection);
        }
    }

    pub fn set_priority(&mut self, stream_id: u64, priority: i32) {
        if let Some(id) = stream(stream_id) {
            let connection = self.link.as_mut().map(|(_, connection)| connection);
            self.sending.set_priority(id, priority, connection);
        }
    }

    pub fn send_datagrams(
        &mut self,
        datagrams: impl IntoIterator<Item = Bytes>,
    ) -> Result<(), StateError> {
        if self.closed.is_some() {
            return Ok(());
        }
        let mut queue = self
            .connection()
            .ok_or(StateError("the peer takes no datagrams"))?
            .datagrams();
        for data in datagrams {
            queue.send(data, true).map_err(|error| match error {
                SendDatagramError::TooLarge => {
                    StateError("the datagram is larger than the path carries")
                }
                _ => StateError("the peer takes no datagrams"),
            })?;
        }
        Ok(())
    }

    pub fn max_datagram_payload(&mut self) -> Option<usize> {
        self.connection()?.datagrams().max_size()
    }

    /// CONNECTION_CLOSE with an application code. Nothing but the end is reported after it.
    pub fn close(&mut self, code: u64, reason: &str, now: f64) {
        let now = self.clock.advance(now);
        if self.closed.is_some() {
            return;
        }
        let varint = VarInt::from_u64(code).unwrap_or(VarInt::MAX);
        if let Some((_, connection)) = &mut self.link {
            // quinn forgets to tell the peer if the window is full of what waits for it.
            self.observations.allow_probe();
            connection.close(now, varint, Bytes::copy_from_slice(reason.as_bytes()));
        }
        self.expected = None;
        self.events.clear();
        self.receiving.discard();
        self.datagrams_waiting = false;
        self.closed = Some(Closed {
            code,
            reason: reason.to_owned(),
            by_application: true,
            local: true,
        });
    }
}

fn stream(stream_id: u64) -> Option<StreamId> {
    VarInt::from_u64(stream_id).ok().map(StreamId::from)
}
