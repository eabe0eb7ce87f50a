mod hashes;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{BuildPolicy, ConnectivityState, EndpointIndex, Policy, Update, View};

use self::hashes::Hashes;
use crate::lb::{GracefulSwitch, Subset};

/// Shows its child a few endpoints only, other ones in each client: gRPC's
/// `random_subsetting_experimental` (gRFC A68), for when connections from every client to every
/// server are too many.
///
/// Which ones is decided by rendezvous hashing: those whose first address, hashed (XXH64) with a seed
/// that each policy draws for itself, comes first. So the servers get about equally many clients,
/// and when one endpoint comes or goes, the subset changes by one at most.
///
/// The child is shown them in the order of those hashes; all of them, as discovery lists them,
/// when there are no more than [`subset_size`](RandomSubsettingConfig::subset_size). Endpoints
/// that it is not shown are told to disconnect. All else is as the child decides.
pub struct RandomSubsetting {
    config: RandomSubsettingConfig,
    child: Box<dyn Policy>,
    seed: Option<u64>,
    hashes: Hashes,
    subset: Subset,
}

/// How [`RandomSubsetting`] behaves.
#[derive(Clone)]
#[non_exhaustive]
pub struct RandomSubsettingConfig {
    /// `subsetSize`: how many endpoints the child is shown. At least 1.
    pub subset_size: u32,
    /// `childPolicy`: who decides about them.
    pub child_policy: Arc<dyn BuildPolicy>,
}

impl RandomSubsettingConfig {
    /// Shows `child_policy` `subset_size` endpoints; 0 counts as 1.
    #[must_use]
    pub fn new(subset_size: u32, child_policy: Arc<dyn BuildPolicy>) -> Self {
        Self {
            subset_size: subset_size.max(1),
            child_policy,
        }
    }
}

impl BuildPolicy for RandomSubsettingConfig {
    fn build(&self) -> Box<dyn Policy> {
        Box::new(RandomSubsetting::new(self.clone()))
    }

    /// Keeps the seed, and the child if it can take its new config; else another one takes over from it
    /// as in a [`GracefulSwitch`].
    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let Some(running) = running.downcast_mut::<RandomSubsetting>() else {
            return false;
        };
        GracefulSwitch::reconfigure_child(&mut running.child, &*self.child_policy);
        running.config = self.clone();
        true
    }
}

impl RandomSubsetting {
    /// Its name in a service config.
    pub const NAME: &'static str = "random_subsetting_experimental";
    /// Other names it goes by.
    pub const ALIASES: &'static [&'static str] = &["random_subsetting"];

    /// A policy that has seen no endpoint yet.
    #[must_use]
    pub fn new(config: RandomSubsettingConfig) -> Self {
        Self {
            child: config.child_policy.build(),
            config,
            seed: None,
            hashes: Hashes::default(),
            subset: Subset::default(),
        }
    }
}

impl Policy for RandomSubsetting {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        let seed = *self.seed.get_or_insert(view.random);
        let size = self.config.subset_size.max(1) as usize;
        if view.endpoints.len() <= size {
            self.hashes = Hashes::default();
            self.subset = Subset::default();
            return self.child.update(now, view);
        }
        let places = self.hashes.first(size, view.endpoints, seed);
        let endpoints = places.iter().map(|place| {
            let index = EndpointIndex(*place as usize);
            (index, &view.endpoints[index.0])
        });
        self.subset.refresh(endpoints);
        let mut update = self.subset.show(&mut *self.child, now, view);
        let mut is_shown = vec![false; view.endpoints.len()];
        for place in places {
            is_shown[*place as usize] = true;
        }
        let others = view.indexed().filter(|(index, endpoint)| {
            !is_shown[index.0] && endpoint.state != ConnectivityState::Idle
        });
        update.disconnect.extend(others.map(|(index, _)| index));
        update
    }
}

impl fmt::Debug for RandomSubsetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomSubsetting")
            .field("subset_size", &self.config.subset_size)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RandomSubsettingConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomSubsettingConfig")
            .field("subset_size", &self.subset_size)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
