//! Python's monotonic seconds and Rust's `Instant`, mapped onto each other.

use std::time::{Duration, Instant};

/// Added to a deadline on its way out, so that the rounding of a float never brings it back
/// as an instant just before the deadline: that would be a busy loop.
const ROUNDING: Duration = Duration::from_micros(1);

/// One monotonic clock of the caller's. It never runs backwards, whatever the caller says.
pub struct Clock {
    origin: Instant,
    origin_seconds: f64,
    latest: Instant,
}

impl Clock {
    pub fn new(now: f64) -> Self {
        let origin = Instant::now();
        Self {
            origin,
            origin_seconds: if now.is_finite() { now } else { 0.0 },
            latest: origin,
        }
    }

    /// The instant that the caller calls `now`.
    pub fn advance(&mut self, now: f64) -> Instant {
        let elapsed = Duration::try_from_secs_f64(now - self.origin_seconds).unwrap_or_default();
        let instant = self.origin.checked_add(elapsed).unwrap_or(self.latest);
        self.latest = self.latest.max(instant);
        self.latest
    }

    /// The latest instant that the caller has named.
    pub fn latest(&self) -> Instant {
        self.latest
    }

    /// What the caller calls `deadline`.
    pub fn seconds(&self, deadline: Instant) -> f64 {
        let elapsed = deadline.saturating_duration_since(self.origin) + ROUNDING;
        self.origin_seconds + elapsed.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_has_come_when_the_caller_says_its_seconds() {
        for origin in [0.0, 1234.567, 1.7e9] {
            let mut clock = Clock::new(origin);
            for step in [0.0, 1e-9, 0.000_333, 0.1, 77.7, 1e6] {
                let deadline = clock.latest() + Duration::from_secs_f64(step);
                let seconds = clock.seconds(deadline);
                assert!(clock.advance(seconds) >= deadline, "{origin} {step}");
            }
        }
    }

    #[test]
    fn time_never_runs_backwards() {
        let mut clock = Clock::new(10.0);
        let later = clock.advance(20.0);
        assert_eq!(clock.advance(15.0), later);
        assert_eq!(clock.advance(f64::NAN), later);
        assert_eq!(clock.advance(f64::INFINITY), later);
        assert_eq!(clock.advance(-1.0), later);
    }
}
