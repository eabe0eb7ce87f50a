use evenkeel_core::{EndpointId, EndpointView};

use super::loads::Loads;
use super::members::Members;
use super::ring::Ring;

/// What stays the same for as long as the endpoints, their keys and their weights do.
///
/// Each list is in the order of the view.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) ring: Ring,
    pub(super) ids: Box<[EndpointId]>,
    pub(super) weights: Box<[f64]>,
    /// Only where load is bounded.
    pub(super) loads: Option<Loads>,
}

impl Layout {
    /// Of `members`, which are not none, and are those of `endpoints`.
    pub(super) fn new(
        members: &Members,
        endpoints: &[EndpointView],
        sizes: (u64, u64),
        bounded: bool,
    ) -> Self {
        Self {
            ring: Ring::new(members, sizes.0, sizes.1),
            ids: endpoints.iter().map(|one| one.id).collect(),
            weights: members.iter().map(|one| one.weight).collect(),
            loads: bounded.then(|| Loads::new(endpoints)),
        }
    }
}
