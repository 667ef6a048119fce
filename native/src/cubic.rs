//! CUBIC (RFC 9438), in bytes.
//!
//! quinn's own starts its estimate of Reno's window below the window itself after a loss, and
//! never lets it grow faster than while it catches up (RFC 9438 section 4.3): on a path that loses
//! single packets it falls behind TCP.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory, ControllerMetrics};

/// The share of the window that a loss leaves.
const BETA: f64 = 0.7;
/// How fast the window grows, in packets per cubed second.
const C: f64 = 0.4;
/// Reno's growth in packets per round trip that with BETA comes to Reno's rate.
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// Packets in the first flight, and the bytes that they may have (RFC 9002 section 7.2).
const INITIAL_PACKETS: f64 = 10.0;
const INITIAL_BYTES: f64 = 14_720.0;
const LEAST_PACKETS: f64 = 2.0;

/// Makes the controllers.
#[derive(Debug, Default)]
pub struct CubicFactory;

impl ControllerFactory for CubicFactory {
    fn build(self: Arc<Self>, _now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Cubic::new(current_mtu))
    }
}

/// One path's controller. Sizes in bytes, times in seconds.
#[derive(Debug, Clone)]
struct Cubic {
    mtu: f64,
    window: f64,
    slow_start_threshold: f64,
    /// Losses of what was sent before are the same congestion.
    recovery_start: Option<Instant>,
    /// When growth began after the last loss; it waits while there is nothing to send.
    epoch: Option<Instant>,
    latest: Option<Instant>,
    /// The window around which it grows slowly: that of the last loss, or less.
    plateau: f64,
    /// The window at the last loss.
    prior: f64,
    /// Seconds from the epoch to the plateau.
    k: f64,
    /// What Reno would have.
    reno: f64,
}

impl Cubic {
    fn new(mtu: u16) -> Self {
        let mtu = f64::from(mtu);
        Self {
            mtu,
            window: initial_window(mtu),
            slow_start_threshold: f64::INFINITY,
            recovery_start: None,
            epoch: None,
            latest: None,
            plateau: 0.0,
            prior: 0.0,
            k: 0.0,
            reno: 0.0,
        }
    }

    fn least(&self) -> f64 {
        LEAST_PACKETS * self.mtu
    }

    /// RFC 9438 section 4.2: the window that long after the epoch.
    fn curve(&self, since_epoch: f64) -> f64 {
        C * (since_epoch - self.k).powi(3) * self.mtu + self.plateau
    }

    fn begin_epoch(&mut self, now: Instant) {
        self.epoch = Some(now);
        self.reno = self.window;
        if self.plateau <= self.window {
            self.plateau = self.window;
            self.k = 0.0;
        } else {
            self.k = ((self.plateau - self.window) / self.mtu / C).cbrt();
        }
    }

    fn avoid_congestion(&mut self, now: Instant, bytes: f64, rtt: Duration) {
        if self.epoch.is_none() {
            self.begin_epoch(now);
        }
        let since_epoch = self.epoch.map_or(0.0, |epoch| {
            now.saturating_duration_since(epoch).as_secs_f64()
        });
        let alpha = if self.reno < self.prior { ALPHA } else { 1.0 };
        self.reno += alpha * self.mtu * bytes / self.window;
        if self.curve(since_epoch) < self.reno {
            self.window = self.window.max(self.reno);
            return;
        }
        let target = self.curve(since_epoch + rtt.as_secs_f64());
        let target = target.clamp(self.window, 1.5 * self.window);
        self.window += (target - self.window) / self.window * bytes;
    }

    /// The epoch's clock stands while there is nothing to send (RFC 9438 section 5.8).
    fn wait(&mut self, now: Instant) {
        if let (Some(epoch), Some(latest)) = (self.epoch, self.latest) {
            self.epoch = Some(epoch + now.saturating_duration_since(latest));
        }
    }

    fn is_old(&self, sent: Instant) -> bool {
        self.recovery_start.is_some_and(|start| sent <= start)
    }
}

fn initial_window(mtu: f64) -> f64 {
    (INITIAL_PACKETS * mtu).min(INITIAL_BYTES.max(LEAST_PACKETS * mtu))
}

impl Controller for Cubic {
    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        if app_limited {
            self.wait(now);
        } else if !self.is_old(sent) {
            let bytes = bytes as f64;
            if self.window < self.slow_start_threshold {
                self.window += bytes;
            } else {
                self.avoid_congestion(now, bytes, rtt.get());
            }
        }
        self.latest = Some(now);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        _lost_bytes: u64,
    ) {
        if !self.is_old(sent) {
            self.recovery_start = Some(now);
            self.epoch = None;
            self.prior = self.window;
            // Fast convergence (RFC 9438 section 4.7): make room for newcomers.
            self.plateau = if self.window < self.plateau {
                self.window * (1.0 + BETA) / 2.0
            } else {
                self.window
            };
            self.slow_start_threshold = (self.window * BETA).max(self.least());
            self.window = self.slow_start_threshold;
        }
        if is_persistent_congestion {
            // Section 4.8; the window comes back by slow start.
            self.recovery_start = None;
            self.plateau = 0.0;
            self.window = self.least();
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = f64::from(new_mtu);
        self.window = self.window.max(self.least());
    }

    fn window(&self) -> u64 {
        self.window as u64
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.window();
        metrics.ssthresh = Some(self.slow_start_threshold as u64);
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        initial_window(self.mtu) as u64
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: u16 = 1400;
    const PACKET: f64 = MTU as f64;

    fn after_loss(window: f64, now: Instant) -> Cubic {
        let mut cubic = Cubic::new(MTU);
        cubic.window = window;
        cubic.on_congestion_event(now + Duration::from_millis(1), now, false, MTU.into());
        cubic
    }

    /// A round trip in which all of the window is acknowledged.
    fn round(cubic: &mut Cubic, now: Instant, rtt: Duration) {
        let mut left = cubic.window;
        while left > 0.0 {
            cubic.avoid_congestion(now, PACKET.min(left), rtt);
            left -= PACKET;
        }
    }

    #[test]
    fn the_first_flight_is_ten_packets() {
        assert_eq!(Cubic::new(1200).window(), 12_000);
        assert_eq!(Cubic::new(1452).window(), 14_520);
        assert_eq!(Cubic::new(9000).window(), 18_000);
    }

    #[test]
    fn a_loss_leaves_seven_tenths_and_counts_once() {
        let now = Instant::now();
        let mut cubic = after_loss(100.0 * PACKET, now);
        assert_eq!(cubic.window(), 70 * u64::from(MTU));
        cubic.on_congestion_event(now + Duration::from_millis(2), now, false, MTU.into());
        assert_eq!(cubic.window(), 70 * u64::from(MTU));
        let later = now + Duration::from_millis(5);
        cubic.on_congestion_event(later, later, false, MTU.into());
        assert_eq!(cubic.window(), 49 * u64::from(MTU));
    }

    #[test]
    fn small_windows_grow_as_renos_do() {
        let (now, rtt) = (Instant::now(), Duration::from_millis(20));
        let mut cubic = after_loss(10.0 * PACKET, now);
        for count in 1..=5 {
            round(&mut cubic, now + rtt * count, rtt);
        }
        let grown = cubic.window / PACKET;
        assert!((9.2..9.9).contains(&grown), "{grown}");
        for count in 6..=10 {
            round(&mut cubic, now + rtt * count, rtt);
        }
        let faster = cubic.window / PACKET - grown;
        assert!((3.0..5.5).contains(&faster), "{faster}");
    }

    #[test]
    fn large_windows_are_back_after_k_and_then_go_on() {
        let (now, rtt) = (Instant::now(), Duration::from_millis(100));
        let mut cubic = after_loss(1000.0 * PACKET, now);
        round(&mut cubic, now, rtt);
        let k = (300.0_f64 / C).cbrt();
        assert!((cubic.k - k).abs() < 0.01, "{}", cubic.k);
        let rounds = (k / rtt.as_secs_f64()).ceil() as u32;
        for count in 1..=rounds {
            round(&mut cubic, now + rtt * count, rtt);
        }
        assert!((980.0..1005.0).contains(&(cubic.window / PACKET)));
        for count in rounds..=2 * rounds {
            round(&mut cubic, now + rtt * count, rtt);
        }
        assert!((1200.0..1400.0).contains(&(cubic.window / PACKET)));
    }

    #[test]
    fn time_without_anything_to_send_does_not_let_it_grow() {
        let (now, rtt) = (Instant::now(), Duration::from_millis(100));
        let mut cubic = after_loss(100.0 * PACKET, now);
        round(&mut cubic, now, rtt);
        cubic.latest = Some(now);
        let before = cubic.window;
        let hour = now + Duration::from_secs(3600);
        cubic.wait(hour);
        round(&mut cubic, hour, rtt);
        assert!(cubic.window < before * 1.1);
    }

    #[test]
    fn persistent_congestion_begins_anew() {
        let now = Instant::now();
        let mut cubic = after_loss(100.0 * PACKET, now);
        let later = now + Duration::from_secs(9);
        cubic.on_congestion_event(later, later, true, MTU.into());
        assert_eq!(cubic.window(), 2 * u64::from(MTU));
        assert_eq!(cubic.slow_start_threshold as u64, 49 * u64::from(MTU));
    }
}
