use evenkeel_core::{Attempt, Deadline, WaitForReady};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use smallvec::SmallVec;
use tonic::GrpcMethod;

use crate::timeout::{self, GRPC_TIMEOUT};

static PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// What further attempts need of a request, beside its body.
#[derive(Clone, Debug)]
pub(super) struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    headers: Headers,
    extensions: Carried,
}

/// A request's headers, each with each of its values.
///
/// A copy of the map itself allocates twice; a unary call of a generated stub has two headers, and
/// those that its interceptors add.
type Headers = SmallVec<[(HeaderName, HeaderValue); 4]>;

/// A request's extensions.
///
/// Cloning a map of extensions allocates for the map and for each value, so the few that every
/// call has are kept by value.
#[derive(Clone, Debug)]
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
        let method = extensions.get::<GrpcMethod<'static>>().cloned();
        let deadline = extensions.get::<Deadline>().copied();
        let wait_for_ready = extensions.get::<WaitForReady>().copied();
        let known = [
            method.is_some(),
            deadline.is_some(),
            wait_for_ready.is_some(),
        ];
        if known.into_iter().filter(|known| *known).count() < extensions.len() {
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

fn copy(headers: &HeaderMap) -> Headers {
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

impl Head {
    /// Copies the head of a request. `timed` says that each attempt gets its own `grpc-timeout`.
    pub(super) fn copy(parts: &mut Parts, timed: bool) -> Self {
        // A header value that was made for this call is cheaper to set aside than to share.
        let timeout = timed.then(|| parts.headers.remove(&GRPC_TIMEOUT)).flatten();
        let head = Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            headers: copy(&parts.headers),
            extensions: Carried::of(&parts.extensions),
        };
        if let Some(timeout) = timeout {
            parts.headers.insert(&GRPC_TIMEOUT, timeout);
        }
        head
    }

    pub(super) fn path(&self) -> &str {
        self.uri.path()
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
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
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
