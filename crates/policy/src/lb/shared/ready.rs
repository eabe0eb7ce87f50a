use evenkeel_core::{EndpointId, EndpointIndex, EndpointView};

/// The READY endpoints that a picker chooses from; never empty.
///
/// What every pick reads is apart from what only retries read: it shall stay in the cache.
#[derive(Debug)]
pub(in crate::lb) struct Ready {
    indices: Box<[u32]>,
    ids: Box<[EndpointId]>,
}

impl Ready {
    pub(in crate::lb) fn new(endpoints: &[(EndpointIndex, &EndpointView)]) -> Self {
        let index =
            |index: usize| u32::try_from(index).expect("a list of endpoints is shorter than 2³²");
        Self {
            indices: endpoints.iter().map(|one| index(one.0.0)).collect(),
            ids: endpoints.iter().map(|one| one.1.id).collect(),
        }
    }

    pub(in crate::lb) const fn len(&self) -> usize {
        self.indices.len()
    }

    pub(in crate::lb) fn index(&self, place: usize) -> EndpointIndex {
        EndpointIndex(self.indices[place] as usize)
    }

    pub(in crate::lb) fn is_tried(&self, place: usize, tried: &[EndpointId]) -> bool {
        tried.contains(&self.ids[place])
    }

    /// The first place from `start` on, and around, that is not tried.
    ///
    /// Among any `tried.len() + 1` places one is not tried, so this is O(1) in the number of
    /// endpoints.
    pub(in crate::lb) fn first_untried(&self, start: usize, tried: &[EndpointId]) -> Option<usize> {
        (start..self.len())
            .chain(0..start)
            .find(|&place| !self.is_tried(place, tried))
    }
}
