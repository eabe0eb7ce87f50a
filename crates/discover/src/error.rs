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
                let reason = chain(&**last_error);
                write!(f, "{registry} unavailable for {elapsed:.1?}: {reason}")
            }
        }
    }
}

impl Error for DiscoverError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Empty { .. } => None,
            Self::Unavailable { last_error, .. } => Some(&**last_error),
        }
    }
}
