use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// The endpoints that a picker wants connected though the call goes elsewhere. It cannot say so in its
/// answer: the policy looks here when it is asked next, which the waker makes soon.
#[derive(Debug)]
pub(super) struct Wishes {
    /// A bit for each place.
    bits: Box<[AtomicU64]>,
    waker: Option<Waker>,
}

impl Wishes {
    pub(super) fn new(endpoints: usize, waker: Option<Waker>) -> Self {
        let words = endpoints.div_ceil(u64::BITS as usize);
        Self {
            bits: (0..words).map(|_| AtomicU64::new(0)).collect(),
            waker,
        }
    }

    /// Of many callers with the same wish only the first writes and wakes.
    #[cold]
    pub(super) fn add(&self, place: usize) {
        let (word, bit) = (&self.bits[place / 64], 1 << (place % 64));
        if word.load(Ordering::Relaxed) & bit == 0
            && word.fetch_or(bit, Ordering::AcqRel) & bit == 0
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }

    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        let words = self.bits.iter().enumerate();
        words.flat_map(|(index, word)| {
            let word = word.load(Ordering::Acquire);
            let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| index * 64 + bit)
        })
    }
}
