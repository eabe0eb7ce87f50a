//! Keepalive: a silent peer is noticed, a living one is left alone.

use std::future::pending;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use evenkeel_core::Progress;
use evenkeel_testkit::UserServer;
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::within;
use evenkeel_transport::{
    CloseReason, Connected, Connection, Connector, Http2Config, Http2Connection,
};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::io::DuplexStream;
use tokio::join;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tonic::Code;

use crate::bodies::{post, progress};
use crate::dial::Memory;
use crate::peer::{HEADERS, PING, SETTINGS, Wire};
use crate::{closed, connect_with};

const TIME: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(20);

fn http2(time: Duration, timeout: Duration) -> Http2Config {
    let mut http2 = Http2Config::default();
    http2.keepalive_time = Some(time);
    http2.keepalive_timeout = timeout;
    http2
}

/// A connection in memory: with a paused clock, times are exact.
async fn pair(http2: Http2Config) -> (Connected<Http2Connection>, Wire<DuplexStream>) {
    let (memory, mut sockets) = Memory::new(1 << 16);
    let connector = Connector::new().with_http2(http2).with_io(memory);
    pair_of(&connector, &mut sockets).await
}

/// The next connection of this connector.
async fn pair_of(
    connector: &Connector,
    sockets: &mut UnboundedReceiver<DuplexStream>,
) -> (Connected<Http2Connection>, Wire<DuplexStream>) {
    let begin = async {
        let mut wire = Wire::begin(sockets.recv().await.unwrap(), &[]).await;
        // Acknowledged: after this, the peer has nothing more to say by itself.
        wire.next(SETTINGS).await;
        wire
    };
    join!(connect_with(connector, Memory::address()), begin)
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_after_time_and_timeout() {
    let (connected, _silent) = pair(http2(TIME, TIMEOUT)).await;
    let begun = Instant::now();
    let status = connected.connection.send(post("hello")).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), (TIME + TIMEOUT).as_secs());
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(progress(&status), Progress::Sent);
    assert!(status.message().contains("keepalive timeout"), "{status}");
    let reason = closed(connected.closed).await;
    assert!(matches!(reason, CloseReason::KeepaliveTimeout(after) if after == TIMEOUT));
    assert_eq!(reason.disconnect_error(), "connection timed out");
    evenkeel_testkit::tasks::at_most(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_fails_a_running_response() {
    let (connected, mut wire) = pair(http2(TIME, TIMEOUT)).await;
    let (response, ()) = join!(connected.connection.send(post("hello")), async {
        let id = wire.request().await;
        wire.head(id).await;
    });
    let body = http_body_util::BodyExt::collect(response.unwrap().into_body());
    let status = body.await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("keepalive timeout"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn an_answered_ping_keeps_the_connection() {
    let (connected, mut wire) = pair(http2(TIME, TIMEOUT)).await;
    let begun = Instant::now();
    let serve = async {
        let head = wire.next(HEADERS).await;
        for round in 1..=5 {
            let ping = loop {
                // More patient than `within`, whose clock is the paused one.
                let frame = wire.read_patiently().await.unwrap();
                if frame.kind == PING {
                    break frame;
                }
            };
            assert_eq!(begun.elapsed().as_secs(), round * TIME.as_secs());
            wire.answer_ping(&ping).await;
        }
        wire.respond(head.stream).await;
    };
    let (answer, ()) = join!(connected.connection.send(post("hello")), serve);
    assert!(answer.is_ok());
}

#[tokio::test(start_paused = true)]
async fn any_byte_is_a_sign_of_life() {
    let (connected, mut wire) = pair(http2(TIME, TIMEOUT)).await;
    let serve = async {
        let id = wire.request().await;
        wire.head(id).await;
        for _ in 0..10 {
            tokio::time::sleep(TIME - Duration::from_secs(1)).await;
            wire.data(id, b"alive").await;
        }
        wire.trailers(id).await;
    };
    let call = async {
        let response = connected.connection.send(post("hello")).await.unwrap();
        http_body_util::BodyExt::collect(response.into_body()).await
    };
    let (body, ()) = join!(call, serve);
    assert_eq!(body.unwrap().to_bytes().len(), 50);
    drop(connected.connection);
    assert!(wire.rest().await.iter().all(|frame| frame.kind != PING));
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_calls_is_left_alone() {
    let (connected, mut wire) = pair(http2(TIME, TIMEOUT)).await;
    tokio::time::sleep(10 * TIME).await;
    // The first call after a long silence: the peer is asked at once.
    let begun = Instant::now();
    let serve = async {
        let ping = wire.next(PING).await;
        assert_eq!(begun.elapsed().as_secs(), 0);
        wire.answer_ping(&ping).await;
        wire.respond(1).await;
    };
    let (answer, ()) = join!(connected.connection.send(post("hello")), serve);
    assert!(answer.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_calls_is_asked_if_that_is_permitted() {
    let mut http2 = http2(TIME, TIMEOUT);
    http2.keepalive_permit_without_calls = true;
    let begun = Instant::now();
    let (connected, _silent) = pair(http2).await;
    let reason = connected.closed.await.unwrap();
    assert!(matches!(reason, CloseReason::KeepaliveTimeout(_)));
    assert_eq!(begun.elapsed().as_secs(), (TIME + TIMEOUT).as_secs());
}

#[tokio::test(start_paused = true)]
async fn without_keepalive_nobody_is_asked() {
    let (connected, mut wire) = pair(Http2Config::default()).await;
    let call = connected.connection.send(post("hello"));
    assert!(tokio::time::timeout(100 * TIME, call).await.is_err());
    drop(connected.connection);
    assert!(wire.rest().await.iter().all(|frame| frame.kind != PING));
}

#[tokio::test(start_paused = true)]
async fn a_keepalive_time_without_end_asks_nobody() {
    let (connected, mut wire) = pair(http2(Duration::MAX, TIMEOUT)).await;
    let call = connected.connection.send(post("hello"));
    assert!(tokio::time::timeout(100 * TIME, call).await.is_err());
    drop(connected.connection);
    assert!(wire.rest().await.iter().all(|frame| frame.kind != PING));
}

#[tokio::test(start_paused = true)]
async fn a_keepalive_timeout_without_end_gives_nobody_up() {
    let (connected, mut wire) = pair(http2(TIME, Duration::MAX)).await;
    let call = connected.connection.send(post("hello"));
    assert!(tokio::time::timeout(1000 * TIME, call).await.is_err());
    drop(connected.connection);
    let pings = wire.rest().await;
    assert_eq!(pings.iter().filter(|frame| frame.kind == PING).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_too_many_pings_later_connections_wait_twice_as_long() {
    const CALM: u32 = 11;
    let (memory, mut sockets) = Memory::new(1 << 16);
    let config = http2(TIME, TIMEOUT);
    let connector = Connector::new().with_http2(config.clone()).with_io(memory);
    let clone = connector.clone().with_tcp_keepalive(TIME);
    for (code, debug, times) in [
        (0, "too_many_pings", 1),
        (CALM, "too_many_calls", 1),
        (CALM, "too_many_pings", 2),
        (CALM, "too_many_pings", 4),
    ] {
        // Two connections of the same time: what both are told counts once.
        let (one, mut one_wire) = pair_of(&connector, &mut sockets).await;
        let (other, mut other_wire) = pair_of(&clone, &mut sockets).await;
        for wire in [&mut one_wire, &mut other_wire] {
            wire.go_away(0, code, debug).await;
        }
        closed(one.closed).await;
        closed(other.closed).await;

        let (connected, _silent) = pair_of(&clone, &mut sockets).await;
        let begun = Instant::now();
        let status = connected.connection.send(post("hello")).await;
        assert_eq!(status.unwrap_err().code(), Code::Unavailable);
        assert_eq!(
            begun.elapsed().as_secs(),
            (times * TIME + TIMEOUT).as_secs()
        );
    }
    // Told anew, it begins anew.
    let anew = connector.with_http2(config);
    let (connected, _silent) = pair_of(&anew, &mut sockets).await;
    let begun = Instant::now();
    connected.connection.send(post("hello")).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), (TIME + TIMEOUT).as_secs());
}

/// A server in a process of its own.
struct ServerProcess {
    child: Child,
    port: u16,
}

const SERVE: &str = "EVENKEEL_TEST_SERVE";

impl ServerProcess {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["keepalive::the_server_process", "--exact", "--nocapture"])
            .env(SERVE, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let port = output
            .lines()
            .find_map(|line| line.unwrap().split_once("port=")?.1.parse().ok())
            .expect("the process says its port");
        Self { child, port }
    }

    /// Stops it: when this returns, none of its threads runs any more.
    fn stop(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped());
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does nothing as a test; [`ServerProcess`] runs it in a process of its own.
#[tokio::test]
async fn the_server_process() {
    if std::env::var_os(SERVE).is_none() {
        return;
    }
    let server = UserServer::start().await.unwrap();
    println!("\nport={}", server.socket_address().port());
    pending::<()>().await;
}

#[tokio::test]
async fn a_stopped_process_is_noticed() {
    let process = ServerProcess::start();
    let keepalive = http2(Duration::from_millis(200), Duration::from_millis(200));
    let connector = Connector::new().with_http2(keepalive);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], process.port));
    let connected = connect_with(&connector, address).await;
    let mut client = crate::Client::new(connected.connection);
    process.stop();
    let call = client.get_by_id(GetByIdRequest { id: 1 });
    let status = within("the end of the call", call).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("keepalive timeout"), "{status}");
    let reason = closed(connected.closed).await;
    assert!(matches!(reason, CloseReason::KeepaliveTimeout(_)));
}
