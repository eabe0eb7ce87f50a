//! What a server's word on its own health makes of its connection.
//!
//! One machine per stream of answers. When the stream is opened, and opened again, is
//! [`watch_stream`](crate::watch_stream)'s business; this one is told of everything that happens to it.
//!
//! ```text
//!                 received(SERVING)
//!  Awaited, Kept ───────────────────► Serving ◄──────────────┐
//!    │  ▲   │                            │ received(another) │ received(SERVING)
//!    │  │   │ received(another), ended() ▼                   │
//!    │  │   └────────────────────────► NotServing ───────────┘
//!    │  └── opening(), after ended() ────┘ │
//!    └─────── unimplemented() ─────────────┴──► Unimplemented
//! ```
//!
//! # Specification
//!
//! gRFC A17. Where it leaves something open: a connection that is in use keeps its state when it is
//! to be asked for the first time, or about another service, until the answer has come, so that a
//! new service config holds up no call (Java: CONNECTING). What cannot be read is no health.

use evenkeel_core::ConnectivityState;
use evenkeel_core::error::{NotHealthyReason, ServingStatus};
use prost::Message;
use tonic::Status;

/// The method that streams a server's health.
pub const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// What is known of a server's health.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the driver must show every case")]
pub enum Health {
    /// The server has not answered since it was asked, or asked again.
    Awaited,
    /// Nor has it, but until it does its connection stays what it was.
    Kept,
    /// It is healthy.
    Serving,
    /// It does not know the method: as good as healthy.
    Unimplemented,
    /// It is not, or there is no telling.
    NotServing(NotHealthyReason),
}

impl Health {
    /// The state to show its connection in; `None`: the one that it has.
    #[must_use]
    pub const fn state(&self) -> Option<ConnectivityState> {
        match self {
            Self::Awaited => Some(ConnectivityState::Connecting),
            Self::Kept => None,
            Self::Serving | Self::Unimplemented => Some(ConnectivityState::Ready),
            Self::NotServing(_) => Some(ConnectivityState::TransientFailure),
        }
    }
}

/// The state machine of one stream. What happens to it gives its [`Health`] if that has changed.
#[derive(Clone, Debug)]
pub struct Machine {
    health: Health,
}

impl Machine {
    /// For a connection that is new: nothing goes there before the answer.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            health: Health::Awaited,
        }
    }

    /// For one that is in use already.
    #[must_use]
    pub const fn for_connection_in_use() -> Self {
        Self {
            health: Health::Kept,
        }
    }

    /// What is known now.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// The stream is being opened, for the first time or again.
    pub fn opening(&mut self) -> Option<&Health> {
        match self.health {
            Health::NotServing(NotHealthyReason::Ended { .. }) => self.turn(Health::Awaited),
            _ => None,
        }
    }

    /// An encoded `grpc.health.v1.HealthCheckResponse` has come.
    pub fn received(&mut self, message: &[u8]) -> Option<&Health> {
        self.turn(match Response::decode(message) {
            Err(_) => Health::NotServing(NotHealthyReason::Unreadable),
            Ok(Response { status }) => match ServingStatus::from(status) {
                ServingStatus::Serving => Health::Serving,
                other => Health::NotServing(NotHealthyReason::Status(other)),
            },
        })
    }

    /// The stream has ended with this status, or could not be opened.
    pub fn ended(&mut self, status: &Status) -> Option<&Health> {
        self.turn(Health::NotServing(NotHealthyReason::Ended {
            code: status.code(),
            message: status.message().to_owned(),
        }))
    }

    /// The server does not know the method.
    pub fn unimplemented(&mut self) -> Option<&Health> {
        self.turn(Health::Unimplemented)
    }

    fn turn(&mut self, health: Health) -> Option<&Health> {
        if self.health == health {
            return None;
        }
        self.health = health;
        Some(&self.health)
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, Copy, PartialEq, Message)]
struct Response {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[cfg(test)]
mod tests;
