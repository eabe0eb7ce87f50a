//! Turns weights into an order of turns, for pickers that draw from one [`Sequence`].
//!
//! | weights | scheduler |
//! |---|---|
//! | make a rotation of at most [`Rotation::LONGEST`] turns | [`Rotation`]: exact in each rotation, one table read per pick |
//! | all others | [`Stride`]: exact in the long run |
//!
//! Either takes one draw and one table read per pick.
//!
//! [`Sequence`]: crate::lb::shared::sequence::Sequence

mod picker;
mod rotation;
mod stride;

pub(super) use picker::{Turns, WeightedPicker};
use rotation::Rotation;
use stride::Stride;

/// Whose turn it is, by weight; immutable.
#[derive(Debug)]
enum Scheduler {
    Rotation(Rotation),
    Stride(Stride),
}

impl Scheduler {
    /// For endpoints of these weights, finite and more than 0; at least one.
    fn new(weights: &[f64]) -> Self {
        match rotation::reduce(weights) {
            Some(shares) => Self::Rotation(Rotation::new(&shares)),
            None => Self::Stride(Stride::new(weights)),
        }
    }

    /// The place, in the list of weights, whose turn a draw is.
    fn place(&self, drawn: u64) -> usize {
        match self {
            Self::Rotation(rotation) => rotation.place(drawn),
            Self::Stride(stride) => stride.place(drawn),
        }
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests;
