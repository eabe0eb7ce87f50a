use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use evenkeel_core::Endpoint;
use evenkeel_discover::{Change, EndpointKey, EndpointSet};
use tracing::warn;

use super::DiscoverStats;
use super::kept::Kept;
use crate::{Codec, CodecError, EtcdConfig};

/// The keys of one service, decoded. Knows nothing of connections.
#[derive(Debug)]
pub(super) struct Entries {
    codec: Arc<dyn Codec>,
    service: Arc<str>,
    /// What full keys have before the codec's part.
    prefix: String,
    set: EndpointSet,
    /// In the set, though etcd has lost them.
    kept: Kept,
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

impl Entries {
    pub(super) fn new(config: &EtcdConfig, service: &str, stats: Arc<DiscoverStats>) -> Self {
        Self {
            codec: Arc::clone(&config.codec),
            service: service.into(),
            prefix: config.prefix.clone(),
            set: EndpointSet::new(),
            kept: Kept::new(config.keep_after_loss),
            warned: HashSet::new(),
            stats,
        }
    }

    /// The list that follows is of another history: whom it misses may be well.
    pub(super) fn lost(&mut self, now: Instant) {
        self.kept.keep(self.set.told(), now);
    }

    /// etcd has exactly these.
    pub(super) fn replace<'a>(&mut self, list: impl IntoIterator<Item = Raw<'a>>) {
        let mut entries = Vec::new();
        let mut present = HashSet::new();
        for raw in list {
            let (key, endpoint) = self.decode(raw);
            self.kept.forget(&key);
            present.insert(key.clone());
            if let Some(endpoint) = endpoint {
                self.kept.found(&endpoint);
                entries.push((key, endpoint, revision(raw.revision)));
            }
        }
        // Revisions of the other history mean nothing: whatever is written from now on is newer.
        let kept = self.kept.iter();
        entries.extend(kept.map(|(key, endpoint)| (key.clone(), endpoint.clone(), 0)));
        self.set.replace(entries);
        self.warned.retain(|key| present.contains(key));
    }

    /// A key was written. One whose value has no endpoint any more is as good as deleted: a
    /// client that lists now would not see it either.
    pub(super) fn put(&mut self, raw: Raw<'_>) {
        let (key, endpoint) = self.decode(raw);
        self.kept.forget(&key);
        let Some(endpoint) = endpoint else {
            self.set.remove(&key);
            return;
        };
        let instead_of = self.kept.found(&endpoint);
        self.set.put(key, endpoint, revision(raw.revision));
        for key in &instead_of {
            self.set.remove(key);
        }
    }

    /// A key was deleted, or its lease has expired.
    pub(super) fn delete(&mut self, key: &[u8]) {
        let key = name(key);
        self.kept.forget(&key);
        self.set.remove(&key);
        self.warned.remove(&key);
    }

    /// Gives up those that etcd lost too long ago.
    pub(super) fn expire(&mut self, now: Instant) {
        for key in self.kept.expired(now) {
            self.set.remove(&key);
        }
    }

    /// When to expire the next ones, if there are any.
    pub(super) fn expire_at(&self) -> Option<Instant> {
        self.kept.due()
    }

    /// How many are here although etcd has lost them.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// What is new since the last call.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        self.set.changes()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// An endpoint that was told, to be told again as it is.
    pub(super) fn any(&self) -> Option<Change> {
        let (key, endpoint) = self.set.told().next()?;
        Some(Change::Insert(key.clone(), endpoint.clone()))
    }

    fn decode(&mut self, raw: Raw<'_>) -> (EndpointKey, Option<Endpoint>) {
        let key = name(raw.key);
        let decoded = match std::str::from_utf8(raw.key) {
            Ok(full) => {
                let relative = full.strip_prefix(&self.prefix).unwrap_or(full);
                self.codec.decode(&self.service, relative, raw.value)
            }
            Err(_) => Err(CodecError::Other("the key is not UTF-8".into())),
        };
        let (endpoint, complaint) = match decoded {
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
            match endpoint {
                Some(_) => warn!(%key, "a part of the value is ignored: {complaint}"),
                None => warn!(%key, "the value is skipped: {complaint}"),
            }
        }
        (key, endpoint)
    }
}

fn name(key: &[u8]) -> EndpointKey {
    EndpointKey::from(String::from_utf8_lossy(key).as_ref())
}

/// etcd's revisions are signed and start at 1.
fn revision(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> (Entries, Arc<DiscoverStats>) {
        let stats = Arc::new(DiscoverStats::default());
        let entries = Entries::new(&EtcdConfig::default(), "user", Arc::clone(&stats));
        (entries, stats)
    }

    fn raw<'a>(key: &'a str, value: &'a str, revision: i64) -> Raw<'a> {
        Raw {
            key: key.as_bytes(),
            value: value.as_bytes(),
            revision,
        }
    }

    const GOOD: &str = r#"{"Addr":"10.0.0.1:1"}"#;

    #[test]
    fn a_bad_value_is_skipped_counted_and_does_not_touch_others() {
        let (mut entries, stats) = entries();
        entries.replace([raw("user/a", GOOD, 1), raw("user/b", "oops", 2)]);
        assert_eq!((entries.changes().len(), stats.decode_errors()), (1, 1));
        assert_eq!(entries.warned.len(), 1);
        entries.put(raw("user/b", "still", 3));
        assert_eq!((entries.changes().len(), stats.decode_errors()), (0, 2));
        entries.put(raw("user/b", r#"{"Addr":"10.0.0.2:1"}"#, 4));
        assert_eq!((entries.changes().len(), stats.decode_errors()), (1, 2));
        assert!(
            entries.warned.is_empty(),
            "mended, so the next fault is worth a warning"
        );
    }

    #[test]
    fn a_value_that_turns_bad_takes_its_endpoint_away() {
        let (mut entries, _) = entries();
        entries.put(raw("user/a", GOOD, 1));
        entries.changes();
        entries.put(raw("user/a", "oops", 2));
        assert!(matches!(&entries.changes()[..], [Change::Remove(_)]));
        entries.delete(b"user/a");
        assert!(entries.changes().is_empty() && entries.warned.is_empty());
    }

    #[test]
    fn a_key_that_is_not_text_is_skipped() {
        let (mut entries, stats) = entries();
        entries.put(Raw {
            key: b"user/\xff",
            value: GOOD.as_bytes(),
            revision: 1,
        });
        assert_eq!((entries.changes().len(), stats.decode_errors()), (0, 1));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any start will do")]
    fn whom_another_history_misses_stays_until_found_deleted_or_expired() {
        let start = Instant::now();
        let given_up = start + EtcdConfig::default().keep_after_loss;
        let (mut entries, _) = entries();
        let [one, two, three] =
            [1, 2, 3].map(|n| format!(r#"{{"Addr":"10.0.0.{n}:1","Metadata":{{"weight":{n}}}}}"#));
        entries.replace([
            raw("user/a", &one, 100),
            raw("user/b", &two, 101),
            raw("user/c", &three, 102),
        ]);
        assert_eq!(entries.changes().len(), 3);

        entries.lost(start);
        entries.replace([]);
        assert_eq!((entries.changes().len(), entries.kept()), (0, 3));
        entries.replace([raw("user/a", &one, 2)]);
        assert_eq!((entries.changes().len(), entries.kept()), (0, 2));
        // It may come back under another key, and is what was told all the same.
        entries.put(raw("user/lease-7", &two, 3));
        assert_eq!((entries.changes().len(), entries.kept()), (0, 1));
        entries.put(raw("user/a", GOOD, 4));
        assert!(matches!(&entries.changes()[..], [Change::Insert(..)]));

        entries.delete(b"user/lease-7");
        entries.delete(b"user/a");
        assert_eq!(entries.changes().len(), 2, "a deletion is believed at once");
        assert_eq!(entries.expire_at(), Some(given_up));
        entries.expire(given_up);
        assert!(matches!(&entries.changes()[..], [Change::Remove(_)]));
        assert!(entries.is_empty() && entries.expire_at().is_none());
    }

    #[test]
    fn whom_the_same_history_misses_goes_at_once() {
        let (mut entries, _) = entries();
        entries.replace([raw("user/a", GOOD, 100)]);
        entries.changes();
        entries.replace([]);
        assert!(matches!(&entries.changes()[..], [Change::Remove(_)]));
    }
}
