//! ginepro's `LoadBalancedChannel` (tonic 0.13's `balance_channel`, fed by a lookup every 10 s),
//! under a client as tonic generates it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use evenkeel_bench_harness::{Caller, Options, Shape};
use ginepro::{LoadBalancedChannel, LookupService, ResolutionStrategy, ServiceDefinition};
use peer_messages::{GET_BY_ID, GetByIdRequest, LIST_USERS, ListUsersRequest, UserResponse};
use tonic::client::Grpc;
use tonic::codec::{ProstCodec, Streaming};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{GrpcMethod, Request, Response, Status};

fn main() -> ExitCode {
    evenkeel_bench_harness::run(connect)
}

async fn connect(options: Options) -> impl Fn() -> Users {
    let lookup = Fixed(options.endpoints.into_iter().collect());
    let timeout = Duration::from_secs(10);
    let channel = LoadBalancedChannel::builder(("users", 1))
        .lookup_service(lookup)
        .resolution_strategy(ResolutionStrategy::Eager { timeout })
        .channel()
        .await
        .expect("a lookup of what is known succeeds");
    move || Users {
        grpc: Grpc::new(channel.clone()),
        shape: options.shape,
    }
}

/// Always finds the same endpoints.
struct Fixed(HashSet<SocketAddr>);

#[async_trait::async_trait]
impl LookupService for Fixed {
    async fn resolve_service_endpoints(
        &self,
        _: &ServiceDefinition,
    ) -> anyhow::Result<HashSet<SocketAddr>> {
        Ok(self.0.clone())
    }
}

/// A client of the service, as tonic generates it.
struct Users {
    grpc: Grpc<LoadBalancedChannel>,
    shape: Shape,
}

impl Users {
    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.grpc.ready().await;
        ready.map_err(|error| Status::unknown(format!("the service is not ready: {error}")))
    }

    async fn get_by_id(
        &mut self,
        message: GetByIdRequest,
    ) -> Result<Response<UserResponse>, Status> {
        self.ready().await?;
        let mut request = Request::new(message);
        let method = GrpcMethod::new("UserService", "GetById");
        request.extensions_mut().insert(method);
        let path = PathAndQuery::from_static(GET_BY_ID);
        self.grpc.unary(request, path, ProstCodec::default()).await
    }

    async fn list_users(
        &mut self,
        message: ListUsersRequest,
    ) -> Result<Response<Streaming<UserResponse>>, Status> {
        self.ready().await?;
        let mut request = Request::new(message);
        let method = GrpcMethod::new("UserService", "ListUsers");
        request.extensions_mut().insert(method);
        let path = PathAndQuery::from_static(LIST_USERS);
        let codec = ProstCodec::default();
        self.grpc.server_streaming(request, path, codec).await
    }
}

impl Caller for Users {
    async fn call(&mut self) {
        if self.shape != Shape::Stream {
            let response = self
                .get_by_id(GetByIdRequest::of(self.shape.padding()))
                .await;
            let response = response.expect("the servers answer every call");
            assert!(response.into_inner().user.is_some());
            return;
        }
        let response = self.list_users(ListUsersRequest::of(Shape::MESSAGES)).await;
        let mut users = response
            .expect("the servers answer every call")
            .into_inner();
        let mut count = 0;
        while let Some(response) = users.message().await.expect("streams do not break") {
            assert!(response.user.is_some());
            count += 1;
        }
        assert_eq!(count, Shape::MESSAGES);
    }
}
