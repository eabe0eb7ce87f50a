/// A static stride scheduler (gRFC A58): the draws go through all endpoints, round after round,
/// and in each round an endpoint takes its turn or passes.
///
/// One of weight `w`, scaled so that the heaviest has [`Stride::FULL`], takes its turn in `w` of
/// `FULL` rounds. A pick thus costs as many draws as the heaviest weight is larger than the mean;
/// to keep that below three on average, an endpoint heavier than twice the mean goes through as
/// several lighter ones, spread over the round.
///
/// Precision: a weight below 1/32 767 of the mean counts as that much.
#[derive(Debug)]
pub(in crate::lb) struct Stride {
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    place: u32,
    weight: u16,
}

impl Stride {
    /// The rounds after which everything repeats.
    pub(super) const FULL: u64 = u16::MAX as u64;
    /// Half of that, so that neighbours do not all pass in the same round.
    const OFFSET: u64 = Self::FULL / 2;

    /// For endpoints of these weights, finite and more than 0; at least one.
    pub(super) fn new(weights: &[f64]) -> Self {
        // Scaled down first: the sum of finite numbers can be infinite.
        let heaviest = weights.iter().copied().fold(0.0, f64::max);
        let relative: Vec<f64> = weights.iter().map(|weight| weight / heaviest).collect();
        let limit = 2.0 * relative.iter().sum::<f64>() / relative.len() as f64;

        let mut slots = Vec::with_capacity(relative.len() * 3 / 2 + 1);
        for (place, weight) in relative.into_iter().enumerate() {
            let parts = (weight / limit).ceil().max(1.0);
            // In the middle of the `part`-th of as many equal pieces of the round.
            let position = |part| (f64::from(part) + 0.5) / parts;
            slots.extend((0..parts as u32).map(|part| (position(part), place, weight / parts)));
        }
        if slots.len() > weights.len() {
            slots.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        let full = slots.iter().map(|slot| slot.2).fold(0.0, f64::max);
        let slot = |(_, place, weight): (f64, usize, f64)| Slot {
            place: u32::try_from(place).expect("a list of endpoints is shorter than 2³²"),
            weight: (weight / full * Self::FULL as f64).round().max(1.0) as u16,
        };
        Self {
            slots: slots.into_iter().map(slot).collect(),
        }
    }

    pub(super) fn next(&self, mut draw: impl FnMut() -> u64) -> usize {
        loop {
            let drawn = draw();
            let count = self.slots.len() as u64;
            let (round, position) = (drawn / count % Self::FULL, drawn % count);
            let Slot { place, weight } = self.slots[position as usize];
            let weight = u64::from(weight);
            let phase = (weight * round + position * Self::OFFSET) % Self::FULL;
            // The heaviest never passes, so this ends within one round.
            if phase >= Self::FULL - weight {
                return place as usize;
            }
        }
    }
}
