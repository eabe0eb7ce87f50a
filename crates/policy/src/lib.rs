//! The decisions of Evenkeel: `now` and a random number in, a value out. No runtime, no clock.

pub mod backoff;
pub mod breaker;
pub mod lb;
pub mod retry;
pub mod subchannel;
pub mod throttle;
