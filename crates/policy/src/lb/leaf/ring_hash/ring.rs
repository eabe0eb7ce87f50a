mod changes;

use std::iter::zip;

use self::changes::Changes;
use super::members::Members;

/// The ring: entries by their hash, each of one endpoint. Empty only before there is an endpoint.
///
/// Hashes and places apart: a search reads hashes only.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ring {
    hashes: Box<[u64]>,
    /// The place in the view of each entry's endpoint.
    places: Box<[u32]>,
    /// The first entry of each part of the ring. There are as many equal parts as entries, within
    /// a factor of two, so that a search looks at one or two of them.
    parts: Box<[u32]>,
    shift: u32,
}

impl Ring {
    /// The ring of `members`, which are not none, made from the one that was made of them before
    /// they changed: only what has changed is hashed and sorted. `least` and `most` are sizes of at
    /// least 1.
    ///
    /// It is the one that would be made from nothing.
    pub(super) fn next(&self, members: &mut Members, least: u64, most: u64) -> Self {
        let moved = members.rank();
        let changes = Changes::new(members, least, most);
        let is_before = |one: &(u64, u32), other: &(u64, u32)| {
            let by_rank = || members.compare(one.1, other.1);
            one.0.cmp(&other.0).then_with(by_rank).is_lt()
        };
        let mut hashes = Vec::with_capacity(changes.size);
        let mut places = Vec::with_capacity(changes.size);
        let mut push = |(hash, place)| {
            hashes.push(hash);
            places.push(place);
        };
        let mut added = changes.added.into_iter().peekable();
        let mut dropped = changes.dropped.into_iter().peekable();
        for (hash, place) in zip(&self.hashes, &self.places) {
            let Some(place) = moved[*place as usize] else {
                continue;
            };
            let entry = (*hash, place);
            if dropped.next_if_eq(&entry).is_some() {
                continue;
            }
            while let Some(new) = added.next_if(|new| is_before(new, &entry)) {
                push(new);
            }
            push(entry);
        }
        added.for_each(push);
        Self::sorted(hashes.into(), places.into())
    }

    fn sorted(hashes: Box<[u64]>, places: Box<[u32]>) -> Self {
        let bits = hashes.len().ilog2().max(1);
        let shift = u64::BITS - bits;
        let mut parts = Vec::with_capacity((1 << bits) + 1);
        for (entry, hash) in (0_u32..).zip(&hashes) {
            let part = (hash >> shift) as usize;
            while parts.len() <= part {
                parts.push(entry);
            }
        }
        parts.resize((1 << bits) + 1, hashes.len() as u32);
        Self {
            hashes,
            places,
            parts: parts.into(),
            shift,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The first entry at or after `hash`, around the ring.
    pub(super) fn find(&self, hash: u64) -> usize {
        let part = (hash >> self.shift) as usize;
        let (first, end) = (self.parts[part] as usize, self.parts[part + 1] as usize);
        let within = self.hashes[first..end].partition_point(|entry| *entry < hash);
        self.around(first + within)
    }

    /// The entry after `entry`.
    pub(super) fn after(&self, entry: usize) -> usize {
        self.around(entry + 1)
    }

    const fn around(&self, entry: usize) -> usize {
        if entry == self.len() { 0 } else { entry }
    }

    pub(super) fn place(&self, entry: usize) -> usize {
        self.places[entry] as usize
    }
}

#[cfg(test)]
mod tests;
