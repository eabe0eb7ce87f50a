use std::cmp::Ordering;
use std::sync::Arc;

use evenkeel_core::{Address, Endpoint, EndpointView};

use super::key::Key;
use crate::lb::shared::kept::Kept;

/// An endpoint as the ring is made of it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// More than 0.
    pub(super) weight: f64,
    /// Where its first entry is. Also what members are ranked by, so that the order in which
    /// discovery lists them does not matter.
    pub(super) first: u64,
    /// How many entries it has on the last ring.
    pub(super) entries: u32,
    /// The number and the hash of the entry that it got or lost last: when shares change a little, it is
    /// the next to go, or to come back.
    edge: (u32, u64),
    /// Where it was in the view that the last ring was made for; `None` if it is on none yet.
    place: Option<u32>,
    endpoint: Arc<Endpoint>,
}

impl Member {
    fn new(view: &EndpointView) -> Self {
        let registered = view.endpoint.metadata().weight;
        let first = Key::new(&view.endpoint).entry(0);
        Self {
            // No more than that, so that the sum of all is a number.
            weight: registered
                .filter(|weight| weight.is_finite() && *weight > 0.0)
                .map_or(1.0, |weight| weight.min(1e100)),
            first,
            entries: 0,
            edge: (0, first),
            place: None,
            endpoint: view.endpoint.clone(),
        }
    }

    /// What tells it from another one with the same key.
    fn address(&self) -> &Address {
        &self.endpoint.addresses()[0]
    }

    /// Sets how many entries it has, and tells `changed` the hashes of those that come or go.
    pub(super) fn resize(&mut self, entries: u32, mut changed: impl FnMut(u64)) {
        let before = std::mem::replace(&mut self.entries, entries);
        let numbers = before.min(entries)..before.max(entries);
        // The next to go is the last that came, the next to come back the first that went.
        let edge = if before < entries {
            numbers.end.saturating_sub(1)
        } else {
            numbers.start
        };
        let mut key = None;
        let (known, mut next) = (self.edge, self.edge);
        for number in numbers {
            let hash = match number {
                0 => self.first,
                _ if number == known.0 => known.1,
                _ => key
                    .get_or_insert_with(|| Key::new(&self.endpoint))
                    .entry(number),
            };
            if number == edge {
                next = (number, hash);
            }
            changed(hash);
        }
        self.edge = next;
    }

    /// Takes in what its endpoint says of itself now; whether that changes the ring.
    fn follow(&mut self, view: &EndpointView) -> bool {
        if Arc::ptr_eq(&self.endpoint, &view.endpoint) {
            return false;
        }
        let mut now = Self::new(view);
        let changed = if (now.first, now.address()) == (self.first, self.address()) {
            (now.entries, now.edge, now.place) = (self.entries, self.edge, self.place);
            now.weight != self.weight
        } else {
            // Another one, as far as the ring goes.
            true
        };
        *self = now;
        changed
    }
}

/// The endpoints of the last update, in its order.
#[derive(Debug, Default)]
pub(super) struct Members {
    known: Kept<Member>,
    /// The place of each, by rank, as [`Self::rank`] left them.
    ranked: Vec<u32>,
}

impl Members {
    /// Goes over to these endpoints; whether the ring must be made again for them.
    ///
    /// What did not change costs one comparison or two each.
    pub(super) fn follow(&mut self, endpoints: &[EndpointView]) -> bool {
        let mut changed = self.known.follow(endpoints, |view| view.id, Member::new);
        for (member, view) in self.known.iter_mut().zip(endpoints) {
            changed |= member.follow(view);
        }
        changed
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.known.iter()
    }

    pub(super) fn at(&self, place: u32) -> &Member {
        self.known.at(place as usize)
    }

    pub(super) fn at_mut(&mut self, place: u32) -> &mut Member {
        self.known.at_mut(place as usize)
    }

    /// Their places, by rank.
    pub(super) fn ranked(&self) -> &[u32] {
        &self.ranked
    }

    /// Which of those at these two places comes first, where both have the same place on the ring
    /// too: by their addresses, which every client sees alike, whatever the order of its list.
    pub(super) fn compare(&self, one: u32, other: u32) -> Ordering {
        let [one, other] = [one as usize, other as usize];
        let [a, b] = [one, other].map(|place| self.known.at(place));
        // Addresses are in other places of memory: rarely looked at.
        let by_address = || a.address().cmp(b.address());
        // Of the same address no client can tell which is which.
        let by_age = || self.known.id(one).cmp(&self.known.id(other));
        a.first
            .cmp(&b.first)
            .then_with(by_address)
            .then_with(by_age)
    }

    /// Ranks those that have come. For each place of the view that was ranked before: where that one is
    /// now, if it has not gone.
    ///
    /// Ranks depend on nothing that a member can change and stay the one it is, so the others keep
    /// their order.
    pub(super) fn rank(&mut self) -> Vec<Option<u32>> {
        let mut moved = vec![None; self.ranked.len()];
        let mut new = Vec::new();
        for (place, member) in (0..).zip(self.known.iter_mut()) {
            match member.place.replace(place) {
                Some(before) => moved[before as usize] = Some(place),
                None => new.push(place),
            }
        }
        new.sort_unstable_by(|one, other| self.compare(*one, *other));
        let before = std::mem::take(&mut self.ranked);
        let stayed: Vec<u32> = before
            .into_iter()
            .filter_map(|place| moved[place as usize])
            .collect();
        let mut ranked = Vec::with_capacity(self.known.len());
        let mut rest = &stayed[..];
        for new in new {
            let before = rest.partition_point(|one| self.compare(*one, new).is_lt());
            ranked.extend_from_slice(&rest[..before]);
            ranked.push(new);
            rest = &rest[before..];
        }
        ranked.extend_from_slice(rest);
        self.ranked = ranked;
        moved
    }
}
