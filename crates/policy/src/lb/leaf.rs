//! Policies that choose among endpoints themselves.

pub(super) mod fastest_response;
pub(super) mod least_request;
pub(super) mod pick_first;
pub(super) mod random_choice;
pub(super) mod registered_weighted_round_robin;
pub(super) mod ring_hash;
pub(super) mod round_robin;
pub(super) mod weighted;
pub(super) mod weighted_round_robin;
