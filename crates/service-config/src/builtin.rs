//! The configs of the policies in `evenkeel_policy::lb`.

mod fastest_response;
mod locality;
mod metadata_key;
mod metadata_routing;
mod outlier_detection;
mod panic_threshold;
mod priority;
mod random_subsetting;
mod registered_weighted_round_robin;
mod ring_hash;
mod slow_start;
#[cfg(test)]
mod table;
mod weighted_round_robin;

pub use self::metadata_routing::MetadataRoutingFactory;

use std::any::Any;

use evenkeel_core::{BuildPolicy, Policy};
use evenkeel_policy::lb::{
    FastestResponse, LeastRequest, LeastRequestConfig, LocalityConfig, OutlierDetection,
    PanicThreshold, PickFirst, PickFirstConfig, Priority, RandomChoice, RandomSubsetting,
    RegisteredWeightedRoundRobin, RingHash, RoundRobin, SlowStart, WeightedRoundRobin,
};

use crate::PolicyRegistry;

/// Builds a policy that has no config. One that runs takes that any time.
struct Plain<P>(fn() -> P);

impl<P: Policy> BuildPolicy for Plain<P> {
    fn build(&self) -> Box<dyn Policy> {
        Box::new((self.0)())
    }

    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        running.is::<P>()
    }
}

pub(crate) fn register(registry: &mut PolicyRegistry) {
    registry.register_fn(PickFirst::NAME, |config| {
        let mut pick_first = PickFirstConfig::default();
        if let Some(shuffle) = config.optional("shuffleAddressList", |field| field.boolean())? {
            pick_first.shuffle_address_list = shuffle;
        }
        Ok(pick_first)
    });
    registry.register_fn(RoundRobin::NAME, |_| Ok(Plain(RoundRobin::new)));
    registry.register_fn(RandomChoice::NAME, |_| Ok(Plain(RandomChoice::new)));
    registry.register_aliased(RingHash::NAME, RingHash::ALIASES, ring_hash::parse);
    registry.register_fn(RingHash::EXTENDED_NAME, ring_hash::parse_extended);
    registry.register_aliased(
        RandomSubsetting::NAME,
        RandomSubsetting::ALIASES,
        random_subsetting::parse,
    );
    registry.register_aliased(LeastRequest::NAME, LeastRequest::ALIASES, |config| {
        let mut least_request = LeastRequestConfig::default();
        let count = |field: crate::Field<'_>| field.integer(2..=u32::MAX);
        if let Some(choice_count) = config.optional("choiceCount", count)? {
            least_request.choice_count = choice_count;
        }
        Ok(least_request)
    });
    registry.register_aliased(
        RegisteredWeightedRoundRobin::NAME,
        RegisteredWeightedRoundRobin::ALIASES,
        registered_weighted_round_robin::parse,
    );
    registry.register_fn(FastestResponse::NAME, fastest_response::parse);
    registry.register_fn(WeightedRoundRobin::NAME, weighted_round_robin::parse);
    registry.register_aliased(
        OutlierDetection::NAME,
        OutlierDetection::ALIASES,
        outlier_detection::parse,
    );
    registry.register_fn(PanicThreshold::NAME, panic_threshold::parse);
    registry.register_fn(SlowStart::NAME, slow_start::parse);
    registry.register_fn(LocalityConfig::NAME, locality::parse);
    registry.register_fn(Priority::NAME, priority::parse);
    registry.register(MetadataRoutingFactory::default());
}
