use std::ptr;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use crate::methods::Methods;
use crate::timeout;

/// Finds what is configured for a call's method, and remembers it for the next call.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
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

    pub(super) fn find(&mut self, uri: &Uri) -> &Settings {
        let path = uri.path_and_query();
        let is_known = match (&self.last, path) {
            (Some(last), Some(path)) => is_same(last.path.as_str(), path.as_str()),
            _ => false,
        };
        if !is_known {
            let settings = Settings::of(&self.methods, uri.path());
            let path = path.map_or_else(|| PathAndQuery::from_static("/"), Clone::clone);
            self.last = Some(Last { path, settings });
        }
        let last = self.last.as_ref();
        &last.expect("it was just looked up").settings
    }
}

/// The paths of generated clients are static: the same one is at the same place.
fn is_same(a: &str, b: &str) -> bool {
    ptr::eq(a, b) || a == b
}

impl Settings {
    #[cold]
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
