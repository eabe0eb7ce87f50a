use super::ring::Ring;

/// Where a walk along the ring comes to an entry whose endpoint is as wanted: known for every entry,
/// so that a pick takes one step however many endpoints are not.
#[derive(Debug)]
pub(super) enum Next {
    /// Every endpoint is.
    Itself,
    /// None is.
    Nowhere,
    /// For each entry, the first one at or after it.
    At(Box<[u32]>),
}

impl Next {
    pub(super) fn new(ring: &Ring, wanted: impl Fn(usize) -> bool) -> Self {
        let is_wanted = |entry: &usize| wanted(ring.place(*entry));
        let Some(first) = (0..ring.len()).find(is_wanted) else {
            return Self::Nowhere;
        };
        if (first..ring.len()).all(|entry| is_wanted(&entry)) && first == 0 {
            return Self::Itself;
        }
        let mut next = first as u32;
        let mut at: Box<[u32]> = vec![0; ring.len()].into();
        for entry in (0..ring.len()).rev() {
            if is_wanted(&entry) {
                next = entry as u32;
            }
            at[entry] = next;
        }
        Self::At(at)
    }

    /// The first entry at or after `entry`, around the ring.
    pub(super) fn from(&self, entry: usize) -> Option<usize> {
        match self {
            Self::Itself => Some(entry),
            Self::Nowhere => None,
            Self::At(at) => Some(at[entry] as usize),
        }
    }
}
