use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::Channel;
use evenkeel_discover::{Registrars, Serve, ServeConfig, ServeError, Served};
use evenkeel_etcd::{EtcdRegistrar, RegistrarConfig};
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::pb::user_service_server::{UserService, UserServiceServer};
use evenkeel_testkit::pb::{
    GetByIdRequest, GetByIdResponse, ImportUsersRequest, ImportUsersResponse, ListUsersRequest,
    ListUsersResponse, SyncUsersRequest, SyncUsersResponse, User,
};
use evenkeel_testkit::{EtcdServer, PATIENCE, eventually, within};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::seen::{config, etcd};

/// An ordinary service of tonic, whose calls take a moment.
#[derive(Default)]
struct Users {
    answered: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl UserService for Users {
    type ListUsersStream = BoxStream<ListUsersResponse>;
    type SyncUsersStream = BoxStream<SyncUsersResponse>;

    async fn get_by_id(
        &self,
        request: Request<GetByIdRequest>,
    ) -> Result<Response<GetByIdResponse>, Status> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.answered.fetch_add(1, Ordering::Relaxed);
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
        Err(Status::unimplemented("not asked for"))
    }

    async fn import_users(
        &self,
        _: Request<Streaming<ImportUsersRequest>>,
    ) -> Result<Response<ImportUsersResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn sync_users(
        &self,
        _: Request<Streaming<SyncUsersRequest>>,
    ) -> Result<Response<Self::SyncUsersStream>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

/// A registrar that waits for an etcd that is slow, on a machine that is busy, but not for one that
/// hangs for as long as `patience`.
fn registrar(server: &EtcdServer, patience: Duration) -> EtcdRegistrar {
    let config = RegistrarConfig {
        ttl: Duration::from_secs(2),
        allow_loopback: true,
        shutdown_timeout: patience,
        ..RegistrarConfig::default()
    };
    EtcdRegistrar::new(etcd(server), config).unwrap()
}

/// A process with a server, as its `main` would be.
struct Process {
    stop: oneshot::Sender<()>,
    answered: Arc<AtomicUsize>,
    main: JoinSet<Result<Served, ServeError>>,
}

impl Process {
    async fn start(registrar: EtcdRegistrar) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let users = Users::default();
        let answered = Arc::clone(&users.answered);
        let (stop, stopped) = oneshot::channel();
        let mut main = JoinSet::new();
        main.spawn(async move {
            let bound = listener.local_addr().unwrap();
            let registrars = Registrars::new().with("etcd", Arc::new(registrar));
            let serve = Serve::new(&registrars, "user").until(async { drop(stopped.await) });
            let served = serve.run(bound, |stop| {
                Server::builder()
                    .add_service(UserServiceServer::new(users))
                    .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop)
            });
            served.await
        });
        Self {
            stop,
            answered,
            main,
        }
    }

    /// Until clients have found it.
    async fn is_used(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        let used = || self.answered.load(Ordering::Relaxed) > before + 3;
        eventually("the server is used", used).await;
    }

    async fn end(mut self) -> Served {
        self.stop.send(()).unwrap();
        let ended = within("the server ends", self.main.join_next());
        ended.await.unwrap().unwrap().unwrap()
    }
}

/// Until etcd has so many servers.
async fn until_registered(server: &EtcdServer, count: i64) {
    let mut client = server.client().await;
    let options = || Some(etcd_client::GetOptions::new().with_prefix());
    let registered = async {
        while client.get("user/", options()).await.unwrap().count() != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("the servers are registered", registered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_call() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Process::start(registrar(&server, PATIENCE)).await);
    }
    until_registered(&server, 3).await;
    // No retries: each call has one attempt.
    let channel = Channel::builder("etcd:///user")
        .etcd(config(&server))
        .service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#)
        .build()
        .unwrap();
    let (done, failed) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let mut client = UserServiceClient::new(channel.clone());
        let (done, failed) = (Arc::clone(&done), Arc::clone(&failed));
        callers.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let mut request = Request::new(GetByIdRequest { id: caller });
                request.set_timeout(Duration::from_secs(10));
                if let Err(status) = client.get_by_id(request).await {
                    eprintln!("a call failed: {status}");
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    for process in &processes {
        process.is_used().await;
    }
    for process in &mut processes {
        let next = Process::start(registrar(&server, PATIENCE)).await;
        next.is_used().await;
        let old = std::mem::replace(process, next);
        let served = old.end().await;
        assert!(served.deregistered && served.drained, "{served:?}");
    }
    for process in &processes {
        process.is_used().await;
    }
    done.store(true, Ordering::Relaxed);
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    for process in processes {
        process.end().await;
    }
}

#[tokio::test]
async fn a_server_ends_although_etcd_hangs() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let process = Process::start(registrar(&server, Duration::from_secs(1))).await;
    until_registered(&server, 1).await;
    server.pause();
    let served = process.end().await;
    assert!(!served.deregistered && served.drained, "{served:?}");
}

#[tokio::test]
async fn a_server_that_does_not_start_leaves_no_trace() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let before = client.get("user/", None).await.unwrap();
    let registrar = registrar(&server, Duration::from_secs(1));
    let bound: SocketAddr = "127.0.0.1:80".parse().unwrap();
    let served = Serve::new(&registrar, "user").config(ServeConfig::default());
    let failed = served.run(bound, |_| async { Err(io::Error::other("no certificate")) });
    let failed = within("it ends", failed).await;
    assert!(matches!(failed, Err(ServeError::Server(_))), "{failed:?}");
    let after = client.get("user/", None).await.unwrap();
    let revision = |answer: &etcd_client::GetResponse| answer.header().unwrap().revision();
    assert_eq!(revision(&after), revision(&before));
    assert!(client.leases().await.unwrap().leases().is_empty());
}
