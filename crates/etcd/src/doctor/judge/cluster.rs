//! etcd itself.

use std::collections::BTreeMap;

use super::Findings;
use crate::EtcdError;
use crate::doctor::{Check, Facts, Severity};

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let mut clusters = BTreeMap::<_, Vec<_>>::new();
    for member in &facts.members {
        let url = &member.url;
        match &member.status {
            Ok(status) => {
                clusters
                    .entry(status.cluster)
                    .or_default()
                    .push(url.clone());
                if !status.has_leader {
                    findings.error(Check::NoLeader, vec![], format!("{url} has no leader"));
                }
            }
            Err(error) if has_no_leader(error) => {
                findings.error(Check::NoLeader, vec![], format!("{url} has no leader"));
            }
            Err(error) if error.is_refusal() => {
                findings.note(Check::Unanswered, vec![], format!("{url}: {error}"));
            }
            Err(error) => {
                findings.warning(Check::MemberUnreachable, vec![], format!("{url}: {error}"));
            }
        }
    }
    if clusters.len() > 1 {
        let clusters: Vec<_> = clusters.values().map(|urls| urls.join(", ")).collect();
        let what = format!(
            "the members are of {} clusters: {}",
            clusters.len(),
            clusters.join(" | ")
        );
        findings.error(Check::SeveralClusters, vec![], what);
    }
    for alarm in &facts.alarms {
        findings.error(Check::Alarm, vec![], format!("etcd has raised {alarm}"));
    }
    for url in &facts.unlisted_members {
        let what = format!("the cluster has a member {url} that was not named");
        findings.note(Check::UnlistedMember, vec![], what);
    }
    for unanswered in &facts.unanswered {
        // What this user may not know is no better tomorrow.
        let severity = match unanswered.is_refused {
            true => Severity::Note,
            false => Severity::Warning,
        };
        findings.add(severity, Check::Unanswered, vec![], unanswered.what.clone());
    }
}

/// We only talk to members that have one, so they answer with an error.
fn has_no_leader(error: &EtcdError) -> bool {
    matches!(error, EtcdError::Request { reason, .. } if reason.contains("no leader"))
}
