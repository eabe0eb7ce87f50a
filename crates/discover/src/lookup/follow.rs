use std::future::{pending, poll_fn};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use evenkeel_core::Endpoint;
use indexmap::IndexMap;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::entries::FAR;
use super::{Open, Shared};
use crate::source::{Batch, now};
use crate::{Change, DiscoverError, EndpointKey};

/// What the source of a service has said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    list: Option<Arc<[Endpoint]>>,
    /// What it said last, if that was a report.
    report: Option<DiscoverError>,
    /// Since when it cannot be asked.
    down_since: Option<Instant>,
}

impl Known {
    /// Whether there is something to answer.
    pub(super) fn has_answered(&self) -> bool {
        self.list.is_some() || self.report.is_some()
    }

    pub(super) fn is_stale(&self) -> bool {
        self.down_since.is_some()
    }

    /// The answer: somebody, or why there is nobody.
    pub(super) fn list(
        &self,
        service: &str,
        now: Instant,
        max_stale: Duration,
    ) -> Result<Arc<[Endpoint]>, DiscoverError> {
        let age = |since| now.saturating_duration_since(since);
        let is_good = self.down_since.is_none_or(|since| age(since) < max_stale);
        match (&self.list, &self.report) {
            (Some(list), _) if !list.is_empty() && is_good => Ok(Arc::clone(list)),
            (_, Some(report)) => Err(report.clone()),
            _ => Err(DiscoverError::empty("the source", service)),
        }
    }
}

/// After a report, as long as nothing else comes: as the balancer does it.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The task that watches one service.
pub(super) struct Follow {
    shared: Weak<Shared>,
    service: Arc<str>,
    id: u64,
    tell: watch::Sender<Known>,
    known: Known,
    endpoints: IndexMap<EndpointKey, Endpoint>,
    /// The present source has said nothing yet: what it says takes the place of everything.
    is_new: bool,
}

impl Follow {
    pub(super) fn new(
        shared: Weak<Shared>,
        service: Arc<str>,
        id: u64,
        tell: watch::Sender<Known>,
    ) -> Self {
        Self {
            shared,
            service,
            id,
            tell,
            known: Known::default(),
            endpoints: IndexMap::new(),
            is_new: true,
        }
    }

    /// Until nobody has asked for so long, or the cache is gone.
    pub(super) async fn run(mut self, open: Arc<Open>) {
        let mut source = open(&self.service);
        // After the end of the source: when to open it again.
        let mut reopen_at = None;
        // After a report: what fails over and over may never pause by itself.
        let mut pause = FIRST_PAUSE;
        let mut resume_at = tokio::time::Instant::now();
        loop {
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            let idle_at = match shared.idle_at(&self.service, self.id) {
                Some(idle_at) => idle_at,
                None if self.known.has_answered() => return,
                // It was evicted. Those who still wait keep this task, and it ends with them.
                None => now() + FAR,
            };
            let refresh = shared.config.refresh.max(Duration::from_millis(10));
            // Not held while waiting: the cache ends when its last handle is dropped.
            drop(shared);
            let next = async {
                sleep_until(resume_at).await;
                poll_fn(|cx| source.poll_batch(cx)).await
            };
            let reopen = async {
                match reopen_at {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                batch = next => {
                    let now = tokio::time::Instant::now();
                    if batch.ended {
                        reopen_at = now.checked_add(refresh);
                    }
                    if batch.items.iter().any(Result::is_ok) {
                        pause = FIRST_PAUSE;
                    }
                    if batch.items.last().is_some_and(Result::is_err) {
                        resume_at = now + pause;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                    self.take(batch);
                    // Nor may what always has something new.
                    tokio::task::yield_now().await;
                }
                () = reopen => {
                    reopen_at = None;
                    source = open(&self.service);
                    self.is_new = true;
                }
                () = sleep_until(idle_at.into()) => {
                    let Some(shared) = self.shared.upgrade() else {
                        return;
                    };
                    if shared.expire(&self.service, self.id, now()) {
                        return;
                    }
                }
            }
        }
    }

    fn take(&mut self, batch: Batch) {
        let had_answered = self.known.has_answered();
        for item in batch.items {
            match item {
                Ok(change) => {
                    if std::mem::take(&mut self.is_new) {
                        self.endpoints.clear();
                    }
                    match change {
                        Change::Insert(key, endpoint) => {
                            self.endpoints.insert(key, endpoint);
                        }
                        Change::Remove(key) => {
                            self.endpoints.shift_remove(&key);
                        }
                    }
                    self.known.report = None;
                    self.known.down_since = None;
                }
                Err(report) => self.reported(report),
            }
        }
        if batch.ended && self.is_new && self.known.report.is_none() {
            let (name, now) = (format!("the source of {:?}", self.service), now());
            let reason = "it has ended without an endpoint";
            self.reported(DiscoverError::unavailable(name, now, now, reason));
        }
        if !self.is_new {
            let list = self.endpoints.values();
            let is_same = self.known.list.as_ref().is_some_and(|old| {
                old.len() == list.len() && old.iter().zip(list.clone()).all(|(a, b)| a == b)
            });
            if !is_same {
                self.known.list = Some(list.cloned().collect());
                if had_answered && let Some(shared) = self.shared.upgrade() {
                    shared.stats.refreshed();
                }
            }
        }
        self.tell.send_replace(self.known.clone());
    }

    fn reported(&mut self, report: DiscoverError) {
        if report.is_empty() {
            if std::mem::take(&mut self.is_new) {
                self.endpoints.clear();
            }
            self.known.down_since = None;
        } else {
            self.known.down_since.get_or_insert_with(now);
        }
        self.known.report = Some(report);
    }
}
