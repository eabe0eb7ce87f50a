use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{BuildPolicy, EndpointIndex, Update, View};

use super::routes::{Combination, Routes};
use super::table::Table;
use crate::lb::shared::child::Child;
use crate::lb::shared::described::Described;

/// How many combinations of values may be in use.
pub(super) const MAX_SUBSETS: usize = 512;

/// The endpoints by what they have, and a child for each combination.
pub(super) struct Subsets {
    build: Arc<dyn BuildPolicy>,
    /// The places in `subsets` of each endpoint; `None` when they are too many.
    memberships: Described<Option<Box<[usize]>>>,
    places: HashMap<Combination, usize>,
    /// `None` where one has lost its last endpoint.
    subsets: Vec<Option<One>>,
    /// Where those are.
    free: Vec<usize>,
    table: Arc<Table>,
    too_many: bool,
}

#[derive(Default)]
struct One {
    /// Made when it is asked first.
    child: Option<Child>,
    members: Vec<EndpointIndex>,
}

impl Subsets {
    pub(super) fn new(build: Arc<dyn BuildPolicy>) -> Self {
        Self {
            build,
            memberships: Described::default(),
            places: HashMap::new(),
            subsets: Vec::new(),
            free: Vec::new(),
            table: Arc::default(),
            too_many: false,
        }
    }

    /// Gives the children another config; they stay where the combinations mean the same.
    pub(super) fn reconfigure(&mut self, build: Arc<dyn BuildPolicy>, same_keys: bool) {
        self.memberships.clear();
        if !same_keys {
            self.places.clear();
            self.subsets.clear();
            self.free.clear();
        }
        for child in self.subsets.iter_mut().flatten() {
            if let Some(child) = &mut child.child {
                child.reconfigure(&*build);
            }
        }
        self.build = build;
    }

    /// Follows the endpoints of `view`.
    pub(super) fn follow(&mut self, view: &View<'_>, routes: &Routes) {
        if !self.place(view, routes) {
            return;
        }
        self.gather(view, routes);
        if self.too_many {
            // Those that are gone may have left room for those that came, or that had none before.
            self.memberships.clear();
            self.place(view, routes);
            self.gather(view, routes);
        }
    }

    /// Finds out which subsets each endpoint is in. Whether that is another answer than before.
    fn place(&mut self, view: &View<'_>, routes: &Routes) -> bool {
        let (places, subsets, free) = (&mut self.places, &mut self.subsets, &mut self.free);
        let mut too_many = false;
        self.memberships.follow(view, |metadata| {
            // All calls fail then: nothing is gained by finding out about the others.
            if too_many {
                return None;
            }
            let combinations = routes.combinations(metadata, MAX_SUBSETS);
            let memberships = combinations.and_then(|combinations| {
                let place = |combination| {
                    let is_full = places.len() >= MAX_SUBSETS;
                    match places.entry(combination) {
                        Entry::Occupied(known) => Some(*known.get()),
                        Entry::Vacant(_) if is_full => None,
                        Entry::Vacant(new) => {
                            let place = free.pop().unwrap_or_else(|| {
                                subsets.push(None);
                                subsets.len() - 1
                            });
                            subsets[place] = Some(One::default());
                            Some(*new.insert(place))
                        }
                    }
                };
                combinations.into_iter().map(place).collect()
            });
            too_many = memberships.is_none();
            memberships
        })
    }

    /// Finds the members of each subset, and forgets those that have none.
    fn gather(&mut self, view: &View<'_>, routes: &Routes) {
        for one in self.subsets.iter_mut().flatten() {
            one.members.clear();
        }
        self.too_many = false;
        for ((index, _), memberships) in view.indexed().zip(self.memberships.iter()) {
            self.too_many |= memberships.is_none();
            for place in memberships.iter().flatten() {
                if let Some(one) = &mut self.subsets[*place] {
                    one.members.push(index);
                }
            }
        }
        for (place, one) in self.subsets.iter_mut().enumerate() {
            if one.as_ref().is_some_and(|one| one.members.is_empty()) {
                *one = None;
                self.free.push(place);
            }
        }
        let subsets = &self.subsets;
        self.places.retain(|_, place| subsets[*place].is_some());
        let mut there_is = String::new();
        for (place, route) in routes.iter().enumerate() {
            let values = self.places.keys().filter_map(|one| one[place].as_deref());
            let separator = if place == 0 { "" } else { "; " };
            there_is += &format!("{separator}{} {}", route.key, list(values.collect()));
        }
        let places = self.places.iter().map(|(key, place)| (key.clone(), *place));
        self.table = Arc::new(Table::new(places.collect(), there_is));
    }

    pub(super) const fn are_too_many(&self) -> bool {
        self.too_many
    }

    pub(super) fn table(&self) -> Arc<Table> {
        self.table.clone()
    }

    /// In how many subsets each endpoint is.
    pub(super) fn memberships(&self) -> impl Iterator<Item = usize> {
        let all = self.memberships.iter();
        all.map(|places| places.as_deref().map_or(0, <[_]>::len))
    }

    /// Shows each child its endpoints, and `hear`s by its place what it says, and of whom.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        view: &View<'_>,
        mut hear: impl FnMut(usize, &Update, &[EndpointIndex]),
    ) {
        let build = &*self.build;
        for (place, one) in self.subsets.iter_mut().enumerate() {
            let Some(One { child, members }) = one else {
                continue;
            };
            let child = child.get_or_insert_with(|| Child::new(build));
            let endpoints = members.iter();
            let endpoints = endpoints.map(|index| (*index, &view.endpoints[index.0]));
            hear(place, child.update(now, view, endpoints), members);
        }
    }
}

/// The first few of `values`, for an error.
fn list(values: BTreeSet<&str>) -> String {
    const NAMED: usize = 8;
    let named: Vec<_> = values
        .iter()
        .take(NAMED)
        .map(|it| format!("{it:?}"))
        .collect();
    match values.len() {
        0 => "nowhere".to_owned(),
        len if len > NAMED => format!("{} and {} more", named.join(", "), len - NAMED),
        _ => named.join(", "),
    }
}

impl fmt::Debug for Subsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.places.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::ConnectivityState::Ready;
    use http::HeaderName;

    use super::*;
    use crate::lb::{MetadataKey, MetadataRoutingConfig, RoundRobin, Route};
    use crate::script::Script;

    fn by_tags(routes: usize) -> Routes {
        let route = Route::new(HeaderName::from_static("x-tag"), MetadataKey::Tag);
        let config = MetadataRoutingConfig {
            routes: vec![route; routes],
            ..MetadataRoutingConfig::default()
        };
        Routes::new(config).unwrap()
    }

    fn tag(script: &mut Script, id: u64, tags: impl Iterator<Item = u64>) {
        let tags = tags.map(|tag| tag.to_string()).collect();
        script.describe(id, |metadata| metadata.tags = tags);
    }

    #[test]
    fn what_a_registry_lists_takes_no_more_than_its_bound() {
        for (routes, endpoints, tags) in [(1, 10_000, 1), (2, 1_000, 20), (4, 1_000, 20)] {
            let routes = by_tags(routes);
            let mut script = Script::new(&vec![Ready; endpoints]);
            for id in 0..endpoints as u64 {
                tag(&mut script, id, id * tags..(id + 1) * tags);
            }
            let mut subsets = Subsets::new(Arc::new(RoundRobin::new));
            for _ in 0..3 {
                subsets.follow(&script.view(), &routes);
                assert!(subsets.are_too_many());
                assert!(subsets.places.len() <= MAX_SUBSETS);
                assert!(subsets.subsets.len() <= MAX_SUBSETS);
                tag(&mut script, 7, 1..3);
            }
        }
    }

    #[test]
    fn what_comes_takes_the_room_of_what_went() {
        let routes = by_tags(1);
        // That of all of them is the last.
        let most = MAX_SUBSETS as u64 - 1;
        let mut script = Script::new(&vec![Ready; MAX_SUBSETS - 1]);
        for id in 0..most {
            tag(&mut script, id, id..id + 1);
        }
        let mut subsets = Subsets::new(Arc::new(RoundRobin::new));
        let mut too_many = |script: &Script| {
            subsets.follow(&script.view(), &routes);
            assert!(subsets.subsets.len() <= MAX_SUBSETS);
            assert_eq!(
                subsets.places.len() + subsets.free.len(),
                subsets.subsets.len()
            );
            subsets.are_too_many()
        };
        assert!(!too_many(&script));
        tag(&mut script, 3, 9_000..9_001);
        assert!(!too_many(&script));
        script.add(7_000, Ready);
        tag(&mut script, 7_000, 7_000..7_001);
        assert!(too_many(&script));
        script.remove(4);
        assert!(!too_many(&script));
        for id in 5..most {
            script.remove(id);
        }
        assert!(!too_many(&script));
        for id in 5..most {
            script.add(id, Ready);
            tag(&mut script, id, id..id + 1);
        }
        assert!(!too_many(&script));
    }
}
