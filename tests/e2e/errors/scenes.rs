//! What makes each row happen.

use bytes::Bytes;
use evenkeel::errors::{CallFailed, cause};
use evenkeel::{AdaptiveConfig, BreakerConfig, Channel, Connect, ConnectivityState};
use evenkeel_core::{BoxError, CodeSet, Progress};
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::pb::{GetByIdRequest, ListUsersRequest};
use evenkeel_testkit::{Behaviour, Fault, FaultProxy, UserServer, within};
use http_body::Body;
use tonic::client::GrpcService;
use tonic::{Code, Status};

use super::gives_back::GivesBack;
use crate::{Client, addresses, all_ready, builder, call, quick, servers, until};

/// What became of a call of `GetById`.
pub(super) struct Case {
    /// `None`: it was answered, or its caller did not wait.
    pub(super) status: Option<Status>,
    /// The codes that endpoints were charged with.
    pub(super) charged: Vec<Code>,
    /// Whether the call after it is retried, if that was tried.
    pub(super) next_is_retried: Option<bool>,
}

impl Case {
    pub(super) fn is_retried(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| cause::<CallFailed>(status).is_some())
    }
}

/// What the service config says beside the row's own.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    retries: bool,
    /// `maxTokens`; 0 is no throttle.
    tokens: u32,
}

impl Terms {
    pub(super) const ALONE: Self = Self {
        retries: false,
        tokens: 0,
    };
    /// Every code is retried once, but ABORTED.
    pub(super) const LISTED: Self = Self {
        retries: true,
        tokens: 0,
    };

    pub(super) const fn throttled(tokens: u32) -> Self {
        Self {
            tokens,
            ..Self::LISTED
        }
    }

    /// Three are enough for one retry, and not for one after something that took a token.
    const fn asks_for_the_next(self) -> bool {
        self.tokens == 3
    }

    /// With `fields` for `GetById` alone.
    fn config(self, fields: &str) -> String {
        let retry = if self.retries {
            RETRY
        } else {
            r#""waitForReady": false"#
        };
        let throttle = match self.tokens {
            0 => String::new(),
            tokens => {
                format!(r#", "retryThrottling": {{"maxTokens": {tokens}, "tokenRatio": 0.001}}"#)
            }
        };
        let comma = if fields.is_empty() { "" } else { "," };
        format!(
            r#"{{"loadBalancingConfig": [{{"round_robin": {{}}}}], "methodConfig": [
                {{"name": [{{"service": "UserService", "method": "GetById"}}], {fields}{comma}{retry}}},
                {{"name": [{{"service": "UserService"}}], {retry}}}]{throttle}}}"#
        )
    }
}

const RETRY: &str = r#""retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.01s",
    "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["CANCELLED", "UNKNOWN",
    "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
    "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"]}"#;

pub(super) async fn happens(what: &str, terms: Terms) -> Case {
    match what {
        "the endpoint's breaker refuses, others are READY" => refused_by_one(terms).await,
        "every endpoint's breaker is open" => refused_by_all(terms).await,
        "the only endpoint's breaker sheds the call" => shed(terms).await,
        "no endpoint can be reached" => unreachable(terms).await,
        "the deadline passes while the call waits for an endpoint" => late_in_queue(terms).await,
        "the deadline passes at the endpoint" => late_at_the_endpoint(terms).await,
        "the caller drops the call" => dropped(terms).await,
        "the connection is gone before the call has left" => {
            given_back(terms, Progress::NotSent).await
        }
        "the server refuses the stream" => given_back(terms, Progress::Refused).await,
        "the connection is lost after the call was sent" => lost(terms).await,
        "the request's message is too large" => {
            too_large(terms, r#""maxRequestMessageBytes": 1"#).await
        }
        "the response's message is too large" => {
            too_large(terms, r#""maxResponseMessageBytes": 1"#).await
        }
        other => panic!("nothing makes this happen: {other}"),
    }
}

async fn channel(servers: &[UserServer], config: String, breaker: BreakerConfig) -> Channel {
    let builder = builder(addresses(servers)).service_config(config);
    let channel = builder.breaker(breaker).build().unwrap();
    all_ready(&channel, servers.len()).await;
    channel
}

/// The codes that endpoints were charged with.
fn charged<C: Connect>(channel: &Channel<C>) -> Vec<Code> {
    let mut charged = Vec::new();
    for one in channel.endpoints() {
        for code in (1..17).map(Code::from_i32) {
            let count = one.stats.failed_with(code);
            charged.extend((0..count).map(|_| code));
        }
    }
    charged
}

async fn case(channel: &Channel, servers: &[UserServer], terms: Terms) -> Case {
    let status = call(&mut Client::new(channel.clone())).await.err();
    ended(channel, status, servers, terms).await
}

/// The call of a row has ended like this.
async fn ended(
    channel: &Channel,
    status: Option<Status>,
    servers: &[UserServer],
    terms: Terms,
) -> Case {
    let charged = charged(channel);
    let mut next = None;
    if terms.asks_for_the_next() {
        for one in channel.endpoints() {
            channel.breaker(one.id).unwrap().reset();
        }
        let ready = channel.wait_until_ready();
        within("an endpoint", ready).await.unwrap();
        next = Some(is_retried(Client::new(channel.clone()), servers).await);
    }
    Case {
        status,
        charged,
        next_is_retried: next,
    }
}

/// Whether a call is answered whose first attempt fails.
async fn is_retried<T>(mut client: UserServiceClient<T>, servers: &[UserServer]) -> bool
where
    T: GrpcService<tonic::body::Body, Error: Into<BoxError>>,
    T::ResponseBody: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    let retries = || servers.iter().map(|it| it.seen().retries()).sum::<u64>();
    let before = retries();
    for server in servers {
        server.behave(Behaviour::Answer);
    }
    while retries() == before {
        // Anew each time: a call that was given up may have taken it on its way out.
        servers[0].fail_next(1, Code::Unavailable);
        let request = ListUsersRequest {
            from_id: 1,
            count: 1,
        };
        let call = client.list_users(request);
        if within("an answer", call).await.is_err() {
            return false;
        }
    }
    true
}

async fn refused_by_one(terms: Terms) -> Case {
    let servers = servers(2).await;
    let channel = channel(&servers, terms.config(""), BreakerConfig::default()).await;
    let held = channel.endpoints()[0].id;
    // The balancer has not heard of it when the first of these is placed.
    channel.breaker(held).unwrap().hold_open();
    let mut client = Client::new(channel.clone());
    for _ in 0..4 {
        assert_eq!(call(&mut client).await.unwrap(), servers[1].name());
    }
    case(&channel, &servers, terms).await
}

async fn refused_by_all(terms: Terms) -> Case {
    let servers = servers(2).await;
    let channel = channel(&servers, terms.config(""), BreakerConfig::default()).await;
    for one in channel.endpoints() {
        channel.breaker(one.id).unwrap().hold_open();
    }
    until(&channel, "the breakers are seen", |channel| {
        channel.state() == ConnectivityState::TransientFailure
    })
    .await;
    case(&channel, &servers, terms).await
}

async fn shed(terms: Terms) -> Case {
    let servers = servers(1).await;
    let breaker = BreakerConfig {
        failures: CodeSet::of(&[Code::Aborted]),
        adaptive: Some(AdaptiveConfig {
            minimum_requests: 1,
            ..AdaptiveConfig::default()
        }),
        ..BreakerConfig::adaptive()
    };
    let channel = channel(&servers, terms.config(""), breaker).await;
    servers[0].behave(Behaviour::fail(Code::Aborted));
    loop {
        let before = charged(&channel).len();
        let status = call(&mut Client::new(channel.clone())).await.unwrap_err();
        if status.code() != Code::Aborted {
            let mut case = ended(&channel, Some(status), &servers, terms).await;
            case.charged.drain(..before);
            return case;
        }
    }
}

async fn unreachable(terms: Terms) -> Case {
    let mut servers = servers(1).await;
    servers[0].kill().await;
    let builder = builder(addresses(&servers)).service_config(terms.config(""));
    let channel = builder.build().unwrap();
    until(&channel, "no connection", |channel| {
        channel.state() == ConnectivityState::TransientFailure
    })
    .await;
    case(&channel, &servers, terms).await
}

const SHORT: &str = r#""timeout": "0.1s""#;

async fn late_in_queue(terms: Terms) -> Case {
    let servers = servers(1).await;
    let address = servers[0].socket_address();
    let silent = FaultProxy::start(address).await.unwrap();
    silent.set(Fault::Pause).await;
    let builder = builder([silent.address()]).service_config(terms.config(SHORT));
    let channel = builder.build().unwrap();
    let late = call(&mut Client::new(channel.clone())).await.err();
    silent.set(Fault::Pass).await;
    ended(&channel, late, &servers, terms).await
}

async fn late_at_the_endpoint(terms: Terms) -> Case {
    let servers = servers(1).await;
    servers[0].behave(Behaviour::Hang);
    let channel = channel(&servers, terms.config(SHORT), BreakerConfig::default()).await;
    case(&channel, &servers, terms).await
}

async fn dropped(terms: Terms) -> Case {
    let servers = servers(1).await;
    servers[0].behave(Behaviour::Hang);
    let channel = channel(&servers, terms.config(""), BreakerConfig::default()).await;
    let mut client = Client::new(channel.clone());
    {
        let call = client.get_by_id(GetByIdRequest { id: 7 });
        tokio::pin!(call);
        let arrives = servers[0].wait_for("the call", |seen| seen.in_flight == 1);
        tokio::select! {
            _ = &mut call => panic!("it hangs"),
            _ = arrives => {}
        }
    }
    let stats = &channel.endpoints()[0].stats;
    assert_eq!((stats.in_flight(), stats.abandoned()), (0, 1));
    assert_eq!(servers[0].seen().total_calls(), 1);
    ended(&channel, None, &servers, terms).await
}

async fn given_back(terms: Terms, progress: Progress) -> Case {
    let servers = servers(2).await;
    let connector = GivesBack::default();
    let target = format!("static:///{}", addresses(&servers).join(","));
    let channel = Channel::builder_by(target, connector.clone())
        .backoff(quick())
        .service_config(terms.config(""))
        .build()
        .unwrap();
    within("a connection", channel.wait_until_ready())
        .await
        .unwrap();
    connector.next(progress);
    let mut client = UserServiceClient::new(channel.clone());
    let answer = client.get_by_id(GetByIdRequest { id: 7 });
    let status = within("an answer", answer).await.err();
    assert!(connector.has_given_back());
    let charged = charged(&channel);
    let next = terms
        .asks_for_the_next()
        .then(|| is_retried(client, &servers));
    Case {
        status,
        charged,
        next_is_retried: match next {
            Some(next) => Some(next.await),
            None => None,
        },
    }
}

async fn lost(terms: Terms) -> Case {
    let mut servers = servers(1).await;
    servers[0].behave(Behaviour::Hang);
    let channel = channel(&servers, terms.config(""), BreakerConfig::default()).await;
    let mut client = Client::new(channel.clone());
    let call = async { call(&mut client).await.err() };
    let kill = async {
        servers[0]
            .wait_for("the call", |seen| seen.in_flight == 1)
            .await;
        servers[0].kill().await;
    };
    let (status, ()) = tokio::join!(call, kill);
    ended(&channel, status, &servers, terms).await
}

async fn too_large(terms: Terms, limit: &str) -> Case {
    let servers = servers(1).await;
    let channel = channel(&servers, terms.config(limit), BreakerConfig::default()).await;
    case(&channel, &servers, terms).await
}
