use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{EndpointIndex, EndpointView, Pick, PickArgs, Picker, Policy, Update, View};

/// Some of a view's endpoints, as a child policy is shown them.
///
/// What a wrapper that leaves endpoints out is made of: choose a subset, [`show`](Self::show) it to the
/// child, and return what comes back. The child's indices are its own; they are turned into those of
/// the whole view, in its picker too (one read of a table per pick).
#[derive(Clone, Debug, Default)]
pub struct Subset {
    endpoints: Vec<EndpointView>,
    /// Where each is in the whole view.
    indices: Arc<[u32]>,
}

impl Subset {
    /// The endpoints of `view` that `belongs` wants, in the view's order.
    pub fn of(view: &View<'_>, belongs: impl Fn(EndpointIndex, &EndpointView) -> bool) -> Self {
        view.indexed()
            .filter(|(index, endpoint)| belongs(*index, endpoint))
            .map(|(index, endpoint)| (index, endpoint.clone()))
            .collect()
    }

    /// Becomes the subset of these endpoints, and keeps what is as it was: cheaper than a new one
    /// when few of many have changed. Says whether anything has.
    ///
    /// `endpoints` are those of a view, with their places in it.
    pub fn refresh<'a>(
        &mut self,
        endpoints: impl IntoIterator<Item = (EndpointIndex, &'a EndpointView)>,
    ) -> bool {
        let mut len = 0;
        let mut changed = false;
        let mut moved: Option<Vec<u32>> = None;
        for (index, endpoint) in endpoints {
            match self.endpoints.get_mut(len) {
                Some(known) if is_the_same(known, endpoint) => {}
                Some(known) => {
                    known.clone_from(endpoint);
                    changed = true;
                }
                None => {
                    self.endpoints.push(endpoint.clone());
                    changed = true;
                }
            }
            let index = place(index);
            if moved.is_none() && self.indices.get(len) != Some(&index) {
                moved = Some(self.indices[..len].to_vec());
            }
            if let Some(moved) = &mut moved {
                moved.push(index);
            }
            len += 1;
        }
        self.endpoints.truncate(len);
        if moved.is_none() && len < self.indices.len() {
            moved = Some(self.indices[..len].to_vec());
        }
        if let Some(moved) = moved {
            self.indices = moved.into();
            changed = true;
        }
        changed
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The endpoints, as the child sees them.
    #[must_use]
    pub fn endpoints(&self) -> &[EndpointView] {
        &self.endpoints
    }

    /// The same, to change what the child sees of them.
    pub fn endpoints_mut(&mut self) -> &mut [EndpointView] {
        &mut self.endpoints
    }

    /// Asks `child` about these endpoints only.
    pub fn show(&self, child: &mut dyn Policy, now: Instant, view: &View<'_>) -> Update {
        let mut shown = *view;
        shown.endpoints = &self.endpoints;
        let mut update = child.update(now, &shown);
        update.picker = Arc::new(SubsetPicker {
            inner: update.picker,
            indices: self.indices.clone(),
        });
        for index in update.connect.iter_mut().chain(&mut update.disconnect) {
            *index = self.index(*index);
        }
        for (index, _) in &mut update.ejected {
            *index = self.index(*index);
        }
        update
    }

    /// What a child that gave a place out of range gets: a place out of range.
    fn index(&self, place: EndpointIndex) -> EndpointIndex {
        outer(&self.indices, place)
    }
}

fn place(index: EndpointIndex) -> u32 {
    u32::try_from(index.0).expect("a list of endpoints is shorter than 2³²")
}

/// Whether a policy would see no difference.
pub(super) fn is_the_same(known: &EndpointView, now: &EndpointView) -> bool {
    let error = |view: &EndpointView| {
        view.error
            .as_ref()
            .map(|error| Arc::as_ptr(error).cast::<()>())
    };
    known.id == now.id
        && known.state == now.state
        && known.connected == now.connected
        && known.held_back == now.held_back
        && Arc::ptr_eq(&known.endpoint, &now.endpoint)
        && Arc::ptr_eq(&known.stats, &now.stats)
        && error(known) == error(now)
}

fn outer(indices: &[u32], place: EndpointIndex) -> EndpointIndex {
    EndpointIndex(
        indices
            .get(place.0)
            .map_or(usize::MAX, |index| *index as usize),
    )
}

impl FromIterator<(EndpointIndex, EndpointView)> for Subset {
    /// From endpoints with their places in the whole view.
    fn from_iter<I: IntoIterator<Item = (EndpointIndex, EndpointView)>>(endpoints: I) -> Self {
        let (indices, endpoints): (Vec<_>, Vec<_>) = endpoints
            .into_iter()
            .map(|(index, endpoint)| (place(index), endpoint))
            .unzip();
        Self {
            endpoints,
            indices: indices.into(),
        }
    }
}

struct SubsetPicker {
    inner: Arc<dyn Picker>,
    indices: Arc<[u32]>,
}

impl Picker for SubsetPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Pick {
        match self.inner.pick(args) {
            Pick::Endpoint(place) => Pick::Endpoint(outer(&self.indices, place)),
            Pick::Connect(place) => Pick::Connect(outer(&self.indices, place)),
            other @ (Pick::Queue | Pick::Fail(_) | Pick::Drop(_)) => other,
        }
    }
}

impl fmt::Debug for SubsetPicker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubsetPicker")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::ConnectivityState::{Idle, Ready};

    use super::*;
    use crate::lb::RoundRobin;
    use crate::script::Script;

    #[test]
    fn a_child_sees_some_endpoints_and_its_indices_become_those_of_the_whole_view() {
        let script = Script::new(&[Ready, Ready, Idle, Ready, Idle]);
        let view = script.view();
        let odd = Subset::of(&view, |_, endpoint| endpoint.id.0 % 2 == 1);
        let mut child = RoundRobin::new();
        let update = odd.show(&mut child, script.now(), &view);
        assert_eq!(script.picks(&*update.picker, 4), [1, 3, 1, 3]);
        assert!(update.connect.is_empty());
        let rest = Subset::of(&view, |_, endpoint| endpoint.id.0 % 2 == 0);
        let update = rest.show(&mut child, script.now(), &view);
        assert_eq!(script.ids(&update.connect), [2, 4]);
    }

    #[test]
    fn a_refreshed_subset_is_the_one_made_afresh_and_says_whether_it_changed() {
        let mut script = Script::new(&[Ready, Ready, Idle, Ready, Idle]);
        let mut kept = Subset::default();
        let mut refresh = |script: &Script, belongs: fn(u64) -> bool| {
            let view = script.view();
            let belonging = || view.indexed().filter(|(_, one)| belongs(one.id.0));
            let changed = kept.refresh(belonging());
            let fresh: Subset = belonging().map(|(at, one)| (at, one.clone())).collect();
            assert_eq!(kept.indices, fresh.indices);
            assert_eq!(
                format!("{:?}", kept.endpoints),
                format!("{:?}", fresh.endpoints)
            );
            changed
        };
        assert!(refresh(&script, |id| id > 0));
        assert!(!refresh(&script, |id| id > 0));
        script.set(0, Idle);
        assert!(!refresh(&script, |id| id > 0), "of another one");
        script.set(3, Idle);
        assert!(refresh(&script, |id| id > 0));
        script.fail(3, "refused");
        assert!(refresh(&script, |id| id > 0));
        script.fail(3, "reset");
        assert!(refresh(&script, |id| id > 0), "another error");
        script.weigh(4, 2.0);
        assert!(refresh(&script, |id| id > 0));
        assert!(refresh(&script, |id| id > 1), "shorter at the front");
        assert!(refresh(&script, |id| id == 2), "shorter at the end");
        script.remove(0);
        assert!(refresh(&script, |id| id == 2), "at another place");
        script.add(9, Ready);
        assert!(refresh(&script, |id| id > 0));
        assert!(refresh(&script, |_| false));
        assert!(!refresh(&script, |_| false));
    }

    /// Connects the first endpoint when a call wants it.
    #[derive(Debug)]
    struct OnDemand;

    impl Policy for OnDemand {
        fn update(&mut self, _: Instant, _: &View<'_>) -> Update {
            Update::new(Idle, Arc::new(Self))
        }
    }

    impl Picker for OnDemand {
        fn pick(&self, _: &PickArgs<'_>) -> Pick {
            Pick::Connect(EndpointIndex(0))
        }
    }

    #[test]
    fn a_child_that_connects_on_demand_connects_its_own() {
        let script = Script::new(&[Idle; 3]);
        let view = script.view();
        let last = Subset::of(&view, |index, _| index.0 == 2);
        let update = last.show(&mut OnDemand, script.now(), &view);
        match script.answer(&*update.picker, &[], 0) {
            Pick::Connect(index) => assert_eq!(index.0, 2),
            other => panic!("{other:?}"),
        }
    }

    /// Answers with a place that there is none at.
    #[derive(Debug)]
    struct Astray;

    impl Policy for Astray {
        fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
            let mut update = crate::lb::petiole(view, |_| Arc::new(Self));
            update.connect = vec![EndpointIndex(7)];
            update
        }
    }

    impl Picker for Astray {
        fn pick(&self, _: &PickArgs<'_>) -> Pick {
            Pick::Endpoint(EndpointIndex(7))
        }
    }

    #[test]
    fn a_child_that_goes_astray_gets_no_endpoint_that_it_was_not_shown() {
        let script = Script::new(&[Ready; 8]);
        let view = script.view();
        let first = Subset::of(&view, |index, _| index.0 == 0);
        let update = first.show(&mut Astray, script.now(), &view);
        assert!(update.connect.iter().all(|index| index.0 >= 8));
        let headers = http::HeaderMap::new();
        match update.picker.pick(&PickArgs::new("/s/m", &headers, 0)) {
            Pick::Endpoint(index) => assert!(index.0 >= 8),
            other => panic!("{other:?}"),
        }
    }
}
