//! gRFC A17 (client-side health checking), of whole channels over scripted servers.

mod asked;
mod ends;

use std::time::Duration;

use evenkeel::ConnectivityState::{Connecting, Ready, TransientFailure};
use evenkeel::errors::{NoEndpoint, NotHealthy, cause};
use evenkeel::{Channel, ChannelBuilder, ConnectivityState};
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use crate::watched::{Answers, NOT_SERVING, SERVING, Servers, Watch};

const A: &str = "10.0.0.1:80";
const B: &str = "10.0.0.2:80";

/// For as long as any backoff lasts.
const LONG: Duration = Duration::from_secs(600);

fn config(policy: &str, health: &str) -> String {
    format!(r#"{{"loadBalancingConfig": [{policy}], "healthCheckConfig": {health}}}"#)
}

fn round_robin() -> String {
    config(r#"{"round_robin": {}}"#, r#"{"serviceName": "s"}"#)
}

struct Test {
    channel: Channel<Servers>,
    servers: Servers,
    watches: mpsc::UnboundedReceiver<Watch>,
}

impl Test {
    /// A channel to `addresses`, connecting.
    fn new(addresses: &[&str], config: &str) -> Self {
        Self::with(addresses, config, |builder| builder)
    }

    fn with(
        addresses: &[&str],
        config: &str,
        change: fn(ChannelBuilder<Servers>) -> ChannelBuilder<Servers>,
    ) -> Self {
        let (servers, watches) = Servers::new();
        let target = format!("static:///{}", addresses.join(","));
        let builder = Channel::builder_by(target, servers.clone()).service_config(config);
        Self {
            channel: change(builder).build().unwrap(),
            servers,
            watches,
        }
    }

    /// A channel to one server, which is SERVING.
    async fn serving() -> (Self, Answers) {
        let mut test = Self::new(&[A], &round_robin());
        let answers = test.watch().await.say(SERVING);
        test.reach(A, Ready).await;
        (test, answers)
    }

    async fn watch(&mut self) -> Watch {
        let next = timeout(LONG, self.watches.recv());
        next.await.expect("it is asked").unwrap()
    }

    async fn is_never_asked(&mut self) -> bool {
        timeout(LONG, self.watches.recv()).await.is_err()
    }

    fn state(&self, address: &str) -> ConnectivityState {
        let endpoints = self.channel.endpoints().into_iter();
        let mut states = endpoints
            .filter(|one| one.endpoint.to_string() == address)
            .map(|one| one.state);
        states.next().expect("it was discovered")
    }

    async fn reach(&self, address: &str, state: ConnectivityState) {
        let reach = async {
            loop {
                let changed = self.channel.changed();
                if !self.channel.endpoints().is_empty() && self.state(address) == state {
                    return;
                }
                changed.await;
            }
        };
        timeout(LONG, reach).await.expect("the state is reached");
    }

    /// Lets everything happen that is due now.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    async fn call(&self) -> Result<(), Status> {
        call(self.channel.clone()).await
    }

    async fn calls(&self, count: usize) {
        for _ in 0..count {
            self.call().await.unwrap();
        }
    }

    /// Answers whoever is asked: SERVING for A, NOT_SERVING for B.
    fn answer_all(&mut self) -> JoinSet<()> {
        let (_, closed) = mpsc::unbounded_channel();
        let mut watches = std::mem::replace(&mut self.watches, closed);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = Vec::new();
            while let Some(watch) = watches.recv().await {
                let status = if watch.server == A {
                    SERVING
                } else {
                    NOT_SERVING
                };
                open.push(watch.say(status));
            }
        });
        task
    }
}

async fn call(channel: Channel<Servers>) -> Result<(), Status> {
    let mut client = UserServiceClient::new(channel);
    let call = client.get_by_id(GetByIdRequest { id: 7 });
    timeout(LONG, call).await.expect("it ends").map(drop)
}

#[tokio::test(start_paused = true)]
async fn the_watch_starts_with_the_connection_and_asks_for_the_service() {
    let mut test = Test::new(&[A], &round_robin());
    let started = Instant::now();
    let watch = test.watch().await;
    assert_eq!(watch.path, "/grpc.health.v1.Health/Watch");
    assert_eq!((&*watch.service, &*watch.server), ("s", A));
    assert_eq!(watch.at, started);
    let _answers = watch.say(SERVING);
    test.reach(A, Ready).await;
    assert!(test.is_never_asked().await, "one stream per connection");
    assert_eq!(test.channel.endpoints()[0].stats.in_flight(), 0, "no call");
}

#[tokio::test(start_paused = true)]
async fn the_subchannel_stays_connecting_and_calls_queued_until_the_first_response() {
    let mut test = Test::new(&[A], &round_robin());
    let mut waiting = JoinSet::new();
    for _ in 0..20 {
        waiting.spawn(call(test.channel.clone()));
    }
    let answers = test.watch().await.open();
    test.settle().await;
    assert_eq!(test.state(A), Connecting);
    assert_eq!(test.channel.state(), Connecting);
    assert_eq!((test.servers.calls(A), waiting.len()), (0, 20));
    answers.say(SERVING);
    while let Some(answer) = waiting.join_next().await {
        answer.unwrap().unwrap();
    }
    assert_eq!(test.servers.calls(A), 20);
    assert_eq!(test.state(A), Ready);
}

#[tokio::test(start_paused = true)]
async fn only_serving_is_healthy() {
    let (test, answers) = Test::serving().await;
    for (status, name) in [
        (0, "UNKNOWN"),
        (NOT_SERVING, "NOT_SERVING"),
        (3, "SERVICE_UNKNOWN"),
        (9, "9"),
    ] {
        answers.say(status);
        test.reach(A, TransientFailure).await;
        let text = test.call().await.unwrap_err().to_string();
        assert!(text.contains(&format!("status={name} ")), "{text}");
        answers.say(SERVING);
        test.reach(A, Ready).await;
    }
}

#[tokio::test(start_paused = true)]
async fn unhealthy_is_transient_failure_and_the_error_names_endpoint_service_and_status() {
    let mut test = Test::new(&[A], &round_robin());
    let _answers = test.watch().await.say(NOT_SERVING);
    test.reach(A, TransientFailure).await;
    let status = test.call().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(cause::<NoEndpoint>(&status).is_some());
    let text = r#"10.0.0.1:80: health check failed, status=NOT_SERVING (service "s")"#;
    assert!(status.message().contains(text), "{status}");
    let error = test.channel.endpoints()[0].error.clone().unwrap();
    assert_eq!(&*cause::<NotHealthy>(&*error).unwrap().service, "s");
    assert_eq!(test.channel.state(), TransientFailure);
    assert_eq!(test.servers.calls(A), 0);
}

#[tokio::test(start_paused = true)]
async fn healthy_again_is_ready_directly_and_the_connection_is_kept() {
    let (mut test, answers) = Test::serving().await;
    for _ in 0..5 {
        answers.say(NOT_SERVING);
        test.reach(A, TransientFailure).await;
        let left = test.channel.wait_for_state_change(TransientFailure);
        answers.say(SERVING);
        assert_eq!(left.await, Ready);
        test.calls(2).await;
    }
    assert_eq!(test.servers.connections(A), 1);
    assert!(test.is_never_asked().await, "nor is the stream another one");
}

#[tokio::test(start_paused = true)]
async fn unhealthy_endpoints_get_no_calls_while_others_are_healthy() {
    let mut test = Test::new(&[A, B], &round_robin());
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(test.watch().await.say(SERVING));
    }
    test.reach(A, Ready).await;
    test.reach(B, Ready).await;
    test.calls(10).await;
    assert_eq!([A, B].map(|address| test.servers.calls(address)), [5, 5]);
    answers[1].say(NOT_SERVING);
    test.reach(B, TransientFailure).await;
    assert_eq!(test.channel.state(), Ready);
    test.calls(10).await;
    assert_eq!([A, B].map(|address| test.servers.calls(address)), [15, 5]);
}

#[tokio::test(start_paused = true)]
async fn what_is_above_the_subchannel_sees_one_merged_state() {
    // A50's view of the endpoint, and that of the policy below, is what is shown here as well.
    let policy = r#"{"outlier_detection_experimental": {"interval": "1s",
        "failurePercentageEjection": {"threshold": 10, "minimumHosts": 1, "requestVolume": 1},
        "childPolicy": [{"round_robin": {}}]}}"#;
    let mut test = Test::new(&[A, B], &config(policy, r#"{"serviceName": "s"}"#));
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(test.watch().await.say(SERVING));
    }
    test.reach(A, Ready).await;
    test.reach(B, Ready).await;
    for answers in &answers {
        answers.say(NOT_SERVING);
    }
    test.reach(A, TransientFailure).await;
    test.reach(B, TransientFailure).await;
    // Not as a last resort either: it is the servers that want no calls.
    let error = test.call().await.unwrap_err();
    assert!(
        error.message().contains("0 of 2 endpoints READY"),
        "{error}"
    );
    assert!(
        test.channel
            .endpoints()
            .iter()
            .all(|one| one.ejected.is_none())
    );
}
