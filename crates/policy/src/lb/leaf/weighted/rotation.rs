use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::greatest_common_divisor;

/// A fixed order of turns in which each endpoint has exactly its share, spread evenly.
///
/// Turn by turn, no endpoint is ever a whole turn ahead of its share, nor a whole turn behind:
/// after `t` turns one with the share `w/n` has had either `⌊t·w/n⌋` or `⌈t·w/n⌉` of them. That is
/// the guarantee of earliest-deadline-first when the k-th turn of an endpoint may be had from
/// `⌊k·n/w⌋` on and is due before `⌈(k+1)·n/w⌉` (Pfair scheduling).
#[derive(Debug)]
pub(in crate::lb) struct Rotation {
    turns: Box<[u16]>,
}

impl Rotation {
    /// The most turns of a rotation: 8 KiB, made in well under a millisecond.
    pub(super) const LONGEST: u64 = 4096;

    /// For endpoints with `shares` turns each: more than 0, at most [`Self::LONGEST`] in all.
    pub(super) fn new(shares: &[u64]) -> Self {
        let total: u64 = shares.iter().sum();
        let window = |place: usize, had: u64| {
            let share = shares[place];
            let from = had * total / share;
            let due = ((had + 1) * total).div_ceil(share);
            (from, due)
        };
        // Of equally urgent ones the first in the list comes first.
        let mut later = BinaryHeap::new();
        let mut ready = BinaryHeap::new();
        later.extend((0..shares.len()).map(|place| Reverse((0, place, 0))));
        let turns = (0..total).map(|turn| {
            while let Some(Reverse((from, place, had))) = later.peek().copied()
                && from <= turn
            {
                later.pop();
                ready.push(Reverse((window(place, had).1, place, had)));
            }
            let Reverse((_, place, had)) = ready.pop().expect("the shares fill every turn");
            let had = had + 1;
            if had < shares[place] {
                later.push(Reverse((window(place, had).0, place, had)));
            }
            u16::try_from(place).expect("not more endpoints than turns")
        });
        Self {
            turns: turns.collect(),
        }
    }

    pub(super) fn place(&self, drawn: u64) -> usize {
        let turn = drawn % self.turns.len() as u64;
        usize::from(self.turns[turn as usize])
    }

    #[cfg(test)]
    pub(super) fn turns(&self) -> &[u16] {
        &self.turns
    }
}

/// `weights` as the smallest whole numbers in the same proportion, with up to three decimals
/// taken for exact; `None` when they add up to more than [`Rotation::LONGEST`].
pub(super) fn reduce(weights: &[f64]) -> Option<Vec<u64>> {
    if weights.len() as u64 > Rotation::LONGEST {
        return None;
    }
    [1.0, 10.0, 100.0, 1000.0].into_iter().find_map(|scale| {
        let whole = |weight: &f64| {
            let scaled = weight * scale;
            let rounded = scaled.round();
            // Up to 2⁵⁰, so that the sum of all cannot overflow; 0.1 × 3 is not 0.3.
            let exact = (scaled - rounded).abs() <= rounded * 1e-12;
            (exact && (1.0..=1e15).contains(&rounded)).then_some(rounded as u64)
        };
        let scaled: Vec<u64> = weights.iter().map(whole).collect::<Option<_>>()?;
        let divisor = scaled.iter().copied().fold(0, greatest_common_divisor);
        let shares: Vec<u64> = scaled.iter().map(|weight| weight / divisor).collect();
        let total = shares
            .iter()
            .try_fold(0_u64, |sum, share| sum.checked_add(*share))?;
        (total <= Rotation::LONGEST).then_some(shares)
    })
}
