use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use etcd_client::KeyValue;
use evenkeel_core::Endpoint;
use evenkeel_discover::{Change, EndpointKey, EndpointSet};
use tracing::{debug, info, warn};

use super::DiscoverStats;
use super::loss::Loss;
use crate::{Codec, CodecError, Decoded, EtcdConfig};

/// The keys of one service, decoded. Knows nothing of connections.
///
/// What etcd says is put and deleted one by one, and [`Self::settle`] decides at the end of each
/// answer what that means.
#[derive(Debug)]
pub(super) struct Entries {
    codec: Arc<dyn Codec>,
    service: Arc<str>,
    /// What full keys have before the codec's part.
    prefix: String,
    set: EndpointSet,
    /// The list is that of a file.
    remembered: bool,
    /// Deleted in this answer.
    gone: Vec<(EndpointKey, Endpoint)>,
    /// In the set, though etcd has lost them.
    loss: Loss,
    /// Keys that were warned of, until they are mended or gone.
    warned: HashSet<EndpointKey>,
    stats: Arc<DiscoverStats>,
}

/// One key as etcd has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) revision: i64,
}

impl<'a> From<&'a KeyValue> for Raw<'a> {
    fn from(entry: &'a KeyValue) -> Self {
        Self {
            key: entry.key(),
            value: entry.value(),
            revision: entry.mod_revision(),
        }
    }
}

impl Entries {
    pub(super) fn new(config: &EtcdConfig, service: &str, stats: Arc<DiscoverStats>) -> Self {
        Self {
            codec: Arc::clone(&config.codec),
            service: service.into(),
            prefix: config.prefix.clone(),
            set: EndpointSet::new(),
            remembered: false,
            gone: Vec::new(),
            loss: Loss::new(&config.on_loss),
            warned: HashSet::new(),
            stats,
        }
    }

    /// etcd had exactly these some time ago, as far as is remembered. Whom it then does not have has
    /// left since, and was not lost.
    pub(super) fn recall<'a>(&mut self, list: impl IntoIterator<Item = Raw<'a>>, now: Instant) {
        self.replace(list, true, now);
        self.remembered = true;
    }

    /// etcd has exactly these; `continued` unless it has less history than it had.
    pub(super) fn replace<'a>(
        &mut self,
        list: impl IntoIterator<Item = Raw<'a>>,
        continued: bool,
        now: Instant,
    ) {
        let mut entries = Vec::new();
        let mut present = HashSet::new();
        for raw in list {
            let (key, endpoint) = self.decode(raw);
            if let Some(endpoint) = endpoint {
                self.loss.forget(&key);
                self.loss.found(&endpoint);
                entries.push((key.clone(), endpoint, revision(raw.revision)));
            }
            present.insert(key);
        }
        let is_news = !std::mem::take(&mut self.remembered) || entries.is_empty();
        // Their revisions mean nothing any more: whatever is written from now on is newer.
        let kept = self.loss.kept();
        entries.extend(kept.map(|(key, endpoint)| (key.clone(), endpoint.clone(), 0)));
        self.set.replace(entries);
        self.warned.retain(|key| present.contains(key));
        let told = self.set.told();
        self.gone = told
            .filter(|(_, endpoint)| !self.set.reaches(endpoint))
            .map(|(key, endpoint)| (key.clone(), endpoint.clone()))
            .collect();
        if continued && is_news {
            self.settle(now);
        } else if continued {
            self.gone.clear();
        } else {
            let gone = std::mem::take(&mut self.gone);
            let kept = self.loss.forgotten(gone, now);
            self.keep(kept);
        }
    }

    /// A key was written. One whose value has no endpoint any more is as good as deleted: a
    /// client that lists now would not see it either.
    pub(super) fn put(&mut self, raw: Raw<'_>) {
        let (key, endpoint) = self.decode(raw);
        let Some(endpoint) = endpoint else {
            self.remove(key);
            return;
        };
        self.loss.forget(&key);
        let instead_of = self.loss.found(&endpoint);
        self.set.put(key, endpoint, revision(raw.revision));
        if let Some(key) = instead_of {
            self.set.remove(&key);
        }
    }

    /// A key was deleted, or its lease has expired.
    pub(super) fn delete(&mut self, key: &[u8]) {
        let key = name(key);
        self.warned.remove(&key);
        self.remove(key);
    }

    /// The answer is complete.
    pub(super) fn settle(&mut self, now: Instant) {
        let mut gone = std::mem::take(&mut self.gone);
        // A server with another key has moved, and one that takes no calls has said goodbye.
        gone.retain(|(_, endpoint)| {
            endpoint.metadata().accepts_calls() && !self.set.reaches(endpoint)
        });
        if !gone.is_empty() {
            let left = self.set.len().saturating_sub(self.loss.len());
            let kept = self.loss.lose(gone, left, now);
            self.keep(kept);
        }
        self.stats.kept.store(self.loss.len(), Ordering::Relaxed);
    }

    /// Gives up those that etcd lost too long ago.
    pub(super) fn expire(&mut self, now: Instant) {
        let expired = self.loss.expired(now);
        self.give_up(expired, "for long enough");
    }

    /// Nobody listens where this one was.
    pub(super) fn refused(&mut self, key: &EndpointKey) {
        let endpoint = self.set.get(key.as_str()).cloned();
        if self.loss.forget(key)
            && let Some(endpoint) = endpoint
        {
            self.give_up(vec![(key.clone(), endpoint)], "until nobody listened there");
        }
    }

    /// Nobody watches etcd from now on, or somebody does. The time of those that are kept passes only
    /// while somebody does.
    pub(super) fn watched(&mut self, watched: bool, now: Instant) {
        self.loss.watched(watched, now);
    }

    /// When to expire the next ones, if there are any.
    pub(super) fn expire_at(&self) -> Option<Instant> {
        self.loss.expire_at()
    }

    /// Those that are here although etcd has lost them.
    pub(super) fn kept(&self) -> impl Iterator<Item = (EndpointKey, Endpoint)> {
        let kept = self.loss.kept();
        kept.map(|(key, endpoint)| (key.clone(), endpoint.clone()))
    }

    /// The one of them that has this key.
    pub(super) fn kept_at(&self, key: &EndpointKey) -> Option<&Endpoint> {
        self.loss.get(key)
    }

    /// How many of them there are.
    pub(super) fn kept_len(&self) -> usize {
        self.loss.len()
    }

    /// What is new since the last call.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        self.set.changes()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    fn remove(&mut self, key: EndpointKey) {
        if self.loss.get(&key).is_some() {
            return;
        }
        if let Some(endpoint) = self.set.get(key.as_str()) {
            let endpoint = endpoint.clone();
            self.set.remove(&key);
            self.gone.push((key, endpoint));
        }
    }

    fn keep(&mut self, kept: Vec<(EndpointKey, Endpoint)>) {
        if !kept.is_empty() {
            let (lost, of) = (self.loss.len(), self.set.len() + kept.len());
            let prefix = &self.prefix;
            // Once: the others of a burst come one by one.
            if lost == kept.len() {
                warn!(
                    prefix,
                    "etcd has lost {lost} of {of} endpoints, which are kept for now"
                );
            } else {
                debug!(prefix, "etcd has lost {lost} of {of} endpoints by now");
            }
        }
        for (key, endpoint) in kept {
            self.set.put(key, endpoint, 0);
        }
        self.stats.kept.store(self.loss.len(), Ordering::Relaxed);
    }

    fn give_up(&mut self, entries: Vec<(EndpointKey, Endpoint)>, why: &str) {
        if let [(key, endpoint), others @ ..] = &*entries {
            let (others, kept) = (others.len(), self.loss.len());
            let name = key.as_str().escape_debug();
            info!(key = %name, %endpoint, others, kept, "etcd has lost it, and it was kept {why}");
        }
        for (key, _) in entries {
            self.set.remove(&key);
        }
        self.stats.kept.store(self.loss.len(), Ordering::Relaxed);
    }

    fn decode(&mut self, raw: Raw<'_>) -> (EndpointKey, Option<Endpoint>) {
        let key = name(raw.key);
        let read = decode(
            &*self.codec,
            &self.service,
            &self.prefix,
            raw.key,
            raw.value,
        );
        let (endpoint, complaint) = match read {
            Ok(Some(decoded)) => (Some(decoded.endpoint), decoded.remark),
            // Another service's, whose name begins like this one's.
            Ok(None) => (None, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let Some(complaint) = complaint else {
            self.warned.remove(&key);
            return (key, endpoint);
        };
        self.stats.decode_errors.fetch_add(1, Ordering::Relaxed);
        if self.warned.insert(key.clone()) {
            // Anyone may have written it, so it must not begin a line of its own.
            let key = key.as_str().escape_debug();
            match endpoint {
                Some(_) => warn!(%key, "a part of the value is ignored: {complaint}"),
                None => warn!(%key, "the value is skipped: {complaint}"),
            }
        }
        (key, endpoint)
    }
}

/// What `codec` makes of a key after `prefix`.
pub(crate) fn decode(
    codec: &dyn Codec,
    service: &str,
    prefix: &str,
    key: &[u8],
    value: &[u8],
) -> Result<Option<Decoded>, CodecError> {
    let Ok(full) = std::str::from_utf8(key) else {
        return Err(CodecError::Other("the key is not UTF-8".into()));
    };
    let relative = full.strip_prefix(prefix).unwrap_or(full);
    // A value that a codec of somebody else's cannot bear must not end the discovery of others.
    let decoded = catch_unwind(AssertUnwindSafe(|| codec.decode(service, relative, value)));
    decoded.unwrap_or_else(|_| Err(CodecError::Other("the codec panicked".into())))
}

fn name(key: &[u8]) -> EndpointKey {
    EndpointKey::from(String::from_utf8_lossy(key).as_ref())
}

/// etcd's revisions are signed and start at 1.
fn revision(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or_default()
}

#[cfg(test)]
mod tests;
