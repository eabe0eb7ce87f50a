//! How long keys stay.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Findings, count, said};
use crate::doctor::{Check, Facts, Limits, Severity};

/// With shorter leases, a third is less than etcd's whole seconds can tell.
const TELLING: Duration = Duration::from_secs(6);

pub(super) fn judge(facts: &Facts, limits: &Limits, findings: &mut Findings) {
    let forever = said(facts.own(), |entry| entry.lease.is_none().then_some(()));
    for keys in forever.into_values() {
        let what = format!("{} without a lease", count(keys.len(), "key"));
        let severity = match facts.customs.is_kept_by_hand {
            true => Severity::Note,
            false => Severity::Error,
        };
        findings.add(severity, Check::NoLease, keys, what);
    }
    let gone = said(facts.own(), |entry| {
        let known = facts.leases.get(&entry.lease?)?;
        known.is_none().then_some(())
    });
    for keys in gone.into_values() {
        let what = format!(
            "{} with a lease that etcd does not have",
            count(keys.len(), "key")
        );
        findings.note(Check::LeaseGone, keys, what);
    }
    let times = said(facts.own(), |entry| {
        facts.lease(entry).map(|lease| lease.granted)
    });
    for (granted, keys) in times {
        let what = format!("a TTL of {granted:?}");
        if granted < limits.min_ttl {
            findings.warning(Check::ShortTtl, keys, what);
        } else if granted > limits.max_ttl {
            findings.warning(Check::LongTtl, keys, what);
        }
    }
    let overdue = said(facts.own(), |entry| {
        let lease = facts.lease(entry)?;
        let late = lease.granted >= TELLING && lease.remaining < lease.granted / 3;
        late.then_some((lease.remaining, lease.granted))
    });
    for ((remaining, granted), keys) in overdue {
        let what = format!("{remaining:?} left of {granted:?}");
        findings.warning(Check::NotRenewed, keys, what);
    }
    let leases: BTreeSet<_> = facts.own().filter_map(|entry| entry.lease).collect();
    if leases.len() >= limits.many_leases {
        let what = format!("{} leases for {} keys", leases.len(), facts.own().count());
        findings.warning(Check::ManyLeases, vec![], what);
    }
}
