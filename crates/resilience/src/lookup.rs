use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::PathAndQuery;

use crate::fallback::FallbackRetry;
use crate::limits::MessageLimits;
use crate::method::{Again, Method, Timeout};
use crate::methods::{Methods, Source};
use crate::throttles::Throttles;

/// Finds what is configured for a call's method, and remembers it for the next call.
///
/// What it finds is counted by one `Arc`, which each call takes part in; so each clone has its own
/// as soon as it is called more than once, and callers do not share a line of memory.
#[derive(Debug)]
pub(crate) struct Lookup {
    timeouts: Timeouts,
    retries: Option<Retries>,
    /// Whether either may change.
    is_live: bool,
    /// Nearly every caller calls one method again and again.
    last: Option<Last>,
}

#[derive(Clone, Debug)]
enum Timeouts {
    /// Someone else ends calls.
    None,
    Of(Source<Duration>),
    /// Of the config that the retries are from: one that changes is read once then.
    OfRetries,
}

/// What a retrying service goes by, but for timeouts.
#[derive(Clone, Debug)]
pub(crate) struct Retries {
    source: Source<Again>,
    throttles: Arc<Throttles>,
    limits: MessageLimits,
    enabled: bool,
    /// For methods for which the config has neither retries nor hedging.
    fallback: Option<Arc<FallbackRetry>>,
}

#[derive(Debug)]
struct Last {
    method: Arc<Method>,
    owner: Owner,
}

/// Who counts an `Arc` beside this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Nobody but its calls.
    Own,
    /// The one it was cloned from, and it has not been called yet: many clones are called but once.
    Borrowed,
    /// The same, and it was called.
    Used,
}

impl Retries {
    pub(crate) fn new(
        methods: &Methods<Again>,
        throttles: &Arc<Throttles>,
        limits: MessageLimits,
        enabled: bool,
    ) -> Self {
        Self {
            source: methods.source(),
            throttles: Arc::clone(throttles),
            limits,
            enabled,
            fallback: None,
        }
    }

    /// The same with a policy for methods for which the config has neither retries nor hedging.
    pub(crate) fn or(mut self, fallback: Option<Arc<FallbackRetry>>) -> Self {
        self.fallback = fallback;
        self
    }
}

impl Lookup {
    /// For calls that end, and are not retried.
    pub(crate) fn of_deadlines(timeouts: &Methods<Duration>) -> Self {
        Self::new(Timeouts::Of(timeouts.source()), None)
    }

    /// For calls that are retried, and end if there are `timeouts`.
    pub(crate) fn of_retries(
        retries: Retries,
        methods: &Methods<Again>,
        timeouts: Option<&Methods<Duration>>,
    ) -> Self {
        let timeouts = match (timeouts, methods.live()) {
            (None, _) => Timeouts::None,
            (Some(Methods::Live(one)), Some(other)) if one.is(other) => Timeouts::OfRetries,
            (Some(timeouts), _) => Timeouts::Of(timeouts.source()),
        };
        Self::new(timeouts, Some(retries))
    }

    fn new(timeouts: Timeouts, retries: Option<Retries>) -> Self {
        let may_end_change = matches!(&timeouts, Timeouts::Of(source) if source.is_live());
        let retries_change = retries.as_ref().is_some_and(|it| it.source.is_live());
        Self {
            timeouts,
            is_live: may_end_change || retries_change,
            retries,
            last: None,
        }
    }

    /// Whether calls end by what is found; else that is someone else's business.
    #[inline]
    pub(crate) const fn ends_calls(&self) -> bool {
        !matches!(self.timeouts, Timeouts::None)
    }

    /// What is configured now for the method that `uri` names.
    #[inline]
    pub(crate) fn find(&mut self, uri: &Uri) -> &Arc<Method> {
        if self.is_live && self.refresh() {
            self.last = None;
        }
        let is_known = self.knows(uri) == Some(Owner::Own);
        if !is_known {
            self.look_up(uri);
        }
        let last = self.last.as_ref();
        &last.expect("it was just looked up").method
    }

    #[inline]
    fn refresh(&mut self) -> bool {
        let timeouts = match &mut self.timeouts {
            Timeouts::Of(source) => source.refresh(),
            Timeouts::None | Timeouts::OfRetries => false,
        };
        let retries = match &mut self.retries {
            Some(retries) => retries.source.refresh(),
            None => false,
        };
        timeouts | retries
    }

    /// Who owns what is known of the method that `uri` names, if it is known.
    #[inline]
    fn knows(&self, uri: &Uri) -> Option<Owner> {
        match (&self.last, uri.path_and_query()) {
            (Some(last), Some(path)) if is_same(last.method.path.as_str(), path.as_str()) => {
                Some(last.owner)
            }
            _ => None,
        }
    }

    #[cold]
    fn look_up(&mut self, uri: &Uri) {
        let known = self.knows(uri);
        self.last = Some(match (self.last.take(), known) {
            (Some(last), Some(Owner::Borrowed)) => Last {
                owner: Owner::Used,
                ..last
            },
            (Some(last), Some(_)) => Last {
                method: Arc::new(Method::clone(&last.method)),
                owner: Owner::Own,
            },
            _ => Last {
                method: Arc::new(self.method(uri)),
                owner: Owner::Own,
            },
        });
    }

    fn method(&self, uri: &Uri) -> Method {
        let path = uri.path();
        let retries = self.retries.as_ref();
        // Whoever uses the config of both asks it once: it notes what was called.
        let of_retries = retries.and_then(|it| it.source.method(path));
        let (timeout, wait_for_ready) = match &self.timeouts {
            Timeouts::None => (None, None),
            Timeouts::Of(Source::All(timeout)) => (Some(*timeout), None),
            Timeouts::Of(source) => source
                .method(path)
                .map_or((None, None), |it| (it.timeout, it.wait_for_ready)),
            Timeouts::OfRetries => {
                of_retries.map_or((None, None), |it| (it.timeout, it.wait_for_ready))
            }
        };
        let again = match retries.map(|it| &it.source) {
            Some(Source::All(again)) => Some(again.clone()),
            _ => of_retries.and_then(Again::of),
        };
        let fallback = || retries?.fallback.as_ref()?.policy_of(path);
        let again = again.or_else(|| fallback().cloned().map(Again::Retry));
        let limits = retries.map_or_else(MessageLimits::default, |retries| {
            of_retries.map_or(retries.limits, |it| {
                retries.limits.and(MessageLimits {
                    request: it.max_request_message_bytes,
                    response: it.max_response_message_bytes,
                })
            })
        });
        let target = uri.path_and_query().cloned();
        Method {
            path: target.unwrap_or_else(|| PathAndQuery::from_static("/")),
            timeout: timeout.map(Timeout::new),
            wait_for_ready,
            again: again.filter(|_| retries.is_some_and(|it| it.enabled)),
            throttle: retries.and_then(|it| it.throttles.current()),
            limits,
        }
    }
}

/// Knows what the other knows: a clone that is called but once looks nothing up.
impl Clone for Lookup {
    fn clone(&self) -> Self {
        Self {
            timeouts: self.timeouts.clone(),
            retries: self.retries.clone(),
            is_live: self.is_live,
            last: self.last.as_ref().map(|last| Last {
                method: Arc::clone(&last.method),
                owner: Owner::Borrowed,
            }),
        }
    }
}

/// The paths of generated clients are static: the same one is at the same place.
#[inline]
fn is_same(a: &str, b: &str) -> bool {
    ptr::eq(a, b) || a == b
}

#[cfg(test)]
mod tests;
