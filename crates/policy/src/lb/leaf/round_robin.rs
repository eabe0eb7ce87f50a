use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{EndpointId, Pick, PickArgs, Picker, Policy, Update, View};

use crate::lb::petiole;
use crate::lb::shared::ready::Ready;
use crate::lb::shared::sequence::Sequence;

/// Gives each READY endpoint a call in turn (gRPC's `round_robin`).
///
/// Every `n` picks in a row over `n` READY endpoints go to each of them exactly once, from
/// however many threads they come. The turn starts at a random endpoint and goes on when the
/// picker is rebuilt. States and connections: see [`petiole`].
#[derive(Debug, Default)]
pub struct RoundRobin {
    sequence: Option<Arc<Sequence>>,
}

impl RoundRobin {
    /// Its name in a service config.
    pub const NAME: &'static str = "round_robin";

    /// A policy that has seen no endpoint yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { sequence: None }
    }
}

impl Policy for RoundRobin {
    fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
        let start = || Arc::new(Sequence::starting_at(view.random));
        let sequence = self.sequence.get_or_insert_with(start).clone();
        petiole(view, |endpoints| {
            let ready = Ready::new(&endpoints);
            Arc::new(RoundRobinPicker { ready, sequence })
        })
    }
}

#[derive(Debug)]
struct RoundRobinPicker {
    ready: Ready,
    sequence: Arc<Sequence>,
}

impl RoundRobinPicker {
    fn draw(&self) -> usize {
        (self.sequence.draw() % self.ready.len() as u64) as usize
    }

    #[cold]
    fn avoid(&self, tried: &[EndpointId], drawn: usize) -> usize {
        let Some(next) = self.ready.first_untried(drawn, tried) else {
            return drawn;
        };
        let mut place = drawn;
        for _ in 0..tried.len() {
            if !self.ready.is_tried(place, tried) {
                return place;
            }
            // Takes the next one's turn; merely going there would give it two in this round.
            place = self.draw();
        }
        if self.ready.is_tried(place, tried) {
            next
        } else {
            place
        }
    }
}

impl Picker for RoundRobinPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Pick {
        let mut place = self.draw();
        if !args.tried.is_empty() {
            place = self.avoid(args.tried, place);
        }
        Pick::Endpoint(self.ready.index(place))
    }
}

#[cfg(test)]
mod tests;
