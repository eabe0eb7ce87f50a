//! Whether endpoints can be called.

use super::{Findings, count, said};
use crate::doctor::{Check, Dialled, Entry, Facts, Severity};

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let groups = said(&facts.entries, |entry| trouble(facts, entry));
    for ((check, severity, reason), keys) in groups {
        let what = format!("{}: {reason}", count(keys.len(), "server"));
        findings.add(severity, check, keys, what);
    }
}

/// The worst that dialling the addresses of `entry` has shown.
fn trouble<'f>(facts: &'f Facts, entry: &Entry) -> Option<(Check, Severity, &'f str)> {
    let endpoint = entry.endpoint()?;
    let addresses = endpoint.addresses().iter();
    let dialled: Vec<_> = addresses.filter_map(|it| facts.dialled.get(it)).collect();
    // One address that answers is enough, and who takes no calls may be on the way out.
    let answers = dialled.iter().any(|it| matches!(it, Dialled::Http2));
    let severity = match endpoint.metadata().accepts_calls() && !answers {
        true => Severity::Error,
        false => Severity::Warning,
    };
    let unreachable = dialled.iter().find_map(|it| match it {
        Dialled::Unreachable(reason) => Some((Check::Unreachable, severity, reason.as_str())),
        Dialled::Tls(reason) => Some((Check::Tls, severity, reason.as_str())),
        _ => None,
    });
    let other = || {
        dialled.iter().find_map(|it| match it {
            Dialled::NotHttp2(reason) => {
                Some((Check::NotHttp2, Severity::Warning, reason.as_str()))
            }
            _ => None,
        })
    };
    unreachable.or_else(other)
}
