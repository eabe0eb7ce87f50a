//! Endpoints that are probed: over sockets, by the whole channel.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use evenkeel::errors::{ProbeFailed, cause};
use evenkeel::{Channel, ConnectivityState, HttpProbe, ProbeConfig, ProbeLayer, TcpProbe};
use evenkeel_testkit::{Fault, FaultProxy, UserServer, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::Code;

use crate::{Client, ROUND_ROBIN, all_ready, builder, call, calls, servers, shares, since, until};

fn quick() -> ProbeConfig {
    ProbeConfig {
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(10),
        ..ProbeConfig::default()
    }
}

/// How many endpoints the channel would send calls to.
async fn until_ready(channel: &Channel, count: usize) {
    until(channel, "as many READY endpoints", |channel| {
        let endpoints = channel.endpoints().into_iter();
        let ready = endpoints.filter(|one| one.state == ConnectivityState::Ready);
        ready.count() == count
    })
    .await;
}

/// A page whose status is the test's.
async fn page(status: Arc<AtomicU16>) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n")
                && stream
                    .read_buf(&mut request)
                    .await
                    .is_ok_and(|read| read > 0)
            {}
            let status = status.load(Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\n\r\n");
            // Who asked may have gone already.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, server)
}

#[tokio::test]
async fn an_endpoint_that_listens_no_more_gets_no_calls_and_its_connection_stays() {
    let servers = servers(2).await;
    let proxy = FaultProxy::start(servers[0].socket_address())
        .await
        .unwrap();
    let addresses = [
        proxy.address().to_string(),
        servers[1].address().to_string(),
    ];
    let builder = builder(addresses).service_config(ROUND_ROBIN);
    let probe = ProbeLayer::new(TcpProbe::default()).with_config(quick());
    let channel = builder.probe(probe).build().unwrap();
    all_ready(&channel, 2).await;
    let mut client = Client::new(channel.clone());
    calls(&mut client, 10).await.unwrap();

    proxy.set(Fault::Refuse).await;
    until_ready(&channel, 1).await;
    let before = shares(&servers);
    calls(&mut client, 10).await.unwrap();
    assert_eq!(since(&servers, &before), [0, 10]);
    let error = channel.endpoints()[0].error.clone().unwrap();
    let failed = cause::<ProbeFailed>(&*error).unwrap();
    assert_eq!((&*failed.probe, failed.failures), ("TCP probe", 3));

    proxy.set(Fault::Pass).await;
    until_ready(&channel, 2).await;
    let before = shares(&servers);
    calls(&mut client, 10).await.unwrap();
    assert_eq!(since(&servers, &before), [5, 5]);
}

#[tokio::test]
async fn a_page_that_says_503_takes_its_endpoint_out_and_200_brings_it_back() {
    let servers = servers(1).await;
    let status = Arc::new(AtomicU16::new(200));
    let (address, _page) = page(status.clone()).await;
    let probe = HttpProbe {
        path: "/healthz".parse().unwrap(),
        port: Some(address.port()),
        ..HttpProbe::default()
    };
    let builder = builder(crate::addresses(&servers)).service_config(ROUND_ROBIN);
    let probe = ProbeLayer::new(probe).with_config(quick());
    let channel = builder.probe(probe).build().unwrap();
    all_ready(&channel, 1).await;
    let mut client = Client::new(channel.clone());
    for _ in 0..2 {
        calls(&mut client, 10).await.unwrap();
        status.store(503, Ordering::Relaxed);
        until_ready(&channel, 0).await;
        let failed = call(&mut client).await.unwrap_err();
        assert_eq!(failed.code(), Code::Unavailable);
        let text = "which failed 3 times in a row: its answer is 503";
        assert!(failed.message().contains(text), "{failed}");
        status.store(200, Ordering::Relaxed);
        until_ready(&channel, 1).await;
    }
    calls(&mut client, 10).await.unwrap();
    assert_eq!(servers[0].seen().accepted, 1, "one connection for calls");
}

#[tokio::test]
async fn a_channel_that_is_dropped_probes_no_more() {
    let server = UserServer::start().await.unwrap();
    let (begun, mut probes) = tokio::sync::mpsc::unbounded_channel();
    let probe = move |_| {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        begun.send(ended).unwrap();
        async move {
            let _end = end;
            std::future::pending().await
        }
    };
    let builder = builder([server.address()]).service_config(ROUND_ROBIN);
    let probe = ProbeLayer::new(probe).with_config(quick());
    let channel = builder.probe(probe).build().unwrap();
    all_ready(&channel, 1).await;
    let running = within("a probe", probes.recv()).await.unwrap();
    drop(channel);
    within("it is given up", running).await.unwrap_err();
    // Nobody can begin another.
    while within("the end", probes.recv()).await.is_some() {}
}
