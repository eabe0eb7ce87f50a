use std::time::{Duration, Instant};

use evenkeel_core::{CodeSet, EndpointStats};
use tonic::Code;

use super::RegisteredWeightedRoundRobinConfig;
use crate::time::after;

/// How much of its registered weight an endpoint has, by what its attempts say of it. Pure.
///
/// ```text
///            RESOURCE_EXHAUSTED: half            UNAVAILABLE
///   Sending ───────────┐   ┌──────────── Sending ───────────► Out (nothing)
///     ▲  ▲             ▼   │                  ▲                │  ▲
///     │  └──────── less than all              │ success        │  │ UNAVAILABLE: wait
///     └─ +10 % per second ─┘                  │                ▼  │ twice as long
///                                             └──────────── Probing (a sixteenth)
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct Effective {
    state: State,
    seen: Counts,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Sending {
        /// Of 1.
        factor: f64,
        /// Failures count for one until then.
        next_half: Option<Instant>,
    },
    Out {
        probe_at: Instant,
        /// How long it is out.
        interval: Duration,
    },
    Probing {
        /// How long it was out before.
        interval: Duration,
    },
}

/// What an endpoint's attempts have come to so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) succeeded: u64,
    pub(super) exhausted: u64,
    pub(super) unavailable: u64,
}

impl Counts {
    pub(super) fn of(stats: &EndpointStats) -> Self {
        let failed_with = |code| match stats.failed() {
            // Spares most endpoints a look at what few have.
            0 => 0,
            _ => stats.failed_with(code),
        };
        Self {
            succeeded: stats.succeeded(),
            exhausted: failed_with(Code::ResourceExhausted),
            unavailable: failed_with(Code::Unavailable),
        }
    }
}

/// What a reduced endpoint wins back per step: 10 % of its registered weight per second.
pub(super) const STEP: Duration = Duration::from_millis(500);
const PER_STEP: f64 = 0.05;

/// RESOURCE_EXHAUSTED never takes more than down to this.
const FLOOR: f64 = 1.0 / 64.0;

/// So much that also a quiet channel sends a probe soon; a busy one sends few before it hears of
/// the first.
const PROBE: f64 = 1.0 / 16.0;

/// Attempts that fail together have seen the same moment of the server.
const BURST: Duration = Duration::from_millis(100);

/// How long a probe is waited for at most, if not the interval itself is longer.
const LONGEST: Duration = Duration::from_secs(30);

impl Effective {
    /// What takes weight from an endpoint.
    pub(super) const FAILURES: CodeSet = CodeSet::of(&[Code::ResourceExhausted, Code::Unavailable]);

    /// An endpoint whose attempts have come to `seen` before it was known.
    pub(super) const fn new(seen: Counts) -> Self {
        Self {
            state: State::Sending {
                factor: 1.0,
                next_half: None,
            },
            seen,
        }
    }

    /// Goes on to `now`: what attempts have come to, and how many [`STEP`]s have passed.
    ///
    /// `gets_calls_anyway`: it had calls although it was out, for want of better endpoints.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        counts: Counts,
        steps: u32,
        gets_calls_anyway: bool,
        config: &RegisteredWeightedRoundRobinConfig,
    ) {
        let seen = std::mem::replace(&mut self.seen, counts);
        let is_exhausted = counts.exhausted > seen.exhausted;
        let is_unavailable = counts.unavailable > seen.unavailable;
        if self.is_whole() && !is_exhausted && !is_unavailable {
            return;
        }
        let has_succeeded = counts.succeeded > seen.succeeded;
        self.state = match self.state {
            State::Sending { .. } if is_unavailable => out(now, config.probe_interval),
            State::Sending { factor, next_half } => {
                let factor = (factor + f64::from(steps) * PER_STEP).min(1.0);
                if is_exhausted && next_half.is_none_or(|at| now >= at) {
                    State::Sending {
                        factor: (factor / 2.0).max(FLOOR),
                        next_half: Some(now + BURST),
                    }
                } else {
                    State::Sending { factor, next_half }
                }
            }
            State::Out { .. } if gets_calls_anyway && has_succeeded && !is_unavailable => BACK,
            // What ended until now was sent before it was out: it says nothing of the probe.
            State::Out { probe_at, interval } if now >= probe_at => State::Probing { interval },
            State::Out { .. } => self.state,
            State::Probing { interval } if is_unavailable => {
                let longest = LONGEST.max(config.probe_interval);
                out(now, interval.saturating_mul(2).min(longest))
            }
            State::Probing { .. } if has_succeeded => BACK,
            State::Probing { .. } => self.state,
        };
    }

    /// Of 1; 0 keeps calls away.
    pub(super) const fn factor(&self) -> f64 {
        match self.state {
            State::Sending { factor, .. } => factor,
            State::Out { .. } => 0.0,
            State::Probing { .. } => PROBE,
        }
    }

    /// For how long it has no calls.
    pub(super) const fn out_for(&self) -> Option<Duration> {
        match self.state {
            State::Out { interval, .. } => Some(interval),
            _ => None,
        }
    }

    /// Whether it is reduced to the least, out, or not known to be back.
    pub(super) const fn is_doubtful(&self) -> bool {
        match self.state {
            State::Sending { factor, .. } => factor <= FLOOR,
            State::Out { .. } | State::Probing { .. } => true,
        }
    }

    /// Whether it has all of its weight.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.state, State::Sending { factor, .. } if factor >= 1.0)
    }

    /// When to look at it again even if nothing fails: at the next step, mostly.
    pub(super) const fn wake_at(&self, next_step: Instant) -> Option<Instant> {
        match self.state {
            State::Sending { factor, .. } if factor >= 1.0 => None,
            State::Out { probe_at, .. } => Some(probe_at),
            State::Sending { .. } | State::Probing { .. } => Some(next_step),
        }
    }
}

/// It wins back the rest step by step.
const BACK: State = State::Sending {
    factor: PROBE,
    next_half: None,
};

fn out(now: Instant, interval: Duration) -> State {
    State::Out {
        probe_at: after(now, interval),
        interval,
    }
}

#[cfg(test)]
mod tests;
