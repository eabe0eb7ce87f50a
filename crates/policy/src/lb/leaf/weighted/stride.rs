use std::collections::VecDeque;
use std::hint::select_unpredictable;

use super::greatest_common_divisor;

/// A static stride scheduler (gRFC A58) in which no turn is passed: the draws go through as many
/// turns as there are endpoints, round after round, and each turn belongs to one endpoint, or is
/// shared by two.
///
/// An endpoint lighter than the mean leaves the rest of its turn to a heavier one (Walker's alias
/// method), so that each turn weighs the same. Of a shared turn one of the two has `share` of
/// 2³² rounds, spread evenly: in any number of rounds in a row it is less than one call away from
/// its due. A pick is thus one draw, one multiplication and one table read, whatever the weights:
/// a second draw would cost more than all the rest when threads share the sequence.
///
/// Precision: a weight below 1/32 767 of the mean counts as that much.
#[derive(Debug)]
pub(in crate::lb) struct Stride {
    turns: Box<[Turn]>,
}

/// One turn of a round.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// Whose it is in `share` of 2³² rounds.
    place: u32,
    /// Whose it is in the others; `place` again when it is not shared.
    other: u32,
    share: u32,
}

/// As many rounds make everything repeat.
const ROUNDS: f64 = 4_294_967_296.0;
/// What two neighbours' phases differ by: 2³² times the fraction of √2. Its multiples are spread
/// evenly, and have nothing in common with those of the golden ratio, by which turns are scattered.
const PHASE: u32 = 0x6A09_E667;
/// What the mean weight is in terms of the least that counts.
const LEAST: f64 = 32_767.0;

impl Stride {
    /// For endpoints of these weights, finite and more than 0; at least one.
    pub(super) fn new(weights: &[f64]) -> Self {
        let mut turns = divide(in_turns(weights));
        let is_shared = |turn: &Turn| turn.place != turn.other;
        if turns.iter().any(is_shared) {
            // An endpoint of many turns has them where the light ones are, which need not be
            // everywhere in the list.
            turns = scatter(&turns);
        }
        Self {
            turns: turns.into(),
        }
    }

    pub(super) fn place(&self, drawn: u64) -> usize {
        let count = self.turns.len() as u64;
        // Only the rounds' last 32 bits matter, because everything repeats.
        let (round, position) = ((drawn / count) as u32, (drawn % count) as u32);
        let Turn {
            place,
            other,
            share,
        } = self.turns[position as usize];
        // So that neighbours do not all change hands in the same round.
        let phase = position.wrapping_mul(PHASE);
        let is_first = round.wrapping_mul(share).wrapping_add(phase) < share;
        // Whose turn it is looks like chance to a branch predictor.
        select_unpredictable(is_first, place, other) as usize
    }

    /// The turns that this place shares with another.
    #[cfg(test)]
    pub(super) fn shared_turns(&self, place: usize) -> usize {
        let shared = |turn: &&Turn| {
            turn.place != turn.other
                && [turn.place, turn.other].contains(&u32::try_from(place).unwrap())
        };
        self.turns.iter().filter(shared).count()
    }
}

/// The weights in turns per round: their sum is their number.
fn in_turns(weights: &[f64]) -> Vec<f64> {
    let count = weights.len() as f64;
    // Scaled down first: the sum of finite numbers can be infinite.
    let heaviest = weights.iter().copied().fold(0.0, f64::max);
    let mean = weights.iter().map(|weight| weight / heaviest).sum::<f64>() / count;
    let least = mean / LEAST;
    let mut turns: Vec<f64> = weights
        .iter()
        .map(|weight| (weight / heaviest).max(least))
        .collect();
    let scale = count / turns.iter().sum::<f64>();
    for turns in &mut turns {
        *turns *= scale;
    }
    turns
}

/// Gives each endpoint its own turn, or what it weighs of it, and the rest to heavier ones.
fn divide(mut left: Vec<f64>) -> Vec<Turn> {
    let whole = |place: usize| {
        let place = u32::try_from(place).expect("a list of endpoints is shorter than 2³²");
        Turn {
            place,
            other: place,
            share: u32::MAX,
        }
    };
    let mut turns: Vec<Turn> = (0..left.len()).map(whole).collect();
    let (mut light, mut heavy) = (Vec::new(), VecDeque::new());
    for (place, left) in left.iter().enumerate() {
        if *left < 1.0 {
            light.push(place);
        } else {
            heavy.push_back(place);
        }
    }
    // In the order of the list; each time another heavy one, so that they alternate.
    light.reverse();
    while let Some(lighter) = light.pop()
        && let Some(heavier) = heavy.pop_front()
    {
        let turn = &mut turns[lighter];
        turn.share = (left[lighter] * ROUNDS) as u32;
        turn.other = u32::try_from(heavier).expect("a list of endpoints is shorter than 2³²");
        left[heavier] -= 1.0 - left[lighter];
        if left[heavier] < 1.0 {
            light.push(heavier);
        } else {
            heavy.push_back(heavier);
        }
    }
    // Who is left has one whole turn, but for the rounding.
    turns
}

/// The same turns in an order in which neighbours are spread evenly over the round.
fn scatter(turns: &[Turn]) -> Vec<Turn> {
    let count = turns.len() as u64;
    let golden = (count as f64 * 0.618_033_988_75) as u64;
    let step = (golden.max(1)..)
        .find(|step| greatest_common_divisor(*step, count) == 1)
        .expect("some number has no divisor in common with it");
    let mut next = 0;
    let scattered = (0..count).map(|_| {
        let turn = turns[next as usize];
        next += step;
        if next >= count {
            next -= count;
        }
        turn
    });
    scattered.collect()
}
