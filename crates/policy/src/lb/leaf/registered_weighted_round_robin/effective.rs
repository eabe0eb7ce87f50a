use std::time::{Duration, Instant};

use evenkeel_core::{CodeSet, EndpointStats};
use tonic::Code;

use super::RegisteredWeightedRoundRobinConfig;
use crate::time::after;

/// How much of its registered weight an endpoint has, by what its attempts say of it. Pure.
///
/// ```text
///            a failure: half            most are UNAVAILABLE
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
    seen_at: Instant,
    /// What they had come to when the window began that UNAVAILABLE is judged by. Others' failures
    /// make looks too: what came between two of them may be a single attempt.
    window: Counts,
    window_at: Instant,
}

/// What an endpoint is looked at with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) now: Instant,
    pub(super) counts: Counts,
    /// How many [`STEP`]s have passed.
    pub(super) steps: u32,
    /// It had calls although it was out, for want of better endpoints.
    pub(super) gets_calls_anyway: bool,
    /// Enough others would be left.
    pub(super) may_go_out: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Sending {
        /// Of 1.
        factor: f64,
        /// Failures count for one until then.
        next_half: Option<Instant>,
        /// It would be out if enough others were left.
        is_failing: bool,
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
    /// With whatever code.
    pub(super) failed: u64,
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
            failed: stats.failed(),
            exhausted: failed_with(Code::ResourceExhausted),
            unavailable: failed_with(Code::Unavailable),
        }
    }

    const fn since(self, before: Self) -> Self {
        Self {
            succeeded: self.succeeded.saturating_sub(before.succeeded),
            failed: self.failed.saturating_sub(before.failed),
            exhausted: self.exhausted.saturating_sub(before.exhausted),
            unavailable: self.unavailable.saturating_sub(before.unavailable),
        }
    }

    /// At least half of them.
    const fn are_unavailable(self) -> bool {
        self.unavailable > 0 && self.unavailable >= (self.succeeded + self.failed).div_ceil(2)
    }

    /// And more than one, which says nothing of the next.
    const fn are_all_but_lost(self) -> bool {
        self.unavailable > 1 && self.are_unavailable()
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

/// How long UNAVAILABLE is counted together, if attempts are not even rarer.
const WINDOW: Duration = Duration::from_secs(1);

/// How long a probe is waited for at most, if not the interval itself is longer.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

impl Effective {
    /// What takes weight from an endpoint.
    pub(super) const FAILURES: CodeSet = CodeSet::of(&[Code::ResourceExhausted, Code::Unavailable]);

    /// An endpoint whose attempts have come to `seen` before it was known.
    pub(super) const fn new(now: Instant, seen: Counts) -> Self {
        Self {
            state: State::Sending {
                factor: 1.0,
                next_half: None,
                is_failing: false,
            },
            seen,
            seen_at: now,
            window: seen,
            window_at: now,
        }
    }

    /// Goes on to `look`; whether any attempt has ended since the last one.
    pub(super) fn advance(
        &mut self,
        look: Look,
        config: &RegisteredWeightedRoundRobinConfig,
    ) -> bool {
        let Look { now, counts, .. } = look;
        let since = counts.since(self.seen);
        let is_unavailable = since.unavailable > 0;
        let is_lost = is_unavailable
            && (since.are_all_but_lost() || counts.since(self.window).are_all_but_lost());
        let has_moved = counts != self.seen;
        // Rare calls are judged together too: what ended at the last look that saw any is in it.
        if has_moved && now.saturating_duration_since(self.window_at) >= WINDOW {
            (self.window, self.window_at) = (self.seen, self.seen_at);
        }
        (self.seen, self.seen_at) = (counts, now);
        let fails = is_unavailable || since.exhausted > 0;
        if self.is_whole() && !fails {
            return has_moved;
        }
        let has_succeeded = since.succeeded > 0;
        let gets_calls_anyway = look.gets_calls_anyway;
        self.state = match self.state {
            State::Sending { .. } if is_lost && look.may_go_out => out(now, config.probe_interval),
            State::Sending {
                factor,
                mut next_half,
                is_failing,
            } => {
                let mut factor = (factor + f64::from(look.steps) * PER_STEP).min(1.0);
                if fails && next_half.is_none_or(|at| now >= at) {
                    factor = (factor / 2.0).max(FLOOR);
                    next_half = Some(now + BURST);
                }
                State::Sending {
                    factor,
                    next_half,
                    is_failing: is_lost || (is_failing && !has_succeeded && factor < 1.0),
                }
            }
            State::Out { .. } if gets_calls_anyway && has_succeeded && !is_unavailable => BACK,
            // What ended until now was sent before it was out: it says nothing of the probe.
            State::Out { probe_at, interval } if now >= probe_at => State::Probing { interval },
            State::Out { .. } => self.state,
            State::Probing { interval } if since.are_unavailable() => {
                let longest = LONGEST.max(config.probe_interval);
                out(now, interval.saturating_mul(2).min(longest))
            }
            State::Probing { .. } if has_succeeded => BACK,
            State::Probing { .. } => self.state,
        };
        has_moved
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

    /// Whether it was taken out, and is not known to be back.
    pub(super) const fn is_taken_out(&self) -> bool {
        matches!(self.state, State::Out { .. } | State::Probing { .. })
    }

    /// Whether it has calls so that their end tells how it is.
    pub(super) const fn is_probed(&self) -> bool {
        matches!(self.state, State::Probing { .. })
    }

    /// Whether it is reduced to the least, failing, out, or not known to be back.
    pub(super) const fn is_doubtful(&self) -> bool {
        match self.state {
            State::Sending {
                factor, is_failing, ..
            } => is_failing || factor <= FLOOR,
            State::Out { .. } | State::Probing { .. } => true,
        }
    }

    /// Whether it has all of its weight.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.state, State::Sending { factor, .. } if factor >= 1.0)
    }

    /// When time alone changes something of it: at the next step, mostly.
    pub(super) const fn wake_at(&self, next_step: Instant) -> Option<Instant> {
        match self.state {
            State::Sending { factor, .. } if factor >= 1.0 => None,
            State::Probing { .. } => None,
            State::Out { probe_at, .. } => Some(probe_at),
            State::Sending { .. } => Some(next_step),
        }
    }
}

/// It wins back the rest step by step.
const BACK: State = State::Sending {
    factor: PROBE,
    next_half: None,
    is_failing: false,
};

fn out(now: Instant, interval: Duration) -> State {
    State::Out {
        probe_at: after(now, interval),
        interval,
    }
}

#[cfg(test)]
mod tests;
