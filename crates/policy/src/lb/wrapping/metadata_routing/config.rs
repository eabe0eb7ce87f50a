use std::time::Duration;

use http::HeaderName;

use crate::lb::MetadataKey;

/// How [`MetadataRouting`](super::MetadataRouting) behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetadataRoutingConfig {
    /// `routes`: what an endpoint has to match, all of it. From 1 to 4; the most important first, for it
    /// gives way last. The values that one call may come to look for, fallbacks included, are at most
    /// 256 combinations.
    pub routes: Vec<Route>,
    /// `onNoMatch`: what becomes of a call that no endpoint can take by the routes. Default: it fails.
    pub on_no_match: OnNoMatch,
    /// `failoverDelay`: how long, after the channel got its first endpoints, calls wait for those
    /// that match and still connect instead of falling back. Default: 10 s.
    pub failover_delay: Duration,
}

impl Default for MetadataRoutingConfig {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            on_no_match: OnNoMatch::default(),
            failover_delay: Duration::from_secs(10),
        }
    }
}

/// What becomes of a call that no endpoint can take by the routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum OnNoMatch {
    /// It fails with UNAVAILABLE, and says what it asked for and what there is.
    #[default]
    Fail,
    /// Any endpoint may take it.
    Any,
}

/// Compares a header of the request with the metadata of endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// `header`: its first value is what endpoints have to have. Without it, or when it is empty, the default
    /// counts.
    pub header: HeaderName,
    /// `metadata`: where endpoints have it. One with several tags matches each of them.
    pub key: MetadataKey,
    /// `default`: what a request without the header asks for. Default: nothing, every endpoint matches.
    pub default: Option<String>,
    /// `fallbacks`: what else will do, in this order, while no endpoint with the value asked for is READY.
    /// Default: nothing.
    pub fallbacks: Vec<String>,
    /// `required`: whether an endpoint has to match at all, when neither the value asked for nor a fallback
    /// is there. Default: true.
    pub required: bool,
}

impl Route {
    /// As [`Self::new`], by names as in a config.
    ///
    /// # Errors
    ///
    /// [`BadRoutes::Header`].
    pub fn named(header: &str, key: &str) -> Result<Self, BadRoutes> {
        match HeaderName::try_from(header) {
            Ok(header) if !header.as_str().ends_with("-bin") => {
                Ok(Self::new(header, MetadataKey::named(key)))
            }
            _ => Err(BadRoutes::Header),
        }
    }

    /// Requires `key` to be what `header` says, if the request has it.
    #[must_use]
    pub const fn new(header: HeaderName, key: MetadataKey) -> Self {
        Self {
            header,
            key,
            default: None,
            fallbacks: Vec::new(),
            required: true,
        }
    }
}

/// Why routes cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRoutes {
    /// A header's name is not one, or ends with `-bin`: its value is not the text that metadata is.
    #[error("it is not the name of a header with a text")]
    Header,
    /// There is none.
    #[error("there are no routes")]
    None,
    /// There are more than 4.
    #[error("there are more than {} routes", MAX_ROUTES)]
    TooMany,
    /// A call may have to look for more than 256 combinations of values.
    #[error(
        "there are more than {} combinations of values and fallbacks to look for",
        MAX_CANDIDATES
    )]
    TooManyFallbacks,
}

/// What bounds the arrays of a pick.
pub(super) const MAX_ROUTES: usize = 4;

/// What bounds the time of a pick that falls back.
pub(super) const MAX_CANDIDATES: usize = 256;
