use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::BoxError;
use evenkeel_core::error::chain;

/// Why a source has no (new) endpoints at the moment; a report, after which its stream goes on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DiscoverError {
    /// The source answers, and nobody is registered.
    #[non_exhaustive]
    Empty {
        /// Where the source looked, for example `etcd http://127.0.0.1:2379`.
        registry: Arc<str>,
        /// The service's name there; empty for a source that has no names.
        service: Arc<str>,
    },
    /// The source cannot be asked. Endpoints it gave before are the last good ones.
    #[non_exhaustive]
    Unavailable {
        /// What the source asks, for example `etcd http://127.0.0.1:2379`.
        registry: Arc<str>,
        /// When it answered last, or when it was asked first.
        since: Instant,
        /// How long that was ago when this report was made.
        elapsed: Duration,
        /// What went wrong last.
        last_error: Arc<dyn Error + Send + Sync>,
    },
    /// The source has endpoints, and a filter lets none of them pass.
    #[non_exhaustive]
    NoneMatches {
        /// Where the endpoints come from; empty where only one source is asked.
        registry: Arc<str>,
        /// How many there are.
        known: usize,
        /// What none of them has, for example `version=v2, zone=a`.
        filter: Arc<str>,
    },
    /// Several sources are merged, and none of them has an endpoint.
    #[non_exhaustive]
    AllEmpty {
        /// What each of them says.
        reports: Arc<[Self]>,
    },
}

impl DiscoverError {
    /// Nobody is registered under `service`.
    pub fn empty(registry: impl Into<Arc<str>>, service: impl Into<Arc<str>>) -> Self {
        Self::Empty {
            registry: registry.into(),
            service: service.into(),
        }
    }

    /// `registry` does not answer since `since`; `now` is the time of this report.
    pub fn unavailable(
        registry: impl Into<Arc<str>>,
        since: Instant,
        now: Instant,
        last_error: impl Into<BoxError>,
    ) -> Self {
        Self::Unavailable {
            registry: registry.into(),
            since,
            elapsed: now.saturating_duration_since(since),
            last_error: last_error.into().into(),
        }
    }

    /// Of `known` endpoints none passes `filter`.
    pub fn none_matches(known: usize, filter: impl Into<Arc<str>>) -> Self {
        Self::NoneMatches {
            registry: Arc::default(),
            known,
            filter: filter.into(),
        }
    }

    /// Whether the source answers and has nobody, as opposed to a source that cannot be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !matches!(self, Self::Unavailable { .. })
    }

    /// The same report, of the source that goes by `name` among several.
    pub(crate) fn named(mut self, name: &str) -> Self {
        match &mut self {
            Self::Empty { registry, .. }
            | Self::Unavailable { registry, .. }
            | Self::NoneMatches { registry, .. } => {
                *registry = if registry.is_empty() {
                    name.into()
                } else {
                    format!("{name}: {registry}").into()
                };
            }
            Self::AllEmpty { reports } => {
                *reports = reports
                    .iter()
                    .map(|report| report.clone().named(name))
                    .collect();
            }
        }
        self
    }
}

impl fmt::Display for DiscoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { registry, service } if service.is_empty() => {
                write!(f, "{registry} has no endpoints")
            }
            Self::Empty { registry, service } => {
                write!(f, "no endpoint of {service:?} is registered in {registry}")
            }
            Self::Unavailable {
                registry,
                elapsed,
                last_error,
                ..
            } => {
                write!(f, "{registry} unavailable")?;
                // A report may be read long after it was made: the first one knows no time.
                if !elapsed.is_zero() {
                    write!(f, " for {elapsed:.1?}")?;
                }
                write!(f, ": {}", chain(&**last_error))
            }
            Self::NoneMatches {
                registry,
                known,
                filter,
            } => {
                write!(f, "{known} endpoint{}", if *known == 1 { "" } else { "s" })?;
                if !registry.is_empty() {
                    write!(f, " of {registry}")?;
                }
                write!(f, ", none with {filter}")
            }
            Self::AllEmpty { reports } => {
                for (index, report) in reports.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{report}")?;
                }
                Ok(())
            }
        }
    }
}

impl Error for DiscoverError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Empty { .. } | Self::NoneMatches { .. } | Self::AllEmpty { .. } => None,
            Self::Unavailable { last_error, .. } => Some(&**last_error),
        }
    }
}
