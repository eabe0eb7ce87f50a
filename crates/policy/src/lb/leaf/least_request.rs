use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{BuildPolicy, EndpointStats, Pick, PickArgs, Picker, Policy, Update, View};

use crate::lb::petiole;
use crate::lb::shared::random::Random;
use crate::lb::shared::ready::Ready;

/// Of a few READY endpoints chosen at random, picks the one with the fewest calls in flight
/// (gRPC's `least_request_experimental`, gRFC A48).
///
/// Streams count as calls for as long as they last. The counters belong to the endpoints
/// ([`EndpointStats`]) and survive every update. States and connections: see [`petiole`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastRequest {
    config: LeastRequestConfig,
}

/// How [`LeastRequest`] behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeastRequestConfig {
    /// `choiceCount`: how many are compared per call, the same one perhaps more than once.
    /// Default: 2; kept within 2 and 10.
    pub choice_count: u32,
}

impl Default for LeastRequestConfig {
    fn default() -> Self {
        Self { choice_count: 2 }
    }
}

impl BuildPolicy for LeastRequestConfig {
    fn build(&self) -> Box<dyn Policy> {
        Box::new(LeastRequest::new(*self))
    }

    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let running = running.downcast_mut::<LeastRequest>();
        running.map(|it| *it = LeastRequest::new(*self)).is_some()
    }
}

impl LeastRequest {
    /// Its name in a service config.
    pub const NAME: &'static str = "least_request_experimental";
    /// Other names it goes by.
    pub const ALIASES: &'static [&'static str] = &["least_request"];

    /// A policy that has seen no endpoint yet.
    #[must_use]
    pub fn new(config: LeastRequestConfig) -> Self {
        let choice_count = config.choice_count.clamp(2, 10);
        Self {
            config: LeastRequestConfig { choice_count },
        }
    }
}

impl Policy for LeastRequest {
    fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
        let choice_count = self.config.choice_count;
        petiole(view, |endpoints| {
            Arc::new(LeastRequestPicker {
                ready: Ready::new(&endpoints),
                stats: endpoints
                    .iter()
                    .map(|(_, endpoint)| endpoint.stats.clone())
                    .collect(),
                choice_count,
            })
        })
    }
}

#[derive(Debug)]
struct LeastRequestPicker {
    ready: Ready,
    stats: Box<[Arc<EndpointStats>]>,
    choice_count: u32,
}

impl LeastRequestPicker {
    /// The best of some random places; `load` says how good one is, less is better.
    fn choose<L: Ord>(&self, random: u64, load: impl Fn(usize) -> L) -> usize {
        let mut random = Random::new(random);
        let mut best = random.below(self.ready.len());
        let mut least = load(best);
        for _ in 1..self.choice_count {
            let other = random.below(self.ready.len());
            let its = load(other);
            if its < least {
                (best, least) = (other, its);
            }
        }
        best
    }

    #[cold]
    fn avoid(&self, args: &PickArgs<'_>) -> usize {
        let is_tried = |place| self.ready.is_tried(place, args.tried);
        let best = self.choose(args.random, |place| {
            (is_tried(place), self.stats[place].in_flight())
        });
        if is_tried(best) {
            // Each choice was a tried one: any other will do, if there is any.
            return self.ready.first_untried(best, args.tried).unwrap_or(best);
        }
        best
    }
}

impl Picker for LeastRequestPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Pick {
        let place = if args.tried.is_empty() {
            self.choose(args.random, |place| self.stats[place].in_flight())
        } else {
            self.avoid(args)
        };
        Pick::Endpoint(self.ready.index(place))
    }
}

#[cfg(test)]
mod tests;
