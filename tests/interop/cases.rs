//! The cases, each of a channel; their names and what they expect are gRPC's.

mod cancel;
mod status;
mod streaming;
mod unary;

use std::future::Future;
use std::pin::Pin;

use evenkeel::Channel;
use evenkeel_testkit::interop::pb::test_service_client::TestServiceClient;
use evenkeel_testkit::interop::pb::{Payload, ResponseParameters, StreamingOutputCallRequest};

type Client = TestServiceClient<Channel>;

/// One case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Panics if it does not hold.
    pub(crate) run: fn(Channel) -> Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The path of the call that it cancels.
    pub(crate) cancels: Option<&'static str>,
}

macro_rules! case {
    ($module:ident :: $name:ident) => {
        case!(@ $module, $name, None)
    };
    ($module:ident :: $name:ident, which cancels $method:literal) => {
        case!(@ $module, $name, Some(concat!("/grpc.testing.TestService/", $method)))
    };
    (@ $module:ident, $name:ident, $cancels:expr) => {
        Case {
            name: stringify!($name),
            run: |channel| Box::pin($module::$name(channel)),
            cancels: $cancels,
        }
    };
}

pub(crate) const CASES: &[Case] = &[
    case!(unary::empty_unary),
    case!(unary::large_unary),
    case!(streaming::client_streaming),
    case!(streaming::server_streaming),
    case!(streaming::ping_pong),
    case!(streaming::empty_stream),
    case!(cancel::timeout_on_sleeping_server),
    case!(cancel::cancel_after_begin, which cancels "StreamingInputCall"),
    case!(cancel::cancel_after_first_response, which cancels "FullDuplexCall"),
    case!(status::status_code_and_message),
    case!(status::special_status_message),
    case!(status::unimplemented_method),
    case!(status::unimplemented_service),
    case!(unary::custom_metadata),
];

/// So many zeros.
#[expect(clippy::unnecessary_wraps, reason = "messages have it as an option")]
fn zeros(size: usize) -> Option<Payload> {
    Some(Payload {
        r#type: 0,
        body: vec![0; size],
    })
}

/// A request of so many zeros for responses of so many.
fn asking(size: usize, responses: &[i32]) -> StreamingOutputCallRequest {
    let parameters = responses.iter().map(|size| ResponseParameters {
        size: *size,
        interval_us: 0,
    });
    StreamingOutputCallRequest {
        response_parameters: parameters.collect(),
        payload: zeros(size),
        ..StreamingOutputCallRequest::default()
    }
}
