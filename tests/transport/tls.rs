//! TLS: whom the client trusts, and what it refuses, in clear words.

use evenkeel_core::error::chain;
use evenkeel_testkit::UserServer;
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::tls::Authority;
use evenkeel_transport::{ConnectError, ConnectStep, Connector, Tls};
use tokio_rustls::TlsAcceptor;

use crate::connect_with;
use crate::dial::failure;
use crate::peer::Peer;

async fn server(authority: &Authority, names: &[&str]) -> UserServer {
    let server = UserServer::builder().tls(authority.server(names));
    server.start().await.unwrap()
}

fn trusting(authority: &Authority) -> Connector {
    let tls = Tls::with_ca_pem(authority.pem().as_bytes()).unwrap();
    Connector::new().with_tls(tls)
}

async fn call(connector: &Connector, server: &UserServer) {
    let connected = connect_with(connector, server.address()).await;
    let mut client = crate::Client::new(connected.connection);
    client.get_by_id(GetByIdRequest { id: 1 }).await.unwrap();
}

/// The text after the address.
fn reason(error: &ConnectError) -> String {
    let text = chain(error);
    let reason = text.strip_prefix(&format!("{}: ", error.address()));
    reason.expect("errors name the address").to_owned()
}

#[tokio::test]
async fn a_trusted_server_is_called() {
    let authority = Authority::new();
    let server = server(&authority, &["127.0.0.1"]).await;
    call(&trusting(&authority), &server).await;
    let own = Connector::new().with_tls(Tls::new(authority.client()));
    call(&own, &server).await;
    assert_eq!(server.seen().accepted, 2);
}

#[tokio::test]
async fn the_servers_name_is_the_authoritys_host_unless_it_is_given() {
    let authority = Authority::new();
    let server = server(&authority, &["user.example"]).await;
    let by_authority = trusting(&authority).with_authority("user.example:443".parse().unwrap());
    call(&by_authority, &server).await;
    let tls = Tls::new(authority.client());
    let by_name = tls.with_server_name("user.example").unwrap();
    call(&Connector::new().with_tls(by_name), &server).await;
    let seen = server.seen().last_request.unwrap();
    assert_eq!(seen.authority.unwrap(), server.address().to_string());
}

#[tokio::test]
async fn a_wrong_name_is_refused() {
    let authority = Authority::new();
    let server = server(&authority, &["other.example"]).await;
    let connector = trusting(&authority).with_authority("user.example".parse().unwrap());
    let error = failure(&connector, server.address()).await;
    assert_eq!(error.step(), ConnectStep::Tls);
    assert_eq!(
        reason(&error),
        "TLS handshake failed: invalid peer certificate: certificate not valid for name \
         \"user.example\"; certificate is only valid for DnsName(\"other.example\")"
    );
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let server = server(&Authority::new(), &["127.0.0.1"]).await;
    let error = failure(&trusting(&Authority::new()), server.address()).await;
    assert_eq!(error.step(), ConnectStep::Tls);
    let reason = reason(&error);
    let start = "TLS handshake failed: invalid peer certificate: ";
    assert!(reason.starts_with(start), "{reason}");
}

#[tokio::test]
async fn a_server_that_does_not_agree_to_http2_is_refused() {
    let authority = Authority::new();
    let http1: &[u8] = b"http/1.1";
    for protocols in [&[][..], &[http1]] {
        let config = authority.server_with_alpn(&["127.0.0.1"], protocols);
        let peer = Peer::listen().await;
        let serve = async {
            let stream = peer.accept_silently().await;
            // Else the alert that says why may not find its way out.
            stream.writable().await.unwrap();
            TlsAcceptor::from(config).accept(stream).await.map(|_| ())
        };
        let connector = trusting(&authority);
        let (error, _) = tokio::join!(failure(&connector, peer.address()), serve);
        let reason = reason(&error);
        assert_eq!(error.step(), ConnectStep::Alpn, "{reason}");
        let start = "the server did not agree to HTTP/2 by ALPN";
        assert!(reason.starts_with(start), "{reason}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let server = UserServer::start().await.unwrap();
    let error = failure(&trusting(&Authority::new()), server.address()).await;
    assert_eq!(error.step(), ConnectStep::Tls);
    let reason = reason(&error);
    assert!(reason.starts_with("TLS handshake failed: "), "{reason}");
}

#[tokio::test]
async fn a_client_without_tls_gets_no_connection_to_a_server_with_it() {
    let authority = Authority::new();
    let server = server(&authority, &["127.0.0.1"]).await;
    let error = failure(&Connector::new(), server.address()).await;
    let step = error.step();
    let expected = [ConnectStep::Http2, ConnectStep::NoSettings];
    assert!(expected.contains(&step), "{error}");
}

#[tokio::test]
async fn tls_works_over_unix_sockets() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let server = UserServer::builder()
        .unix(folder.path().join("user.sock"))
        .tls(authority.server(&["localhost"]));
    call(&trusting(&authority), &server.start().await.unwrap()).await;
}
