mod probes;
mod seen;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rules::{Rules, Trip};
use super::{Admission, BreakerConfig, Refused, Tally, Verdict};
use crate::time::after;

/// The states of one breaker.
#[derive(Debug)]
pub struct Machine {
    config: Arc<BreakerConfig>,
    state: State,
    rules: Rules,
    /// Counts the changes of state.
    generation: u64,
    /// Half-open phases in a row that ended open again.
    failed_probes: u32,
    last_probe: u64,
    /// Why it has opened last, unless by hand.
    tripped: Option<Trip>,
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
        /// Those that have their place.
        probes: Vec<Probe>,
        succeeded: u32,
        /// Successes that have lost theirs and go on: fewer than it takes to close.
        outlived: Vec<u64>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    id: u64,
    /// When it no longer keeps others from probing.
    expires: Instant,
    /// Its response has begun, and was no failure.
    is_answered: bool,
}

impl Machine {
    /// A closed breaker. Many of them may share one config.
    #[must_use]
    pub fn new(config: impl Into<Arc<BreakerConfig>>, now: Instant) -> Self {
        let config = config.into();
        Self {
            state: State::Closed,
            rules: Rules::new(&config, now),
            config,
            generation: 0,
            failed_probes: 0,
            last_probe: 0,
            tripped: None,
            held_closed: false,
        }
    }

    /// What every call is counted in, if it has rules that want that. Who counts there need not
    /// [settle](Self::settle).
    #[must_use]
    pub const fn tally(&self) -> Option<&Arc<Tally>> {
        match &self.rules.windows {
            Some(windows) => Some(&windows.tally),
            None => None,
        }
    }

    /// Admits an attempt, or says when to ask again. `random` is uniform over all of `u64`.
    ///
    /// # Errors
    ///
    /// [`Refused`] while it is open, while it is half-open and enough probes are running, and a
    /// share of the attempts while adaptive throttling wants that.
    pub fn admit(&mut self, now: Instant, random: u64) -> Result<Admission, Refused> {
        self.advance(now);
        let limit = self.probes();
        match &mut self.state {
            State::Closed if self.held_closed => Ok(Admission::closed(self.generation)),
            State::Closed => match self.rules.sheds(random) {
                Some(share) => Err(Refused::shed(share)),
                None => Ok(Admission::closed(self.generation)),
            },
            State::Open { until } => {
                let retry_in = until.map_or(Duration::ZERO, |until| until - now);
                Err(Refused::until(retry_in))
            }
            State::HalfOpen { probes, .. } if probes.len() < limit => {
                self.last_probe += 1;
                let id = self.last_probe;
                let expires = after(now, self.config.first_open_time());
                probes.push(Probe {
                    id,
                    expires,
                    is_answered: false,
                });
                Ok(Admission {
                    generation: self.generation,
                    probe: Some(id),
                })
            }
            State::HalfOpen { .. } => Err(Refused::until(Duration::ZERO)),
        }
    }

    /// The same for an attempt for which nothing else is left: it passes an open breaker whose
    /// config [lets it](BreakerConfig::last_resort), unless the breaker was opened by hand, and how it
    /// ends counts for nothing. A half-open one takes it as a probe while it has a place. A closed
    /// one with such a config refuses none, and counts it as any other.
    ///
    /// # Errors
    ///
    /// Those of [`Self::admit`].
    pub fn admit_as_last_resort(
        &mut self,
        now: Instant,
        random: u64,
    ) -> Result<Admission, Refused> {
        self.advance(now);
        if self.config.last_resort && matches!(self.state, State::Closed) {
            return Ok(Admission::closed(self.generation));
        }
        match self.admit(now, random) {
            Err(_) if self.is_last_resort() => Ok(Admission::unrecorded()),
            admitted => admitted,
        }
    }

    /// Takes what the end of an admitted attempt says. `random` is uniform over all of `u64`.
    pub fn settle(&mut self, now: Instant, admission: Admission, verdict: Verdict, random: u64) {
        if admission.is_probe() {
            // As if somebody had looked when it lost its place.
            self.advance(now);
        }
        if admission.generation != self.generation {
            return;
        }
        if let (
            State::HalfOpen {
                probes, outlived, ..
            },
            Some(id),
        ) = (&mut self.state, admission.probe)
        {
            probes.retain(|probe| probe.id != id);
            let running = outlived.len();
            outlived.retain(|outlived| *outlived != id);
            if outlived.len() < running && verdict != Verdict::Failure {
                // It has been counted.
                return;
            }
        }
        let is_success = match verdict {
            Verdict::Success => true,
            Verdict::Failure => false,
            Verdict::Nothing => return,
        };
        match (&mut self.state, is_success) {
            (State::Closed, _) if self.held_closed => self.rules.count(now, is_success),
            (State::Closed, true) => self.rules.on_success(now),
            (State::Closed, false) => {
                if let Some(trip) = self.rules.on_failure(now, &self.config) {
                    self.open(now, trip, random);
                }
            }
            (State::HalfOpen { succeeded, .. }, true) => {
                *succeeded += 1;
                self.close_if_due();
            }
            (State::HalfOpen { .. }, false) => {
                self.failed_probes = self.failed_probes.saturating_add(1);
                self.open(now, Trip::Probes(self.failed_probes), random);
            }
            // Nothing is admitted while it is open.
            (State::Open { .. }, _) => {}
        }
    }

    /// Trips if what was [counted](Tally::count) of attempts that it admitted in `generation`
    /// wants that.
    pub fn judge(&mut self, now: Instant, generation: u64, random: u64) {
        self.advance(now);
        let is_present = generation == self.generation && !self.held_closed;
        if is_present
            && matches!(self.state, State::Closed)
            && let Some(trip) = self.rules.judge()
        {
            self.open(now, trip, random);
        }
    }

    /// Does what is due: an open breaker whose time is over becomes half-open, a probe that takes
    /// too long lets others start, and is a success if it was [answered](Self::answered), windows
    /// move on.
    pub fn advance(&mut self, now: Instant) {
        match &mut self.state {
            State::Open { until: Some(until) } if *until <= now => {
                self.enter(State::HalfOpen {
                    probes: Vec::new(),
                    succeeded: 0,
                    outlived: Vec::new(),
                });
            }
            State::HalfOpen { probes, .. } => {
                let mut answered = Vec::new();
                probes.retain(|probe| {
                    let has_place = now < probe.expires;
                    if !has_place && probe.is_answered {
                        answered.push(probe.id);
                    }
                    has_place
                });
                self.count_outlived(&answered);
            }
            State::Closed => self.rules.advance(now),
            State::Open { .. } => {}
        }
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
        self.rules.clear();
        self.enter(State::Closed);
    }

    fn open(&mut self, now: Instant, trip: Trip, random: u64) {
        self.tripped = Some(trip);
        let open_time = self.config.open_time(self.failed_probes, random);
        self.enter(State::Open {
            until: Some(after(now, open_time)),
        });
    }

    fn probes(&self) -> usize {
        self.config.probes.max(1) as usize
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}
