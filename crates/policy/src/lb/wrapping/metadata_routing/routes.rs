use std::time::Duration;

use evenkeel_core::{Metadata, headers};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::config::{MAX_CANDIDATES, MAX_ROUTES};
use super::{BadRoutes, MetadataRoutingConfig, OnNoMatch};
use crate::lb::MetadataKey;

/// The routes, ready to be asked.
#[derive(Debug)]
pub(super) struct Routes {
    routes: Box<[ReadyRoute]>,
    on_no_match: OnNoMatch,
    failover_delay: Duration,
}

#[derive(Debug)]
pub(super) struct ReadyRoute {
    pub(super) header: HeaderName,
    pub(super) key: MetadataKey,
    default: Option<Box<str>>,
    fallbacks: Box<[Box<str>]>,
    required: bool,
}

/// The values, one for each route, that a subset of the endpoints has; `None` is any.
pub(super) type Combination = Box<[Option<Box<str>>]>;

/// The same as a call asks for them. Those beyond the last route are any.
pub(super) type Asked<'a> = [Option<&'a [u8]>; MAX_ROUTES];

impl Routes {
    pub(super) fn new(config: MetadataRoutingConfig) -> Result<Self, BadRoutes> {
        let routes: Box<[_]> = config
            .routes
            .into_iter()
            .map(|route| ReadyRoute {
                header: route.header,
                key: route.key,
                default: route.default.map(Into::into),
                fallbacks: route.fallbacks.into_iter().map(Into::into).collect(),
                required: route.required,
            })
            .collect();
        let mut candidates = 1_usize;
        for route in &routes {
            candidates = candidates.saturating_mul(route.candidates(Some(b"")));
        }
        match routes.len() {
            0 => Err(BadRoutes::None),
            len if len > MAX_ROUTES => Err(BadRoutes::TooMany),
            _ if candidates > MAX_CANDIDATES => Err(BadRoutes::TooManyFallbacks),
            _ => Ok(Self {
                routes,
                on_no_match: config.on_no_match,
                failover_delay: config.failover_delay,
            }),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ReadyRoute> {
        self.routes.iter()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &MetadataKey> {
        self.routes.iter().map(|route| &route.key)
    }

    pub(super) const fn failover_delay(&self) -> Duration {
        self.failover_delay
    }

    pub(super) fn any_will_do(&self) -> bool {
        self.on_no_match == OnNoMatch::Any
    }

    /// What a call with these headers asks for first.
    pub(super) fn asked<'a>(&'a self, headers: &'a HeaderMap) -> Asked<'a> {
        let mut asked = [None; MAX_ROUTES];
        for (asked, route) in asked.iter_mut().zip(&self.routes) {
            let value = headers::get(headers, &route.header).map(HeaderValue::as_bytes);
            let default = || route.default.as_deref().map(str::as_bytes);
            *asked = value.filter(|value| !value.is_empty()).or_else(default);
        }
        asked
    }

    /// All that a call which asked for `asked` may get, the best first. Stops when `look` finds something.
    pub(super) fn candidates<T>(
        &self,
        asked: &Asked<'_>,
        mut look: impl FnMut(&Asked<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut steps = [0; MAX_ROUTES];
        loop {
            let mut candidate = [None; MAX_ROUTES];
            for (place, route) in self.routes.iter().enumerate() {
                candidate[place] = route.candidate(asked[place], steps[place]);
            }
            if let Some(found) = look(&candidate) {
                return Some(found);
            }
            // The last route gives way first.
            let mut place = self.routes.len();
            loop {
                place = place.checked_sub(1)?;
                steps[place] += 1;
                if steps[place] < self.routes[place].candidates(asked[place]) {
                    break;
                }
                steps[place] = 0;
            }
        }
    }

    /// All combinations that an endpoint belongs to; `None` when they are more than `most`.
    pub(super) fn combinations(
        &self,
        metadata: &Metadata,
        most: usize,
    ) -> Option<Vec<Combination>> {
        let mut all: Vec<Vec<Option<Box<str>>>> = vec![Vec::new()];
        for route in &self.routes {
            let mut values: Vec<_> = route.key.values(metadata).map(Some).collect();
            values.sort_unstable();
            values.dedup();
            if route.default.is_none() || !route.required {
                values.push(None);
            }
            if all.len().saturating_mul(values.len()) > most {
                return None;
            }
            let extended = all.iter().flat_map(|start| {
                values.iter().map(|value| {
                    let mut next = start.clone();
                    next.push(value.map(Into::into));
                    next
                })
            });
            all = extended.collect();
        }
        let any = vec![None; self.routes.len()];
        if self.any_will_do() && !all.contains(&any) {
            all.push(any);
        }
        Some(all.into_iter().map(Into::into).collect())
    }
}

impl ReadyRoute {
    fn candidates(&self, asked: Option<&[u8]>) -> usize {
        match asked {
            Some(_) => 1 + self.fallbacks.len() + usize::from(!self.required),
            None => 1,
        }
    }

    fn candidate<'a>(&'a self, asked: Option<&'a [u8]>, step: usize) -> Option<&'a [u8]> {
        match step.checked_sub(1) {
            None => asked,
            Some(fallback) => self.fallbacks.get(fallback).map(|value| value.as_bytes()),
        }
    }
}
