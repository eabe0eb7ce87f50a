//! Settles an attempt when its response has really ended: at the trailers.
//!
//! `Ok(response)` says little in gRPC: the status of a call whose headers have arrived comes in
//! the trailers of its body. [`ObservedFuture`] and [`ObservedBody`] carry a [`Ticket`] to that
//! point and settle it exactly once:
//!
//! | the attempt | is settled with |
//! |---|---|
//! | fails before the response | the error's code |
//! | is answered Trailers-Only | `grpc-status` of the headers |
//! | is answered by something that is not gRPC | the code its HTTP status maps to |
//! | ends with trailers | `grpc-status` of the trailers |
//! | ends without trailers, or with an unreadable status | UNKNOWN |
//! | is cut in the middle | the error's code |
//! | is dropped | [`Outcome::Abandoned`] |

mod abandon;
mod body;
mod future;

pub use abandon::{abandon, waited_for};
pub use body::ObservedBody;
pub use future::ObservedFuture;

use http::{HeaderMap, HeaderName, StatusCode};
use tonic::{Code, Status};

use crate::{Outcome, headers};

/// What an admitted attempt holds and settles exactly once.
pub trait Ticket {
    /// The metadata that the response ends with has come, before the ticket is settled: trailers,
    /// or the headers of a response that has nothing else.
    #[inline]
    fn ends_with(&mut self, trailers: &HeaderMap) {
        let _ = trailers;
    }

    /// The attempt has ended; `Abandoned` when it was dropped before.
    fn settle(self, outcome: Outcome);

    /// The same for one that has failed, with what its status says.
    fn fail(self, outcome: Outcome, message: &str)
    where
        Self: Sized,
    {
        let _ = message;
        self.settle(outcome);
    }
}

/// A ticket that settles as [`Outcome::Abandoned`] when it is dropped, unless it was settled or
/// taken out before.
#[derive(Debug)]
pub struct Guard<T: Ticket>(Option<T>);

impl<T: Ticket> Guard<T> {
    /// Guards `ticket`.
    pub const fn new(ticket: T) -> Self {
        Self(Some(ticket))
    }

    /// Guards nothing: there is nothing left to settle.
    #[must_use]
    pub const fn empty() -> Self {
        Self(None)
    }

    /// Settles the ticket, once; later calls do nothing.
    pub fn settle(&mut self, outcome: Outcome) {
        if let Some(ticket) = self.0.take() {
            ticket.settle(outcome);
        }
    }

    /// Settles the ticket by the metadata that the response ends with.
    #[inline]
    fn settle_by(&mut self, trailers: &HeaderMap, code: Code) {
        if let Some(mut ticket) = self.0.take() {
            ticket.ends_with(trailers);
            match code {
                Code::Ok => ticket.settle(Outcome::Success),
                code => fail_by(ticket, trailers, code),
            }
        }
    }

    /// Settles the ticket of a response that was cut.
    #[cold]
    fn fail(&mut self, status: &Status) {
        if let Some(ticket) = self.0.take() {
            ticket.fail(status.code().into(), status.message());
        }
    }

    /// The ticket, if it is still there.
    #[must_use]
    pub const fn ticket(&self) -> Option<&T> {
        self.0.as_ref()
    }

    /// The same, to change it.
    #[must_use]
    pub const fn ticket_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut()
    }

    /// Takes the ticket out, unsettled.
    pub const fn take(&mut self) -> Option<T> {
        self.0.take()
    }

    /// Settles the ticket if the head of `response` decides, else moves it into the body.
    pub fn watch<B>(&mut self, response: http::Response<B>) -> http::Response<ObservedBody<B, T>> {
        let decided = match self.0 {
            Some(_) => head_status(&response),
            None => None,
        };
        self.watch_decided(decided, response)
    }

    /// The same for whoever has read [`head_status`] of `response` already.
    #[inline]
    pub fn watch_decided<B>(
        &mut self,
        decided: Option<Code>,
        response: http::Response<B>,
    ) -> http::Response<ObservedBody<B, T>> {
        if let Some(code) = decided {
            self.settle_by(response.headers(), code);
        }
        response.map(|body| ObservedBody::new(body, Self(self.0.take())))
    }
}

#[cold]
fn fail_by<T: Ticket>(ticket: T, trailers: &HeaderMap, code: Code) {
    let told = Status::from_header_map(trailers);
    let message = told.as_ref().map_or("", Status::message);
    ticket.fail(Outcome::Failure(code), message);
}

impl<T: Ticket> Drop for Guard<T> {
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
    }
}

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The `grpc-status` in headers or trailers; a malformed one is UNKNOWN.
#[must_use]
#[inline]
pub fn grpc_status(headers: &HeaderMap) -> Option<Code> {
    let value = headers::get(headers, &GRPC_STATUS);
    value.map(|value| match value.as_bytes() {
        b"0" => Code::Ok,
        other => Code::from_bytes(other),
    })
}

/// The status that a response's head already decides: Trailers-Only, or an HTTP status that
/// is no gRPC answer. `None` when the body decides.
#[must_use]
#[inline]
pub fn head_status<B>(response: &http::Response<B>) -> Option<Code> {
    grpc_status(response.headers()).or_else(|| match response.status() {
        StatusCode::OK => None,
        status => Some(code_of_http(status)),
    })
}

/// gRPC's mapping of HTTP statuses, for answers without a `grpc-status`.
#[must_use]
pub const fn code_of_http(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests;
