use std::sync::Arc;
use std::time::Instant;

use crate::source::Batch;
use crate::{Change, DiscoverError, EndpointKey, EndpointSet};

/// What several sources say, as one. Pure.
#[derive(Debug, Default)]
pub(super) struct MergeState {
    set: EndpointSet,
    sources: Vec<Known>,
    reports: Vec<Outage>,
    /// The last thing told was a report.
    reported: bool,
    /// It was told that all are empty, and nothing since.
    told_empty: bool,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    says: Says,
    /// How many endpoints it has.
    count: usize,
}

impl Known {
    /// Whether its endpoints are as good as any.
    fn is_well(&self) -> bool {
        matches!(self.says, Says::Endpoints) && self.count > 0
    }
}

/// A report to tell.
#[derive(Debug)]
struct Outage {
    report: DiscoverError,
    /// It goes on: the same source has reported it before.
    is_old: bool,
}

/// What a source said last.
#[derive(Debug)]
enum Says {
    Nothing,
    Endpoints,
    Empty(DiscoverError),
    Unavailable,
}

impl MergeState {
    /// There is another source; it gets the next index.
    pub(super) fn add(&mut self, name: &Arc<str>) {
        self.sources.push(Known {
            name: Arc::clone(name),
            says: Says::Nothing,
            count: 0,
        });
    }

    /// The source with this index says so.
    pub(super) fn take(&mut self, index: usize, batch: Batch, now: Instant) {
        let Some(known) = self.sources.get_mut(index) else {
            return;
        };
        let name = &known.name;
        let key = |key: &EndpointKey| EndpointKey::from(format!("{name}/{key}"));
        // Takes the place of a revision: the first source's metadata wins.
        let preference = u64::MAX - index as u64;
        for item in batch.items {
            known.says = match item {
                Ok(Change::Insert(its, endpoint)) => {
                    let key = key(&its);
                    known.count += usize::from(self.set.get(key.as_str()).is_none());
                    self.set.put(key, endpoint, preference);
                    Says::Endpoints
                }
                Ok(Change::Remove(its)) => {
                    let key = key(&its);
                    known.count -= usize::from(self.set.get(key.as_str()).is_some());
                    self.set.remove(&key);
                    Says::Endpoints
                }
                Err(report) if report.is_empty() => Says::Empty(report.named(name)),
                Err(report) => {
                    let is_old = matches!(known.says, Says::Unavailable);
                    let report = report.named(name);
                    self.reports.push(Outage { report, is_old });
                    Says::Unavailable
                }
            };
        }
        if batch.ended {
            let report = DiscoverError::unavailable("", now, now, "the source has ended");
            let report = report.named(name);
            let is_old = false;
            self.reports.push(Outage { report, is_old });
            // What it said last is true as long as this lives: a list that ends is a list.
            if matches!(known.says, Says::Nothing) {
                known.says = Says::Unavailable;
            }
        }
    }

    /// What to tell of all that was taken since the last call: changes first.
    pub(super) fn news(&mut self) -> Vec<Result<Change, DiscoverError>> {
        let changes = self.set.changes();
        if !changes.is_empty() {
            self.reported = false;
            self.told_empty = false;
        }
        let mut news: Vec<_> = changes.into_iter().map(Ok).collect();
        let mut reports = std::mem::take(&mut self.reports);
        // Others are well, so the list as a whole is. An outage is told once then, or it would come
        // and go with each report.
        let is_well = self.sources.iter().any(Known::is_well);
        reports.retain(|outage| !(is_well && outage.is_old));
        self.reported |= !reports.is_empty();
        self.told_empty &= reports.is_empty();
        news.extend(reports.into_iter().map(|outage| Err(outage.report)));
        let is_out = |known: &Known| matches!(known.says, Says::Unavailable);
        if self.set.is_empty() {
            if !self.told_empty
                && let Some(report) = self.all_empty()
            {
                news.push(Err(report));
                self.reported = true;
                self.told_empty = true;
            }
        } else if self.reported && (is_well || !self.sources.iter().any(is_out)) {
            // Told once more as it is, because nothing else says that the list is well.
            let mut told = self.set.told();
            let any = told.next();
            news.extend(
                any.map(|(key, endpoint)| Ok(Change::Insert(key.clone(), endpoint.clone()))),
            );
            self.reported = false;
        }
        news
    }

    /// The report that nobody has anything, if each source has said so.
    fn all_empty(&self) -> Option<DiscoverError> {
        let reports = self.sources.iter().map(|known| match &known.says {
            Says::Empty(report) => Some(report.clone()),
            _ => None,
        });
        let reports: Vec<_> = reports.collect::<Option<_>>()?;
        Some(DiscoverError::AllEmpty {
            reports: reports.into(),
        })
    }
}
