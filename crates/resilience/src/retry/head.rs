use evenkeel_core::{Attempt, Deadline, WaitForReady};
use http::header::{CONTENT_TYPE, TE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use tonic::GrpcMethod;

use crate::timeout::{self, GRPC_TIMEOUT};

static PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// What further attempts need of a request, beside its body.
#[derive(Debug)]
pub(super) struct Head {
    method: Method,
    target: Target,
    version: Version,
    headers: Headers,
    extensions: Carried,
}

#[derive(Debug)]
enum Target {
    /// Nothing but a path, as generated clients have it.
    Path(PathAndQuery),
    Uri(Box<Uri>),
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

const TRAILERS: &str = "trailers";
const GRPC: &str = "application/grpc";

impl Target {
    fn of(uri: &Uri) -> Self {
        match uri.path_and_query() {
            Some(path) if uri.scheme().is_none() && uri.authority().is_none() => {
                Self::Path(path.clone())
            }
            _ => Self::Uri(Box::new(uri.clone())),
        }
    }

    fn uri(&self) -> Uri {
        match self {
            Self::Path(path) => Uri::from(path.clone()),
            Self::Uri(uri) => Uri::clone(uri),
        }
    }
}

impl Headers {
    /// Copies headers; without their `grpc-timeout` if each attempt gets its own.
    fn copy(headers: &HeaderMap, timed: bool) -> Self {
        let mut copy = Self::default();
        for (name, value) in headers {
            if *name == TE && value == TRAILERS && !copy.te {
                copy.te = true;
            } else if *name == CONTENT_TYPE && value == GRPC && !copy.grpc {
                copy.grpc = true;
            } else if !(timed && *name == GRPC_TIMEOUT) {
                copy.others.push((name.clone(), value.clone()));
            }
        }
        copy
    }

    fn restore(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.te {
            headers.insert(TE, HeaderValue::from_static(TRAILERS));
        }
        if self.grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
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
        deadline: Option<Deadline>,
        wait_for_ready: Option<WaitForReady>,
    },
    Any(Extensions),
}

impl Carried {
    fn of(extensions: &Extensions) -> Self {
        let mut others = extensions.len();
        let method = take(extensions, &mut others);
        let deadline = take(extensions, &mut others);
        let wait_for_ready = take(extensions, &mut others);
        if others > 0 {
            return Self::Any(extensions.clone());
        }
        Self::Usual {
            method,
            deadline,
            wait_for_ready,
        }
    }

    fn restore(&self) -> Extensions {
        match self {
            Self::Any(extensions) => extensions.clone(),
            Self::Usual {
                method,
                deadline,
                wait_for_ready,
            } => {
                let mut extensions = Extensions::new();
                if let Some(method) = method {
                    extensions.insert(method.clone());
                }
                if let Some(deadline) = deadline {
                    extensions.insert(*deadline);
                }
                if let Some(wait_for_ready) = wait_for_ready {
                    extensions.insert(*wait_for_ready);
                }
                extensions
            }
        }
    }
}

/// One of the extensions, and one less to find.
fn take<T: Clone + Send + Sync + 'static>(extensions: &Extensions, left: &mut usize) -> Option<T> {
    if *left == 0 {
        return None;
    }
    let found = extensions.get::<T>().cloned();
    *left -= usize::from(found.is_some());
    found
}

impl Head {
    /// Copies the head of a request. `timed` says that each attempt gets its own `grpc-timeout`.
    pub(super) fn copy(parts: &Parts, timed: bool) -> Self {
        Self {
            method: parts.method.clone(),
            target: Target::of(&parts.uri),
            version: parts.version,
            headers: Headers::copy(&parts.headers, timed),
            extensions: Carried::of(&parts.extensions),
        }
    }

    pub(super) fn path(&self) -> &str {
        match &self.target {
            Target::Path(path) => path.path(),
            Target::Uri(uri) => uri.path(),
        }
    }

    /// The request of `attempt`, with `left` of the call's time.
    pub(super) fn request<B>(
        &self,
        attempt: Attempt,
        left: Option<std::time::Duration>,
        body: B,
    ) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.uri();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.restore();
        *request.extensions_mut() = self.extensions.restore();
        if let Some(left) = left {
            let headers = request.headers_mut();
            headers.insert(&GRPC_TIMEOUT, timeout::encode(left));
        }
        if attempt.number > 1 {
            let previous = HeaderValue::from(attempt.number - 1);
            request.headers_mut().insert(&PREVIOUS_ATTEMPTS, previous);
        }
        if attempt.number > 1 || !attempt.tried.is_empty() {
            request.extensions_mut().insert(attempt);
        }
        request
    }
}
