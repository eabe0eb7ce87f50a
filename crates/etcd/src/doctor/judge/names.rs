//! Services whose names begin alike.

use super::{Findings, count, said};
use crate::doctor::{Check, Facts, Severity};

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    neighbours(facts, findings);
    let strangers = said(&facts.entries, |entry| {
        matches!(entry.reading, Ok(None)).then_some(())
    });
    for keys in strangers.into_values() {
        let what = format!("{} of another service, left out", count(keys.len(), "key"));
        findings.note(Check::NestedService, keys, what);
    }
    let nested = said(&facts.entries, |entry| {
        let rest = entry.key.strip_prefix(&facts.prefix)?;
        let expected = entry.expected_key.as_deref()?;
        let expected = expected.strip_prefix(&facts.prefix)?;
        // Addresses may have slashes of their own: unix:///run/user.sock.
        let deeper = slashes(rest) > slashes(expected);
        deeper.then(|| rest.split('/').next()).flatten()
    });
    for (head, keys) in nested {
        let service = format!("{}{head}", facts.prefix);
        let what = format!(
            "{} of what looks like the service {service:?}",
            count(keys.len(), "key")
        );
        findings.warning(Check::NestedService, keys, what);
    }
}

fn neighbours(facts: &Facts, findings: &mut Findings) {
    let bleeds = facts.customs.matches_bare_names;
    let stem = facts.prefix.trim_end_matches('/');
    // Many layouts have a key there that says that the service exists.
    let is_placeholder = |name: &str| !bleeds && name == stem;
    let near = facts.neighbours.iter();
    let near: Vec<_> = near.filter(|it| !is_placeholder(&it.name)).collect();
    if near.is_empty() {
        return;
    }
    let names = match near.len() {
        1 => "1 other name begins alike".to_owned(),
        many if facts.neighbours.len() < Facts::MOST_NEIGHBOURS => {
            format!("{many} other names begin alike")
        }
        many => format!("{many} other names or more begin alike"),
    };
    // Somewhere there is one, or it would not have been found.
    let keys = near.iter().map(|it| it.keys.unwrap_or(1)).sum();
    let at_least = match near.iter().all(|it| it.keys.is_some()) {
        true => "",
        false => "at least ",
    };
    let what = format!("{names}, with {at_least}{}", count(keys, "key"));
    let severity = match bleeds {
        true => Severity::Warning,
        false => Severity::Note,
    };
    let names = near.iter().map(|it| it.name.clone()).collect();
    findings.add(severity, Check::PrefixBleed, names, what);
}

fn slashes(text: &str) -> usize {
    text.matches('/').count()
}
