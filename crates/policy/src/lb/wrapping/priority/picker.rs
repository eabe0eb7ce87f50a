use std::sync::Arc;

use evenkeel_core::{EndpointId, Pick, PickArgs, Picker, View};

use crate::lb::shared::random::Random;

/// A level that is READY, and the calls that go there.
#[derive(Debug)]
pub(super) struct Share {
    /// Its share begins where that of the level before ends, and ends here.
    pub(super) up_to: u64,
    pub(super) picker: Arc<dyn Picker>,
}

/// Shares calls out among the levels that are READY.
#[derive(Debug)]
pub(super) struct PriorityPicker {
    shares: Box<[Share]>,
    total: u64,
    /// Of all endpoints of the view.
    ids: Box<[EndpointId]>,
}

impl PriorityPicker {
    /// `shares` has one that is not empty.
    pub(super) fn new(shares: Vec<Share>, view: &View<'_>) -> Self {
        Self {
            total: shares.last().map_or(0, |share| share.up_to),
            shares: shares.into(),
            ids: view.endpoints.iter().map(|one| one.id).collect(),
        }
    }

    fn pick_shared(&self, args: &PickArgs<'_>) -> Pick {
        let mut random = Random::new(args.random);
        let drawn = ((u128::from(random.next()) * u128::from(self.total)) >> 64) as u64;
        let level = self.shares.partition_point(|share| share.up_to <= drawn);
        // The child's number says nothing of the level.
        let mut args = *args;
        args.random = random.next();
        self.pick_at(level, &args)
    }

    fn pick_at(&self, level: usize, args: &PickArgs<'_>) -> Pick {
        let pick = self.shares[level].picker.pick(args);
        if args.tried.is_empty() || !self.is_tried(&pick, args.tried) {
            return pick;
        }
        self.avoid(level, args, pick)
    }

    fn is_tried(&self, pick: &Pick, tried: &[EndpointId]) -> bool {
        match pick {
            Pick::Endpoint(index) => {
                let id = self.ids.get(index.0);
                id.is_some_and(|id| tried.contains(id))
            }
            _ => false,
        }
    }

    /// The level has only endpoints that were tried: the next ones, and then those above it. Best is
    /// one that is READY. If there is none, a child which connects for its calls is made to; the call
    /// is picked anew as soon as it does, and goes where it was: to wait for a connection is worse
    /// than to try once more what is READY.
    #[cold]
    fn avoid(&self, level: usize, args: &PickArgs<'_>, tried: Pick) -> Pick {
        let others = (level + 1..self.shares.len()).chain(0..level);
        let mut connect = None;
        for other in others {
            let pick = self.shares[other].picker.pick(args);
            match pick {
                Pick::Endpoint(_) if !self.is_tried(&pick, args.tried) => return pick,
                Pick::Connect(_) => {
                    connect.get_or_insert(pick);
                }
                _ => {}
            }
        }
        connect.unwrap_or(tried)
    }
}

impl Picker for PriorityPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Pick {
        if self.shares[0].up_to == self.total {
            self.pick_at(0, args)
        } else {
            self.pick_shared(args)
        }
    }
}
