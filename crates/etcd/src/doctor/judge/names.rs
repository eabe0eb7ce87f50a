//! Services whose names begin alike.

use super::{Findings, count, said};
use crate::doctor::{Check, Facts};

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    for neighbour in &facts.neighbours {
        let name = &neighbour.name;
        let what = match name.ends_with('/') {
            true => format!("{} under {name:?}", count(neighbour.keys, "key")),
            false => format!("a key {name:?}"),
        };
        findings.warning(Check::PrefixBleed, vec![], what);
    }
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

fn slashes(text: &str) -> usize {
    text.matches('/').count()
}
