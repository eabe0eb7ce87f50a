use evenkeel_core::Endpoint;
use indexmap::{IndexMap, IndexSet};

use super::{Fallback, Filter};
use crate::{Change, DiscoverError, EndpointKey};

/// Who is known, and who of them is told. Pure: a change costs what it touches, but for those that
/// turn the fallback on or off.
#[derive(Debug)]
pub(super) struct FilteredSet {
    filter: Filter,
    fallback: Fallback,
    known: IndexMap<EndpointKey, Known>,
    /// How many are of each class.
    matching: usize,
    substitutes: usize,
    touched: IndexSet<EndpointKey>,
    /// Told, and known no more.
    gone: IndexSet<EndpointKey>,
    /// Who was told last time.
    told: Class,
    /// Whether it was said, since anybody was told, that nobody is left.
    said: bool,
}

#[derive(Debug)]
struct Known {
    endpoint: Endpoint,
    class: Class,
    told: bool,
}

/// Who passes; in the order in which they are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Match,
    Substitute,
    Neither,
}

impl FilteredSet {
    pub(super) fn new(filter: Filter) -> Self {
        Self {
            filter,
            fallback: Fallback::None,
            known: IndexMap::new(),
            matching: 0,
            substitutes: 0,
            touched: IndexSet::new(),
            gone: IndexSet::new(),
            told: Class::Neither,
            said: false,
        }
    }

    pub(super) fn set_fallback(&mut self, fallback: Fallback) {
        self.fallback = fallback;
    }

    /// The source says this.
    pub(super) fn take(&mut self, change: Change) {
        match change {
            Change::Insert(key, endpoint) => {
                let class = self.class(&endpoint);
                self.count(class, true);
                let mut known = Known {
                    endpoint,
                    class,
                    told: self.gone.swap_remove(&key),
                };
                if let Some(old) = self.known.get(&key) {
                    known.told = old.told;
                    self.count(old.class, false);
                }
                self.known.insert(key.clone(), known);
                self.touched.insert(key);
            }
            Change::Remove(key) => {
                if let Some(known) = self.known.swap_remove(&key) {
                    self.count(known.class, false);
                    self.touched.swap_remove(&key);
                    if known.told {
                        self.gone.insert(key);
                    }
                }
            }
        }
    }

    /// What is new since the last call: who comes, then who goes.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let wanted = self.wanted();
        let touched = std::mem::take(&mut self.touched);
        let turned = std::mem::replace(&mut self.told, wanted) != wanted;
        let mut inserts = Vec::new();
        let mut removes = Vec::new();
        let mut look = |key: &EndpointKey, known: &mut Known, touched: bool| {
            let passes = known.class == wanted && wanted != Class::Neither;
            if passes && (touched || !known.told) {
                inserts.push(Change::Insert(key.clone(), known.endpoint.clone()));
            } else if !passes && known.told {
                removes.push(Change::Remove(key.clone()));
            }
            known.told = passes;
        };
        if turned {
            for (key, known) in &mut self.known {
                look(key, known, touched.contains(key));
            }
        } else {
            for key in &touched {
                if let Some(known) = self.known.get_mut(key) {
                    look(key, known, true);
                }
            }
        }
        removes.extend(self.gone.drain(..).map(Change::Remove));
        inserts.append(&mut removes);
        inserts
    }

    /// What to report when endpoints are known and none is told; once, or `again`.
    pub(super) fn nobody_left(&mut self, again: bool) -> Option<DiscoverError> {
        let nobody = self.told == Class::Neither && !self.known.is_empty();
        let said = std::mem::replace(&mut self.said, nobody);
        (nobody && (again || !said))
            .then(|| DiscoverError::none_matches(self.known.len(), self.filter.to_string()))
    }

    /// An endpoint that was told, to be told again as it is.
    pub(super) fn any(&self) -> Option<Change> {
        let mut told = self.known.iter().filter(|(_, known)| known.told);
        let (key, known) = told.next()?;
        Some(Change::Insert(key.clone(), known.endpoint.clone()))
    }

    /// How many the source has, and how many of them pass the filter.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.known.len(), self.matching)
    }

    /// Whether others are told because none matches.
    pub(super) fn falls_back(&self) -> bool {
        self.told == Class::Substitute
    }

    fn wanted(&self) -> Class {
        match (self.matching, self.substitutes) {
            (0, 0) => Class::Neither,
            (0, _) => Class::Substitute,
            _ => Class::Match,
        }
    }

    fn class(&self, endpoint: &Endpoint) -> Class {
        if self.filter.matches(endpoint) {
            return Class::Match;
        }
        let substitute = match &self.fallback {
            Fallback::None => false,
            Fallback::Any => true,
            Fallback::To(filter) => filter.matches(endpoint),
        };
        if substitute {
            Class::Substitute
        } else {
            Class::Neither
        }
    }

    fn count(&mut self, class: Class, one_more: bool) {
        let count = match class {
            Class::Match => &mut self.matching,
            Class::Substitute => &mut self.substitutes,
            Class::Neither => return,
        };
        if one_more {
            *count += 1;
        } else {
            *count -= 1;
        }
    }
}
