//! gRFC A105 (connection scaling), of whole channels over a server that lets few streams be open.

use std::pin::Pin;
use std::task::Poll;

use evenkeel::{Channel, ConnectivityState, SubchannelConfig};
use evenkeel_policy::script::Script;
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::pb::{SyncUsersRequest, SyncUsersResponse};
use evenkeel_testkit::{UserServer, within};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, poll_fn};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Response, Status, Streaming};

type Client = UserServiceClient<Channel>;
type Answer = Result<Response<Streaming<SyncUsersResponse>>, Status>;

/// A server that lets a connection have so many streams.
async fn server(streams: u32) -> UserServer {
    let server = UserServer::builder().max_concurrent_streams(streams);
    server.start().await.unwrap()
}

/// A service config that allows so many connections.
fn config(most: u32) -> String {
    format!(r#"{{"connectionScaling": {{"maxConnectionsPerSubchannel": {most}}}}}"#)
}

async fn channel(server: &UserServer, config: &str) -> Channel {
    let target = format!("static:///{}", server.address());
    let channel = Channel::builder(target)
        .service_config(config)
        .build()
        .unwrap();
    within("READY", async {
        channel.connect();
        while channel.state() != ConnectivityState::Ready {
            channel.changed().await;
        }
    })
    .await;
    channel
}

/// A call that goes on until it is dropped.
struct Call {
    _say: mpsc::Sender<SyncUsersRequest>,
    answer: BoxFuture<'static, Answer>,
    running: Option<Streaming<SyncUsersResponse>>,
}

impl Call {
    /// On its way, or in a queue.
    async fn begin(channel: &Channel) -> Self {
        let (say, said) = mpsc::channel(1);
        let mut client = Client::new(channel.clone());
        let answer = async move { client.sync_users(ReceiverStream::new(said)).await };
        let mut call = Self {
            _say: say,
            answer: answer.boxed(),
            running: None,
        };
        // Its turn is that of its first poll.
        poll_fn(|cx| match Pin::new(&mut call.answer).poll(cx) {
            Poll::Ready(answer) => {
                call.running = Some(answer.unwrap().into_inner());
                Poll::Ready(())
            }
            Poll::Pending => Poll::Ready(()),
        })
        .await;
        call
    }

    /// Its server has it.
    async fn runs(&mut self) {
        if self.running.is_none() {
            let answer = within("the call's turn", &mut self.answer).await;
            self.running = Some(answer.unwrap().into_inner());
        }
    }

    /// It waits still when as much has happened elsewhere as it would take: a connection is made and has
    /// a call answered.
    async fn waits(&mut self) -> bool {
        let elsewhere = server(1).await;
        for _ in 0..2 {
            let other = channel(&elsewhere, "{}").await;
            drop(run(&other, 1).await);
        }
        self.running.is_none() && (&mut self.answer).now_or_never().is_none()
    }
}

async fn begin(channel: &Channel, calls: usize) -> Vec<Call> {
    let mut begun = Vec::new();
    for _ in 0..calls {
        begun.push(Call::begin(channel).await);
    }
    begun
}

/// So many calls that all run.
async fn run(channel: &Channel, calls: usize) -> Vec<Call> {
    let mut begun = begin(channel, calls).await;
    for call in &mut begun {
        call.runs().await;
    }
    begun
}

#[test]
fn pick_first_begins_anew_when_its_connection_is_lost_while_another_one_is_tried_for() {
    for (state, connects) in [
        (ConnectivityState::Connecting, None),
        (ConnectivityState::TransientFailure, Some(1)),
    ] {
        let mut script = Script::new(&[ConnectivityState::Ready, ConnectivityState::Idle]);
        let mut policy = crate::chosen::policy("pick_first", "{}");
        assert_eq!(script.update(&mut *policy).state, ConnectivityState::Ready);
        match connects {
            None => script.set(0, state),
            Some(_) => script.fail(0, "refused"),
        }
        let update = script.update(&mut *policy);
        assert_eq!(update.state, ConnectivityState::Connecting, "{state}");
        let connects: Vec<u64> = connects.into_iter().collect();
        assert_eq!(script.ids(&update.connect), connects, "{state}");
    }
    // Lost without that, it is IDLE as ever.
    let mut script = Script::new(&[ConnectivityState::Ready, ConnectivityState::Idle]);
    let mut policy = crate::chosen::policy("pick_first", "{}");
    script.update(&mut *policy);
    script.set(0, ConnectivityState::Idle);
    let update = script.update(&mut *policy);
    assert_eq!(update.state, ConnectivityState::Idle);
    assert!(update.connect.is_empty());
}

#[tokio::test]
async fn connections_are_made_when_calls_find_no_stream_up_to_the_number_allowed() {
    let server = server(2).await;
    let channel = channel(&server, &config(3)).await;
    for (calls, connections) in [(2, 1), (3, 2), (4, 2), (6, 3)] {
        let running = run(&channel, calls).await;
        assert_eq!(server.seen().connections, connections, "{calls}");
        drop(running);
        server
            .wait_for("the end of all", |seen| seen.in_flight == 0)
            .await;
    }
    assert_eq!(server.seen().accepted, 3);
}

#[tokio::test]
async fn calls_that_all_connections_are_full_for_wait_and_go_in_order() {
    let server = server(1).await;
    let channel = channel(&server, &config(2)).await;
    let mut running = run(&channel, 2).await;
    let mut waiting = begin(&channel, 3).await;
    for mut call in std::mem::take(&mut waiting) {
        assert!(call.waits().await);
        assert_eq!(server.seen().in_flight, 2);
        drop(running.remove(0));
        call.runs().await;
        running.push(call);
    }
    assert_eq!(server.seen().accepted, 2);
}

#[tokio::test]
async fn a_call_that_is_given_up_while_it_waits_costs_the_others_nothing() {
    let server = server(1).await;
    let channel = channel(&server, &config(2)).await;
    let mut running = run(&channel, 2).await;
    let mut waiting = begin(&channel, 2).await;
    drop(waiting.remove(0));
    drop(running.remove(0));
    waiting[0].runs().await;
    let seen = server.seen();
    assert_eq!((seen.accepted, seen.total_calls()), (2, 3));
}

#[tokio::test]
async fn without_the_setting_or_with_one_there_is_one_connection() {
    for config in ["{}".to_owned(), config(1), config(0)] {
        let server = server(1).await;
        let channel = channel(&server, &config).await;
        let mut running = run(&channel, 1).await;
        let mut waiting = Call::begin(&channel).await;
        assert!(waiting.waits().await);
        running.clear();
        waiting.runs().await;
        assert_eq!(server.seen().accepted, 1, "{config}");
    }
}

#[tokio::test]
async fn more_than_the_limit_of_the_channel_counts_as_the_limit() {
    let server = server(1).await;
    let target = format!("static:///{}", server.address());
    let limited = Channel::builder(&target)
        .service_config(config(1_000))
        .max_connections_per_subchannel(2)
        .build()
        .unwrap();
    let _running = run(&limited, 2).await;
    let mut waiting = Call::begin(&limited).await;
    assert!(waiting.waits().await);
    assert_eq!(server.seen().accepted, 2);

    assert_eq!(SubchannelConfig::default().connection_limit, 10);
    let unlimited = channel(&server, &config(1_000)).await;
    let _more = run(&unlimited, 10).await;
    let mut waiting = Call::begin(&unlimited).await;
    assert!(waiting.waits().await);
    assert_eq!(server.seen().accepted, 12);
}

#[tokio::test]
async fn another_number_counts_for_connections_that_there_are() {
    let server = server(1).await;
    let channel = channel(&server, &config(2)).await;
    let mut running = run(&channel, 2).await;
    let mut waiting = begin(&channel, 2).await;
    assert!(waiting[0].waits().await);
    channel.update_service_config(&config(3)).unwrap();
    waiting[0].runs().await;
    assert!(waiting[1].waits().await);
    // A lower one closes none.
    channel.update_service_config("{}").unwrap();
    running.clear();
    waiting[1].runs().await;
    let _again = run(&channel, 1).await;
    let seen = server.seen();
    assert_eq!((seen.accepted, seen.connections, seen.in_flight), (3, 3, 3));
}

#[tokio::test]
async fn raising_it_from_one_counts_without_a_new_connection() {
    let server = server(1).await;
    let channel = channel(&server, "{}").await;
    let _early = run(&channel, 1).await;
    channel.update_service_config(&config(2)).unwrap();
    // The update has to reach the subchannel: until then calls wait on the connection.
    within("another connection", async {
        while server.seen().accepted < 2 {
            let _call = Call::begin(&channel).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    let _late = run(&channel, 1).await;
    assert_eq!(server.seen().accepted, 2);
}

#[tokio::test]
async fn connections_are_not_closed_for_want_of_calls() {
    let server = server(1).await;
    let channel = channel(&server, &config(4)).await;
    drop(run(&channel, 4).await);
    server
        .wait_for("the end of all", |seen| seen.in_flight == 0)
        .await;
    drop(run(&channel, 1).await);
    assert_eq!(server.seen().connections, 4);
}

#[tokio::test]
async fn when_the_last_connection_is_lost_who_waits_is_sent_again_or_fails_with_unavailable() {
    let mut server = server(1).await;
    let channel = channel(&server, &config(2)).await;
    let _running = run(&channel, 2).await;
    let mut waiting = Call::begin(&channel).await;
    assert!(waiting.waits().await);
    server.kill().await;
    let answer = within("the answer", &mut waiting.answer).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
    // It has never been seen.
    assert_eq!(server.seen().total_calls(), 2);
}
