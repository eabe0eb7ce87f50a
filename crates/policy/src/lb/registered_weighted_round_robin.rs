use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{EndpointView, Pick, PickArgs, Picker, Policy, Update, View};

use super::petiole;
use super::random::Random;
use super::ready::Ready;
use super::sequence::Sequence;
use super::weighted::Scheduler;

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
#[derive(Debug, Default)]
pub struct RegisteredWeightedRoundRobin {
    sequence: Option<Arc<Sequence>>,
    /// What the last picker was made of: kept while the weights of the READY endpoints are the same.
    last: Option<Arc<Turns>>,
}

#[derive(Debug)]
struct Turns {
    weights: Box<[f64]>,
    scheduler: Scheduler,
}

impl RegisteredWeightedRoundRobin {
    /// Its name in a service config.
    pub const NAME: &'static str = "evenkeel.registered_weighted_round_robin";
    /// Other names it goes by.
    pub const ALIASES: &'static [&'static str] = &["custom_weighted_round_robin"];

    /// A policy that has seen no endpoint yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            sequence: None,
            last: None,
        }
    }

    fn turns(&mut self, weights: Box<[f64]>) -> Arc<Turns> {
        match &self.last {
            Some(last) if last.weights == weights => last.clone(),
            _ => {
                let scheduler = Scheduler::new(&weights);
                self.last
                    .insert(Arc::new(Turns { weights, scheduler }))
                    .clone()
            }
        }
    }
}

fn weight(endpoint: &EndpointView) -> f64 {
    let registered = endpoint.endpoint.metadata().weight;
    registered
        .filter(|weight| weight.is_finite() && *weight > 0.0)
        .unwrap_or(1.0)
}

impl Policy for RegisteredWeightedRoundRobin {
    fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
        let start = || Arc::new(Sequence::starting_at(view.random));
        let sequence = self.sequence.get_or_insert_with(start).clone();
        petiole(view, |endpoints| {
            let weights = endpoints
                .iter()
                .map(|(_, endpoint)| weight(endpoint))
                .collect();
            Arc::new(WeightedPicker {
                ready: Ready::new(&endpoints),
                turns: self.turns(weights),
                sequence,
            })
        })
    }
}

#[derive(Debug)]
struct WeightedPicker {
    ready: Ready,
    turns: Arc<Turns>,
    sequence: Arc<Sequence>,
}

impl WeightedPicker {
    /// Turns that a retry takes while it looks for an endpoint that it has not tried.
    const TURNS: usize = 16;

    fn next(&self) -> usize {
        self.turns.scheduler.place(self.sequence.draw())
    }

    #[cold]
    fn avoid(&self, args: &PickArgs<'_>, first: usize) -> usize {
        if self.ready.first_untried(first, args.tried).is_none() {
            return first;
        }
        let mut place = first;
        for _ in 0..Self::TURNS {
            if !self.ready.is_tried(place, args.tried) {
                return place;
            }
            place = self.next();
        }
        // Nearly all the weight is on tried ones: at random, then, by weight.
        let untried = |place: &usize| !self.ready.is_tried(*place, args.tried);
        let places = || (0..self.ready.len()).filter(untried);
        let weights = &self.turns.weights;
        let heaviest = places().map(|place| weights[place]).fold(0.0, f64::max);
        let total: f64 = places().map(|place| weights[place] / heaviest).sum();
        let mut left = Random::new(args.random).fraction() * total;
        let mut last = first;
        for place in places() {
            last = place;
            left -= weights[place] / heaviest;
            if left < 0.0 {
                break;
            }
        }
        last
    }
}

impl Picker for WeightedPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Pick {
        let mut place = self.next();
        if !args.tried.is_empty() {
            place = self.avoid(args, place);
        }
        Pick::Endpoint(self.ready.index(place))
    }
}

#[cfg(test)]
mod tests;
