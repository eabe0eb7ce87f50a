//! "Did you mean": the known name that a misspelled one is nearest to.

/// The nearest of `known`, if one is near: the same but for case, `_`, `-` and `.`, or few
/// letters away.
pub(crate) fn near<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // Long names are no slips of the pen, and comparing them is quadratic.
    if name.len() > 100 {
        return None;
    }
    let plain = plain(name);
    known
        .into_iter()
        .map(|one| (distance(&plain, &self::plain(one)), one))
        .filter(|(distance, one)| *distance <= 1 + one.len() / 6)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, one)| one)
}

/// `, did you mean "…"?` or nothing.
pub(crate) fn did_you_mean<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    near(name, known)
        .map(|near| format!("; did you mean {near:?}?"))
        .unwrap_or_default()
}

fn plain(name: &str) -> Vec<char> {
    let letters = name.chars().filter(|c| !matches!(c, '_' | '-' | '.'));
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// Levenshtein's: insertions, removals and replacements between the two.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let known = ["maxAttempts", "maxBackoff", "initialBackoff", "name"];
        for (name, nearest) in [
            ("maxAttempt", Some("maxAttempts")),
            ("max_attempts", Some("maxAttempts")),
            ("MAXBACKOFF", Some("maxBackoff")),
            ("intialBackof", Some("initialBackoff")),
            ("names", Some("name")),
            ("retries", None),
            ("", None),
        ] {
            assert_eq!(near(name, known), nearest, "{name}");
        }
        assert_eq!(near(&"x".repeat(101), known), None);
    }

    #[test]
    fn distances_count_single_letters() {
        for (a, b, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ab", 0)] {
            assert_eq!(distance(&plain(a), &plain(b)), expected);
        }
    }
}
