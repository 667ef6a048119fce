//! While somebody types, the bulk of the same connection keeps the path's queue short.
//!
//! A controller that waits for losses fills whatever queue there is, and a keystroke waits behind
//! that. So for as long as it matters the window is held to what the path carries with little of
//! a queue, as far as it is ours: where others fill it as well, giving way helps nobody.

use std::time::{Duration, Instant};

/// What may wait in the path's queue.
const QUEUE: Duration = Duration::from_millis(20);
/// Acknowledgements that are looked at for one judgement: the fastest of them speaks.
const SAMPLES: u32 = 8;
/// The window is never held to less.
const LEAST: f64 = 14_000.0;
/// So many judgements in a row found the window cut to half and the queue hardly shorter: it is
/// others'.
const IN_VAIN: u32 = 3;
/// What is left of a queue that is hardly shorter.
const HARDLY_SHORTER: f64 = 0.8;
/// How long it is left at that.
const PAUSE: Duration = Duration::from_secs(10);

/// What one acknowledgement tells.
#[derive(Clone, Copy)]
pub struct Acknowledged {
    pub now: Instant,
    /// When the packet left.
    pub sent: Instant,
    /// The shortest round trip of this path.
    pub base: Duration,
    /// What the controller would allow, in bytes.
    pub window: u64,
}

/// The limit for one path.
#[derive(Clone, Default)]
pub struct Courtesy {
    limit: Option<f64>,
    /// What was sent before says nothing about the limit.
    since: Option<Instant>,
    samples: u32,
    fastest: Duration,
    /// The queue, and the limit, when the queue was first found to be long.
    at_first: Option<(Duration, f64)>,
    in_vain: u32,
    paused_until: Option<Instant>,
}

impl Courtesy {
    /// `window`, or less.
    pub fn limited(&self, window: u64) -> u64 {
        self.limit.map_or(window, |limit| window.min(limit as u64))
    }

    /// Nobody types: no limit.
    pub fn rest(&mut self) {
        if self.since.is_some() || self.paused_until.is_some() {
            *self = Self::default();
        }
    }

    /// Somebody types, and there was more to send than the window allowed.
    pub fn acknowledged(&mut self, ack: Acknowledged) {
        if self.paused_until.is_some_and(|until| ack.now < until) {
            return;
        }
        self.paused_until = None;
        let since = *self.since.get_or_insert(ack.now);
        if ack.sent < since {
            return;
        }
        let sample = ack.now.saturating_duration_since(ack.sent);
        self.fastest = if self.samples == 0 {
            sample
        } else {
            self.fastest.min(sample)
        };
        self.samples += 1;
        if self.samples >= SAMPLES {
            self.judge(ack);
            self.samples = 0;
            self.since = Some(ack.now);
        }
    }

    fn judge(&mut self, ack: Acknowledged) {
        let queue = self.fastest.saturating_sub(ack.base);
        let window = ack.window as f64;
        let limit = self.limit.map_or(window, |limit| limit.min(window));
        let wanted = (ack.base + QUEUE).as_secs_f64();
        if queue <= QUEUE {
            self.in_vain = 0;
            self.at_first = None;
            let room = (QUEUE - queue).as_secs_f64() / wanted;
            self.limit = Some(limit * (1.0 + room / 2.0));
            return;
        }
        let (queue_then, limit_then) = *self.at_first.get_or_insert((queue, limit));
        let is_cut = limit <= (limit_then / 2.0).max(LEAST);
        if is_cut && queue >= queue_then.mul_f64(HARDLY_SHORTER) {
            self.in_vain += 1;
        }
        if self.in_vain >= IN_VAIN {
            *self = Self {
                paused_until: Some(ack.now + PAUSE),
                ..Self::default()
            };
            return;
        }
        let smaller = limit * wanted / (ack.base + queue).as_secs_f64();
        self.limit = Some(smaller.max(LEAST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(50);
    const RATE: f64 = 2_500_000.0;

    /// Round trips of a path at RATE on which all but `others` of the queue is ours.
    fn run(courtesy: &mut Courtesy, window: u64, others: Duration, rounds: u32) -> u64 {
        let mut now = Instant::now();
        for _ in 0..rounds {
            let limited = courtesy.limited(window);
            let own = Duration::from_secs_f64(limited as f64 / RATE).max(BASE);
            let (sent, rtt) = (now + BASE, own + others);
            now = sent + rtt;
            for _ in 0..SAMPLES {
                courtesy.acknowledged(Acknowledged {
                    now,
                    sent,
                    base: BASE,
                    window,
                });
            }
        }
        courtesy.limited(window)
    }

    #[test]
    fn an_own_queue_becomes_short_and_the_path_stays_full() {
        let limited = run(&mut Courtesy::default(), 375_000, Duration::ZERO, 10) as f64;
        assert!(limited > BASE.as_secs_f64() * RATE * 1.2, "{limited}");
        assert!(
            limited < (BASE + QUEUE).as_secs_f64() * RATE * 1.1,
            "{limited}"
        );
    }

    #[test]
    fn a_short_queue_is_no_reason_for_anything() {
        assert_eq!(
            run(&mut Courtesy::default(), 130_000, Duration::ZERO, 10),
            130_000
        );
    }

    #[test]
    fn the_queue_of_others_is_not_ours_to_empty() {
        let mut courtesy = Courtesy::default();
        let others = Duration::from_millis(90);
        assert_eq!(run(&mut courtesy, 100_000, others, 10), 100_000);
    }

    #[test]
    fn the_limit_goes_with_the_reason() {
        let mut courtesy = Courtesy::default();
        run(&mut courtesy, 375_000, Duration::ZERO, 10);
        courtesy.rest();
        assert_eq!(courtesy.limited(375_000), 375_000);
    }
}
