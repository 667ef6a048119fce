//! How this side sends: by another path, against silence, with another congestion controller.

use quinn_proto::FrameStats;

use crate::congestion::Algorithm;
use crate::engine::Engine;

impl Engine {
    /// What is sent from now on leaves from another local address: with a connection ID that the
    /// old path has not seen (RFC 9000 section 9.5), without what was learned about the old path
    /// (section 9.4), and at once.
    pub fn migrate(&mut self, now: f64) {
        let now = self.clock.advance(now);
        self.guarded(|engine| {
            if let Some(connection) = engine.established() {
                connection.local_address_changed();
                connection.path_changed(now);
                engine.observations.moved();
                engine.observations.allow_probe();
            }
        });
    }

    /// Asks for a sign of life now, whatever timers and congestion window say.
    pub fn kick(&mut self, now: f64) {
        self.clock.advance(now);
        self.guarded(|engine| {
            if let Some(connection) = engine.established() {
                connection.ping();
                engine.observations.allow_probe();
            }
        });
    }

    /// Another congestion controller from now on; false for one that this engine has not.
    pub fn use_congestion_control(&mut self, name: &str, now: f64) -> bool {
        self.clock.advance(now);
        let algorithm = Algorithm::named(name);
        if let Some(algorithm) = algorithm {
            self.observations.use_algorithm(algorithm);
        }
        algorithm.is_some()
    }

    fn established(&mut self) -> Option<&mut quinn_proto::Connection> {
        self.connection()
            .filter(|connection| !connection.is_handshaking() && !connection.is_closed())
    }
}

/// Whether frames were sent since `before` that the peer must acknowledge. Probes of the MTU count
/// as PING.
pub(crate) fn wants_acknowledgement(now: &FrameStats, before: &FrameStats) -> bool {
    let count = |frames: &FrameStats| {
        frames.stream
            + frames.ping
            + frames.crypto
            + frames.datagram
            + frames.path_challenge
            + frames.reset_stream
            + frames.new_connection_id
            + frames.max_data
            + frames.max_stream_data
            + u64::from(frames.handshake_done)
    };
    count(now) > count(before)
}
