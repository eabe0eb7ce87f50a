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
//! While it serves, it may try for [another](Machine::another) connection beside the ones it has: then
//! [`Machine::attempt`] says what to do about that one, and when the last connection is lost, the
//! attempt goes on as that of the subchannel.
//!
//! # Specification
//!
//! gRPC's connectivity semantics and connection backoff protocol: the backoff is measured from
//! the start of the attempt and reset when the server's SETTINGS arrive. A subchannel in
//! TRANSIENT_FAILURE reconnects by itself when its backoff ends (gRFC A62). One attempt at a time and
//! one backoff for all connections of a subchannel; [`Connections`] says which one takes a call
//! (gRFC A105).

mod connections;

use std::time::Instant;

use evenkeel_core::ConnectivityState;

use crate::backoff::{Backoff, BackoffConfig};
use crate::time::after;

pub use self::connections::{Begun, Capacity, ConnectionKey, Connections};

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

/// The attempt at a connection, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the driver must do all of them")]
pub enum Attempt {
    /// None.
    None,
    /// As [`Step::Dial`].
    Dial {
        /// When the attempt has taken too long.
        until: Instant,
    },
    /// As [`Step::Wait`].
    Wait {
        /// When the backoff ends.
        until: Instant,
    },
}

/// The state machine of one subchannel.
#[derive(Clone, Debug)]
pub struct Machine {
    backoff: Backoff,
    attempt: Attempt,
    connections: usize,
    /// The earliest start of the next attempt, while the backoff has not been reset.
    next_attempt: Option<Instant>,
}

impl Machine {
    /// A subchannel that is IDLE.
    #[must_use]
    pub fn new(config: BackoffConfig) -> Self {
        Self {
            backoff: Backoff::new(config),
            attempt: Attempt::None,
            connections: 0,
            next_attempt: None,
        }
    }

    /// What to do now.
    #[must_use]
    pub const fn step(&self) -> Step {
        match self.attempt {
            _ if self.connections > 0 => Step::Serve,
            Attempt::None => Step::Idle,
            Attempt::Dial { until } => Step::Dial { until },
            Attempt::Wait { until } => Step::Wait { until },
        }
    }

    /// What to do beside [`Step::Serve`].
    #[must_use]
    pub const fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// The state to show.
    #[must_use]
    pub const fn state(&self) -> ConnectivityState {
        match self.step() {
            Step::Idle => ConnectivityState::Idle,
            Step::Dial { .. } => ConnectivityState::Connecting,
            Step::Serve => ConnectivityState::Ready,
            Step::Wait { .. } => ConnectivityState::TransientFailure,
        }
    }

    /// Asked to connect. Leaves IDLE; a backoff that was running when the subchannel became idle
    /// is waited for first. `random` is uniform in `0.0..1.0`.
    pub fn connect(&mut self, now: Instant, random: f64) {
        if self.connections == 0 {
            self.begin(now, random);
        }
    }

    /// Calls wait for another connection beside those that serve.
    pub fn another(&mut self, now: Instant, random: f64) {
        if self.connections > 0 {
            self.begin(now, random);
        }
    }

    fn begin(&mut self, now: Instant, random: f64) {
        if self.attempt == Attempt::None {
            match self.next_attempt.filter(|at| *at > now) {
                Some(until) => self.attempt = Attempt::Wait { until },
                None => self.dial(now, random),
            }
        }
    }

    /// The server's SETTINGS have arrived.
    pub fn connected(&mut self) {
        if matches!(self.attempt, Attempt::Dial { .. }) {
            self.reset_backoff();
            self.attempt = Attempt::None;
            self.connections += 1;
        }
    }

    /// The attempt failed or took too long.
    pub fn failed(&mut self, now: Instant) {
        if matches!(self.attempt, Attempt::Dial { .. }) {
            self.attempt = Attempt::Wait {
                until: self.next_attempt.unwrap_or(now).max(now),
            };
        }
    }

    /// A connection takes no new calls.
    pub const fn lost(&mut self) {
        self.connections = self.connections.saturating_sub(1);
    }

    /// The time of [`Step::Wait`] has come. While there is a connection, whoever still wants
    /// [another](Self::another) has to say so again.
    pub fn waited(&mut self, now: Instant, random: f64) {
        if let Attempt::Wait { until } = self.attempt
            && now >= until
        {
            self.end_backoff(now, random);
        }
    }

    /// Told to go back to IDLE. A running backoff is remembered.
    pub const fn disconnect(&mut self) {
        self.attempt = Attempt::None;
        self.connections = 0;
    }

    /// Told to forget the backoff: a running one ends now.
    pub fn reset_backoff(&mut self) {
        self.backoff.reset();
        self.next_attempt = None;
    }

    /// Told to forget the backoff and not to wait for it any longer.
    pub fn skip_backoff(&mut self, now: Instant, random: f64) {
        self.reset_backoff();
        if matches!(self.attempt, Attempt::Wait { .. }) {
            self.end_backoff(now, random);
        }
    }

    fn end_backoff(&mut self, now: Instant, random: f64) {
        if self.connections > 0 {
            self.attempt = Attempt::None;
        } else {
            self.dial(now, random);
        }
    }

    fn dial(&mut self, now: Instant, random: f64) {
        let next_attempt = after(now, self.backoff.next_delay(random));
        self.next_attempt = Some(next_attempt);
        self.attempt = Attempt::Dial {
            until: next_attempt.max(after(now, self.backoff.config().min_connect_timeout)),
        };
    }
}

#[cfg(test)]
mod tests;
