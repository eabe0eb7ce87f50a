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
//! # Rules
//!
//! | rule | goes by | then |
//! |---|---|---|
//! | [`consecutive_failures`](BreakerConfig::consecutive_failures) | failures without a success between them | opens |
//! | [`failure_ratio`](BreakerConfig::failure_ratio) | the part that failed of a sliding window's calls | opens |
//! | [`adaptive`](BreakerConfig::adaptive) | how many of a window's requests were answered | refuses a share of the attempts, by dice |
//!
//! They combine freely, on the same verdicts: the first that wants to opens it, and what adaptive
//! throttling refuses is no call for the two others. Probes belong to no window, and each window is
//! empty when the breaker closes. There is no rule for slow calls: a call that is too slow is one
//! whose deadline passes, and that is a failure.
//!
//! A [`Tally`] counts for the rules with a window, so that calls which change nothing need not
//! take a lock.
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

mod adaptive;
mod admission;
mod config;
mod machine;
mod ratio;
mod rules;
mod tally;
#[cfg(test)]
mod tests;
mod verdict;
mod window;

pub use adaptive::AdaptiveConfig;
pub use admission::{Admission, Refused};
pub use config::BreakerConfig;
pub use machine::Machine;
pub use ratio::FailureRatioConfig;
pub use tally::{Counted, Tally};
pub use verdict::Verdict;
pub use window::Counts;
