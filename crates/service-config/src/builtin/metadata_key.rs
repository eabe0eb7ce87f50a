use evenkeel_policy::lb::MetadataKey;

/// The key that a config calls `name`; to `warn` is for a name that differs only in its case from one that
/// every server may set, as no server is likely to have that beside.
pub(super) fn metadata_key(name: &str, warn: impl FnOnce(String)) -> MetadataKey {
    let key = MetadataKey::named(name);
    if let MetadataKey::Other(other) = &key {
        let known = ["version", "zone", "region", "tag"];
        if let Some(known) = known.iter().find(|known| known.eq_ignore_ascii_case(other)) {
            warn(format!(
                "an entry of Metadata::other, not the endpoint's {known}; did you mean {known:?}?"
            ));
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_another_case_is_another_key_and_that_is_said() {
        for (name, warning) in [
            ("version", None),
            ("tag", None),
            ("rack", None),
            ("versions", None),
            ("Version", Some("\"version\"")),
            ("ZONE", Some("\"zone\"")),
        ] {
            let mut warned = None;
            let key = metadata_key(name, |text| warned = Some(text));
            assert_eq!(key.name(), name);
            assert_eq!(warned.is_some(), warning.is_some(), "{name}");
            let named = |text: &String| warning.is_some_and(|named| text.contains(named));
            assert!(warned.iter().all(named), "{warned:?}");
        }
    }
}
