//! tonic's own server.

use evenkeel_bench_harness::Shape;
use evenkeel_bench_server::answer;
use evenkeel_bench_stub::pb::user_service_server::{UserService, UserServiceServer};
use evenkeel_bench_stub::pb::{
    GetByIdRequest, GetByIdResponse, ListUsersRequest, ListUsersResponse, User,
};
use tokio::net::TcpListener;
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, shape: Shape) {
    let users = Users {
        user: answer::user(shape),
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .add_service(UserServiceServer::new(users))
        .serve_with_incoming(incoming)
        .await
        .expect("a listening socket accepts");
}

struct Users {
    user: User,
}

#[tonic::async_trait]
impl UserService for Users {
    type ListUsersStream = BoxStream<ListUsersResponse>;

    async fn get_by_id(
        &self,
        request: Request<GetByIdRequest>,
    ) -> Result<Response<GetByIdResponse>, Status> {
        let user = User {
            id: request.into_inner().id,
            ..self.user.clone()
        };
        Ok(Response::new(GetByIdResponse { user: Some(user) }))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<Self::ListUsersStream>, Status> {
        let count = request.into_inner().count as usize;
        let user = self.user.clone();
        let users = (0..count).map(move |_| {
            let user = Some(user.clone());
            Ok(ListUsersResponse { user })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(users))))
    }
}
