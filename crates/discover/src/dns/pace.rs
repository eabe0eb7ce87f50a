use std::time::{Duration, Instant};

use super::DnsConfig;

/// Decides when to look up again. Pure.
#[derive(Debug)]
pub(super) struct Pace {
    min: Duration,
    max: Duration,
    last: Option<Last>,
    /// Lookups in a row that have failed, or found nobody.
    failures: i32,
}

/// The last lookup.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: Instant,
    next: Duration,
    /// The same if somebody asks.
    if_asked: Duration,
}

/// gRPC's backoff (doc/connection-backoff.md).
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(120);
const FACTOR: f64 = 1.6;
const JITTER: f64 = 0.2;

impl Pace {
    pub(super) fn new(config: &DnsConfig) -> Self {
        let min = config.min_ttl.max(Duration::from_millis(1));
        Self {
            min,
            max: config.max_ttl.max(min),
            last: None,
            failures: 0,
        }
    }

    /// There was an answer, and it holds for `ttl`.
    pub(super) fn answered(&mut self, now: Instant, ttl: Duration) {
        self.failures = 0;
        let next = ttl.clamp(self.min, self.max);
        self.is_due(now, next, self.min);
    }

    /// There was no answer; `random` is from 0 to 1.
    pub(super) fn failed(&mut self, now: Instant, random: f64) {
        let next = self.backoff(random);
        self.is_due(now, next, next);
    }

    /// Nobody is there, as gRPC has it a failure too; but one that may end at any time.
    pub(super) fn empty(&mut self, now: Instant, random: f64) {
        let next = self.backoff(random).min(self.min);
        self.is_due(now, next, next);
    }

    /// There was an answer that holds for `ttl`, and something is missing.
    pub(super) fn partly(&mut self, now: Instant, ttl: Duration, random: f64) {
        let next = self.backoff(random).min(ttl.clamp(self.min, self.max));
        self.is_due(now, next, self.min);
    }

    fn is_due(&mut self, at: Instant, next: Duration, if_asked: Duration) {
        let if_asked = if_asked.min(next);
        self.last = Some(Last { at, next, if_asked });
    }

    fn backoff(&mut self, random: f64) -> Duration {
        let factor = FACTOR.powi(self.failures);
        let delay = LONGEST.as_secs_f64().min(FIRST.as_secs_f64() * factor);
        let jitter = 1.0 + JITTER * (2.0 * random - 1.0);
        self.failures = self.failures.saturating_add(1).min(100);
        Duration::from_secs_f64(delay * jitter)
    }

    /// When the next lookup is due, `asked` for or not; the first one is at once.
    pub(super) fn due(&self, asked: bool) -> Option<Instant> {
        let Last { at, next, if_asked } = self.last?;
        Some(at + if asked { if_asked } else { next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(min: u64, max: u64) -> Pace {
        Pace::new(&DnsConfig {
            min_ttl: Duration::from_secs(min),
            max_ttl: Duration::from_secs(max),
            ..DnsConfig::default()
        })
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a start for the table's times")]
    fn answers_hold_for_their_ttl_within_the_bounds() {
        let now = Instant::now();
        let seconds = Duration::from_secs;
        for (min, max, ttl, due, asked) in [
            (30, 300, 60, 60, 30),
            (30, 300, 0, 30, 30),
            (30, 300, 86_400, 300, 30),
            (30, 10, 60, 30, 30),
        ] {
            let mut pace = pace(min, max);
            assert_eq!(pace.due(false), None, "the first is at once");
            pace.answered(now, seconds(ttl));
            assert_eq!(pace.due(false), Some(now + seconds(due)), "{ttl}");
            assert_eq!(pace.due(true), Some(now + seconds(asked)), "{ttl}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a start for the table's times")]
    fn who_is_missing_is_looked_for_soon_and_never_later_than_after_an_answer() {
        let now = Instant::now();
        let (mut empty, mut partly) = (pace(30, 300), pace(30, 300));
        let mut delays = Vec::new();
        for _ in 0..20 {
            empty.empty(now, 0.5);
            partly.partly(now, Duration::from_secs(60), 0.5);
            let delay = |pace: &Pace, asked| (pace.due(asked).unwrap() - now).as_secs_f64();
            delays.push((delay(&empty, false), delay(&partly, false)));
            assert!(delay(&partly, true) <= 30.0);
        }
        assert_eq!(delays[..2], [(1.0, 1.0), (1.6, 1.6)]);
        assert_eq!(delays[19], (30.0, 60.0));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a start for the table's times")]
    fn failures_are_repeated_ever_later_whoever_asks() {
        let now = Instant::now();
        let mut pace = pace(30, 300);
        let mut delays = Vec::new();
        for _ in 0..200 {
            pace.failed(now, 0.5);
            assert_eq!(pace.due(true), pace.due(false));
            delays.push((pace.due(false).unwrap() - now).as_secs_f64());
        }
        assert_eq!(delays[..4], [1.0, 1.6, 2.56, 4.096]);
        assert!(delays[12..].iter().all(|delay| *delay == 120.0));
        pace.failed(now, 0.0);
        assert_eq!(pace.due(false), Some(now + Duration::from_secs(96)));
        pace.answered(now, Duration::ZERO);
        pace.failed(now, 1.0);
        assert_eq!(pace.due(false), Some(now + Duration::from_millis(1200)));
    }
}
