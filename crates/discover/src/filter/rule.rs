use std::fmt;
use std::sync::Arc;

use evenkeel_core::Endpoint;

/// What endpoints must have to pass: all of its terms. The one without terms lets everybody pass.
///
/// Its text names the terms, for errors: `version=v2, tag gpu`.
///
/// ```
/// use evenkeel_core::{Address, Endpoint, Metadata};
/// use evenkeel_discover::Filter;
///
/// let filter = Filter::new().with_tag("gpu").with_zone("a");
/// assert_eq!(filter.to_string(), "tag gpu, zone=a");
///
/// let mut metadata = Metadata::default();
/// metadata.tags = vec!["gpu".to_owned()];
/// let mut server = Endpoint::new("10.0.0.5:8090".parse::<Address>()?);
/// assert!(!filter.matches(&server.clone().with_metadata(metadata.clone())));
/// metadata.zone = Some("a".to_owned());
/// server = server.with_metadata(metadata);
/// assert!(filter.matches(&server));
/// # Ok::<(), evenkeel_core::ParseAddressError>(())
/// ```
///
/// # Clone
///
/// Cheap; clones share nothing that changes.
#[derive(Clone, Default)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone)]
struct Term {
    text: Arc<str>,
    holds: Arc<dyn Fn(&Endpoint) -> bool + Send + Sync>,
}

/// Who is used when no endpoint passes a filter.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Fallback {
    /// Nobody: calls fail, and say that none matches.
    #[default]
    None,
    /// Everybody.
    Any,
    /// Those that pass this other filter, and nobody when there are none: to give up the zone
    /// before the version, for example.
    To(Filter),
}

impl Filter {
    /// Lets everybody pass.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those with this tag.
    #[must_use]
    pub fn with_tag(self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        self.with(format!("tag {tag}"), move |endpoint| {
            endpoint.metadata().tags.contains(&tag)
        })
    }

    /// Only those that run this release.
    #[must_use]
    pub fn with_version(self, version: impl Into<String>) -> Self {
        let version = version.into();
        self.with(format!("version={version}"), move |endpoint| {
            endpoint.metadata().version.as_ref() == Some(&version)
        })
    }

    /// Only those in this zone.
    #[must_use]
    pub fn with_zone(self, zone: impl Into<String>) -> Self {
        let zone = zone.into();
        self.with(format!("zone={zone}"), move |endpoint| {
            endpoint.metadata().zone.as_ref() == Some(&zone)
        })
    }

    /// Only those in this region.
    #[must_use]
    pub fn with_region(self, region: impl Into<String>) -> Self {
        let region = region.into();
        self.with(format!("region={region}"), move |endpoint| {
            endpoint.metadata().region.as_ref() == Some(&region)
        })
    }

    /// Only those that say `key` is `value`, in [`Metadata::other`](evenkeel_core::Metadata::other).
    #[must_use]
    pub fn with_metadata(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.with(format!("{key}={value}"), move |endpoint| {
            endpoint.metadata().other.get(&key) == Some(&value)
        })
    }

    /// Only those that take new calls: registered as up, with another weight than 0.
    ///
    /// Balancers do without the others in any case; this is for those who look for themselves.
    #[must_use]
    pub fn accepting_calls(self) -> Self {
        self.with("status up", |endpoint| endpoint.metadata().accepts_calls())
    }

    /// Only those for which `holds`; `text` names that in errors. It is asked once for each change
    /// of an endpoint, so it should depend on nothing but the endpoint.
    #[must_use]
    pub fn with(
        mut self,
        text: impl Into<Arc<str>>,
        holds: impl Fn(&Endpoint) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.terms.push(Term {
            text: text.into(),
            holds: Arc::new(holds),
        });
        self
    }

    /// Only those that pass both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.terms.extend(other.terms);
        self
    }

    /// Whether `endpoint` passes.
    #[must_use]
    pub fn matches(&self, endpoint: &Endpoint) -> bool {
        self.terms.iter().all(|term| (term.holds)(endpoint))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", term.text)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({self})")
    }
}
