use evenkeel_core::{EndpointId, EndpointView};

use super::RingHashConfig;
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
    sizes: (u64, u64),
}

impl Layout {
    /// Of `members`, which are not none, and are those of `endpoints`; `before` is the last one that
    /// was made of them.
    pub(super) fn new(
        before: Option<&Self>,
        members: &mut Members,
        endpoints: &[EndpointView],
        config: &RingHashConfig,
    ) -> Self {
        let (sizes, bounded) = needs(config);
        let none = Ring::default();
        let ring = before.map_or(&none, |before| &before.ring);
        Self {
            ring: ring.next(members, sizes.0, sizes.1),
            ids: endpoints.iter().map(|one| one.id).collect(),
            weights: members.iter().map(|one| one.weight).collect(),
            loads: bounded.then(|| Loads::new(endpoints)),
            sizes,
        }
    }

    /// Whether this config has the same one.
    pub(super) fn suits(&self, config: &RingHashConfig) -> bool {
        (self.sizes, self.loads.is_some()) == needs(config)
    }
}

/// The ring's sizes, and whether load is bounded.
const fn needs(config: &RingHashConfig) -> ((u64, u64), bool) {
    let sizes = (config.min_ring_size, config.max_ring_size);
    (sizes, config.bounded_load_factor.is_some())
}
