//! Real tonic servers in a process of their own: this program, started once more.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use evenkeel_testkit::pb::user_service_server::{UserService, UserServiceServer};
use evenkeel_testkit::pb::{
    GetByIdRequest, GetByIdResponse, ImportUsersRequest, ImportUsersResponse, ListUsersRequest,
    ListUsersResponse, SyncUsersRequest, SyncUsersResponse, User,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::cpu;

/// The argument that makes this program serve.
pub const SERVE: &str = "serve";

/// Servers that run until this is dropped.
#[derive(Debug)]
pub struct Servers {
    process: Child,
    addresses: Vec<SocketAddr>,
}

impl Servers {
    /// Starts `count` servers; they listen when this returns.
    ///
    /// # Errors
    ///
    /// When the process cannot be started, or does not say where it listens.
    pub fn start(count: usize) -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([SERVE, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().expect("it was asked for");
        let mut servers = Self {
            process,
            addresses: Vec::new(),
        };
        for line in BufReader::new(stdout).lines().take(count) {
            let address = line?.parse().map_err(io::Error::other)?;
            servers.addresses.push(address);
        }
        if servers.addresses.len() < count {
            return Err(io::Error::other("the servers did not start"));
        }
        Ok(servers)
    }

    /// Where they listen.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves on `count` ports of one thread, says which, and ends with its standard input.
///
/// # Errors
///
/// When it cannot listen or has no runtime.
pub fn serve(count: usize) -> io::Result<()> {
    cpu::pin(cpu::SERVER);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut servers = JoinSet::new();
        for _ in 0..count {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            println!("{}", listener.local_addr()?);
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let server = Server::builder().add_service(UserServiceServer::new(Users));
            servers.spawn(server.serve_with_incoming(incoming));
        }
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        Ok(())
    })
}

/// Answers `GetById` with a message of 64 bytes.
struct Users;

/// With the id and the heads of the fields, 64 bytes.
const NAME: &str = "a name of fifty-eight characters, which makes 64 bytes....";

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
            name: NAME.to_owned(),
            ..User::default()
        };
        Ok(Response::new(GetByIdResponse { user: Some(user) }))
    }

    async fn list_users(
        &self,
        _: Request<ListUsersRequest>,
    ) -> Result<Response<Self::ListUsersStream>, Status> {
        Err(Status::unimplemented("only GetById is measured"))
    }

    async fn import_users(
        &self,
        _: Request<Streaming<ImportUsersRequest>>,
    ) -> Result<Response<ImportUsersResponse>, Status> {
        Err(Status::unimplemented("only GetById is measured"))
    }

    async fn sync_users(
        &self,
        _: Request<Streaming<SyncUsersRequest>>,
    ) -> Result<Response<Self::SyncUsersStream>, Status> {
        Err(Status::unimplemented("only GetById is measured"))
    }
}
