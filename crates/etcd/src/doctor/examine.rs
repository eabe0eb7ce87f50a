mod asked;

use std::time::Duration;

use etcd_client::GetOptions;
use tokio::time::Instant;

use super::parallel::in_parallel;
use super::reading::{Raw, read};
use super::{Facts, Member, MemberStatus};
use crate::connect::Connection;
use crate::discover::{list, range_end};
use crate::{Etcd, EtcdConfig, EtcdError};

/// Asks etcd for all that can be known of `service`, and changes nothing there.
///
/// Each member is asked how it is; the keys come from one that is well, page by page, at one
/// revision. Each lease is asked for once, a few at a time. What only a part of the report needs
/// and etcd refuses to tell is in [`Facts::unanswered`].
///
/// Cancel safe: dropping it ends what is under way.
///
/// # Errors
///
/// A configuration that cannot work, or the reason why no member lists the keys.
pub async fn examine(config: EtcdConfig, service: &str) -> Result<Facts, EtcdError> {
    let whole = Etcd::new(config)?;
    let config = whole.config();
    let members = ask_members(config).await?;
    let mut facts = Facts {
        service: service.to_owned(),
        prefix: whole.key(&config.codec.prefix(service)),
        customs: config.codec.customs(),
        members: members.iter().map(|(_, member)| member.clone()).collect(),
        ..Facts::default()
    };
    let asked = keys(config, members, &mut facts).await?;
    asked.alarms(&mut facts).await;
    asked.cluster(&mut facts).await;
    asked.neighbours(&mut facts).await;
    asked.elsewhere(config, &mut facts).await;
    // The most questions come last: there is a time for all of them together.
    asked.leases(&mut facts).await;
    Ok(facts)
}

/// How many times the limit of one answer all that is asked beside the keys may take.
const PATIENCE: u32 = 10;
/// A service of more keys is none, but a part of etcd that holds something else.
const MOST_KEYS: i64 = 100_000;

/// The member that answers.
struct Asked {
    etcd: Etcd,
    connection: Connection,
    until: Instant,
}

async fn ask_members(config: &EtcdConfig) -> Result<Vec<(Etcd, Member)>, EtcdError> {
    let mut members = Vec::new();
    for url in &config.endpoints {
        members.push(Etcd::new(EtcdConfig {
            endpoints: vec![url.clone()],
            ..config.clone()
        })?);
    }
    let ask = |(place, etcd)| async move {
        let status = status(&etcd).await;
        (place, etcd, status)
    };
    // Each has its own limits.
    let until = Instant::now() + Duration::from_secs(24 * 60 * 60);
    let mut members = in_parallel(members.into_iter().enumerate(), ask, |_| false, until).await;
    members.sort_by_key(|(place, ..)| *place);
    let members = members.into_iter().map(|(place, etcd, status)| {
        let url = config.endpoints[place].clone();
        (etcd, Member { url, status })
    });
    Ok(members.collect())
}

async fn status(etcd: &Etcd) -> Result<MemberStatus, EtcdError> {
    let connection = etcd.connection().await?;
    let mut maintenance = connection.client.maintenance_client();
    let status = etcd
        .answer("ask for the status", maintenance.status())
        .await?;
    Ok(MemberStatus {
        cluster: status.header().map_or(0, |header| header.cluster_id()),
        member: status.header().map_or(0, |header| header.member_id()),
        has_leader: status.leader() != 0,
        version: status.version().to_owned(),
    })
}

/// Lists the keys at the first member that does; those that are well come first.
async fn keys(
    config: &EtcdConfig,
    mut members: Vec<(Etcd, Member)>,
    facts: &mut Facts,
) -> Result<Asked, EtcdError> {
    let is_well = |status: &MemberStatus| status.has_leader;
    members.sort_by_key(|(_, member)| !member.status.as_ref().is_ok_and(is_well));
    let mut why = None::<EtcdError>;
    for (etcd, member) in members {
        match member.status {
            // Who has just not answered is not waited for once more.
            Err(error) if error.is_silence() => {
                why = why.or(Some(error));
                continue;
            }
            _ => {}
        }
        let listed = async {
            let connection = etcd.connection().await?;
            let keys = count(&etcd, &connection, facts.prefix.as_bytes()).await?;
            if keys > MOST_KEYS {
                return Err(EtcdError::config("service", too_many(&facts.prefix, keys)));
            }
            let listed = list(&etcd, &connection, &facts.prefix).await?;
            Ok::<_, EtcdError>((connection, listed))
        };
        match listed.await {
            Ok((connection, (cursor, keys))) => {
                facts.revision = cursor.revision;
                let raw = keys.iter().map(|key| Raw {
                    key: key.key(),
                    value: key.value(),
                    lease: key.lease(),
                });
                facts.entries = raw.map(|raw| read(config, &facts.service, &raw)).collect();
                let until = Instant::now() + config.request_timeout.saturating_mul(PATIENCE);
                return Ok(Asked {
                    etcd,
                    connection,
                    until,
                });
            }
            Err(error @ EtcdError::Config { .. }) => return Err(error),
            // A refusal says more than a member that is down.
            Err(error) if error.is_refusal() => why = Some(error),
            Err(error) => why = why.or(Some(error)),
        }
    }
    Err(why.expect("a configuration has at least one member"))
}

/// How many keys start with `prefix`, which ends in `/`.
async fn count(etcd: &Etcd, connection: &Connection, prefix: &[u8]) -> Result<i64, EtcdError> {
    let options = GetOptions::new()
        .with_range(range_end(prefix))
        .with_count_only();
    let mut kv = connection.client.kv_client();
    let answer = kv.get(prefix, Some(options));
    Ok(etcd.answer("count keys", answer).await?.count())
}

fn too_many(prefix: &str, keys: i64) -> String {
    format!("{keys} keys under {prefix:?} are no service; at most {MOST_KEYS} are read")
}
