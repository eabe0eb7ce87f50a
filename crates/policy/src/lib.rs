//! The decisions of Evenkeel, pure: `now` and a random number in, a value out.
//!
//! | module | decides | specification |
//! |---|---|---|
//! | [`lb`] | which endpoint gets the next call, which ones are connected | gRFC A24, A48, A61, A62 |
//! | [`subchannel`] | when an endpoint is dialled, and for how long | gRPC's connectivity semantics |
//! | [`watch_stream`] | when a stream that never ends is opened again | gRFC A51, A17 |
//! | [`health`] | what a server's word on its own health makes of its connection | gRFC A17 |
//! | [`backoff`] | how long to wait after a failure to connect | gRPC's connection backoff protocol |
//! | [`retry`] | whether and when a failed call is tried again | gRFC A6 |
//! | [`hedge`] | whether and when a call is sent again before it has failed: what is configured | gRFC A6 |
//! | [`throttle`] | whether a channel may retry at all | gRFC A6 |
//! | [`breaker`] | whether an endpoint that keeps failing gets calls | none |
//! | [`probe`] | when an endpoint is probed, and whether it gets calls then | none |
//!
//! [`script`] drives LB policies, yours too, through scripted states in tests.
//!
//! Nothing here knows a runtime, reads a clock, draws a random number or waits for a lock: the
//! crates that do (`evenkeel-balance`, `evenkeel-resilience`) ask, and do what they are told. So
//! everything is tested by tables and by properties, and runs in a simulator at any scale.
//!
//! # Not here
//!
//! The traits of LB policies and pickers: `evenkeel-core`. Their JSON: `evenkeel-service-config`.

pub mod backoff;
pub mod breaker;
pub mod families;
pub mod health;
pub mod hedge;
pub mod lb;
pub mod probe;
pub mod retry;
pub mod script;
pub mod subchannel;
pub mod throttle;
mod time;
pub mod watch_stream;
