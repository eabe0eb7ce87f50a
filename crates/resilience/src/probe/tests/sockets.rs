//! Probes of real sockets.

use std::net::SocketAddr;

use futures_util::FutureExt;
use http::uri::PathAndQuery;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use super::*;

/// A server that gives everybody this answer.
async fn page(answer: &'static str) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            let request = String::from_utf8(request).unwrap();
            assert!(
                request.starts_with("GET /healthz?full HTTP/1.1\r\n"),
                "{request}"
            );
            assert!(request.contains("\r\nhost: 127.0.0.1:"), "{request}");
            // It may have gone already.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, server)
}

fn text(result: Result<(), BoxError>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_http_probe_goes_by_the_status_of_the_answer() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok(())),
        ("HTTP/1.1 204 No Content\r\n\r\n", Ok(())),
        (
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            Err("its answer is 503"),
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n",
            Err("its answer is 302"),
        ),
        ("SSH-2.0-OpenSSH_9.6\r\n", Err("its answer is not HTTP/1")),
        ("", Err("it closed the connection without an answer")),
    ] {
        let (address, _server) = page(answer).await;
        let probe = HttpProbe {
            path: PathAndQuery::from_static("/healthz?full"),
            port: Some(address.port()),
            ..HttpProbe::default()
        };
        let gone: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let endpoint = Arc::new(Endpoint::new(gone));
        let result = timeout(LONG, probe.probe(endpoint.clone())).await.unwrap();
        assert_eq!(text(result), expected.map_err(str::to_owned), "{answer:?}");
        let any = HttpProbe {
            status: 100..=599,
            ..probe
        };
        let result = timeout(LONG, any.probe(endpoint)).await.unwrap();
        assert_eq!(result.is_ok(), answer.starts_with("HTTP"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_tcp_probe_goes_by_who_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let own = Arc::new(Endpoint::new(address));
    TcpProbe::default().probe(own.clone()).await.unwrap();
    let elsewhere: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let other = TcpProbe {
        port: Some(address.port()),
    };
    other
        .probe(Arc::new(Endpoint::new(elsewhere)))
        .await
        .unwrap();
    let both = Endpoint::with_addresses([elsewhere.into(), address.into()]).unwrap();
    TcpProbe::default().probe(Arc::new(both)).await.unwrap();
    drop(listener);
    TcpProbe::default().probe(own).await.unwrap_err();
}

#[tokio::test]
async fn an_address_that_never_answers_leaves_the_others_their_time() {
    // It accepts nobody: the kernel connects, and no answer comes.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, _server) = page("HTTP/1.1 200 OK\r\n\r\n").await;
    let probe = HttpProbe {
        path: PathAndQuery::from_static("/healthz?full"),
        ..HttpProbe::default()
    };
    let addresses = [silent.local_addr().unwrap().into(), address.into()];
    let both = Arc::new(Endpoint::with_addresses(addresses).unwrap());
    timeout(LONG, probe.probe(both)).await.unwrap().unwrap();
}

#[tokio::test]
async fn of_several_addresses_the_first_success_wins_and_else_the_first_failure() {
    let fails = |why: &'static str| async move { Err::<(), BoxError>(why.into()) }.boxed();
    let silent = || pending::<Result<(), BoxError>>().boxed();
    let works = || async { Ok::<(), BoxError>(()) }.boxed();
    for (probes, expected) in [
        (vec![silent(), works()], Some(Ok(()))),
        (vec![fails("a"), silent(), works()], Some(Ok(()))),
        (vec![fails("a"), fails("b")], Some(Err("a".to_owned()))),
        (vec![fails("a"), silent()], None),
        (vec![], Some(Ok(()))),
    ] {
        let result = socket::first_success(probes.into_iter()).now_or_never();
        assert_eq!(result.map(text), expected);
    }
}

#[tokio::test]
async fn a_unix_socket_is_probed_as_well_but_has_no_ports() {
    let name = format!("evenkeel-probe-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    let endpoint = Arc::new(Endpoint::new(Address::Unix(path.clone().into())));
    TcpProbe::default().probe(endpoint.clone()).await.unwrap();
    let text = text(HttpProbe::default().probe(endpoint.clone()).await);
    assert!(text.unwrap_err().contains("no port"));
    drop(listener);
    TcpProbe::default().probe(endpoint).await.unwrap_err();
    std::fs::remove_file(path).unwrap();
}

#[test]
fn probes_say_what_they_are() {
    struct Text<'a>(&'a dyn Probe);
    impl fmt::Display for Text<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.describe(f)
        }
    }
    let http = HttpProbe {
        path: PathAndQuery::from_static("/healthz"),
        port: Some(8080),
        ..HttpProbe::default()
    };
    let probes: [(&dyn Probe, &str); 4] = [
        (&TcpProbe::default(), "TCP probe"),
        (&TcpProbe { port: Some(1) }, "TCP probe of port 1"),
        (&HttpProbe::default(), "HTTP probe of /"),
        (&http, "HTTP probe of :8080/healthz"),
    ];
    for (probe, expected) in probes {
        assert_eq!(Text(probe).to_string(), expected);
    }
}
