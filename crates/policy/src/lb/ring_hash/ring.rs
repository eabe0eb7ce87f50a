use std::cmp::Ordering;

use super::members::{Member, Members};

/// The ring: entries by their hash, each of one endpoint. Never empty.
///
/// Hashes and places apart: a search reads hashes only.
#[derive(Debug)]
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
    /// A ring of `members`, which are not none; `least` and `most` are sizes of at least 1.
    ///
    /// Each has a share of the entries by its weight. There are as many as it takes for the
    /// lightest to have as many whole ones as it would have of `least`, and no more than `most`.
    pub(super) fn new(members: &Members, least: u64, most: u64) -> Self {
        // By their hashes, so that rounding favours the same ones in every client.
        let mut order: Vec<(&Member, u32)> = members.iter().zip(0..).collect();
        order.sort_unstable_by(|one, other| rank(one.0, other.0));
        let total: f64 = members.iter().map(|one| one.weight).sum();
        let size = size(members, total, least, most);
        let mut entries = Vec::with_capacity(size.ceil() as usize);
        let (mut made, mut weights) = (0.0, 0.0);
        for (rank, (member, _)) in (0_u32..).zip(&order) {
            weights += member.weight;
            let target = size * weights / total;
            let mut key = None;
            let mut number = 0;
            while made < target {
                let hash = match number {
                    0 => member.first,
                    _ => key.get_or_insert_with(|| member.key()).entry(number),
                };
                entries.push((hash, rank));
                number += 1;
                made += 1.0;
            }
        }
        entries.sort_unstable();
        for (_, rank) in &mut entries {
            *rank = order[*rank as usize].1;
        }
        Self::sorted(&entries)
    }

    fn sorted(entries: &[(u64, u32)]) -> Self {
        let bits = entries.len().ilog2().max(1);
        let shift = u64::BITS - bits;
        let mut parts = Vec::with_capacity((1 << bits) + 1);
        for (entry, (hash, _)) in (0_u32..).zip(entries) {
            let part = (hash >> shift) as usize;
            while parts.len() <= part {
                parts.push(entry);
            }
        }
        parts.resize((1 << bits) + 1, entries.len() as u32);
        Self {
            hashes: entries.iter().map(|entry| entry.0).collect(),
            places: entries.iter().map(|entry| entry.1).collect(),
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

/// Which of two comes first, where both have the same place on the ring too: by their addresses, which
/// every client sees alike, whatever the order of its list.
fn rank(one: &Member, other: &Member) -> Ordering {
    (one.first, one.address()).cmp(&(other.first, other.address()))
}

/// How many entries there shall be, not rounded.
fn size(members: &Members, total: f64, least: u64, most: u64) -> f64 {
    let weights = members.iter().map(|one| one.weight);
    let lightest = weights.fold(f64::INFINITY, f64::min) / total;
    // A share that is too small to be told from 0 makes no number; then `most` it is.
    ((lightest * least as f64).ceil() / lightest).min(most as f64)
}

#[cfg(test)]
mod tests;
