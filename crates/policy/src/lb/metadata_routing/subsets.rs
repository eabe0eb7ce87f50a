use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{BuildPolicy, EndpointIndex, Update, View};

use super::routes::{Combination, Routes};
use super::table::Table;
use crate::lb::child::Child;
use crate::lb::described::Described;

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
        let (places, subsets) = (&mut self.places, &mut self.subsets);
        let changed = self.memberships.follow(view, |metadata| {
            let combinations = routes.combinations(metadata, MAX_SUBSETS)?;
            let place = |combination| {
                *places.entry(combination).or_insert_with(|| {
                    let free = subsets.iter().position(Option::is_none);
                    let place = free.unwrap_or(subsets.len());
                    subsets.resize_with(subsets.len().max(place + 1), || None);
                    subsets[place] = Some(One::default());
                    place
                })
            };
            Some(combinations.into_iter().map(place).collect())
        });
        if changed {
            self.gather(view, routes);
        }
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
        for one in &mut self.subsets {
            if one.as_ref().is_some_and(|one| one.members.is_empty()) {
                *one = None;
            }
        }
        let subsets = &self.subsets;
        self.places.retain(|_, place| subsets[*place].is_some());
        self.too_many |= self.places.len() > MAX_SUBSETS;
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
