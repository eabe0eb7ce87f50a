//! What the facts mean. Pure.

mod cluster;
mod endpoints;
mod leases;
mod names;
mod reach;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{Check, Entry, Facts, Finding, Severity};

/// From where on a lease is worth a finding.
///
/// ```
/// use evenkeel_etcd::doctor::Limits;
///
/// let limits = Limits { many_leases: 1_000, ..Limits::default() };
/// assert_eq!(limits.min_ttl.as_secs(), 5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Limits {
    /// A lease with a shorter time to live is called short. Default 5 s; any.
    pub min_ttl: Duration,
    /// A lease with a longer time to live is called long. Default 120 s; any.
    pub max_ttl: Duration,
    /// So many leases of one service are called many. Default 5 000; any.
    pub many_leases: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            min_ttl: Duration::from_secs(5),
            max_ttl: Duration::from_secs(120),
            many_leases: 5_000,
        }
    }
}

impl Facts {
    /// What is not as it should be, the worst first.
    #[must_use]
    pub fn judge(&self, limits: &Limits) -> Vec<Finding> {
        let mut findings = Findings::default();
        cluster::judge(self, &mut findings);
        endpoints::judge(self, &mut findings);
        leases::judge(self, limits, &mut findings);
        reach::judge(self, &mut findings);
        names::judge(self, &mut findings);
        let mut findings = findings.all;
        findings.sort_by_key(|finding| (Reverse(finding.severity), finding.check));
        findings
    }
}

#[derive(Debug, Default)]
struct Findings {
    all: Vec<Finding>,
}

impl Findings {
    fn error(&mut self, check: Check, keys: Vec<String>, what: impl Into<String>) {
        self.add(Severity::Error, check, keys, what.into());
    }

    fn warning(&mut self, check: Check, keys: Vec<String>, what: impl Into<String>) {
        self.add(Severity::Warning, check, keys, what.into());
    }

    fn note(&mut self, check: Check, keys: Vec<String>, what: impl Into<String>) {
        self.add(Severity::Note, check, keys, what.into());
    }

    fn add(&mut self, severity: Severity, check: Check, keys: Vec<String>, what: String) {
        self.all.push(Finding {
            severity,
            check,
            keys,
            what,
        });
    }
}

/// The entries of which `say` says something, by what it says.
fn said<'f, T: Ord>(
    entries: impl IntoIterator<Item = &'f Entry>,
    say: impl Fn(&'f Entry) -> Option<T>,
) -> BTreeMap<T, Vec<String>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for entry in entries {
        if let Some(said) = say(entry) {
            groups.entry(said).or_default().push(entry.key.clone());
        }
    }
    groups
}

/// `1 key`, `2 keys`.
fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests;
