use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tonic::codegen::BoxStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::pb::test_service_server::TestService;
use super::pb::{
    EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, SimpleResponse,
    StreamingInputCallRequest, StreamingInputCallResponse, StreamingOutputCallRequest,
    StreamingOutputCallResponse,
};

/// The service itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service;

type Responses = BoxStream<StreamingOutputCallResponse>;

#[tonic::async_trait]
impl TestService for Service {
    type StreamingOutputCallStream = Responses;
    type FullDuplexCallStream = Responses;

    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let request = request.into_inner();
        echo(request.response_status)?;
        let payload = Some(payload(request.response_size)?);
        Ok(Response::new(SimpleResponse { payload }))
    }

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Responses>, Status> {
        Ok(Response::new(respond(request.into_inner())))
    }

    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let mut requests = request.into_inner();
        let mut sum = 0;
        while let Some(request) = requests.message().await? {
            sum += request.payload.map_or(0, |payload| payload.body.len());
        }
        let sum = i32::try_from(sum).map_err(|_| Status::out_of_range("too much"))?;
        Ok(Response::new(StreamingInputCallResponse {
            aggregated_payload_size: sum,
        }))
    }

    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let responses = request.into_inner().map_ok(respond).try_flatten();
        Ok(Response::new(responses.boxed()))
    }

    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("as its name says"))
    }
}

fn respond(request: StreamingOutputCallRequest) -> Responses {
    if let Err(status) = echo(request.response_status) {
        return stream::iter([Err(status)]).boxed();
    }
    stream::iter(request.response_parameters)
        .then(async |ResponseParameters { size, interval_us }| {
            // A negative one is none.
            let pause = Duration::from_micros(interval_us.try_into().unwrap_or(0));
            tokio::time::sleep(pause).await;
            let payload = Some(payload(size)?);
            Ok(StreamingOutputCallResponse { payload })
        })
        .boxed()
}

/// Fails with the status that was asked for.
fn echo(status: Option<EchoStatus>) -> Result<(), Status> {
    match status {
        Some(EchoStatus { code, message }) if code != 0 => {
            Err(Status::new(Code::from(code), message))
        }
        _ => Ok(()),
    }
}

fn payload(size: i32) -> Result<Payload, Status> {
    let size = usize::try_from(size);
    let size = size.map_err(|_| Status::invalid_argument("a negative size"))?;
    Ok(Payload {
        r#type: 0,
        body: vec![0; size],
    })
}
