use std::collections::HashMap;
use std::time::{Duration, Instant};

use evenkeel_core::Endpoint;
use evenkeel_discover::EndpointKey;

/// Endpoints that an etcd which has lost its data does not know, kept until their servers have had
/// the time to write themselves in again. Pure.
#[derive(Debug)]
pub(super) struct Kept {
    keep_for: Duration,
    /// With the time when the wait for each of them ends.
    endpoints: HashMap<EndpointKey, (Endpoint, Instant)>,
}

impl Kept {
    pub(super) fn new(keep_for: Duration) -> Self {
        Self {
            keep_for,
            endpoints: HashMap::new(),
        }
    }

    /// The data was lost at `now`. One that is missed since an earlier loss gets no more time.
    pub(super) fn keep<'a>(
        &mut self,
        told: impl Iterator<Item = (&'a EndpointKey, &'a Endpoint)>,
        now: Instant,
    ) {
        let until = now.checked_add(self.keep_for);
        let Some(until) = until.filter(|until| *until > now) else {
            return;
        };
        for (key, endpoint) in told {
            let kept = self.endpoints.entry(key.clone());
            kept.or_insert_with(|| (endpoint.clone(), until));
        }
    }

    /// etcd has, or has had since, something else under `key`; gives whether it was kept.
    pub(super) fn forget(&mut self, key: &EndpointKey) -> bool {
        self.endpoints.remove(key).is_some()
    }

    /// The server of `endpoint` is in etcd: gives the keys that it needs no longer.
    pub(super) fn found(&mut self, endpoint: &Endpoint) -> Vec<EndpointKey> {
        self.take(|kept, _| kept.reaches_the_same_server_as(endpoint))
    }

    /// Gives the keys that were waited for long enough.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<EndpointKey> {
        self.take(|_, until| until <= now)
    }

    /// When the next one expires.
    pub(super) fn due(&self) -> Option<Instant> {
        self.endpoints.values().map(|(_, until)| *until).min()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&EndpointKey, &Endpoint)> {
        let endpoints = self.endpoints.iter();
        endpoints.map(|(key, (endpoint, _))| (key, endpoint))
    }

    pub(super) fn len(&self) -> usize {
        self.endpoints.len()
    }

    fn take(&mut self, taken: impl Fn(&Endpoint, Instant) -> bool) -> Vec<EndpointKey> {
        let taken = self
            .endpoints
            .extract_if(|_, (endpoint, until)| taken(endpoint, *until));
        taken.map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a start for the table's times")]
    fn the_missing_are_kept_until_they_are_found_or_their_time_is_up() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let [a, b, c] = ["a", "b", "c"].map(EndpointKey::from);
        let [one, two] = ["10.0.0.1:1", "10.0.0.2:1"]
            .map(|address| Endpoint::new(address.parse::<evenkeel_core::Address>().unwrap()));
        let mut kept = Kept::new(Duration::from_secs(60));
        kept.keep([(&a, &one), (&b, &two)].into_iter(), at(0));
        assert_eq!((kept.len(), kept.due()), (2, Some(at(60))));
        kept.keep([(&b, &two), (&c, &two)].into_iter(), at(30));
        assert!(kept.forget(&a) && !kept.forget(&a));
        assert!(kept.expired(at(59)).is_empty());
        assert_eq!(kept.expired(at(60)), [b], "the second loss adds nothing");
        assert_eq!(kept.due(), Some(at(90)));
        assert!(kept.found(&one).is_empty());
        assert_eq!((kept.found(&two), kept.due()), (vec![c], None));

        let mut kept = Kept::new(Duration::ZERO);
        kept.keep([(&a, &one)].into_iter(), at(0));
        assert_eq!(kept.len(), 0, "an empty etcd is believed at once");
    }
}
