/// Random numbers derived from the one that a pick or an update is given (splitmix64).
#[derive(Clone, Debug)]
pub(in crate::lb) struct Random(u64);

impl Random {
    pub(in crate::lb) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(in crate::lb) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..bound`; 0 when `bound` is 0.
    pub(in crate::lb) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// At least 0, less than 1.
    pub(in crate::lb) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_a_bound_are_spread_evenly() {
        let mut random = Random::new(7);
        let mut counts = [0_u32; 3];
        for _ in 0..30_000 {
            counts[random.below(3)] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_700..10_300).contains(count)),
            "{counts:?}"
        );
        assert_eq!(random.below(0), 0);
    }
}
