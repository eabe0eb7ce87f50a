use std::sync::Arc;

use bytes::Bytes;
use evenkeel::transport::{
    CloseReason, Connect, ConnectError, ConnectStep, Connected, Connection, RequestBody,
};
use evenkeel::{Address, Endpoint};
use evenkeel_core::error::AttemptError;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::answer::{Gives, Read};
use super::{Answer, Attempt, Servers, Shared};

impl Connect for Servers {
    type Connection = Server;
    type Future = std::future::Ready<Result<Connected<Server>, ConnectError>>;

    fn connect(&self, address: &Address, _: &Endpoint) -> Self::Future {
        let mut connections = self.0.connections.lock();
        if connections.are_refused {
            let error = ConnectError::new(address.clone(), ConnectStep::Dial);
            return std::future::ready(Err(error));
        }
        connections.made += 1;
        let id = connections.made;
        let (close, closed) = oneshot::channel();
        connections.open.insert(id, close);
        let server = Server {
            address: address.clone(),
            connection: id,
            shared: self.0.clone(),
        };
        std::future::ready(Ok(Connected::new(server, closed)))
    }
}

/// A connection to one of the servers.
#[derive(Clone)]
pub(crate) struct Server {
    address: Address,
    connection: usize,
    shared: Arc<Shared>,
}

impl Server {
    fn close(&self) {
        let closed = self.shared.connections.lock().open.remove(&self.connection);
        if let Some(closed) = closed {
            closed.send(CloseReason::ClosedByPeer).ok();
        }
    }
}

impl Connection for Server {
    type ResponseBody = UnsyncBoxBody<Bytes, Status>;
    type Future<B: RequestBody> = BoxFuture<'static, Result<Response<Self::ResponseBody>, Status>>;

    fn send<B: RequestBody>(&self, request: Request<B>) -> Self::Future<B> {
        let answer = self.shared.script.lock().pop_front();
        let always = *self.shared.always.lock();
        let answer = answer.unwrap_or_else(always.unwrap_or(Answer::ok));
        let at = Instant::now();
        let server = self.clone();
        if matches!(answer.gives, Gives::Back) {
            return async move {
                answer.wait().await;
                server.close();
                let error = AttemptError::unsent(request, "connection closed");
                Err(error.into_status(Code::Unavailable))
            }
            .boxed();
        }
        async move {
            let (head, mut body) = request.into_parts();
            let mut read = Read::default();
            // A request is there when its head is, however little of its body is read.
            let number = {
                let mut attempts = server.shared.attempts.lock();
                attempts.push(Attempt {
                    at,
                    server: server.address.clone(),
                    headers: head.headers,
                    messages: Vec::new(),
                    has_ended: false,
                });
                attempts.len() - 1
            };
            while answer.wants_more(&read.messages) {
                match body.frame().await {
                    Some(frame) => {
                        let frame = frame.map_err(|error| Status::from_error(error.into()))?;
                        read.push(frame.data_ref().unwrap_or(&Bytes::new()));
                    }
                    None => read.has_ended = true,
                }
                let attempt = &mut server.shared.attempts.lock()[number];
                attempt.messages.clone_from(&read.messages);
                attempt.has_ended = read.has_ended;
                if read.has_ended {
                    break;
                }
            }
            answer.wait().await;
            if answer.closes() {
                server.close();
            }
            answer.give().await
        }
        .boxed()
    }
}
