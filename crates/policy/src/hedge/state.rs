use std::time::{Duration, Instant};

use super::HedgingPolicy;
use crate::retry::{Failure, Pushback, Stop, Transparent};
use crate::throttle::Throttle;
use crate::time::after;

/// One call's way through its hedges.
///
/// ```text
///                 next_at() has come: start()
///               ┌───────────────────────────┐
///               ▼                           │
///   new() ── running: 1 ─────────────────► running: n ── a response ──► the others are cancelled
///               ▲                           │
///               └─ on_failure(): Wait ◄─────┼─ on_failure(): Stop ────► the others are cancelled
/// ```
#[derive(Clone, Debug)]
pub struct HedgeState {
    policy: HedgingPolicy,
    /// Attempts that count and have started.
    started: u32,
    /// Those that have not failed.
    running: u32,
    /// When the next one starts; `None`: none will, unless a failure calls for it.
    next_at: Option<Instant>,
    /// Why no attempt starts any more, whatever happens.
    frozen: Option<Stop>,
    transparent: Transparent,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever asks must handle every answer"
)]
pub enum HedgeDecision {
    /// Start the same attempt again, at once: no server has seen it.
    Transparent,
    /// The call goes on: others are running, or [`HedgeState::next_at`] says when one starts.
    Wait,
    /// The call has failed; what is still running is to be cancelled.
    Stop(Stop),
}

/// What is to start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever asks must handle every answer"
)]
pub enum HedgeStart {
    /// Nothing.
    No,
    /// The attempt of this number.
    Yes(u32),
    /// Nothing, and nothing is running: the call has failed with its last failure.
    Stop(Stop),
}

impl HedgeState {
    /// A call whose first attempt starts `now`.
    #[must_use]
    pub fn new(policy: HedgingPolicy, now: Instant) -> Self {
        let next_at = (policy.max_attempts > 1).then(|| after(now, policy.hedging_delay));
        Self {
            policy,
            started: 1,
            running: 1,
            next_at,
            frozen: None,
            transparent: Transparent::default(),
        }
    }

    /// The attempts that have started and not failed.
    #[must_use]
    pub const fn running(&self) -> u32 {
        self.running
    }

    /// The attempts that have started; what no server has seen does not count twice.
    #[must_use]
    pub const fn started(&self) -> u32 {
        self.started
    }

    /// When [`Self::start`] is to be called.
    #[must_use]
    pub const fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// No further attempt may start: one is left, and it alone can read the request.
    pub const fn commit(&mut self) {
        self.frozen = Some(Stop::Committed);
        self.next_at = None;
        self.running = 1;
    }

    /// An attempt has found its place that had to wait for one: the delay counts from `now`.
    pub fn placed(&mut self, now: Instant) {
        let from_now = after(now, self.policy.hedging_delay);
        self.next_at = self.next_at.map(|at| at.max(from_now));
    }

    /// Starts the next attempt if its time has come and `throttle` allows it.
    pub fn start(&mut self, now: Instant, throttle: Option<&Throttle>) -> HedgeStart {
        if self.next_at.is_none_or(|at| now < at) {
            return HedgeStart::No;
        }
        if throttle.is_some_and(|throttle| !throttle.allows_retry()) {
            return match self.give_up(Stop::Throttled) {
                HedgeDecision::Stop(stop) => HedgeStart::Stop(stop),
                HedgeDecision::Wait | HedgeDecision::Transparent => HedgeStart::No,
            };
        }
        self.started += 1;
        self.running += 1;
        let delay = self.policy.hedging_delay;
        self.next_at = (self.started < self.policy.max_attempts).then(|| after(now, delay));
        HedgeStart::Yes(self.started)
    }

    /// Decides what comes after a `failure` of one of the running attempts. `throttle` is what the
    /// channel's calls share.
    pub fn on_failure(
        &mut self,
        now: Instant,
        failure: &Failure,
        throttle: Option<&Throttle>,
    ) -> HedgeDecision {
        self.running = self.running.saturating_sub(1);
        if failure.is_final {
            return self.give_up(Stop::Final);
        }
        if self.frozen == Some(Stop::Committed) {
            return HedgeDecision::Stop(Stop::Committed);
        }
        if self.transparent.allows(failure.progress) {
            self.running += 1;
            return HedgeDecision::Transparent;
        }
        let listed = self.policy.non_fatal_codes.contains(failure.code);
        let pushed_back = failure.pushback == Pushback::Stop;
        // Before the attempts are counted: the last failure costs a token, too.
        let throttled = (listed || pushed_back)
            && throttle.is_some_and(|throttle| {
                throttle.on_failure();
                !throttle.allows_retry()
            });
        if !listed {
            self.freeze(Stop::Code);
            return HedgeDecision::Stop(Stop::Code);
        }
        if pushed_back {
            return self.give_up(Stop::Pushback);
        }
        if throttled {
            return self.give_up(Stop::Throttled);
        }
        if self.started >= self.policy.max_attempts {
            return self.give_up(Stop::Attempts);
        }
        if let Some(stop) = self.frozen {
            return self.give_up(stop);
        }
        let delay = match failure.pushback {
            Pushback::After(delay) => delay,
            Pushback::None | Pushback::Stop => Duration::ZERO,
        };
        self.next_at = Some(after(now, delay));
        HedgeDecision::Wait
    }

    /// The first reason stays.
    const fn freeze(&mut self, stop: Stop) {
        if self.frozen.is_none() {
            self.frozen = Some(stop);
        }
        self.next_at = None;
    }

    /// No further attempt starts, and the call has failed unless others are running.
    const fn give_up(&mut self, stop: Stop) -> HedgeDecision {
        self.freeze(stop);
        match (self.running, self.frozen) {
            (0, Some(first)) => HedgeDecision::Stop(first),
            _ => HedgeDecision::Wait,
        }
    }
}
