//! Servers in memory under a whole channel: their answers are the test's, and its clock is paused.

mod answer;
mod connection;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use evenkeel::transport::CloseReason;
use evenkeel::{Address, BreakerConfig, ChannelBuilder, ConnectivityState, ParseOptions};
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::pb::{GetByIdRequest, GetByIdResponse};
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

pub(crate) use answer::Answer;

pub(crate) type Channel = evenkeel::Channel<Servers>;
pub(crate) type Client = UserServiceClient<Channel>;

/// All servers of a channel; each call of any of them gets the next answer, and when there is none
/// left what they always answer, which is OK at first.
#[derive(Clone, Default)]
pub(crate) struct Servers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Answer>>,
    always: Mutex<Option<fn() -> Answer>>,
    attempts: Mutex<Vec<Attempt>>,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    made: usize,
    open: HashMap<usize, oneshot::Sender<CloseReason>>,
    are_refused: bool,
}

/// One request that has come to a server.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) at: Instant,
    pub(crate) server: Address,
    pub(crate) headers: HeaderMap,
    /// The lengths of the messages that it has read.
    pub(crate) messages: Vec<usize>,
    /// Whether it has read the end of them.
    pub(crate) has_ended: bool,
}

impl Attempt {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// What `grpc-previous-rpc-attempts` says.
    pub(crate) fn previous(&self) -> Option<&str> {
        self.header("grpc-previous-rpc-attempts")
    }
}

impl Servers {
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.0.script.lock().extend(answers);
    }

    pub(crate) fn always(&self, answer: fn() -> Answer) {
        *self.0.always.lock() = Some(answer);
    }

    /// Every request that has come so far.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.0.attempts.lock().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.attempts.lock().len()
    }

    /// The times between one request and the next.
    pub(crate) fn delays(&self) -> Vec<Duration> {
        let attempts = self.0.attempts.lock();
        let pairs = attempts.windows(2);
        pairs.map(|pair| pair[1].at - pair[0].at).collect()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.0.connections.lock().made
    }

    /// Refuses connections from now on, and closes those that are open.
    pub(crate) fn go_down(&self) {
        let mut connections = self.0.connections.lock();
        connections.are_refused = true;
        for (_, closed) in connections.open.drain() {
            closed.send(CloseReason::ClosedByPeer).ok();
        }
    }

    pub(crate) fn come_up(&self) {
        self.0.connections.lock().are_refused = false;
    }

    /// A channel to `count` servers, all of them READY.
    pub(crate) async fn channel(&self, count: usize, config: &str) -> Channel {
        self.build(self.builder(count).service_config(config)).await
    }

    /// The same with something else set.
    pub(crate) async fn build(&self, builder: ChannelBuilder<Self>) -> Channel {
        let channel = builder.build().unwrap();
        ready(&channel).await;
        channel
    }

    /// Without breakers: each attempt goes where the policy says.
    pub(crate) fn builder(&self, count: usize) -> ChannelBuilder<Self> {
        let addresses: Vec<_> = (1..=count).map(|n| format!("10.0.0.{n}:1")).collect();
        let target = format!("static:///{}", addresses.join(","));
        evenkeel::Channel::<Self>::builder_by(target, self.clone())
            .breaker(BreakerConfig::disabled())
    }
}

/// A channel to one server whose methods have this config, and its server.
pub(crate) async fn start(config: &str) -> (Servers, Client) {
    let servers = Servers::default();
    let channel = servers.channel(1, config).await;
    (servers, Client::new(channel))
}

/// How a config is read whose calls may have `cap` attempts.
pub(crate) fn capped(cap: u32) -> ParseOptions {
    ParseOptions {
        max_attempts_cap: cap,
        ..ParseOptions::default()
    }
}

/// A service config with these fields for all methods of the service.
pub(crate) fn config(method: &str) -> String {
    format!(
        r#"{{"loadBalancingConfig": [{{"round_robin": {{}}}}],
            "methodConfig": [{{"name": [{{"service": "UserService"}}], {method}}}]}}"#
    )
}

/// A service config that retries UNAVAILABLE up to so many attempts: after 1 s, 2 s, 4 s, 8 s, 10 s.
pub(crate) fn retrying(attempts: u32) -> String {
    config(&policy(attempts, r#""UNAVAILABLE""#))
}

/// A `retryPolicy` for these codes, with the same delays.
pub(crate) fn policy(attempts: u32, codes: &str) -> String {
    format!(
        r#""retryPolicy": {{"maxAttempts": {attempts}, "initialBackoff": "1s", "maxBackoff": "10s",
            "backoffMultiplier": 2, "retryableStatusCodes": [{codes}]}}"#
    )
}

/// One unary call; gives what it was answered with, beside its message.
pub(crate) async fn call(client: &mut Client) -> Result<MetadataMap, Status> {
    let response = client.get_by_id(GetByIdRequest { id: 1 }).await?;
    let (metadata, GetByIdResponse { .. }, _) = response.into_parts();
    Ok(metadata)
}

/// The code of a unary call that fails.
pub(crate) async fn failure(client: &mut Client) -> Code {
    call(client).await.unwrap_err().code()
}

/// Waits until all endpoints are READY.
pub(crate) async fn ready(channel: &Channel) {
    loop {
        let changed = channel.changed();
        let endpoints = channel.endpoints();
        let is_ready = |one: &evenkeel::EndpointReport| one.state == ConnectivityState::Ready;
        if !endpoints.is_empty() && endpoints.iter().all(is_ready) {
            return;
        }
        changed.await;
    }
}
