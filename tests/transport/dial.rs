//! Where connections go to, and the errors when they do not get there.

use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use evenkeel_core::error::chain;
use evenkeel_core::{Address, Endpoint};
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::{UserServer, port, within};
use evenkeel_transport::{Connect, ConnectError, ConnectStep, Connection, Connector};
use http::{HeaderValue, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::join;
use tokio::sync::mpsc;
use tower_service::Service;

use crate::bodies::post;
use crate::peer::{Peer, Wire};
use crate::{client, connect, connect_with};

/// A network in memory: each connection's other end comes out of a channel.
#[derive(Clone)]
pub(crate) struct Memory {
    size: usize,
    sockets: mpsc::UnboundedSender<DuplexStream>,
}

impl Memory {
    /// Sockets that hold `size` bytes in each direction.
    pub(crate) fn new(size: usize) -> (Self, mpsc::UnboundedReceiver<DuplexStream>) {
        let (sockets, receiver) = mpsc::unbounded_channel();
        (Self { size, sockets }, receiver)
    }

    pub(crate) fn address() -> Address {
        "memory.example:80".parse().unwrap()
    }
}

impl Service<Uri> for Memory {
    type Response = TokioIo<DuplexStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<DuplexStream>>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        assert_eq!(uri, "http://memory.example:80/");
        let (ours, theirs) = duplex(self.size);
        let sent = self.sockets.send(theirs);
        let refused = |_| io::ErrorKind::ConnectionRefused.into();
        ready(sent.map(|()| TokioIo::new(ours)).map_err(refused))
    }
}

/// Why there is no connection.
pub(crate) async fn failure(connector: &Connector, address: impl Into<Address>) -> ConnectError {
    let endpoint = Endpoint::new(address);
    let attempt = connector.connect(&endpoint.addresses()[0], &endpoint);
    let error = within("a failure", attempt).await.map(|_| ()).unwrap_err();
    assert_eq!(error.address(), &endpoint.addresses()[0]);
    error
}

#[tokio::test]
async fn host_names_are_resolved_at_each_attempt() {
    let server = UserServer::start().await.unwrap();
    let port = server.socket_address().port();
    let address: Address = format!("localhost:{port}").parse().unwrap();
    let mut client = client(address).await;
    client.get_by_id(GetByIdRequest { id: 1 }).await.unwrap();
    let authority = server.seen().last_request.unwrap().authority.unwrap();
    assert_eq!(authority, format!("localhost:{port}"));
}

#[tokio::test]
async fn unix_sockets_are_reached_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let server = UserServer::builder().unix(folder.path().join("user.sock"));
    let server = server.start().await.unwrap();
    let mut client = client(server.address()).await;
    client.get_by_id(GetByIdRequest { id: 1 }).await.unwrap();
    let authority = server.seen().last_request.unwrap().authority;
    assert_eq!(authority.as_deref(), Some("localhost"), "as gRPC has it");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn unix_sockets_are_reached_by_abstract_name() {
    let name = format!("evenkeel-test-{}", std::process::id());
    let listener = tokio::net::UnixListener::bind(format!("\0{name}")).unwrap();
    let address: Address = format!("unix-abstract:{name}").parse().unwrap();
    let accept = async { Wire::begin(listener.accept().await.unwrap().0, &[]).await };
    let (connected, mut wire) = join!(connect(address), accept);
    let (answer, ()) = join!(connected.connection.send(post("hello")), async {
        let id = wire.request().await;
        wire.respond(id).await;
    });
    assert!(answer.is_ok());
}

#[tokio::test]
async fn any_service_that_opens_sockets_will_do() {
    let (memory, mut sockets) = Memory::new(1 << 16);
    let connector = Connector::new().with_io(memory);
    let begin = async { Wire::begin(sockets.recv().await.unwrap(), &[]).await };
    let (connected, mut wire) = join!(connect_with(&connector, Memory::address()), begin);
    let (answer, ()) = join!(connected.connection.send(post("hello")), async {
        let id = wire.request().await;
        wire.respond(id).await;
    });
    assert!(answer.is_ok());

    drop(sockets);
    let error = failure(&connector, Memory::address()).await;
    assert_eq!(
        chain(&error),
        "memory.example:80: cannot connect: connection refused"
    );
    let unix: Address = "unix:/run/user.sock".parse().unwrap();
    let error = failure(&connector, unix).await;
    assert_eq!(
        chain(&error),
        "unix:///run/user.sock: cannot connect: \
         a custom connector opens addresses of hosts and ports only"
    );
}

#[tokio::test]
async fn the_endpoints_authority_wins_over_the_channels_and_the_address() {
    let server = UserServer::start().await.unwrap();
    let connector = Connector::new()
        .with_authority("channel.example".parse().unwrap())
        .with_user_agent(&HeaderValue::from_static("app/1.2"))
        .with_tcp_keepalive(std::time::Duration::from_secs(30));
    for (own, expected) in [
        (None, "channel.example"),
        (Some("endpoint.example:443"), "endpoint.example:443"),
    ] {
        let mut endpoint = server.endpoint();
        if let Some(own) = own {
            endpoint = endpoint.with_authority(own);
        }
        let connected = connector.connect(&server.address(), &endpoint).await;
        let mut client = crate::Client::new(connected.unwrap().connection);
        client.get_by_id(GetByIdRequest { id: 1 }).await.unwrap();
        let request = server.seen().last_request.unwrap();
        assert_eq!(request.authority.as_deref(), Some(expected));
        let agent = request.headers["user-agent"].to_str().unwrap();
        assert!(agent.starts_with("app/1.2 grpc-rust-evenkeel/"), "{agent}");
    }
    let endpoint = server.endpoint().with_authority("not an authority");
    let error = Connector::new().connect(&server.address(), &endpoint).await;
    assert_eq!(error.unwrap_err().step(), ConnectStep::Authority);
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let listener = port::listen().unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = failure(&Connector::new(), address).await;
    assert_eq!(error.step(), ConnectStep::Dial);
    let text = chain(&error);
    assert!(
        text.starts_with(&format!("{address}: cannot connect: Connection refused")),
        "{text}"
    );
}

#[tokio::test]
async fn a_name_that_does_not_exist_says_so() {
    let address: Address = "no-such-name.invalid:80".parse().unwrap();
    let error = failure(&Connector::new(), address).await;
    assert_eq!(error.step(), ConnectStep::Resolve);
    let text = chain(&error);
    let start = "no-such-name.invalid:80: cannot resolve the host name: ";
    assert!(text.starts_with(start), "{text}");
}

#[tokio::test]
async fn a_unix_socket_that_does_not_exist_says_so() {
    let address: Address = "unix:/no/such/socket".parse().unwrap();
    let text = chain(&failure(&Connector::new(), address).await);
    assert!(
        text.starts_with("unix:///no/such/socket: cannot connect: No such file"),
        "{text}"
    );
}

#[tokio::test]
async fn a_peer_that_closes_before_its_settings_is_no_connection() {
    let peer = Peer::listen().await;
    let serve = async {
        let mut stream = peer.accept_silently().await;
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
    };
    let connector = Connector::new();
    let (error, ()) = join!(failure(&connector, peer.address()), serve);
    assert_eq!(error.step(), ConnectStep::NoSettings);
    assert_eq!(
        chain(&error),
        format!(
            "{}: closed by the peer before its HTTP/2 SETTINGS",
            peer.address()
        )
    );
}

#[tokio::test]
async fn a_peer_that_speaks_http1_is_no_connection() {
    let peer = Peer::listen().await;
    let serve = async {
        let mut stream = peer.accept_silently().await;
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        stream
    };
    let connector = Connector::new();
    let (error, _stream) = join!(failure(&connector, peer.address()), serve);
    assert_eq!(error.step(), ConnectStep::Http2);
    let text = chain(&error);
    assert!(text.contains("HTTP/2 handshake failed: "), "{text}");
}
