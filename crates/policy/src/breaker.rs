//! Stops sending attempts to an endpoint that keeps failing.
//!
//! # States
//!
//! ```text
//!             a trip rule says so              open time over
//!  ┌────────┐ ──────────────────► ┌──────┐ ──────────────────► ┌───────────┐
//!  │ closed │                     │ open │                     │ half-open │
//!  └────────┘                     └──────┘ ◄────────────────── └───────────┘
//!       ▲                           a probe fails: the open time doubles │
//!       └────────────────── enough probes succeed ───────────────────────┘
//! ```
//!
//! Closed is sending, open is refusing, half-open is probing. What was admitted in one state says
//! nothing in the next one: an [`Admission`] carries the generation it belongs to.
//!
//! # Not here
//!
//! Choosing another endpoint: the balancer, which sees an open breaker as TRANSIENT_FAILURE. The
//! layer itself: `evenkeel-resilience`.
//!
//! # Specification
//!
//! No gRFC; the nearest is A50 (outlier detection), which compares endpoints with each other and
//! needs several. A breaker looks at its own endpoint alone.

mod config;
mod machine;
mod rules;
#[cfg(test)]
mod tests;

pub use config::BreakerConfig;
pub use machine::{Admission, Machine, Refused};
