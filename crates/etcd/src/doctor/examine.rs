mod asked;

use super::parallel::in_parallel;
use super::reading::{Raw, read};
use super::{Facts, Member, MemberStatus};
use crate::connect::Connection;
use crate::discover::list;
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
    asked.leases(&mut facts).await;
    asked.neighbours(&mut facts).await;
    asked.elsewhere(config, &mut facts).await;
    asked.alarms(&mut facts).await;
    asked.cluster(&mut facts).await;
    Ok(facts)
}

/// The member that answers.
struct Asked {
    etcd: Etcd,
    connection: Connection,
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
    let mut members = in_parallel(members.into_iter().enumerate(), ask, |_| false).await;
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
    for (etcd, _) in members {
        let listed = async {
            let connection = etcd.connection().await?;
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
                return Ok(Asked { etcd, connection });
            }
            // A refusal says more than a member that is down.
            Err(error) if error.is_refusal() => why = Some(error),
            Err(error) => why = why.or(Some(error)),
        }
    }
    Err(why.expect("a configuration has at least one member"))
}
