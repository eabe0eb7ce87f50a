//! LB policies: which endpoint gets the next call.
//!
//! | policy | names in a service config | who gets the next call |
//! |---|---|---|
//! | [`PickFirst`] | `pick_first` | the first endpoint that could be connected, for as long as it lives |
//! | [`RoundRobin`] | `round_robin` | each READY endpoint in turn |
//! | [`RandomChoice`] | `evenkeel.random` | a READY endpoint chosen at random |
//! | [`LeastRequest`] | `least_request_experimental`, `least_request` | of a few READY endpoints chosen at random, the one with the fewest calls in flight |
//! | [`RingHash`] | `ring_hash_experimental`, `ring_hash` | the endpoint that the value of a request header hashes to, the same one for the same value |
//! | [`RingHash`] | `evenkeel.ring_hash` | the same, by a header or the method, and optionally with a bound on each endpoint's load |
//! | [`RandomSubsetting`] | `random_subsetting_experimental`, `random_subsetting` | whom the child policy chooses among a few endpoints, other ones in each client |
//! | [`RegisteredWeightedRoundRobin`] | `evenkeel.registered_weighted_round_robin`, `custom_weighted_round_robin` | each READY endpoint as often as the weight says that it registered with, fewer while it fails |
//! | [`WeightedRoundRobin`] | `weighted_round_robin` | each READY endpoint as often as the load says that its server reports; **not** by the weight that it registered with |
//! | [`FastestResponse`] | `evenkeel.fastest_response` | of two READY endpoints chosen at random, the one that will probably answer first |
//! | [`OutlierDetection`] | `outlier_detection_experimental`, `outlier_detection` | whom its child picks, but nobody who fails much more often than the others |
//! | [`PanicThreshold`] | `evenkeel.panic_threshold` | whom its child picks, of all that are connected once too many of them are held back |
//! | [`SlowStart`] | `evenkeel.slow_start` | whom its child picks, but seldom one that has just been connected |
//! | [`Priority`] | `evenkeel.priority`, `evenkeel.locality` ([`LocalityConfig`]) | as its child policy says, among the endpoints of the best level, or the nearest, that can take it |
//! | [`MetadataRouting`] | `evenkeel.metadata_routing` | as its child policy says, among the endpoints whose metadata is what the request's headers ask for |
//!
//! A policy lives in the balancer's driver and is shown everything there is ([`View`]); what it
//! decides is an immutable [`Picker`], swapped whole. Picking takes no lock and allocates nothing.
//!
//! All but pick_first treat their endpoints alike, see [`petiole`]; that function,
//! [`QueuePicker`] and [`FailPicker`] are all that a policy of your own needs beside its picker.
//!
//! # Failover
//!
//! A retried attempt says which endpoints its call has tried. No picker gives it one of those
//! while there is a READY endpoint that it has not tried; when it has tried all, it is picked for
//! as if it had tried none.
//!
//! # Wrappers
//!
//! Some policies leave the choice to another one, their `childPolicy`, and change what it sees.
//! They nest, and each sees what those around it show:
//!
//! ```json
//! {"outlier_detection_experimental": {"failurePercentageEjection": {}, "childPolicy": [
//!     {"evenkeel.panic_threshold": {"childPolicy": [
//!         {"evenkeel.slow_start": {"childPolicy": [{"least_request_experimental": {}}]}}]}}]}}
//! ```
//!
//! Here ejections can be taken back when there are too many, and endpoints that come back by that do
//! not start slowly. [`Wrapper`] and [`BuildWrapper`] are what a wrapper of your own is made of.
//!
//! # Where they are
//!
//! In `lb/leaf` those that choose an endpoint themselves, in `lb/wrapping` those around another
//! policy, in `lb/shared` what they are made of; each in a file, and a folder, of its own name.
//!
//! [`View`]: evenkeel_core::View
//! [`Picker`]: evenkeel_core::Picker

mod leaf;
mod shared;
mod wrapping;

pub use leaf::fastest_response::{FastestResponse, FastestResponseConfig};
pub use leaf::least_request::{LeastRequest, LeastRequestConfig};
pub use leaf::pick_first::{PickFirst, PickFirstConfig};
pub use leaf::random_choice::RandomChoice;
pub use leaf::registered_weighted_round_robin::{
    RegisteredWeightedRoundRobin, RegisteredWeightedRoundRobinConfig, TakenOut,
};
pub use leaf::ring_hash::{HashOn, RingHash, RingHashConfig};
pub use leaf::round_robin::RoundRobin;
pub use leaf::weighted_round_robin::{WeightedRoundRobin, WeightedRoundRobinConfig};
pub use shared::fail::FailPicker;
pub use shared::metadata_key::MetadataKey;
pub use shared::petiole::petiole;
pub use shared::queue::QueuePicker;
pub use shared::subset::Subset;
pub use shared::wrapper::{BuildWrapper, Wrapper};
pub use wrapping::graceful_switch::{GracefulSwitch, Switch, TakenBy};
pub use wrapping::locality::{LocalityConfig, Proximity};
pub use wrapping::metadata_routing::{
    BadRoutes, MetadataRouting, MetadataRoutingBuilder, MetadataRoutingConfig, NoMatch, OnNoMatch,
    Route, RoutingStats,
};
pub use wrapping::outlier_detection::{
    Ejected, EjectionReason, FailurePercentageEjection, OutlierDetection, OutlierDetectionConfig,
    SuccessRateEjection,
};
pub use wrapping::panic_threshold::{PanicThreshold, PanicThresholdConfig};
pub use wrapping::priority::{Levels, Priority, PriorityBuilder, PriorityConfig, Selector};
pub use wrapping::random_subsetting::{RandomSubsetting, RandomSubsettingConfig};
pub use wrapping::slow_start::{SlowStart, SlowStartConfig};
