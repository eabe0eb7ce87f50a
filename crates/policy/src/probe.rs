//! When an endpoint is probed, and when probes take it out.
//!
//! One machine per endpoint. The driver does what [`Step`] says and reports what came of it.
//!
//! ```text
//!           connected()           waited()
//!   Rest ───────────────► Wait ◄──────────────► Probe
//!    ▲                      │      ended()        │
//!    └── disconnected() ────┴─────────────────────┘
//! ```
//!
//! Beside that it is in or out. What probes have found outlives connections: an endpoint that is out
//! stays so until they succeed.
//!
//! # Specification
//!
//! None; Envoy's active health checking and Pingora's are alike. Endpoints are in before their first
//! probe, because they are connected.

mod config;

use std::time::Instant;

pub use config::ProbeConfig;

use crate::time::after;

/// What the driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the driver must do every step")]
pub enum Step {
    /// Wait until the endpoint is connected.
    Rest,
    /// Wait, then probe it.
    Wait {
        /// When to probe it.
        until: Instant,
    },
    /// Probe it; give up at `until`.
    Probe {
        /// When the probe has taken too long.
        until: Instant,
    },
}

/// What a probe has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else to change")]
pub enum Change {
    /// The endpoint is to get no calls.
    Out,
    /// It may get calls again.
    In,
}

/// The state machine of one endpoint's probes.
#[derive(Clone, Debug)]
pub struct Machine {
    config: ProbeConfig,
    step: Step,
    is_out: bool,
    /// Probes in a row that spoke for being out if it is in, and for being in if it is out.
    row: u32,
    /// When the present probe began, or the last one.
    began: Option<Instant>,
}

impl Machine {
    /// An endpoint that is in, and not connected.
    #[must_use]
    pub const fn new(config: ProbeConfig) -> Self {
        Self {
            config,
            step: Step::Rest,
            is_out: false,
            row: 0,
            began: None,
        }
    }

    /// What to do now.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.step
    }

    /// Whether it is out.
    #[must_use]
    pub const fn is_out(&self) -> bool {
        self.is_out
    }

    /// Failures in a row while it is in.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        if self.is_out { 0 } else { self.row }
    }

    /// The endpoint is connected. One that is out is probed at once; one that is in at some moment
    /// of the first interval, as it has just been connected to, so that those of many clients
    /// do not come together. `random` is uniform in `0.0..1.0`.
    pub fn connected(&mut self, now: Instant, random: f64) {
        if self.step == Step::Rest {
            let delay = self.config.interval().mul_f64(random.clamp(0.0, 1.0));
            let until = if self.is_out { now } else { after(now, delay) };
            self.step = Step::Wait { until };
        }
    }

    /// It is not connected any more; a probe that runs is given up and counts for nothing.
    pub const fn disconnected(&mut self) {
        self.step = Step::Rest;
        if !self.is_out {
            self.row = 0;
        }
    }

    /// The time of [`Step::Wait`] has come.
    pub fn waited(&mut self, now: Instant) {
        if let Step::Wait { until } = self.step
            && now >= until
        {
            self.began = Some(now);
            self.step = Step::Probe {
                until: after(now, self.config.timeout()),
            };
        }
    }

    /// The probe has ended; one that took too long is no success. `random` is uniform in `0.0..1.0`.
    pub fn ended(&mut self, now: Instant, success: bool, random: f64) -> Option<Change> {
        if !matches!(self.step, Step::Probe { .. }) {
            return None;
        }
        let began = self.began.unwrap_or(now);
        let until = after(began, self.config.next_interval(random)).max(now);
        self.step = Step::Wait { until };
        if success != self.is_out {
            self.row = 0;
            return None;
        }
        self.row = self.row.saturating_add(1);
        let (needed, change) = match success {
            true => (self.config.successes, Change::In),
            false => (self.config.failures, Change::Out),
        };
        if self.row < needed.max(1) {
            return None;
        }
        self.row = 0;
        self.is_out = !success;
        Some(change)
    }
}

#[cfg(test)]
mod tests;
