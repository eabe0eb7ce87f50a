use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::iter::zip;

use evenkeel_core::EndpointId;

/// What a policy keeps of each endpoint between updates, in the order of the list it saw last.
#[derive(Debug)]
pub(in crate::lb) struct Kept<T>(Vec<(EndpointId, T)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Kept<T> {
    /// Forgets the endpoints that are gone, and begins with `new` for those that are new. Whether
    /// the list is another than before.
    ///
    /// Lists rarely change, and then a little at a time: whoever still follows those that it
    /// followed before is passed on as it is, and only the others are looked up.
    pub(in crate::lb) fn follow<I>(
        &mut self,
        list: &[I],
        id: impl Fn(&I) -> EndpointId,
        mut new: impl FnMut(&I) -> T,
    ) -> bool {
        /// How many new ones in a row are looked past for one that stays.
        const AHEAD: usize = 8;
        let same = |pair: &(&I, &(EndpointId, T))| id(pair.0) == pair.1.0;
        let head = zip(list, &self.0).take_while(same).count();
        if head == list.len() && head == self.0.len() {
            return false;
        }
        let mut rest = &list[head..];
        let is_out_of_line = |one: &mut (EndpointId, T)| {
            let found = rest.iter().take(AHEAD).position(|now| id(now) == one.0);
            if let Some(place) = found {
                rest = &rest[place + 1..];
            }
            found.is_none()
        };
        let mut elsewhere: HashMap<_, _, BuildHasherDefault<HashId>> =
            self.0.extract_if(head.., is_out_of_line).collect();
        let head = zip(list, &self.0).take_while(same).count();
        let mut in_line = self.0.split_off(head).into_iter().peekable();
        self.0.extend(list[head..].iter().map(|one| {
            let id = id(one);
            in_line.next_if(|known| known.0 == id).unwrap_or_else(|| {
                let known = elsewhere.remove(&id);
                (id, known.unwrap_or_else(|| new(one)))
            })
        }));
        true
    }

    pub(in crate::lb) fn clear(&mut self) {
        self.0.clear();
    }

    pub(in crate::lb) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whom it knows at this place of the list it follows.
    pub(in crate::lb) fn id(&self, place: usize) -> EndpointId {
        self.0[place].0
    }

    /// What is known of the endpoint at this place of the list it follows.
    pub(in crate::lb) fn at(&self, place: usize) -> &T {
        &self.0[place].1
    }

    pub(in crate::lb) fn at_mut(&mut self, place: usize) -> &mut T {
        &mut self.0[place].1
    }

    pub(in crate::lb) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, known)| known)
    }

    pub(in crate::lb) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
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
