use std::sync::Arc;

use evenkeel_core::{Pick, PickArgs, Picker};

use crate::lb::shared::random::Random;

/// Takes some of the picks of a child back, and asks it again.
#[derive(Debug)]
pub(super) struct RampPicker {
    inner: Arc<dyn Picker>,
    /// How many of the picks of each endpoint stand; 1 is all.
    parts: Box<[f32]>,
}

impl RampPicker {
    /// How often the child is asked again for one call, at most: what bounds the time of a pick.
    ///
    /// When half of the endpoints are at their full share and the others at a tenth, 996 calls in
    /// 1 000 find what they look for within it. When it is one in a hundred, 55 in 100 do, and the
    /// others go where the child wants: it keeps that one from being flooded.
    const TRIES: usize = 6;
    /// The child is given the same random number, and may draw from it in the same way.
    const SALT: u64 = 0xA5C3_7B19_E64D_208F;

    pub(super) fn new(inner: Arc<dyn Picker>, parts: Box<[f32]>) -> Self {
        Self { inner, parts }
    }

    /// The part of the picks that stands, if it is not all.
    fn part(&self, pick: &Pick) -> Option<f64> {
        match pick {
            Pick::Endpoint(place) => {
                let part = self.parts.get(place.0).copied();
                part.filter(|part| *part < 1.0).map(f64::from)
            }
            _ => None,
        }
    }
}

impl Picker for RampPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Pick {
        let mut pick = self.inner.pick(args);
        let mut random = Random::new(args.random ^ Self::SALT);
        for _ in 0..Self::TRIES {
            match self.part(&pick) {
                Some(part) if random.fraction() >= part => {}
                _ => return pick,
            }
            let mut again = *args;
            again.random = random.next();
            match self.inner.pick(&again) {
                Pick::Endpoint(place) => pick = Pick::Endpoint(place),
                _ => return pick,
            }
        }
        pick
    }
}
