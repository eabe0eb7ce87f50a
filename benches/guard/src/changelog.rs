//! A budget is not raised in silence: the newest line of the changelog that speaks of budgets has
//! the digest of their file. `--record` keeps it so, and takes a reason for what it raises.

/// What comes before the digest.
const MARK: &str = "budgets `";

/// Whether the changelog speaks of the budgets with this digest.
///
/// # Errors
///
/// What is to be done.
pub(crate) fn says(log: &str, digest: &str) -> Result<(), String> {
    if newest(log).is_some_and(|(_, said)| said == digest) {
        return Ok(());
    }
    Err(format!(
        "benches/guard/budgets changed, and CHANGELOG.md does not say so. Restore it, and run\n\
         \n    ./test --record-budgets [--because REASON]\n\n\
         which writes both, or add a line like this above its other lines on budgets:\n\
         \n- **benches**: {MARK}{digest}`: what is raised, and why."
    ))
}

/// The changelog that goes with the budgets of this digest: with a line of its own when some are
/// raised, which takes a reason; else with the digest in the newest line replaced.
///
/// # Errors
///
/// What is raised without a reason, or a changelog that has no section for a new line.
pub(crate) fn record(
    log: &str,
    digest: &str,
    raised: &[String],
    reason: Option<&str>,
) -> Result<String, String> {
    let raised = raised.join(", ");
    match (newest(log), reason) {
        (_, None) if !raised.is_empty() => Err(format!(
            "nothing is recorded. This would be raised: {raised}. If that is worth it, say why:\n\
             \n    ./test --record-budgets --because REASON"
        )),
        (Some((place, said)), _) if raised.is_empty() => {
            let (before, after) = log.split_at(place);
            Ok(format!("{before}{digest}{}", &after[said.len()..]))
        }
        (_, reason) => {
            let unreleased = log.find("## [Unreleased]");
            let place = unreleased.and_then(|at| Some(at + log[at..].find("\n- ")? + 1));
            let place = place.ok_or("CHANGELOG.md has no entry that is unreleased")?;
            let reason = reason.unwrap_or("the first ones");
            let line = wrap(&format!(
                "- **benches**: {MARK}{digest}`: {raised}: {reason}"
            ));
            let (before, after) = log.split_at(place);
            Ok(format!("{before}{line}\n{after}"))
        }
    }
}

/// Where the digest is that was written last, and the digest.
fn newest(log: &str) -> Option<(usize, &str)> {
    let place = log.find(MARK)? + MARK.len();
    let (digest, _) = log[place..].split_once('`')?;
    Some((place, digest))
}

/// As an entry of the changelog, in lines of at most 100 characters where words allow it.
fn wrap(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width == 0 {
        } else if width + 1 + length > 100 {
            lines.push_str("\n  ");
            width = 2;
        } else {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
# Changelog

## [Unreleased]

### Changed

- **core**: something.
- **benches**: budgets `00000002`: `Retry` from 1 to 2 allocations: it sends twice

## [0.1.0]

- **benches**: budgets `00000001`: the first ones
";

    fn raised() -> Vec<String> {
        vec!["`a call` from 4.0 to 5.0 allocations".to_owned()]
    }

    #[test]
    fn only_the_newest_line_counts() {
        assert_eq!(says(LOG, "00000002"), Ok(()));
        // As after a raise by hand, or back to what was once allowed.
        for digest in ["00000003", "00000001"] {
            let refused = says(LOG, digest).unwrap_err();
            assert!(refused.contains(digest), "{refused}");
        }
        says("# Changelog\n", "00000001").unwrap_err();
    }

    #[test]
    fn a_raise_without_a_reason_is_refused_and_named() {
        let refused = record(LOG, "00000003", &raised(), None).unwrap_err();
        assert!(refused.contains("`a call` from 4.0 to 5.0"), "{refused}");
    }

    #[test]
    fn a_raise_with_a_reason_is_a_line_of_its_own() {
        let log = record(LOG, "00000003", &raised(), Some("a good one")).unwrap();
        let line = "- **benches**: budgets `00000003`: `a call` from 4.0 to 5.0 allocations: a good one\n\
            - **core**: something.";
        assert!(log.contains(line), "{log}");
        assert_eq!(says(&log, "00000003"), Ok(()));
        assert!(log.contains("00000002"), "what was raised before is kept");
    }

    #[test]
    fn what_is_lowered_needs_no_line() {
        let log = record(LOG, "00000003", &[], None).unwrap();
        assert_eq!(log, LOG.replace("00000002", "00000003"));
    }

    #[test]
    fn a_long_line_is_wrapped() {
        let line = wrap(&"word ".repeat(50));
        assert!(line.lines().all(|line| line.len() <= 100), "{line}");
        assert!(line.lines().skip(1).all(|line| line.starts_with("  word")));
    }
}
