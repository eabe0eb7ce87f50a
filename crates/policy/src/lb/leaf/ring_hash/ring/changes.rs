use crate::lb::leaf::ring_hash::members::Members;

/// What is other on a ring than on the one before, beside that members are gone with all their
/// entries.
///
/// A member's entries are numbered, and it has those up to some number: so few change when all
/// shares change a little. Both lists are of hashes with their members' places, in the ring's order.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) added: Vec<(u64, u32)>,
    /// Of members that have fewer than before.
    pub(super) dropped: Vec<(u64, u32)>,
    /// How many entries there are then.
    pub(super) size: usize,
}

impl Changes {
    /// Gives each of `members`, which are ranked and not none, a share of the entries by its weight.
    /// `least` and `most` are sizes of at least 1.
    ///
    /// There are as many as it takes for the lightest to have as many whole ones as it would have of
    /// `least`, and no more than `most`. By rank, so that rounding favours the same ones in every
    /// client.
    pub(super) fn new(members: &mut Members, least: u64, most: u64) -> Self {
        let weights = members
            .ranked()
            .iter()
            .map(|place| members.at(*place).weight);
        let (total, lightest) = weights.fold((0.0, f64::INFINITY), |(total, least), weight| {
            (total + weight, weight.min(least))
        });
        let lightest = lightest / total;
        // A share that is too small to be told from 0 makes no number; then `most` it is.
        let size = ((lightest * least as f64).ceil() / lightest).min(most as f64);
        let mut changes = Self::default();
        let (mut made, mut weights) = (0.0_f64, 0.0);
        for rank in 0..members.ranked().len() {
            let place = members.ranked()[rank];
            let member = members.at_mut(place);
            weights += member.weight;
            let end = (size * weights / total).min(size).ceil().max(made);
            let entries = (end - made) as u32;
            made = end;
            let list = if member.entries < entries {
                &mut changes.added
            } else {
                &mut changes.dropped
            };
            member.resize(entries, |hash| list.push((hash, rank as u32)));
        }
        changes.size = made as usize;
        for list in [&mut changes.added, &mut changes.dropped] {
            list.sort_unstable();
            for (_, rank) in list {
                *rank = members.ranked()[*rank as usize];
            }
        }
        changes
    }
}
