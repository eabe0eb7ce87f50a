use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use evenkeel_testkit::pb::user_service_server::{UserService, UserServiceServer};
use evenkeel_testkit::pb::{
    GetByIdRequest, GetByIdResponse, ImportUsersRequest, ImportUsersResponse, ListUsersRequest,
    ListUsersResponse, SyncUsersRequest, SyncUsersResponse,
};
use evenkeel_testkit::port;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// A server on a thread of its own whose answers are empty: what a caller allocates for one is
/// not the message's.
#[derive(Debug)]
pub(crate) struct LeanServer {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LeanServer {
    pub(crate) fn start() -> Self {
        let listener = port::listen().unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || serve(listener, stopped));
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for LeanServer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}

fn serve(listener: TcpListener, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let serve = Server::builder()
            .add_service(UserServiceServer::new(Empty))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::select! {
            served = serve => served.unwrap(),
            _ = stopped => {}
        }
    });
}

/// Answers with nothing in it.
struct Empty;

#[tonic::async_trait]
impl UserService for Empty {
    type ListUsersStream = BoxStream<ListUsersResponse>;
    type SyncUsersStream = BoxStream<SyncUsersResponse>;

    async fn get_by_id(
        &self,
        _: Request<GetByIdRequest>,
    ) -> Result<Response<GetByIdResponse>, Status> {
        Ok(Response::new(GetByIdResponse::default()))
    }

    async fn list_users(
        &self,
        _: Request<ListUsersRequest>,
    ) -> Result<Response<Self::ListUsersStream>, Status> {
        Err(Status::unimplemented("unary calls only"))
    }

    async fn import_users(
        &self,
        _: Request<Streaming<ImportUsersRequest>>,
    ) -> Result<Response<ImportUsersResponse>, Status> {
        Err(Status::unimplemented("unary calls only"))
    }

    async fn sync_users(
        &self,
        _: Request<Streaming<SyncUsersRequest>>,
    ) -> Result<Response<Self::SyncUsersStream>, Status> {
        Err(Status::unimplemented("unary calls only"))
    }
}
