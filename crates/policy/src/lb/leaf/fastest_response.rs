use std::any::Any;
use std::hint::select_unpredictable;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{
    BuildPolicy, EndpointIndex, EndpointStats, EndpointView, LatencyConfig, Pick, PickArgs, Picker,
    Policy, Update, View,
};

use crate::lb::petiole;
use crate::lb::shared::random::Random;
use crate::lb::shared::ready::Ready;

/// Of two READY endpoints chosen at random, picks the one that will probably answer first: the one
/// with the smaller product of latency and calls in flight (power of two choices over peak EWMA).
///
/// # Latency
///
/// From the pick to the head of the response: the answer of a unary call, the beginning of a stream.
/// A slow one counts at once, and is forgotten little by little as faster ones follow
/// ([`LatencyConfig`]). An attempt that fails counts as a slow one, however fast it was: an endpoint
/// that fails at once does not look fast. Failures are [`LatencyConfig::failures`]; NOT_FOUND and
/// the like are answers.
///
/// A new endpoint counts as fast as the median of its peers until it has answered; so it is neither
/// flooded nor starved. While nobody has answered, calls in flight alone decide.
///
/// # Exploration
///
/// One pick of 64 goes to a READY endpoint chosen at random, whatever it is known for: an endpoint
/// that was slow, or failed, and recovers, is noticed by it. So the worst of `n` endpoints
/// has about `1/(64·n)` of all calls.
/// One that kept failing counts as 10 s, so that with the default decay it takes some 50 s of answers
/// until it competes with peers of 50 ms again, and 75 s for peers of 5 ms; with half of it, half
/// as long.
///
/// States and connections: see [`petiole`]. No gRFC; linkerd and Finagle balance alike.
#[derive(Clone, Copy, Debug, Default)]
pub struct FastestResponse {
    config: FastestResponseConfig,
}

/// How [`FastestResponse`] behaves; builds it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FastestResponseConfig {
    /// `decayTime` ([`LatencyConfig::decay`]: 10 s) and `failurePenalty`
    /// ([`LatencyConfig::failure_penalty`]: 2; kept within 1 and 1 000).
    pub latency: LatencyConfig,
}

impl FastestResponse {
    /// Its name in a service config.
    pub const NAME: &'static str = "evenkeel.fastest_response";

    /// A policy that has seen no endpoint yet.
    #[must_use]
    pub const fn new(mut config: FastestResponseConfig) -> Self {
        let penalty = &mut config.latency.failure_penalty;
        *penalty = penalty.clamp(1.0, FastestResponseConfig::MOST_PENALTY);
        Self { config }
    }
}

impl FastestResponseConfig {
    /// The most that `failurePenalty` can be.
    pub const MOST_PENALTY: f64 = 1000.0;
}

impl BuildPolicy for FastestResponseConfig {
    fn build(&self) -> Box<dyn Policy> {
        Box::new(FastestResponse::new(*self))
    }

    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let running = running.downcast_mut::<FastestResponse>();
        running
            .map(|it| *it = FastestResponse::new(*self))
            .is_some()
    }
}

impl Policy for FastestResponse {
    fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
        let mut update = petiole(view, |endpoints| {
            let stats = endpoints.iter().map(|(_, endpoint)| endpoint.stats.clone());
            Arc::new(FastestResponsePicker {
                ready: Ready::new(&endpoints),
                stats: stats.collect(),
                unmeasured: median(&endpoints, view.random),
            })
        });
        update.observe.latency = Some(self.config.latency);
        update
    }
}

/// The median latency of a sample of endpoints, in nanoseconds; `None` when none of them has one.
fn median(endpoints: &[(EndpointIndex, &EndpointView)], random: u64) -> Option<u64> {
    /// Enough to be near the median of all, and few enough to ask at each update.
    const PEERS: usize = 64;
    let step = endpoints.len().div_ceil(PEERS).max(1);
    let from = Random::new(random).below(step);
    let peers = endpoints.iter().skip(from).step_by(step);
    let mut latencies: Vec<u64> = peers.filter_map(|(_, peer)| latency(&peer.stats)).collect();
    let middle = latencies.len() / 2;
    (!latencies.is_empty()).then(|| *latencies.select_nth_unstable(middle).1)
}

/// In nanoseconds, at least 1.
fn latency(stats: &EndpointStats) -> Option<u64> {
    stats.latency_nanos().map(NonZeroU64::get)
}

#[derive(Debug)]
struct FastestResponsePicker {
    ready: Ready,
    stats: Box<[Arc<EndpointStats>]>,
    /// The latency of endpoints that have none yet.
    unmeasured: Option<u64>,
}

impl FastestResponsePicker {
    const EXPLORE: usize = 64;

    fn choose(&self, random: u64) -> usize {
        let mut random = Random::new(random);
        let count = self.ready.len();
        let one = random.below(count);
        if count == 1 || random.below(Self::EXPLORE) == 0 {
            return one;
        }
        // Distinct: two of the same would give the worst of all `1/n²`.
        let mut other = random.below(count - 1);
        if other >= one {
            other += 1;
        }
        self.faster(one, other)
    }

    fn faster(&self, one: usize, other: usize) -> usize {
        let (ones, others) = (&self.stats[one], &self.stats[other]);
        // Where each endpoint's counters are, nothing else is: both lines are fetched at once, and
        // no branch waits for what is in them.
        let (of_one, of_other) = match (latency(ones), latency(others)) {
            (Some(one), Some(other)) => (one, other),
            (Some(one), None) => (one, self.unmeasured.unwrap_or(one)),
            (None, Some(other)) => (self.unmeasured.unwrap_or(other), other),
            (None, None) => (1, 1),
        };
        let cost = |latency: u64, stats: &EndpointStats| {
            u128::from(latency) * (u128::from(stats.in_flight()) + 1)
        };
        select_unpredictable(cost(of_other, others) < cost(of_one, ones), other, one)
    }

    #[cold]
    fn avoid(&self, args: &PickArgs<'_>) -> usize {
        let mut random = Random::new(args.random);
        let mut untried = || {
            let from = random.below(self.ready.len());
            self.ready.first_untried(from, args.tried)
        };
        match (untried(), untried()) {
            (Some(one), Some(other)) => self.faster(one, other),
            _ => self.choose(args.random),
        }
    }
}

impl Picker for FastestResponsePicker {
    fn pick(&self, args: &PickArgs<'_>) -> Pick {
        let place = if args.tried.is_empty() {
            self.choose(args.random)
        } else {
            self.avoid(args)
        };
        Pick::Endpoint(self.ready.index(place))
    }
}

#[cfg(test)]
mod tests;
