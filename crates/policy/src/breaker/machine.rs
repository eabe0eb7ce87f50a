use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::{BreakerState, Outcome};

use super::BreakerConfig;
use super::rules::Rules;
use crate::time::after;

/// The states of one breaker.
#[derive(Clone, Debug)]
pub struct Machine {
    config: Arc<BreakerConfig>,
    state: State,
    rules: Rules,
    /// Counts the changes of state.
    generation: u64,
    /// Half-open phases in a row that ended open again.
    failed_probes: u32,
    last_probe: u64,
    /// Held closed by hand: failures do not trip it.
    held_closed: bool,
}

#[derive(Clone, Debug)]
enum State {
    Closed,
    Open {
        /// `None`: until somebody closes it.
        until: Option<Instant>,
    },
    HalfOpen {
        probes: Vec<Probe>,
        succeeded: u32,
    },
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    id: u64,
    /// When it no longer keeps others from probing.
    expires: Instant,
}

/// The right to send one attempt. Each is given back by exactly one [`Machine::settle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an admission that is not settled keeps its probe's place"]
pub struct Admission {
    generation: u64,
    probe: Option<u64>,
}

impl Admission {
    /// An admission by a breaker that was closed in `generation`.
    pub const fn closed(generation: u64) -> Self {
        Self {
            generation,
            probe: None,
        }
    }

    /// An attempt that is let pass an open breaker: how it ends counts for nothing.
    pub const fn unrecorded() -> Self {
        Self::closed(u64::MAX)
    }

    /// Whether it is one of those.
    #[must_use]
    pub const fn is_unrecorded(&self) -> bool {
        self.generation == u64::MAX
    }

    /// The generation it belongs to.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the attempt decides over a half-open breaker.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

/// The breaker does not admit an attempt now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Time until the next probe may start, if it is known: zero while one is running.
    pub retry_in: Duration,
}

impl Machine {
    /// A closed breaker. Many of them may share one config.
    #[must_use]
    pub fn new(config: impl Into<Arc<BreakerConfig>>) -> Self {
        Self {
            config: config.into(),
            state: State::Closed,
            rules: Rules::default(),
            generation: 0,
            failed_probes: 0,
            last_probe: 0,
            held_closed: false,
        }
    }

    /// Its config.
    #[must_use]
    pub fn config(&self) -> &BreakerConfig {
        &self.config
    }

    /// What it is doing, as of the last call.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Grows with every change of state.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it is closed and a success would change nothing: successes need not be settled.
    #[must_use]
    pub const fn ignores_successes(&self) -> bool {
        matches!(self.state, State::Closed) && (self.held_closed || self.rules.ignore_successes())
    }

    /// Admits an attempt, or says when to ask again.
    ///
    /// # Errors
    ///
    /// [`Refused`] while it is open, and while it is half-open and enough probes are running.
    pub fn admit(&mut self, now: Instant) -> Result<Admission, Refused> {
        self.advance(now);
        let limit = self.config.probes.max(1) as usize;
        match &mut self.state {
            State::Closed => Ok(Admission::closed(self.generation)),
            State::Open { until } => Err(Refused {
                retry_in: until.map_or(Duration::ZERO, |until| until - now),
            }),
            State::HalfOpen { probes, .. } if probes.len() < limit => {
                self.last_probe += 1;
                let id = self.last_probe;
                let expires = after(now, self.config.first_open_time());
                probes.push(Probe { id, expires });
                Ok(Admission {
                    generation: self.generation,
                    probe: Some(id),
                })
            }
            State::HalfOpen { .. } => Err(Refused {
                retry_in: Duration::ZERO,
            }),
        }
    }

    /// The same for an attempt for which nothing else is left: it passes an open breaker whose
    /// config [lets it](BreakerConfig::last_resort), unless the breaker was opened by hand, and how it
    /// ends counts for nothing. A half-open one takes it as a probe while it has a place.
    ///
    /// # Errors
    ///
    /// Those of [`Self::admit`].
    pub fn admit_as_last_resort(&mut self, now: Instant) -> Result<Admission, Refused> {
        match self.admit(now) {
            Err(_) if self.is_last_resort() => Ok(Admission::unrecorded()),
            admitted => admitted,
        }
    }

    /// Whether attempts would pass for which nothing else is left.
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        self.config.last_resort && !matches!(self.state, State::Open { until: None })
    }

    /// Takes an admitted attempt's outcome. `random` is uniform over all of `u64`.
    pub fn settle(&mut self, now: Instant, admission: Admission, outcome: Outcome, random: u64) {
        if admission.generation != self.generation {
            return;
        }
        if let (State::HalfOpen { probes, .. }, Some(id)) = (&mut self.state, admission.probe) {
            probes.retain(|probe| probe.id != id);
        }
        let Some(is_success) = self.config.verdict(outcome) else {
            return;
        };
        match (&mut self.state, is_success) {
            (State::Closed, true) => self.rules.on_success(),
            (State::Closed, false) => {
                if !self.held_closed && self.rules.on_failure(&self.config) {
                    self.open(now, random);
                }
            }
            (State::HalfOpen { succeeded, .. }, true) => {
                *succeeded += 1;
                if *succeeded >= self.config.probes_to_close.max(1) {
                    self.reset();
                }
            }
            (State::HalfOpen { .. }, false) => {
                self.failed_probes = self.failed_probes.saturating_add(1);
                self.open(now, random);
            }
            // Nothing is admitted while it is open.
            (State::Open { .. }, _) => {}
        }
    }

    /// Does what is due: an open breaker whose time is over becomes half-open, a probe that takes
    /// too long lets others start.
    pub fn advance(&mut self, now: Instant) {
        match &mut self.state {
            State::Open { until: Some(until) } if *until <= now => {
                self.enter(State::HalfOpen {
                    probes: Vec::new(),
                    succeeded: 0,
                });
            }
            State::HalfOpen { probes, .. } => probes.retain(|probe| now < probe.expires),
            State::Closed | State::Open { .. } => {}
        }
    }

    /// When [`Self::advance`] will next have something to do.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        match &self.state {
            State::Closed => None,
            State::Open { until } => *until,
            State::HalfOpen { probes, .. } => probes.iter().map(|probe| probe.expires).min(),
        }
    }

    /// Whether an attempt would be admitted, as of the last call.
    #[must_use]
    pub fn admits(&self) -> bool {
        match &self.state {
            State::Closed => true,
            State::Open { .. } => false,
            State::HalfOpen { probes, .. } => probes.len() < self.config.probes.max(1) as usize,
        }
    }

    /// What its trip rules have counted, for texts.
    #[must_use]
    pub fn explain(&self) -> String {
        self.rules.explain()
    }

    /// Opens it until [`Self::reset`] or [`Self::hold_closed`].
    pub fn hold_open(&mut self) {
        self.held_closed = false;
        self.enter(State::Open { until: None });
    }

    /// Closes it and lets no failure trip it until [`Self::reset`] or [`Self::hold_open`].
    pub fn hold_closed(&mut self) {
        self.reset();
        self.held_closed = true;
    }

    /// Closes it and forgets every failure.
    pub fn reset(&mut self) {
        self.held_closed = false;
        self.failed_probes = 0;
        self.rules = Rules::default();
        self.enter(State::Closed);
    }

    fn open(&mut self, now: Instant, random: u64) {
        let open_time = self.config.open_time(self.failed_probes, random);
        self.enter(State::Open {
            until: Some(after(now, open_time)),
        });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}
