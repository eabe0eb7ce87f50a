use std::ptr;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use crate::methods::Methods;
use crate::timeout;

/// Finds what is configured for a call's method, and remembers it for the next call.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    methods: Methods<Duration>,
    /// Nearly every caller calls one method again and again.
    last: Option<Last>,
}

#[derive(Clone, Debug)]
struct Last {
    path: PathAndQuery,
    settings: Settings,
}

/// What is configured for one method.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) timeout: Option<Timeout>,
    pub(super) wait_for_ready: Option<bool>,
}

/// A timeout, and the same as a header.
#[derive(Clone, Debug)]
pub(super) struct Timeout {
    pub(super) duration: Duration,
    pub(super) header: HeaderValue,
}

impl Lookup {
    pub(super) const fn new(methods: Methods<Duration>) -> Self {
        Self {
            methods,
            last: None,
        }
    }

    #[inline]
    pub(super) fn find(&mut self, uri: &Uri) -> &Settings {
        let is_known = match (&self.last, uri.path_and_query()) {
            (Some(last), Some(path)) => is_same(last.path.as_str(), path.as_str()),
            _ => false,
        };
        if !is_known {
            self.look_up(uri);
        }
        let last = self.last.as_ref();
        &last.expect("it was just looked up").settings
    }

    #[cold]
    fn look_up(&mut self, uri: &Uri) {
        let path = uri.path_and_query().cloned();
        self.last = Some(Last {
            path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
            settings: Settings::of(&self.methods, uri.path()),
        });
    }
}

/// The paths of generated clients are static: the same one is at the same place.
#[inline]
fn is_same(a: &str, b: &str) -> bool {
    ptr::eq(a, b) || a == b
}

impl Settings {
    fn of(methods: &Methods<Duration>, path: &str) -> Self {
        let (timeout, wait_for_ready) = methods.timeout(path);
        Self {
            timeout: timeout.map(|duration| Timeout {
                duration,
                header: timeout::encode(duration),
            }),
            wait_for_ready,
        }
    }
}
