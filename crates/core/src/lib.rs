//! The nouns and traits of Evenkeel; the other crates are its verbs.
//!
//! - what is called: [`Target`], [`Endpoint`], [`Address`], [`Metadata`];
//! - how it is doing: [`ConnectivityState`], [`Report`], [`EndpointStats`];
//! - who gets the next call: [`Policy`] (long-lived, serial) publishes a [`Picker`] (immutable
//!   snapshot, concurrent), which answers each call with a [`Pick`];
//! - one try of a call: [`Attempt`], its [`Progress`] and its [`Outcome`], settled at the
//!   trailers by [`observe`];
//! - who waits to hear of a change: [`Waiters`];
//! - what went wrong: [`error`].
//!
//! # Not here
//!
//! Time, randomness, I/O and tasks. Decisions live in `evenkeel-policy`, connections in
//! `evenkeel-transport`, the balancer in `evenkeel-balance`.

mod address;
mod attempt;
mod codes;
mod connectivity;
mod endpoint;
pub mod error;
pub mod headers;
mod metadata;
pub mod observe;
mod outcome;
mod pick;
mod policy;
mod stats;
mod target;
mod waiters;

pub use address::{Address, ParseAddressError};
pub use attempt::{Answered, Attempt, Deadline, Hedges, Picked, Tried, WaitForReady};
pub use codes::CodeSet;
pub use connectivity::{Admit, BreakerState, Connectivity, ConnectivityState, Report, aggregate};
pub use endpoint::{Endpoint, EndpointId, NoAddress};
pub use error::BoxError;
pub use metadata::{Availability, Metadata};
pub use outcome::{Outcome, Progress};
pub use pick::{EndpointIndex, Pick, PickArgs, Picker};
pub use policy::{
    BuildPolicy, Discovery, EndpointView, LatencyConfig, LoadStream, Observe, Policy, ReadLoad,
    Update, View,
};
pub use stats::{EndpointStats, Load};
pub use target::{ParseTargetError, Target};
pub use waiters::{Waited, Waiter, Waiters};
