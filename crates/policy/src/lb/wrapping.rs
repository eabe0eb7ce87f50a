//! Policies around another one, their `childPolicy`: they change what it sees.

pub(super) mod graceful_switch;
pub(super) mod locality;
pub(super) mod metadata_routing;
pub(super) mod outlier_detection;
pub(super) mod panic_threshold;
pub(super) mod priority;
pub(super) mod random_subsetting;
pub(super) mod slow_start;
