use std::sync::Arc;

use evenkeel_core::{EndpointIndex, EndpointView, Pick, PickArgs, Picker};

use super::Scheduler;
use crate::lb::shared::random::Random;
use crate::lb::shared::ready::Ready;
use crate::lb::shared::sequence::Sequence;

/// Weights and what was made of them: shared by the pickers of a policy for as long as the weights
/// are the same.
#[derive(Debug)]
pub(in crate::lb) struct Turns {
    weights: Box<[f64]>,
    scheduler: Scheduler,
}

impl Turns {
    /// `last` again when it was made of the same weights. These are finite and more than 0; there
    /// is at least one.
    pub(in crate::lb) fn of(weights: Vec<f64>, last: Option<&Arc<Self>>) -> Arc<Self> {
        match last {
            Some(last) if *last.weights == weights => last.clone(),
            _ => Arc::new(Self {
                scheduler: Scheduler::new(&weights),
                weights: weights.into(),
            }),
        }
    }

    #[cfg(test)]
    pub(in crate::lb) fn weights(&self) -> &[f64] {
        &self.weights
    }
}

/// Gives each endpoint its turns.
#[derive(Debug)]
pub(in crate::lb) struct WeightedPicker {
    ready: Ready,
    turns: Arc<Turns>,
    sequence: Arc<Sequence>,
}

impl WeightedPicker {
    /// Turns that a retry takes while it looks for an endpoint that it has not tried.
    const TURNS: usize = 16;

    /// `turns` are those of the first of `endpoints`; the others get a call only when it has tried
    /// the first ones.
    pub(in crate::lb) fn new(
        endpoints: &[(EndpointIndex, &EndpointView)],
        turns: Arc<Turns>,
        sequence: Arc<Sequence>,
    ) -> Self {
        debug_assert!(endpoints.len() >= turns.weights.len());
        Self {
            ready: Ready::new(endpoints),
            turns,
            sequence,
        }
    }

    fn next(&self) -> usize {
        self.turns.scheduler.place(self.sequence.draw())
    }

    #[cold]
    fn avoid(&self, args: &PickArgs<'_>, first: usize) -> usize {
        let Some(untried) = self.ready.first_untried(first, args.tried) else {
            return first;
        };
        let mut place = first;
        for _ in 0..Self::TURNS {
            if !self.ready.is_tried(place, args.tried) {
                return place;
            }
            place = self.next();
        }
        // Nearly all the weight is on tried ones: at random, then, by weight.
        let weights = &self.turns.weights;
        let places = || (0..weights.len()).filter(|place| !self.ready.is_tried(*place, args.tried));
        let heaviest = places().map(|place| weights[place]).fold(0.0, f64::max);
        let total: f64 = places().map(|place| weights[place] / heaviest).sum();
        let mut left = Random::new(args.random).fraction() * total;
        let mut last = untried;
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
