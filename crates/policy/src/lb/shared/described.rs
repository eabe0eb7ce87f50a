use std::sync::Arc;

use evenkeel_core::{Endpoint, Metadata, View};

use super::kept::Kept;

/// What a policy makes of each endpoint's metadata, made again only when that was.
#[derive(Debug)]
pub(in crate::lb) struct Described<T>(Kept<(Arc<Endpoint>, T)>);

impl<T> Default for Described<T> {
    fn default() -> Self {
        Self(Kept::default())
    }
}

impl<T: PartialEq> Described<T> {
    /// Follows the endpoints of `view`. Whether anything came, went, moved or is another than before.
    pub(in crate::lb) fn follow(
        &mut self,
        view: &View<'_>,
        mut make: impl FnMut(&Metadata) -> T,
    ) -> bool {
        let mut changed = self.0.follow(
            view.endpoints,
            |one| one.id,
            |one| (one.endpoint.clone(), make(one.endpoint.metadata())),
        );
        for (place, one) in view.endpoints.iter().enumerate() {
            if !Arc::ptr_eq(&one.endpoint, &self.0.at(place).0) {
                let made = make(one.endpoint.metadata());
                let known = self.0.at_mut(place);
                changed |= made != known.1;
                *known = (one.endpoint.clone(), made);
            }
        }
        changed
    }

    /// Makes everything again next time.
    pub(in crate::lb) fn clear(&mut self) {
        self.0.clear();
    }

    /// In the order of the view.
    pub(in crate::lb) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, made)| made)
    }
}
