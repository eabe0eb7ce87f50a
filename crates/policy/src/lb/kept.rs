use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::iter::zip;

use evenkeel_core::EndpointId;

/// What a policy keeps of each endpoint between updates, in the order of the list it saw last.
#[derive(Debug)]
pub(super) struct Kept<T>(Vec<(EndpointId, T)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Kept<T> {
    /// Forgets the endpoints that are gone, and begins with `new` for those that are new. Whether
    /// the list is another than before.
    ///
    /// Lists rarely change, and then a little at a time: what is the same at both ends stays
    /// where it is, and only what is between is looked up.
    pub(super) fn follow<I>(
        &mut self,
        list: &[I],
        id: impl Fn(&I) -> EndpointId,
        mut new: impl FnMut(&I) -> T,
    ) -> bool {
        let same = |pair: &(&I, &(EndpointId, T))| id(pair.0) == pair.1.0;
        let head = zip(list, &self.0).take_while(same).count();
        if head == list.len() && head == self.0.len() {
            return false;
        }
        let rest = zip(list[head..].iter().rev(), self.0[head..].iter().rev());
        let tail = rest.take_while(same).count();
        let moved = head..self.0.len() - tail;
        let mut known: HashMap<_, _, BuildHasherDefault<HashId>> = self.0.drain(moved).collect();
        let between = list[head..list.len() - tail].iter().map(|one| {
            let id = id(one);
            (id, known.remove(&id).unwrap_or_else(|| new(one)))
        });
        self.0.splice(head..head, between);
        true
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// What is known of the endpoint at this place of the list it follows.
    pub(super) fn at(&self, place: usize) -> &T {
        &self.0[place].1
    }

    pub(super) fn at_mut(&mut self, place: usize) -> &mut T {
        &mut self.0[place].1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, known)| known)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, known)| known)
    }
}

/// For identities, which are counted up by the channel itself: nobody chooses them to collide.
#[derive(Default)]
struct HashId(u64);

impl Hasher for HashId {
    fn finish(&self) -> u64 {
        // A table goes by the lower bits and by the upper ones.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn who_stays_is_kept_and_who_goes_is_forgotten(
            lists in proptest::collection::vec(
                proptest::sample::subsequence((0..12_u64).collect::<Vec<_>>(), 0..12).prop_shuffle(),
                1..12,
            ),
        ) {
            let mut kept = Kept::default();
            let mut born = HashMap::new();
            for (round, ids) in lists.iter().enumerate() {
                born.retain(|id, _| ids.contains(id));
                for id in ids {
                    born.entry(*id).or_insert(round);
                }
                let changed = kept.follow(ids, |id| EndpointId(*id), |_| round);
                prop_assert_eq!(changed, round == 0 && !ids.is_empty() || round > 0 && *ids != lists[round - 1]);
                let expected: Vec<_> = ids.iter().map(|id| born[id]).collect();
                prop_assert_eq!(kept.iter().copied().collect::<Vec<_>>(), expected);
            }
        }
    }
}
