use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use evenkeel_core::{Attempt, Hedges, Tried};
use evenkeel_policy::hedge::HedgingPolicy;
use http::{Request, Response};
use http_body::Body;
use tonic::Status;
use tower_service::Service;

use super::call::Call;
use super::head::Head;
use super::hedging::Hedging;
use super::layer::Shared;
use super::replay::{Upfront, read_upfront};
use super::source::Source;
use super::{ReplayBody, ResponseFuture};
use crate::ResponseBody;
use crate::deadline::{Expiry, NO_TIME, Over};
use crate::limits::{RequestLimit, TooLarge};
use crate::lookup::Lookup;
use crate::method::Method;

/// A service that tries failed calls again; see the [module](super).
///
/// # Clone
///
/// Clones share the throttle and the buffer budget; a call that is tried again clones the inner
/// service.
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    pub(super) shared: Arc<Shared<S>>,
    lookup: Lookup,
}

impl<S> Retry<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared<S>>, lookup: Lookup) -> Self {
        Self {
            inner,
            shared,
            lookup,
        }
    }

    /// The service that each attempt goes to.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Retry<S>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Status;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let ready = self.inner.poll_ready(cx);
        ready.map_err(|error| into_status(error.into()))
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (mut head, mut noted) = Head::note(&request);
        let method = Arc::clone(self.lookup.find(request.uri()));
        let ends = self.lookup.ends_calls();
        let is_usual =
            method.hedging_policy().is_none() && !self.shared.settings.config.name_endpoints;
        let at = if ends {
            match method.apply(&mut request, &mut noted.terms) {
                Ok(at) => at,
                Err(Over(at)) => {
                    let expiry = Expiry::new(Some(at), method);
                    return ResponseFuture::failed(expiry.exceeded(NO_TIME));
                }
            }
        } else {
            noted.terms.end()
        };
        head.complete(&request, &noted, at);
        let upfront = read_upfront(request.body_mut())
            .and_then(|upfront| Ok((limit(&method, &upfront)?, upfront)));
        let expiry = Expiry::new(at, method);
        let (limited, upfront) = match upfront {
            Ok(upfront) => upfront,
            Err(status) if ends => return ResponseFuture::failed(expiry.status(status)),
            Err(status) => return ResponseFuture::failed(status),
        };
        let (limit, too_large) = limited.unzip();
        let mut source = None;
        let request = request.map(|body| {
            let (first, rest) = Source::split(body, upfront, limit, &self.shared.settings);
            source = rest;
            first
        });
        // The ready one serves the first attempt; a clone gets ready for each further one.
        let attempt = match is_usual {
            true => self.inner.call(request),
            false => match first_attempt(&expiry, request, &self.shared) {
                First::Only(request) => self.inner.call(request),
                First::Hedged(request, policy, hedges) => {
                    let attempt = self.inner.call(request);
                    let call = Call::new(&self.shared, expiry, ends, head, source, too_large);
                    return ResponseFuture::hedged(Hedging::new(call, policy, hedges, attempt));
                }
            },
        };
        let call = Call::new(&self.shared, expiry, ends, head, source, too_large);
        ResponseFuture::new(call, attempt)
    }
}

/// A first attempt that says that it is one.
enum First<B> {
    Only(Request<B>),
    Hedged(Request<B>, HedgingPolicy, Hedges),
}

#[cold]
fn first_attempt<S, B>(expiry: &Expiry, mut request: Request<B>, shared: &Shared<S>) -> First<B> {
    let policy = expiry.method().and_then(|method| method.hedging_policy());
    let Some(policy) = policy else {
        if shared.settings.config.name_endpoints {
            let first = Attempt::new(1, Tried::new());
            request.extensions_mut().insert(first);
        }
        return First::Only(request);
    };
    let hedges = Hedges::default();
    let first = Attempt::hedged(1, Tried::new(), hedges.clone());
    request.extensions_mut().insert(first);
    First::Hedged(request, policy.clone(), hedges)
}

/// What looks at the rest of a request, if there is more to come and messages have a limit.
///
/// # Errors
///
/// What was read of it has a message that is too long: nothing of the request is sent.
#[inline]
fn limit(
    method: &Arc<Method>,
    upfront: &Upfront,
) -> Result<Option<(Box<RequestLimit>, TooLarge)>, Status> {
    if method.limits.request.is_none() {
        return Ok(None);
    }
    check(method, upfront)
}

#[cold]
fn check(
    method: &Arc<Method>,
    upfront: &Upfront,
) -> Result<Option<(Box<RequestLimit>, TooLarge)>, Status> {
    let mut limited = RequestLimit::of(method);
    let (frames, is_complete) = match upfront {
        Upfront::Complete(data) => (data.as_slice(), true),
        Upfront::Partial(frames, trailers) => (frames.as_slice(), trailers.is_some()),
    };
    if let Some((limit, _)) = &mut limited {
        for data in frames {
            limit.check(data)?;
        }
    }
    Ok(limited.filter(|_| !is_complete))
}
