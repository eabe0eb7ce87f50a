use std::time::Instant;

use evenkeel_core::{EndpointView, Policy, Update, View};

use super::subset::is_the_same;

/// All the endpoints of a view, some of them in another state, as a child is shown them.
///
/// Kept between updates: what did not change is not copied again.
#[derive(Debug, Default)]
pub(in crate::lb) struct Shown {
    endpoints: Vec<EndpointView>,
}

impl Shown {
    /// Asks `child` about `view`, in which `change` says what looks different, by place.
    pub(in crate::lb) fn show(
        &mut self,
        child: &mut dyn Policy,
        now: Instant,
        view: &View<'_>,
        change: impl Fn(usize, &EndpointView) -> Option<EndpointView>,
    ) -> Update {
        self.endpoints.truncate(view.endpoints.len());
        for (place, one) in view.endpoints.iter().enumerate() {
            let changed = change(place, one);
            match self.endpoints.get_mut(place) {
                None => self.endpoints.push(changed.unwrap_or_else(|| one.clone())),
                Some(shown) => {
                    let one = changed.as_ref().unwrap_or(one);
                    if !is_the_same(shown, one) {
                        *shown = one.clone();
                    }
                }
            }
        }
        let mut shown = *view;
        shown.endpoints = &self.endpoints;
        child.update(now, &shown)
    }

    /// Lets go of what was shown, when nothing looks different any more.
    pub(in crate::lb) fn clear(&mut self) {
        self.endpoints.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use evenkeel_core::ConnectivityState::{Idle, Ready, TransientFailure};
    use proptest::prelude::*;

    use super::*;
    use crate::lb::RoundRobin;
    use crate::script::Script;

    /// Remembers what it was shown.
    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Policy for Seen {
        fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
            self.0 = view.endpoints.iter().map(|it| format!("{it:?}")).collect();
            RoundRobin::new().update(now, view)
        }
    }

    proptest! {
        #[test]
        fn a_child_sees_the_present_view_with_its_changes(
            steps in proptest::collection::vec((0..6_u64, 0..6_u8, 0..8_u64), 1..40),
        ) {
            let mut script = Script::new(&[Ready; 3]);
            let mut shown = Shown::default();
            let mut child = Seen::default();
            for (id, action, hidden) in steps {
                let is_there = script.endpoints.iter().any(|one| one.id.0 == id);
                match (action, is_there) {
                    (_, false) => script.add(id, Idle),
                    (0, true) => script.remove(id),
                    (1, true) => script.set(id, Ready),
                    (2, true) => script.fail(id, "refused"),
                    (3, true) => script.weigh(id, 2.0),
                    (4, true) => script.find(id).stats = Arc::default(),
                    (_, true) => script.hold_back(id, "open"),
                }
                let change = |_: usize, one: &EndpointView| {
                    (one.id.0 == hidden).then(|| {
                        let mut changed = one.clone();
                        changed.state = TransientFailure;
                        changed
                    })
                };
                shown.show(&mut child, script.now(), &script.view(), change);
                let expected: Vec<_> = script
                    .endpoints
                    .iter()
                    .map(|one| format!("{:?}", change(0, one).unwrap_or_else(|| one.clone())))
                    .collect();
                prop_assert_eq!(&child.0, &expected);
            }
        }
    }
}
