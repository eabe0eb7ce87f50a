use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn echo() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    (address, tasks)
}

async fn round_trip(stream: &mut TcpStream) {
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn what_was_held_by_a_pause_arrives_after_it() {
    let (upstream, _tasks) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    within("a first echo", round_trip(&mut stream)).await;

    proxy.set(Fault::Pause).await;
    stream.write_all(b"y").await.unwrap();
    let mut waiting = TcpStream::connect(proxy.address()).await.unwrap();
    tokio::select! {
        biased;
        _ = stream.read_u8() => panic!("the pause let data through"),
        () = tokio::task::yield_now() => {}
    }
    proxy.set(Fault::Pass).await;
    assert_eq!(
        within("the held byte", stream.read_u8()).await.unwrap(),
        b'y'
    );
    within("the connection in the backlog", round_trip(&mut waiting)).await;
    assert_eq!(proxy.facts().accepted, 2);
}

#[tokio::test]
async fn a_cut_resets_and_a_refusal_lasts_until_it_is_taken_back() {
    let (upstream, _tasks) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    within("a first echo", round_trip(&mut stream)).await;

    proxy.set(Fault::Refuse).await;
    within("an echo on the open connection", round_trip(&mut stream)).await;
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);

    proxy.cut().await;
    let reset = within("the reset", stream.read_u8()).await.unwrap_err();
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);

    proxy.set(Fault::Pass).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    within("an echo on a new connection", round_trip(&mut stream)).await;
}
