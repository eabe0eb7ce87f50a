use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{Pick, PickArgs, Picker, Policy, Update, View};

use crate::lb::petiole;
use crate::lb::shared::random::Random;
use crate::lb::shared::ready::Ready;

/// Gives each call to a READY endpoint chosen at random, all with the same chance.
///
/// It writes nothing that is shared, so that callers on many threads do not slow each other; the
/// shares of `n` calls differ by about `√n` from even ones. States and connections: see
/// [`petiole`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RandomChoice;

impl RandomChoice {
    /// Its name in a service config.
    pub const NAME: &'static str = "evenkeel.random";

    /// A policy that has seen no endpoint yet.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Policy for RandomChoice {
    fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
        petiole(view, |endpoints| {
            Arc::new(RandomPicker(Ready::new(&endpoints)))
        })
    }
}

#[derive(Debug)]
struct RandomPicker(Ready);

impl RandomPicker {
    /// Draws before a retry takes the next best: so many miss only if nearly all are tried.
    const DRAWS: usize = 16;

    #[cold]
    fn avoid(&self, args: &PickArgs<'_>) -> usize {
        let ready = &self.0;
        let mut random = Random::new(args.random);
        let mut place = random.below(ready.len());
        for _ in 0..Self::DRAWS {
            if !ready.is_tried(place, args.tried) {
                return place;
            }
            place = random.below(ready.len());
        }
        ready.first_untried(place, args.tried).unwrap_or(place)
    }
}

impl Picker for RandomPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Pick {
        let place = if args.tried.is_empty() {
            Random::new(args.random).below(self.0.len())
        } else {
            self.avoid(args)
        };
        Pick::Endpoint(self.0.index(place))
    }
}

#[cfg(test)]
mod tests;
