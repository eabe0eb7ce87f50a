use std::time::Duration;

use evenkeel_core::{Attempt, Deadline, WaitForReady};
use http::header::{CONTENT_TYPE, TE};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use tokio::time::Instant;
use tonic::GrpcMethod;

use crate::deadline::{Expiry, Terms};
use crate::timeout::{self, GRPC_TIMEOUT};

static PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// What further attempts need of a request, beside its body and its path.
#[derive(Debug)]
pub(super) struct Head {
    method: Method,
    /// `None`: nothing but a path, as generated clients have it.
    uri: Option<Box<Uri>>,
    version: Version,
    headers: Headers,
    extensions: Carried,
}

/// What a request has beside its [`Head`].
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) terms: Terms,
    /// Whether it has a `grpc-timeout`, readable or not.
    has_timeout: bool,
    /// Whether it has other extensions than its method and its terms.
    has_more: bool,
}

/// A request's headers.
///
/// A copy of the map allocates twice, and a unary call of a generated client has but two headers,
/// always the same.
#[derive(Debug, Default)]
struct Headers {
    /// `te: trailers`
    te: bool,
    /// `content-type: application/grpc`
    grpc: bool,
    /// All others, each with each of its values: what interceptors have added.
    others: Vec<(HeaderName, HeaderValue)>,
}

const TRAILERS: &[u8] = b"trailers";
const GRPC: &[u8] = b"application/grpc";

/// One of the extensions, and one less to find.
#[inline]
fn take<T: Clone + Send + Sync + 'static>(extensions: &Extensions, left: &mut usize) -> Option<T> {
    if *left == 0 {
        return None;
    }
    let found = extensions.get::<T>().cloned();
    *left -= usize::from(found.is_some());
    found
}

impl Headers {
    /// Copies all headers but `grpc-timeout`, which most attempts get anew, and finds that.
    #[inline]
    fn copy(headers: &HeaderMap) -> (Self, Option<&HeaderValue>) {
        let mut copy = Self::default();
        let mut timeout = None;
        for (name, value) in headers {
            if *name == TE && value.as_bytes() == TRAILERS && !copy.te {
                copy.te = true;
            } else if *name == CONTENT_TYPE && value.as_bytes() == GRPC && !copy.grpc {
                copy.grpc = true;
            } else if *name == GRPC_TIMEOUT {
                timeout = timeout.or(Some(value));
            } else {
                copy.others.push((name.clone(), value.clone()));
            }
        }
        (copy, timeout)
    }

    /// Copies `grpc-timeout` as well.
    #[cold]
    fn copy_timeout(&mut self, headers: &HeaderMap) {
        let timeouts = headers.get_all(&GRPC_TIMEOUT);
        let timeouts = timeouts
            .iter()
            .map(|value| (GRPC_TIMEOUT.clone(), value.clone()));
        self.others.extend(timeouts);
    }

    fn restore(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.te {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if self.grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        }
        for (name, value) in &self.others {
            headers.append(name, value.clone());
        }
        headers
    }
}

/// A request's extensions.
///
/// Cloning a map of extensions allocates for the map and for each value, so the few that every
/// call has are kept by value.
#[derive(Debug)]
enum Carried {
    Usual {
        method: Option<GrpcMethod<'static>>,
        /// When the call ends, unless that is not among them.
        has_deadline: bool,
        wait_for_ready: Option<WaitForReady>,
    },
    Any(Extensions),
}

impl Carried {
    fn restore(&self, at: Option<Instant>) -> Extensions {
        match self {
            Self::Any(extensions) => extensions.clone(),
            Self::Usual {
                method,
                has_deadline,
                wait_for_ready,
            } => {
                let mut extensions = Extensions::new();
                if let Some(method) = method {
                    extensions.insert(method.clone());
                }
                if *has_deadline && let Some(at) = at {
                    extensions.insert(Deadline(at.into_std()));
                }
                if let Some(wait_for_ready) = wait_for_ready {
                    extensions.insert(*wait_for_ready);
                }
                extensions
            }
        }
    }
}

impl Head {
    /// Copies the head of a request to which nothing was added yet, all in one pass. What may
    /// still change is left to [`Self::complete`].
    #[inline]
    pub(super) fn note<B>(request: &Request<B>) -> (Self, Noted) {
        let (headers, timeout) = Headers::copy(request.headers());
        let extensions = request.extensions();
        let mut others = extensions.len();
        let method = take(extensions, &mut others);
        let terms = Terms {
            timeout: timeout.and_then(timeout::decode),
            deadline: take(extensions, &mut others),
            wait_for_ready: take(extensions, &mut others),
        };
        let noted = Noted {
            terms,
            has_timeout: timeout.is_some(),
            has_more: others > 0,
        };
        let uri = request.uri();
        let is_path =
            uri.scheme().is_none() && uri.authority().is_none() && uri.path_and_query().is_some();
        let head = Self {
            method: request.method().clone(),
            uri: (!is_path).then(|| Box::new(uri.clone())),
            version: request.version(),
            headers,
            extensions: Carried::Usual {
                method,
                has_deadline: false,
                wait_for_ready: None,
            },
        };
        (head, noted)
    }

    /// Copies what depends on the call's deadline, which the request has got since. Each attempt
    /// gets its own `grpc-timeout` if the call ends `at` an instant.
    #[inline]
    pub(super) fn complete<B>(&mut self, request: &Request<B>, noted: &Noted, at: Option<Instant>) {
        if noted.has_timeout && at.is_none() {
            self.headers.copy_timeout(request.headers());
        }
        match &mut self.extensions {
            Carried::Usual {
                has_deadline,
                wait_for_ready,
                ..
            } if !noted.has_more => {
                *has_deadline = noted.terms.deadline.is_some();
                *wait_for_ready = noted.terms.wait_for_ready;
            }
            extensions => *extensions = Carried::Any(request.extensions().clone()),
        }
    }

    /// The request of `attempt`, with `left` of the call's time.
    pub(super) fn request<B>(
        &self,
        attempt: Attempt,
        expiry: &Expiry,
        left: Option<Duration>,
        body: B,
    ) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = match (&self.uri, expiry.method()) {
            (Some(uri), _) => Uri::clone(uri),
            (None, Some(method)) => Uri::from(method.path.clone()),
            (None, None) => Uri::default(),
        };
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.restore();
        *request.extensions_mut() = self.extensions.restore(expiry.at());
        if let Some(left) = left {
            let headers = request.headers_mut();
            headers.insert(&GRPC_TIMEOUT, timeout::encode(left));
        }
        if attempt.number > 1 {
            let previous = HeaderValue::from(attempt.number - 1);
            request.headers_mut().insert(&PREVIOUS_ATTEMPTS, previous);
        }
        if attempt.number > 1 || !attempt.tried.is_empty() || attempt.hedges.is_some() {
            request.extensions_mut().insert(attempt);
        }
        request
    }
}
