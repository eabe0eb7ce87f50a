mod effective;
mod patience;

use std::any::Any;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::{
    BuildPolicy, ConnectivityState, EndpointIndex, EndpointView, Policy, Update, View,
};

use self::effective::{Counts, Effective, Look, STEP};
use self::patience::Patience;
use super::weighted::{Turns, WeightedPicker};
use crate::lb::petiole;
use crate::lb::shared::kept::Kept;
use crate::lb::shared::merged::earlier;
use crate::lb::shared::sequence::Sequence;

/// Gives each READY endpoint a share of the calls by the weight it registered with
/// ([`Metadata::weight`](evenkeel_core::Metadata::weight)), smoothly: weights 10, 20 and 30 make
/// `c b c a b c`, again and again.
///
/// Not gRPC's `weighted_round_robin`, which weighs by the load that servers report (gRFC A58) and
/// knows nothing of registered weights.
///
/// # Weights
///
/// Any finite number above 0; unset counts as 1, and so does what is no weight. (The balancer
/// shows no endpoint of weight 0: it takes no new calls.) Only proportions matter.
///
/// Weights with up to three decimals whose proportion can be written in whole numbers that add up
/// to 4 096 or less are kept exactly: each rotation of that many picks gives every endpoint its share,
/// and at no time is one a whole call ahead of or behind it. All others are kept in the long run;
/// of these a weight below 1/32 767 of the mean counts as that much.
///
/// Picking takes no lock, and the turn goes on when the picker is rebuilt, be it for a new
/// weight, an endpoint that comes or one that goes. States and connections: see [`petiole`].
///
/// # Errors
///
/// An endpoint that fails gets fewer calls, unless
/// [`react_to_errors`](RegisteredWeightedRoundRobinConfig::react_to_errors) is off:
///
/// | an attempt ends with | its endpoint's weight |
/// |---|---|
/// | RESOURCE_EXHAUSTED, or UNAVAILABLE now and then | is halved, once for all that come within 100 ms, down to 1/64 |
/// | UNAVAILABLE, as do half of those about that time and more than one | is nothing for 1 s; then 1/16, until a success brings it back or another UNAVAILABLE takes it out for twice as long (30 s at most) |
/// | anything else | stays |
///
/// No more than half of the registered weight is out at a time: who fails after that is halved.
/// About that time: in about a second, or the last few if they are rarer.
///
/// What is lost comes back at 10 % of the registered weight per second. While no endpoint fails,
/// rotations are exactly what they would be without all this.
///
/// When each READY endpoint is out, being probed, down to 1/64, or would be out if it were not for
/// the others, all have their registered weights: there is nobody better. A retry still goes to an endpoint that is out when it has tried all
/// others. Endpoints that are out are among [`Update::ejected`], with [`TakenOut`] as the reason.
///
/// What an endpoint did is forgotten with its connection: a server that restarts begins with
/// all of its weight.
///
/// This works beside a breaker, which keeps *all* calls from an endpoint that fails many times in a row,
/// whatever the code; here two UNAVAILABLE are enough. An endpoint that its breaker lets back in
/// has the weight that it has recovered here by then.
#[derive(Debug, Default)]
pub struct RegisteredWeightedRoundRobin {
    config: RegisteredWeightedRoundRobinConfig,
    sequence: Option<Arc<Sequence>>,
    /// What the last picker was made of: kept while the weights are the same.
    turns: Option<Arc<Turns>>,
    /// Of all endpoints in the view; `None` without a connection.
    effective: Kept<Option<Effective>>,
    /// The last of the moments, [`STEP`] apart, at which all that are reduced win something back.
    stepped_at: Option<Instant>,
    /// When to look what probes have come to.
    patience: Patience,
    /// All were doubtful, and had calls by their registered weights.
    all_doubtful: bool,
}

/// How [`RegisteredWeightedRoundRobin`] behaves; builds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisteredWeightedRoundRobinConfig {
    /// `reactToErrors`: whether RESOURCE_EXHAUSTED and UNAVAILABLE take weight from an endpoint.
    /// Default: true.
    pub react_to_errors: bool,
    /// `probeInterval`: how long an endpoint that was UNAVAILABLE gets no calls; doubles up to 30 s
    /// while it still is. Default: 1 s; at least 100 ms.
    pub probe_interval: Duration,
}

impl Default for RegisteredWeightedRoundRobinConfig {
    fn default() -> Self {
        Self {
            react_to_errors: true,
            probe_interval: Duration::from_secs(1),
        }
    }
}

impl RegisteredWeightedRoundRobinConfig {
    /// The least that `probeInterval` can be.
    pub const LEAST_PROBE_INTERVAL: Duration = Duration::from_millis(100);
}

/// An endpoint gets no calls, because too many ended with UNAVAILABLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no calls for {wait:?}: too many ended with UNAVAILABLE")]
#[non_exhaustive]
pub struct TakenOut {
    /// For how long; then it is probed.
    pub wait: Duration,
}

impl BuildPolicy for RegisteredWeightedRoundRobinConfig {
    fn build(&self) -> Box<dyn Policy> {
        Box::new(RegisteredWeightedRoundRobin::new(*self))
    }

    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let running = running.downcast_mut::<RegisteredWeightedRoundRobin>();
        running.map(|it| it.configure(*self)).is_some()
    }
}

impl RegisteredWeightedRoundRobin {
    /// Its name in a service config.
    pub const NAME: &'static str = "evenkeel.registered_weighted_round_robin";
    /// Other names it goes by.
    pub const ALIASES: &'static [&'static str] = &["custom_weighted_round_robin"];

    /// A policy that has seen no endpoint yet.
    #[must_use]
    pub fn new(config: RegisteredWeightedRoundRobinConfig) -> Self {
        let mut new = Self::default();
        new.configure(config);
        new
    }

    fn configure(&mut self, mut config: RegisteredWeightedRoundRobinConfig) {
        let least = RegisteredWeightedRoundRobinConfig::LEAST_PROBE_INTERVAL;
        config.probe_interval = config.probe_interval.max(least);
        self.config = config;
    }

    /// Takes in what attempts have come to since the last time; the next moment at which time alone
    /// changes something, and whether any attempt has ended.
    fn react(&mut self, now: Instant, view: &View<'_>) -> (Option<Instant>, bool) {
        self.effective
            .follow(view.endpoints, |endpoint| endpoint.id, |_| None);
        let steps = self.steps(now);
        let mut room = self.room(view);
        let (mut is_reduced, mut has_moved) = (false, false);
        for (endpoint, slot) in view.endpoints.iter().zip(self.effective.iter_mut()) {
            if !endpoint.connected {
                *slot = None;
                continue;
            }
            let counts = Counts::of(&endpoint.stats);
            let effective = slot.get_or_insert_with(|| Effective::new(now, counts));
            let (weight, was_out) = (weight(endpoint), effective.is_taken_out());
            let look = Look {
                now,
                counts,
                steps,
                gets_calls_anyway: self.all_doubtful,
                may_go_out: weight <= room,
            };
            has_moved |= effective.advance(look, &self.config);
            if !was_out && effective.is_taken_out() {
                room -= weight;
            }
            is_reduced |= !effective.is_whole();
        }
        if !is_reduced {
            self.stepped_at = None;
            return (None, has_moved);
        }
        let next_step = *self.stepped_at.get_or_insert(now) + STEP;
        let connected = self.effective.iter().flatten();
        let wake_at = connected.filter_map(|it| it.wake_at(next_step)).min();
        (wake_at, has_moved)
    }

    /// How much registered weight may still be taken out.
    fn room(&self, view: &View<'_>) -> f64 {
        let endpoints = view.endpoints.iter().zip(self.effective.iter());
        let (mut all, mut out) = (0.0, 0.0);
        for (endpoint, effective) in endpoints.filter(|(endpoint, _)| endpoint.connected) {
            let weight = weight(endpoint);
            all += weight;
            if effective.as_ref().is_some_and(Effective::is_taken_out) {
                out += weight;
            }
        }
        all / 2.0 - out
    }

    /// How many [`STEP`]s have passed.
    fn steps(&mut self, now: Instant) -> u32 {
        let Some(at) = &mut self.stepped_at else {
            return 0;
        };
        let passed = now.saturating_duration_since(*at).as_nanos() / STEP.as_nanos();
        let steps = u32::try_from(passed).unwrap_or(u32::MAX);
        *at += STEP * steps;
        steps
    }
}

fn weight(endpoint: &EndpointView) -> f64 {
    let registered = endpoint.endpoint.metadata().weight;
    registered
        .filter(|weight| weight.is_finite() && *weight > 0.0)
        .unwrap_or(1.0)
}

/// Of an endpoint at this place of the view.
type Factors<'a> = Option<&'a Kept<Option<Effective>>>;

/// The endpoints that get turns first, and the weights of these: what the others have is nothing.
/// Whether all are doubtful, and have their registered weights.
fn weigh(
    endpoints: &mut [(EndpointIndex, &EndpointView)],
    effective: Factors<'_>,
) -> (Vec<f64>, bool) {
    let registered = |(_, endpoint): &(EndpointIndex, &EndpointView)| weight(endpoint);
    let of = |place: EndpointIndex| effective?.at(place.0).as_ref();
    let all_doubtful = endpoints
        .iter()
        .all(|(place, _)| of(*place).is_some_and(Effective::is_doubtful));
    if all_doubtful || effective.is_none() {
        return (endpoints.iter().map(registered).collect(), all_doubtful);
    }
    let factor = |place| of(place).map_or(1.0, Effective::factor);
    if endpoints.iter().any(|(place, _)| factor(*place) == 0.0) {
        endpoints.sort_by_key(|(place, _)| factor(*place) == 0.0);
    }
    let factors = endpoints.iter().map(|one| (factor(one.0), registered(one)));
    let weights = factors.take_while(|(factor, _)| *factor > 0.0);
    // A factor of the least weight there is may be nothing.
    let weights = weights.map(|(factor, weight)| (factor * weight).max(f64::MIN_POSITIVE));
    (weights.collect(), false)
}

/// The READY endpoints that have no calls, and why.
fn taken_out(
    view: &View<'_>,
    effective: &Kept<Option<Effective>>,
) -> Vec<(EndpointIndex, Arc<dyn Error + Send + Sync>)> {
    let is_ready = |endpoint: &EndpointView| endpoint.state == ConnectivityState::Ready;
    let ready = view.indexed().filter(|(_, endpoint)| is_ready(endpoint));
    let taken_out = ready.filter_map(|(place, _)| {
        let wait = effective.at(place.0).as_ref()?.out_for()?;
        let reason: Arc<dyn Error + Send + Sync> = Arc::new(TakenOut { wait });
        Some((place, reason))
    });
    taken_out.collect()
}

impl Policy for RegisteredWeightedRoundRobin {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        let start = || Arc::new(Sequence::starting_at(view.random));
        let sequence = self.sequence.get_or_insert_with(start).clone();
        let reacts = self.config.react_to_errors;
        let (mut wake_at, mut has_moved) = (None, false);
        if reacts {
            (wake_at, has_moved) = self.react(now, view);
        } else {
            self.effective.clear();
            self.stepped_at = None;
        }
        let effective = self.stepped_at.map(|_| &self.effective);
        let mut all_doubtful = false;
        let turns = &mut self.turns;
        let mut update = petiole(view, |mut endpoints| {
            let weights;
            (weights, all_doubtful) = weigh(&mut endpoints, effective);
            let turns = turns.insert(Turns::of(weights, turns.as_ref())).clone();
            Arc::new(WeightedPicker::new(&endpoints, turns, sequence))
        });
        self.all_doubtful = all_doubtful;
        // Whose calls succeed is soon given more of them.
        let is_probed = |one: &Option<Effective>| one.as_ref().is_some_and(Effective::is_probed);
        let waits = all_doubtful || self.effective.iter().any(is_probed);
        let look_at = self.patience.next_look(now, waits, has_moved);
        update.wake_at = earlier(wake_at, look_at);
        if reacts {
            update.observe.failures = Effective::FAILURES;
        }
        if let Some(effective) = effective.filter(|_| !all_doubtful) {
            update.ejected = taken_out(view, effective);
        }
        update
    }
}

#[cfg(test)]
mod tests;
