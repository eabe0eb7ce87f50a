use std::fmt;

use evenkeel_core::Metadata;

/// One thing that servers say of themselves, for policies that choose endpoints by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetadataKey {
    /// [`Metadata::version`].
    Version,
    /// [`Metadata::zone`].
    Zone,
    /// [`Metadata::region`].
    Region,
    /// [`Metadata::tags`]: a server may have several.
    Tag,
    /// An entry of [`Metadata::other`].
    Other(String),
}

impl MetadataKey {
    /// The key that configs call `name`: `version`, `zone`, `region`, `tag`, or that of an entry
    /// of [`Metadata::other`].
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "version" => Self::Version,
            "zone" => Self::Zone,
            "region" => Self::Region,
            "tag" => Self::Tag,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Its name in a config.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Version => "version",
            Self::Zone => "zone",
            Self::Region => "region",
            Self::Tag => "tag",
            Self::Other(name) => name,
        }
    }

    /// What `metadata` says: nothing, one value, or as many as there are tags.
    pub fn values<'a>(&self, metadata: &'a Metadata) -> impl Iterator<Item = &'a str> {
        let (one, tags) = match self {
            Self::Version => (metadata.version.as_deref(), &[][..]),
            Self::Zone => (metadata.zone.as_deref(), &[][..]),
            Self::Region => (metadata.region.as_deref(), &[][..]),
            Self::Tag => (None, &metadata.tags[..]),
            Self::Other(name) => (metadata.other.get(name).map(String::as_str), &[][..]),
        };
        one.into_iter().chain(tags.iter().map(String::as_str))
    }
}

impl fmt::Display for MetadataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_finds_what_a_server_says() {
        let mut metadata = Metadata::default();
        metadata.version = Some("v2".to_owned());
        metadata.zone = Some("a".to_owned());
        metadata.tags = vec!["canary".to_owned(), "gpu".to_owned()];
        metadata.other.insert("rack".to_owned(), "7".to_owned());
        for (name, expected) in [
            ("version", &["v2"][..]),
            ("zone", &["a"]),
            ("region", &[]),
            ("tag", &["canary", "gpu"]),
            ("rack", &["7"]),
            ("shelf", &[]),
        ] {
            let key = MetadataKey::named(name);
            assert_eq!(key.values(&metadata).collect::<Vec<_>>(), expected);
            assert_eq!(key.to_string(), name);
        }
    }
}
