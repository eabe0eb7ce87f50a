use evenkeel_core::{EndpointId, EndpointIndex, EndpointView};

/// The READY endpoints that a picker chooses from; never empty.
#[derive(Debug)]
pub(super) struct Ready(Box<[(EndpointIndex, EndpointId)]>);

impl Ready {
    pub(super) fn new(endpoints: &[(EndpointIndex, &EndpointView)]) -> Self {
        Self(
            endpoints
                .iter()
                .map(|(index, endpoint)| (*index, endpoint.id))
                .collect(),
        )
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn index(&self, place: usize) -> EndpointIndex {
        self.0[place].0
    }

    pub(super) fn is_tried(&self, place: usize, tried: &[EndpointId]) -> bool {
        tried.contains(&self.0[place].1)
    }

    /// The first place from `start` on, and around, that is not tried.
    ///
    /// Among any `tried.len() + 1` places one is not tried, so this is O(1) in the number of
    /// endpoints.
    pub(super) fn first_untried(&self, start: usize, tried: &[EndpointId]) -> Option<usize> {
        (start..self.len())
            .chain(0..start)
            .find(|&place| !self.is_tried(place, tried))
    }
}
