//! Congestion controllers, watched: what quinn tells a controller is what it tells nobody else.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{
    BbrConfig, Controller, ControllerFactory, ControllerMetrics, NewRenoConfig,
};

use crate::courtesy::{Acknowledged, Courtesy};
use crate::cubic::CubicFactory;

/// What a probe may have beyond what is in flight: any datagram.
const PROBE: u64 = 1 << 16;

/// Which controller a connection has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Algorithm {
    #[default]
    Cubic,
    Bbr,
    Reno,
}

impl Algorithm {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Cubic, "cubic"),
        (Self::Bbr, "bbr"),
        (Self::Reno, "reno"),
    ];

    /// None for an unknown name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, known)| *known == name).map(|(it, _)| *it)
    }

    fn numbered(number: u8) -> Self {
        let mut all = Self::ALL.iter();
        all.find(|(it, _)| *it as u8 == number)
            .map_or_else(Self::default, |(it, _)| *it)
    }

    fn build(self, now: Instant, mtu: u16) -> Box<dyn Controller> {
        match self {
            Self::Cubic => Arc::new(CubicFactory).build(now, mtu),
            Self::Bbr => Arc::new(BbrConfig::default()).build(now, mtu),
            Self::Reno => Arc::new(NewRenoConfig::default()).build(now, mtu),
        }
    }
}

/// Facts that only a controller sees, and what it is to be. Atomic since quinn wants controllers
/// `Sync`.
#[derive(Default)]
pub struct Observations {
    algorithm: AtomicU8,
    in_flight: AtomicU64,
    elsewhere: AtomicU64,
    latest_rtt_nanoseconds: AtomicU64,
    probe_allowed: AtomicBool,
    typing: AtomicBool,
}

impl Observations {
    pub fn algorithm(&self) -> Algorithm {
        Algorithm::numbered(self.algorithm.load(Relaxed))
    }

    /// The controller is another one from the next packet or acknowledgement on. It begins anew.
    pub fn use_algorithm(&self, algorithm: Algorithm) {
        self.algorithm.store(algorithm as u8, Relaxed);
    }

    /// Bytes sent and neither acknowledged nor lost; exact after each ACK.
    pub fn bytes_in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// A transmit that wants an acknowledgement has left: quinn tells controllers of all alike.
    pub fn sent(&self, bytes: u64) {
        self.in_flight.fetch_add(bytes, Relaxed);
    }

    /// Another path is in use: what is in flight does not count towards its window (RFC 9000 section
    /// 9.4), and may never be heard of.
    pub fn moved(&self) {
        self.elsewhere.store(self.bytes_in_flight(), Relaxed);
    }

    fn elsewhere(&self) -> u64 {
        self.elsewhere.load(Relaxed)
    }

    /// So much of it was acknowledged or lost.
    fn settled_elsewhere(&self, bytes: u64) {
        let left = self.elsewhere().saturating_sub(bytes);
        self.elsewhere.store(left, Relaxed);
    }

    /// The next datagram may leave whatever the window says.
    pub fn allow_probe(&self) {
        self.probe_allowed.store(true, Relaxed);
    }

    /// Whether that datagram is still to come.
    fn is_probe_allowed(&self) -> bool {
        self.probe_allowed.load(Relaxed)
    }

    /// How many datagrams may leave together: a probe goes alone.
    pub fn max_segments(&self, usual: usize) -> usize {
        if self.is_probe_allowed() { 1 } else { usual }
    }

    /// Whether somebody types, or has a moment ago.
    pub fn set_typing(&self, typing: bool) {
        self.typing.store(typing, Relaxed);
    }

    fn is_typing(&self) -> bool {
        self.typing.load(Relaxed)
    }

    /// Seconds from the sending of the packet last acknowledged to its ACK; 0 before any.
    pub fn latest_rtt(&self) -> f64 {
        self.latest_rtt_nanoseconds.load(Relaxed) as f64 / 1e9
    }
}

/// Controllers as `observations` says, which report to it.
pub fn factory(observations: Arc<Observations>) -> Arc<dyn ControllerFactory + Send + Sync> {
    Arc::new(WatchedFactory(observations))
}

struct WatchedFactory(Arc<Observations>);

impl ControllerFactory for WatchedFactory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let algorithm = self.0.algorithm();
        Box::new(Watched {
            inner: algorithm.build(now, current_mtu),
            algorithm,
            observations: self.0.clone(),
            mtu: current_mtu,
            courtesy: Courtesy::default(),
            begun: now,
        })
    }
}

struct Watched {
    inner: Box<dyn Controller>,
    algorithm: Algorithm,
    observations: Arc<Observations>,
    mtu: u16,
    courtesy: Courtesy,
    /// What was sent earlier went by another path, and says nothing about this one (RFC 9000
    /// section 9.4).
    begun: Instant,
}

impl Watched {
    /// Be what is wanted.
    fn follow(&mut self, now: Instant) {
        let wanted = self.observations.algorithm();
        if wanted != self.algorithm {
            self.algorithm = wanted;
            self.inner = wanted.build(now, self.mtu);
            self.begun = now;
        }
    }
}

impl Controller for Watched {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.follow(now);
        self.observations.probe_allowed.store(false, Relaxed);
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        if sent < self.begun {
            self.observations.settled_elsewhere(bytes);
            return;
        }
        // From now on quinn knows what was lost.
        self.observations.settled_elsewhere(u64::MAX);
        let sample = now.saturating_duration_since(sent).as_nanos() as u64;
        self.observations
            .latest_rtt_nanoseconds
            .store(sample, Relaxed);
        let window = self.inner.window();
        // A window that is not used does not grow.
        let is_limited = self.courtesy.limited(window) < window;
        self.inner
            .on_ack(now, sent, bytes, app_limited || is_limited, rtt);
        if !self.observations.is_typing() {
            self.courtesy.rest();
        } else if !app_limited {
            self.courtesy.acknowledged(Acknowledged {
                now,
                sent,
                base: rtt.min(),
                window,
            });
        }
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.observations.in_flight.store(in_flight, Relaxed);
        self.follow(now);
        self.inner
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        let in_flight = self.observations.bytes_in_flight();
        self.observations
            .in_flight
            .store(in_flight.saturating_sub(lost_bytes), Relaxed);
        if sent >= self.begun {
            self.inner
                .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
        } else {
            self.observations.settled_elsewhere(lost_bytes);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = new_mtu;
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        let window = self.courtesy.limited(self.inner.window()) + self.observations.elsewhere();
        if !self.observations.is_probe_allowed() {
            return window;
        }
        window.max(self.observations.bytes_in_flight()) + PROBE
    }

    fn metrics(&self) -> ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            inner: self.inner.clone_box(),
            algorithm: self.algorithm,
            observations: self.observations.clone(),
            mtu: self.mtu,
            courtesy: self.courtesy.clone(),
            begun: self.begun,
        })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self.inner.into_any()
    }
}
