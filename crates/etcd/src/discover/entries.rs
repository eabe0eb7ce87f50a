use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use evenkeel_core::Endpoint;
use evenkeel_discover::{Change, EndpointKey, EndpointSet};
use tracing::warn;

use super::DiscoverStats;
use crate::{Codec, CodecError};

/// The keys of one service, decoded. Knows nothing of connections.
#[derive(Debug)]
pub(super) struct Entries {
    codec: Arc<dyn Codec>,
    /// What full keys have before the codec's part.
    prefix: String,
    set: EndpointSet,
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
    pub(super) fn new(codec: Arc<dyn Codec>, prefix: String, stats: Arc<DiscoverStats>) -> Self {
        Self {
            codec,
            prefix,
            set: EndpointSet::new(),
            warned: HashSet::new(),
            stats,
        }
    }

    /// etcd has exactly these.
    pub(super) fn replace<'a>(&mut self, list: impl IntoIterator<Item = Raw<'a>>) {
        let mut entries = Vec::new();
        let mut present = HashSet::new();
        for raw in list {
            let (key, endpoint) = self.decode(raw);
            present.insert(key.clone());
            if let Some(endpoint) = endpoint {
                entries.push((key, endpoint, revision(raw.revision)));
            }
        }
        self.set.replace(entries);
        self.warned.retain(|key| present.contains(key));
    }

    /// A key was written. One whose value has no endpoint any more is as good as deleted: a
    /// client that lists now would not see it either.
    pub(super) fn put(&mut self, raw: Raw<'_>) {
        match self.decode(raw) {
            (key, Some(endpoint)) => self.set.put(key, endpoint, revision(raw.revision)),
            (key, None) => self.set.remove(&key),
        }
    }

    /// A key was deleted, or its lease has expired.
    pub(super) fn delete(&mut self, key: &[u8]) {
        let key = name(key);
        self.set.remove(&key);
        self.warned.remove(&key);
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
                self.codec.decode(relative, raw.value)
            }
            Err(_) => Err(CodecError::Other("the key is not UTF-8".into())),
        };
        let (endpoint, complaint) = match decoded {
            Ok(decoded) => (Some(decoded.endpoint), decoded.remark),
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
    use crate::GoEndpoints;

    fn entries() -> (Entries, Arc<DiscoverStats>) {
        let stats = Arc::new(DiscoverStats::default());
        let codec = Arc::new(GoEndpoints);
        (
            Entries::new(codec, String::new(), Arc::clone(&stats)),
            stats,
        )
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
}
