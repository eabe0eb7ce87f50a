//! What is asked for beside the keys. What etcd refuses to tell is noted and not an error.

use std::collections::BTreeSet;
use std::time::Duration;

use etcd_client::{AlarmAction, AlarmType, GetOptions};
use tokio::time::Instant;

use super::{Asked, count};
use crate::discover::range_end;
use crate::doctor::parallel::in_parallel;
use crate::doctor::reading::other_layouts;
use crate::doctor::{Facts, Lease, Neighbour, Unanswered};
use crate::{EtcdConfig, EtcdError};

impl Asked {
    pub(super) async fn leases(&self, facts: &mut Facts) {
        let ids: BTreeSet<i64> = facts
            .entries
            .iter()
            .filter_map(|entry| entry.lease)
            .collect();
        let all = ids.len();
        let ask = |id| {
            let etcd = self.etcd.clone();
            let mut client = self.connection.client.lease_client();
            async move {
                let request = client.time_to_live(id, None);
                (id, etcd.answer("ask for a lease", request).await)
            }
        };
        // An etcd that hangs by now would take its time for each of them.
        let hangs =
            |(_, answer): &(_, Result<_, _>)| matches!(answer, Err(EtcdError::Timeout { .. }));
        let mut refused = None;
        for (id, answer) in in_parallel(ids, ask, hangs, self.until).await {
            let lease = match answer {
                // -1: not there any more.
                Ok(lease) if lease.ttl() < 0 => None,
                Ok(lease) => Some(Lease {
                    granted: seconds(lease.granted_ttl()),
                    remaining: seconds(lease.ttl()),
                }),
                Err(error) if error.is_not_found() => None,
                Err(error) => {
                    refused = refused.or(Some(error));
                    continue;
                }
            };
            facts.leases.insert(id, lease);
        }
        let missing = all - facts.leases.len();
        let what = format!("{missing} of {all} leases");
        match refused {
            Some(error) => unanswered(facts, &what, &error),
            None if missing > 0 => not_in_time(facts, &what),
            None => {}
        }
    }

    /// Keys that begin with the service's name, and go on otherwise than with `/`.
    pub(super) async fn neighbours(&self, facts: &mut Facts) {
        let stem = facts.prefix.trim_end_matches('/').to_owned();
        if stem.is_empty() {
            return;
        }
        let ranges = [
            (stem.clone().into_bytes(), facts.prefix.clone().into_bytes()),
            (
                range_end(facts.prefix.as_bytes()),
                range_end(stem.as_bytes()),
            ),
        ];
        for (mut from, end) in ranges {
            while facts.neighbours.len() < Facts::MOST_NEIGHBOURS {
                if self.is_late() {
                    return not_in_time(facts, &format!("more keys that begin with {stem:?}"));
                }
                let options = GetOptions::new()
                    .with_range(end.clone())
                    .with_keys_only()
                    .with_limit(1);
                let mut page = match self.get(from, options).await {
                    Ok(page) => page,
                    Err(error) => {
                        return unanswered(
                            facts,
                            &format!("keys that begin with {stem:?}"),
                            &error,
                        );
                    }
                };
                let Some(first) = page.take_kvs().into_iter().next() else {
                    break;
                };
                let start = up_to_slash(first.key(), stem.len());
                from = match start.ends_with(b"/") {
                    true => range_end(start),
                    false => [start, b"\0"].concat(),
                };
                let keys = match start.ends_with(b"/") {
                    true => self.count(start).await,
                    false => Some(1),
                };
                facts.neighbours.push(Neighbour {
                    name: String::from_utf8_lossy(start).into_owned(),
                    keys,
                });
            }
        }
    }

    /// Whether other layouts have keys of a service that has none in this one.
    pub(super) async fn elsewhere(&self, config: &EtcdConfig, facts: &mut Facts) {
        if !facts.entries.is_empty() {
            return;
        }
        for (name, codec) in other_layouts() {
            let prefix = format!("{}{}", config.prefix, codec.prefix(&facts.service));
            let known = facts.elsewhere.iter().any(|(_, other, _)| *other == prefix);
            if known || prefix == facts.prefix {
                continue;
            }
            if self.is_late() {
                return not_in_time(facts, "keys in other layouts");
            }
            // Who may not look there is none the wiser.
            if let Some(keys @ 1..) = self.count(prefix.as_bytes()).await {
                facts.elsewhere.push((name, prefix, keys));
            }
        }
    }

    pub(super) async fn alarms(&self, facts: &mut Facts) {
        let mut maintenance = self.connection.client.maintenance_client();
        let request = maintenance.alarm(AlarmAction::Get, AlarmType::None, None);
        match self.etcd.answer("ask for alarms", request).await {
            Ok(answer) => {
                let names = answer.alarms().iter().filter_map(|it| match it.alarm() {
                    AlarmType::None => None,
                    AlarmType::Nospace => Some("NOSPACE"),
                    AlarmType::Corrupt => Some("CORRUPT"),
                });
                facts.alarms = names.collect();
            }
            Err(error) => unanswered(facts, "alarms", &error),
        }
    }

    /// The members that the cluster has beside those that are configured.
    pub(super) async fn cluster(&self, facts: &mut Facts) {
        let mut cluster = self.connection.client.cluster_client();
        let request = cluster.member_list();
        let answer = match self.etcd.answer("ask for the members", request).await {
            Ok(answer) => answer,
            Err(error) => return unanswered(facts, "members", &error),
        };
        let all = answer.members();
        let urls = all.iter().flat_map(|member| member.client_urls());
        facts.client_urls = urls.cloned().collect();
        // By their numbers, as they may be configured by other names than their own.
        let answered = facts
            .members
            .iter()
            .filter_map(|it| it.status.as_ref().ok());
        let answered: BTreeSet<u64> = answered.map(|status| status.member).collect();
        let silent = facts.members.iter().filter(|it| it.status.is_err());
        let silent: Vec<_> = silent.map(|it| it.url.trim_end_matches('/')).collect();
        let missing: Vec<_> = all
            .iter()
            .filter(|it| !answered.contains(&it.id()))
            .collect();
        // As many as are silent: these may be they, by other names.
        if missing.len() <= silent.len() {
            return;
        }
        let is_silent = |url: &String| silent.contains(&url.trim_end_matches('/'));
        let unlisted = missing
            .iter()
            .filter(|member| !member.client_urls().iter().any(is_silent))
            .filter_map(|member| member.client_urls().first().cloned());
        facts.unlisted_members = unlisted.collect();
    }

    async fn get(
        &self,
        from: Vec<u8>,
        options: GetOptions,
    ) -> Result<etcd_client::GetResponse, EtcdError> {
        let mut kv = self.connection.client.kv_client();
        self.etcd
            .answer("look around", kv.get(from, Some(options)))
            .await
    }

    /// How many keys start with `prefix`, which ends in `/`.
    async fn count(&self, prefix: &[u8]) -> Option<usize> {
        let keys = count(&self.etcd, &self.connection, prefix).await.ok()?;
        usize::try_from(keys).ok()
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }
}

fn not_in_time(facts: &mut Facts, what: &str) {
    facts.unanswered.push(Unanswered {
        what: format!("{what}: not asked for in time"),
        is_refused: false,
    });
}

fn unanswered(facts: &mut Facts, what: &str, error: &EtcdError) {
    facts.unanswered.push(Unanswered {
        what: format!("{what}: {error}"),
        is_refused: error.is_refusal(),
    });
}

/// The start of `key` up to the first `/` after `from`, or all of it.
fn up_to_slash(key: &[u8], from: usize) -> &[u8] {
    let rest = key.get(from..).unwrap_or_default();
    match rest.iter().position(|byte| *byte == b'/') {
        Some(place) => &key[..=from + place],
        None => key,
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_named_up_to_the_first_slash() {
        for (key, from, name) in [
            ("service/user-admin/a/b", 12, "service/user-admin/"),
            ("service/user", 12, "service/user"),
            ("service/user0", 12, "service/user0"),
        ] {
            assert_eq!(up_to_slash(key.as_bytes(), from), name.as_bytes());
        }
    }
}
