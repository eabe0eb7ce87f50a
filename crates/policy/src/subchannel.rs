//! When a subchannel dials, how long it may, and how long it waits after a failure.
//!
//! One machine per endpoint. The driver does what [`Step`] says and reports what came of it.
//!
//! ```text
//!            connect()               connected()
//!   Idle ───────────────► Dial{until} ─────────► Serve
//!    ▲ ▲                    │    ▲                 │
//!    │ └── disconnect() ────┤    │ waited()        │ lost(), disconnect()
//!    │                      │    │                 │
//!    │             failed() └► Wait{until}         │
//!    └─────────────────────────────────────────────┘
//! ```
//!
//! # Specification
//!
//! gRPC's connectivity semantics and connection backoff protocol: the backoff is measured from
//! the start of the attempt and reset when the server's SETTINGS arrive. A subchannel in
//! TRANSIENT_FAILURE reconnects by itself when its backoff ends (gRFC A62).

use std::time::Instant;

use evenkeel_core::ConnectivityState;

use crate::backoff::{Backoff, BackoffConfig};
use crate::time::after;

/// What the driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the driver must do every step")]
pub enum Step {
    /// Wait to be asked to connect.
    Idle,
    /// Dial the endpoint's addresses; give up at `until`.
    Dial {
        /// When the attempt has taken too long.
        until: Instant,
    },
    /// Let calls use the connection until it is lost.
    Serve,
    /// Wait for the end of the backoff, then dial again.
    Wait {
        /// When to dial again.
        until: Instant,
    },
}

/// The state machine of one subchannel.
#[derive(Clone, Debug)]
pub struct Machine {
    backoff: Backoff,
    step: Step,
    /// The earliest start of the next attempt, while the backoff has not been reset.
    next_attempt: Option<Instant>,
}

impl Machine {
    /// A subchannel that is IDLE.
    #[must_use]
    pub fn new(config: BackoffConfig) -> Self {
        Self {
            backoff: Backoff::new(config),
            step: Step::Idle,
            next_attempt: None,
        }
    }

    /// What to do now.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.step
    }

    /// The state to show.
    #[must_use]
    pub const fn state(&self) -> ConnectivityState {
        match self.step {
            Step::Idle => ConnectivityState::Idle,
            Step::Dial { .. } => ConnectivityState::Connecting,
            Step::Serve => ConnectivityState::Ready,
            Step::Wait { .. } => ConnectivityState::TransientFailure,
        }
    }

    /// Asked to connect. Leaves IDLE; a backoff that was running when the subchannel became idle
    /// is waited for first. `random` is uniform in `0.0..1.0`.
    pub fn connect(&mut self, now: Instant, random: f64) {
        if self.step == Step::Idle {
            match self.next_attempt.filter(|at| *at > now) {
                Some(until) => self.step = Step::Wait { until },
                None => self.dial(now, random),
            }
        }
    }

    /// The server's SETTINGS have arrived.
    pub fn connected(&mut self) {
        if matches!(self.step, Step::Dial { .. }) {
            self.reset_backoff();
            self.step = Step::Serve;
        }
    }

    /// The attempt failed or took too long.
    pub fn failed(&mut self, now: Instant) {
        if matches!(self.step, Step::Dial { .. }) {
            self.step = Step::Wait {
                until: self.next_attempt.unwrap_or(now).max(now),
            };
        }
    }

    /// The connection takes no new calls.
    pub fn lost(&mut self) {
        if self.step == Step::Serve {
            self.step = Step::Idle;
        }
    }

    /// The time of [`Step::Wait`] has come.
    pub fn waited(&mut self, now: Instant, random: f64) {
        if let Step::Wait { until } = self.step
            && now >= until
        {
            self.dial(now, random);
        }
    }

    /// Told to go back to IDLE. A running backoff is remembered.
    pub fn disconnect(&mut self) {
        self.step = Step::Idle;
    }

    /// Told to forget the backoff: a running one ends now.
    pub fn reset_backoff(&mut self) {
        self.backoff.reset();
        self.next_attempt = None;
    }

    /// Told to forget the backoff and not to wait for it any longer.
    pub fn skip_backoff(&mut self, now: Instant, random: f64) {
        self.reset_backoff();
        if matches!(self.step, Step::Wait { .. }) {
            self.dial(now, random);
        }
    }

    fn dial(&mut self, now: Instant, random: f64) {
        let next_attempt = after(now, self.backoff.next_delay(random));
        self.next_attempt = Some(next_attempt);
        self.step = Step::Dial {
            until: next_attempt.max(after(now, self.backoff.config().min_connect_timeout)),
        };
    }
}

#[cfg(test)]
mod tests;
