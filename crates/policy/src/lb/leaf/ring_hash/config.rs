use std::any::Any;

use evenkeel_core::{BuildPolicy, Policy};

use super::{HashOn, RingHash};

/// How [`RingHash`] behaves.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RingHashConfig {
    /// `requestHashHeader`, `hashOn`: what a call's key is. Default: nothing, and every call
    /// fails with INTERNAL (gRFC A76: without xDS there is no other key).
    pub hash_on: Option<HashOn>,
    /// `minRingSize`: the ring has at least about so many entries. Default: 1024; at least 1, and
    /// no more than [`Self::max_ring_size`].
    pub min_ring_size: u64,
    /// `maxRingSize`: and no more than so many, so that some endpoints get none if there are more
    /// endpoints. Default: 4096; at least 1.
    pub max_ring_size: u64,
    /// What both sizes are cut to, 12 bytes of memory an entry. Default: 4096, as in the other
    /// gRPC clients; at most [`RingHash::MAX_RING_SIZE`].
    pub ring_size_cap: u64,
    /// `boundedLoadFactor`: an endpoint has no more calls in flight, streams included, than this
    /// many times its share by weight of those of all endpoints that are not in
    /// TRANSIENT_FAILURE, rounded up. Default: unset, no bound; finite and at least 1. A common
    /// choice is 1.25.
    pub bounded_load_factor: Option<f64>,
}

impl Default for RingHashConfig {
    fn default() -> Self {
        Self {
            hash_on: None,
            min_ring_size: 1024,
            max_ring_size: 4096,
            ring_size_cap: 4096,
            bounded_load_factor: None,
        }
    }
}

impl RingHashConfig {
    pub(super) fn within_bounds(mut self) -> Self {
        let cap = self.ring_size_cap.clamp(1, RingHash::MAX_RING_SIZE);
        self.ring_size_cap = cap;
        self.max_ring_size = self.max_ring_size.clamp(1, cap);
        self.min_ring_size = self.min_ring_size.clamp(1, self.max_ring_size);
        let factor = self.bounded_load_factor.filter(|factor| factor.is_finite());
        self.bounded_load_factor = factor.map(|factor| factor.max(1.0));
        self
    }
}

impl BuildPolicy for RingHashConfig {
    fn build(&self) -> Box<dyn Policy> {
        Box::new(RingHash::new(self.clone()))
    }

    /// Keeps the ring if its sizes are the same.
    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let Some(running) = running.downcast_mut::<RingHash>() else {
            return false;
        };
        running.config = self.clone().within_bounds();
        true
    }
}
