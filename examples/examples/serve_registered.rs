//! A tonic server that is registered while it serves, and ends without failing a call.

use std::error::Error;
use std::time::Duration;

use evenkeel::discover::{MemoryRegistry, Serve, ServeConfig};
use evenkeel::{Channel, Metadata};
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::pb::user_service_server::{UserService, UserServiceServer};
use evenkeel_testkit::pb::{
    GetByIdRequest, GetByIdResponse, ImportUsersRequest, ImportUsersResponse, ListUsersRequest,
    ListUsersResponse, SyncUsersRequest, SyncUsersResponse, User,
};
use tokio::net::TcpListener;
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // `EtcdRegistrar`, or several of them in `Registrars`, go here just as well.
    let registry = MemoryRegistry::new();
    // The first call comes before the server has registered, and waits for it.
    let channel = Channel::builder("memory:///user-service")
        .registry(&registry)
        .service_config(r#"{"methodConfig": [{"name": [{}], "waitForReady": true}]}"#)
        .build()?;
    let mut client = UserServiceClient::new(channel);
    let mut failed = 0;
    // A real server has `evenkeel::discover::shutdown_signal()`: SIGTERM and Ctrl-C.
    let calls = async {
        for id in 0..100 {
            let mut request = Request::new(GetByIdRequest { id });
            request.set_timeout(Duration::from_secs(5));
            if let Err(status) = client.get_by_id(request).await {
                eprintln!("call {id}: {status}");
                failed += 1;
            }
        }
    };

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let bound = listener.local_addr()?;
    let server = Server::builder().add_service(UserServiceServer::new(Users));
    let serve = Serve::new(&registry, "user-service").until(calls);
    let serve = serve.config(ServeConfig {
        metadata: Metadata::default().with_weight(10.0),
        propagation_delay: Duration::from_millis(100),
        ..ServeConfig::default()
    });
    let served = serve.run(bound, |stop| {
        server.serve_with_incoming_shutdown(TcpIncoming::from(listener), stop)
    });
    let served = served.await?;
    println!("{served:?}, and {failed} of 100 calls have failed");
    assert!(failed == 0 && served.deregistered && served.drained);
    Ok(())
}

struct Users;

#[tonic::async_trait]
impl UserService for Users {
    type ListUsersStream = BoxStream<ListUsersResponse>;
    type SyncUsersStream = BoxStream<SyncUsersResponse>;

    async fn get_by_id(
        &self,
        request: Request<GetByIdRequest>,
    ) -> Result<Response<GetByIdResponse>, Status> {
        let user = User {
            id: request.into_inner().id,
            ..User::default()
        };
        Ok(Response::new(GetByIdResponse { user: Some(user) }))
    }

    async fn list_users(
        &self,
        _: Request<ListUsersRequest>,
    ) -> Result<Response<Self::ListUsersStream>, Status> {
        Err(Status::unimplemented("not in this example"))
    }

    async fn import_users(
        &self,
        _: Request<Streaming<ImportUsersRequest>>,
    ) -> Result<Response<ImportUsersResponse>, Status> {
        Err(Status::unimplemented("not in this example"))
    }

    async fn sync_users(
        &self,
        _: Request<Streaming<SyncUsersRequest>>,
    ) -> Result<Response<Self::SyncUsersStream>, Status> {
        Err(Status::unimplemented("not in this example"))
    }
}

#[test]
fn it_runs() {
    main().unwrap();
}
