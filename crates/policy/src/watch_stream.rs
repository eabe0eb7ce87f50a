//! When a stream that a server is to keep open for as long as its connection lives is opened again:
//! load reports, health.
//!
//! One machine per connection. The driver does what [`Step`] says and reports what came of it.
//!
//! ```text
//!            ended() after a message
//!          ┌──────────┐
//!          ▼          │ ended() without one
//!        Call ────────┼────────────────────► Wait{until}
//!          ▲ │        │                        │
//!          │ │ ended() with UNIMPLEMENTED      │ waited()
//!          │ └──────────────────────► GiveUp   │
//!          └───────────────────────────────────┘
//! ```
//!
//! # Specification
//!
//! gRFC A51 (out-of-band load reports) and gRPC's health checking protocol say the same: a server
//! that does not know the method is not asked again on this connection. However else the stream
//! ends, also with OK, it is opened again: at once if a message had come on it, which resets the backoff
//! too, else after gRPC's connection backoff, counted from its end.

use std::time::Instant;

use tonic::Code;

use crate::backoff::{Backoff, BackoffConfig};
use crate::time::after;

/// What the driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the driver must do every step")]
pub enum Step {
    /// Open the stream, and read it until it ends.
    Call,
    /// Wait, then open it again.
    Wait {
        /// When to open it again.
        until: Instant,
    },
    /// Nothing any more on this connection.
    GiveUp,
}

/// The state machine of one stream.
#[derive(Clone, Debug)]
pub struct Machine {
    backoff: Backoff,
    step: Step,
    /// Whether a message has come since it was opened.
    received: bool,
}

impl Machine {
    /// A stream that is to be opened now.
    #[must_use]
    pub fn new(config: BackoffConfig) -> Self {
        Self {
            backoff: Backoff::new(config),
            step: Step::Call,
            received: false,
        }
    }

    /// What to do now.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.step
    }

    /// A message has come.
    pub const fn received(&mut self) {
        self.received = true;
    }

    /// The stream has ended with this status, or could not be opened. `random` is uniform in
    /// `0.0..1.0`.
    pub fn ended(&mut self, now: Instant, code: Code, random: f64) {
        if self.step != Step::Call {
            return;
        }
        let received = std::mem::take(&mut self.received);
        self.step = if code == Code::Unimplemented {
            Step::GiveUp
        } else if received {
            self.backoff.reset();
            Step::Call
        } else {
            Step::Wait {
                until: after(now, self.backoff.next_delay(random)),
            }
        };
    }

    /// The time of [`Step::Wait`] has come.
    pub fn waited(&mut self, now: Instant) {
        if let Step::Wait { until } = self.step
            && now >= until
        {
            self.step = Step::Call;
        }
    }
}

#[cfg(test)]
mod tests;
