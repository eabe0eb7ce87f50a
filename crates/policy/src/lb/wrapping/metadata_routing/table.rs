use std::sync::Arc;

use super::routes::{Asked, Combination};

/// The places of subsets by their combinations. At most half full, and searched from the place that
/// the hash says.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Box<[Option<(Combination, usize)>]>,
    /// How many routes there are.
    width: usize,
    /// What values there are, for errors.
    there_is: Arc<str>,
}

impl Table {
    /// Of subsets with their places.
    pub(super) fn new(subsets: Vec<(Combination, usize)>, there_is: String) -> Self {
        let width = subsets
            .first()
            .map_or(0, |(combination, _)| combination.len());
        let size = (subsets.len() * 2).next_power_of_two();
        let mut entries: Box<[_]> = (0..size).map(|_| None).collect();
        for (combination, subset) in subsets {
            let mut place = hash(
                combination
                    .iter()
                    .map(|it| it.as_deref().map(str::as_bytes)),
            );
            while entries[place & (size - 1)].is_some() {
                place = place.wrapping_add(1);
            }
            entries[place & (size - 1)] = Some((combination, subset));
        }
        Self {
            entries,
            width,
            there_is: there_is.into(),
        }
    }

    #[inline]
    pub(super) fn find(&self, asked: &Asked<'_>) -> Option<usize> {
        let asked = &asked[..self.width];
        let mut place = hash(asked.iter().copied());
        loop {
            let (combination, subset) = self
                .entries
                .get(place & self.entries.len().wrapping_sub(1))?
                .as_ref()?;
            let mut pairs = combination.iter().zip(asked);
            if pairs.all(|(one, other)| one.as_deref().map(str::as_bytes) == *other) {
                return Some(*subset);
            }
            place = place.wrapping_add(1);
        }
    }

    pub(super) fn there_is(&self) -> Arc<str> {
        self.there_is.clone()
    }
}

/// Eight bytes at a time, as this runs once per pick. It is registries that choose what is in the
/// table, not requests: nothing here has to be hard to guess.
fn hash<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> usize {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    let mut add = |word: u64| {
        // The odd half of the golden ratio; its product is mixed best in its upper half.
        let product = u128::from(hash ^ word) * 0x9E37_79B9_7F4A_7C15;
        hash = product as u64 ^ (product >> 64) as u64;
    };
    for value in values {
        let Some(value) = value else {
            add(u64::MAX);
            continue;
        };
        let mut words = value.chunks_exact(8);
        for word in &mut words {
            add(word.try_into().map_or(0, u64::from_le_bytes));
        }
        // What is left, and where the value ends.
        add(up_to_7(words.remainder()) | (value.len() as u64) << 56);
    }
    hash as usize
}

/// These bytes as a number, without a loop.
fn up_to_7(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk(), bytes.last_chunk(), bytes) {
        (Some(first), Some(last), _) => {
            let last = u64::from(u32::from_le_bytes(*last)) << (8 * (bytes.len() - 4));
            u64::from(u32::from_le_bytes(*first)) | last
        }
        (_, _, [first, .., last]) => {
            let middle = u64::from(bytes[bytes.len() / 2]);
            u64::from(*first) | middle << 8 | u64::from(*last) << 16
        }
        (_, _, [only]) => u64::from(*only),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_combination_is_found_at_its_place_and_no_other_is() {
        let text = "abcdefghijklmnopqrstuvwxyz";
        let values = (0..=20).map(|len| Some(&text[..len]));
        let values: Vec<_> = values.chain([None, Some("b"), Some("ba")]).collect();
        let combination = |one: Option<&str>, other: Option<&str>| -> Combination {
            [one, other].map(|it| it.map(Into::into)).into()
        };
        let known = &values[..values.len() - 2];
        let mut subsets = Vec::new();
        for one in known {
            for other in known {
                subsets.push((combination(*one, *other), subsets.len()));
            }
        }
        let count = subsets.len();
        let table = Table::new(subsets, String::new());
        let mut places = 0..count;
        for one in &values {
            for other in &values {
                let bytes = |it: &Option<&'static str>| it.map(str::as_bytes);
                let asked = [bytes(one), bytes(other), None, None];
                let is_known = known.contains(one) && known.contains(other);
                let expected = is_known.then(|| places.next().unwrap());
                assert_eq!(table.find(&asked), expected, "{one:?} {other:?}");
            }
        }
        assert_eq!(Table::default().find(&[None; 4]), None);
    }

    #[test]
    fn values_that_differ_little_have_places_far_apart() {
        let mut used = std::collections::HashMap::<usize, u32>::new();
        for number in 0..512 {
            for text in [format!("v{number}"), format!("eu-central-1-{number}")] {
                let place = hash([Some(text.as_bytes())].into_iter()) % 2048;
                *used.entry(place).or_default() += 1;
            }
        }
        assert!(used.values().all(|count| *count < 8), "{used:?}");
    }
}
