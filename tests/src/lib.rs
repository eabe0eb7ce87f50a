//! What the suites have in common: channels to scripted servers, and calls over them. The suites are
//! beside this folder, one each.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod process;

use std::time::Duration;

use evenkeel::{BackoffConfig, BreakerState, Channel, ChannelBuilder, ConnectivityState};
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::pb::{GetByIdRequest, ListUsersRequest, ListUsersResponse};
use evenkeel_testkit::server::SERVED_BY;
use evenkeel_testkit::{UserServer, trace_init, within};
use tonic::{Response, Status, Streaming};

pub use process::{Process, SERVICE, TTL};

/// The client under test.
pub type Client = UserServiceClient<Channel>;

/// So many servers that answer.
pub async fn servers(count: usize) -> Vec<UserServer> {
    trace_init();
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(UserServer::start().await.unwrap());
    }
    servers
}

/// A channel to addresses that are known from the start.
pub fn builder(addresses: impl IntoIterator<Item = impl ToString>) -> ChannelBuilder {
    let addresses: Vec<_> = addresses.into_iter().map(|one| one.to_string()).collect();
    Channel::builder(format!("static:///{}", addresses.join(","))).backoff(quick())
}

/// Where they are.
pub fn addresses(servers: &[UserServer]) -> Vec<String> {
    let addresses = servers.iter().map(UserServer::address);
    addresses.map(|address| address.to_string()).collect()
}

/// A channel to `servers`, every one of which is READY.
pub async fn channel(servers: &[UserServer], config: &str) -> Channel {
    let builder = builder(addresses(servers)).service_config(config);
    let channel = builder.build().unwrap();
    all_ready(&channel, servers.len()).await;
    channel
}

/// Delays between connection attempts that a test does not feel.
pub fn quick() -> BackoffConfig {
    BackoffConfig {
        initial: Duration::from_millis(20),
        max: Duration::from_millis(100),
        ..BackoffConfig::default()
    }
}

/// A service config with `policy` and, for all methods of the service, `method`.
pub fn config(policy: &str, method: &str) -> String {
    format!(
        r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}],
            "methodConfig": [{{"name": [{{"service": "UserService"}}], {method}}}]}}"#
    )
}

/// Waits until `condition` holds for the channel.
#[track_caller]
pub fn until(
    channel: &Channel,
    what: &str,
    condition: impl Fn(&Channel) -> bool,
) -> impl Future<Output = ()> {
    within(what, async move {
        loop {
            let changed = channel.changed();
            if condition(channel) {
                return;
            }
            changed.await;
        }
    })
}

/// Waits until the channel has so many endpoints, all of them READY.
#[track_caller]
pub fn all_ready(channel: &Channel, count: usize) -> impl Future<Output = ()> {
    until(channel, "all endpoints READY", move |channel| {
        let endpoints = channel.endpoints();
        let ready = |one: &evenkeel::EndpointReport| one.state == ConnectivityState::Ready;
        endpoints.len() == count && endpoints.iter().all(ready)
    })
}

/// The state of the endpoint at `server`'s address, and what its breaker is doing.
pub fn state_of(
    channel: &Channel,
    server: &UserServer,
) -> Option<(ConnectivityState, BreakerState)> {
    let name = server.address().to_string();
    let endpoints = channel.endpoints().into_iter();
    let mut states = endpoints
        .filter(|one| one.endpoint.to_string() == name)
        .map(|one| (one.state, one.breaker.expect("each endpoint has a breaker")));
    states.next()
}

/// Which server answered.
pub fn served_by<T>(response: &Response<T>) -> String {
    let metadata = response.metadata().get(SERVED_BY);
    metadata.unwrap().to_str().unwrap().to_owned()
}

/// Calls once; gives the name of the server that answered.
pub async fn call(client: &mut Client) -> Result<String, Status> {
    let call = client.get_by_id(GetByIdRequest { id: 7 });
    let response = within("an answer", call).await?;
    assert_eq!(response.get_ref().user.as_ref().unwrap().id, 7);
    Ok(served_by(&response))
}

/// Calls `count` times, one call after the other.
pub async fn calls(client: &mut Client, count: usize) -> Result<(), Status> {
    for _ in 0..count {
        call(client).await?;
    }
    Ok(())
}

/// Opens a stream of users with the ids 1 to `count`, or on and on when that is 0.
pub async fn list(client: &mut Client, count: u32) -> Response<Streaming<ListUsersResponse>> {
    let request = ListUsersRequest { from_id: 1, count };
    let response = within("a stream", client.list_users(request)).await;
    response.unwrap()
}

/// How many calls each server has had.
pub fn shares(servers: &[UserServer]) -> Vec<u64> {
    let seen = servers.iter().map(UserServer::seen);
    seen.map(|seen| seen.total_calls()).collect()
}

/// What came to each server since it had `before`.
pub fn since(servers: &[UserServer], before: &[u64]) -> Vec<u64> {
    let now = shares(servers).into_iter();
    now.zip(before).map(|(now, before)| now - before).collect()
}
