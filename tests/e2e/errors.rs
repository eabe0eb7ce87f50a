//! docs/errors.md: what happens on this side, row by row, on real servers.

mod gives_back;

use std::collections::HashMap;

use evenkeel::errors::{
    AttemptError, BreakerOpen, CallFailed, DeadlineExceeded, MessageTooLarge, NoEndpoint, cause,
    code_name,
};
use evenkeel::{AdaptiveConfig, BreakerConfig, Channel, ConnectivityState};
use evenkeel_core::{CodeSet, Progress};
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::{Behaviour, Fault, FaultProxy, UserServer, within};
use tonic::{Code, Status};

use self::gives_back::GivesBack;
use crate::{Client, addresses, all_ready, builder, call, config, quick, servers, until};

const PAGE: &str = include_str!("../../docs/errors.md");

/// The rows of the table of what happens here, by the columns' names.
fn rows() -> Vec<HashMap<&'static str, &'static str>> {
    let mut lines = PAGE.lines().map(|line| {
        let cells = line.trim().trim_matches('|').split('|').map(str::trim);
        cells.collect::<Vec<_>>()
    });
    let head = lines.find(|cells| cells[0] == "what happens").unwrap();
    let rows = lines.skip(1).take_while(|cells| cells.len() == head.len());
    rows.map(|cells| head.iter().copied().zip(cells).collect())
        .collect()
}

/// What became of the call.
struct Case {
    /// `None`: it was answered, or its caller did not wait.
    status: Option<Status>,
    /// How often any endpoint was charged with which code.
    charged: Vec<Code>,
}

#[tokio::test]
async fn each_row_is_what_happens() {
    let rows = rows();
    assert_eq!(rows.len(), 12);
    for row in rows {
        let what = row["what happens"];
        let alone = happens(what, "").await;
        let listed = happens(what, RETRY).await;

        let code = alone.status.as_ref().map(Status::code);
        let code = code.map_or("–".into(), |code| format!("`{}`", code_name(code)));
        assert_eq!(row["the caller sees"], code, "{what}");
        assert_eq!(row["typed source"], source(alone.status.as_ref()), "{what}");
        let charged = match alone.charged[..] {
            [] => "nothing".to_owned(),
            [code] => format!("`{}`", code_name(code)),
            _ => panic!("{what}: {:?}", alone.charged),
        };
        assert_eq!(row["counts as"], charged, "{what}");
        let is_retried = match &listed.status {
            Some(status) => cause::<CallFailed>(status).is_some(),
            None => alone.status.is_some(),
        };
        let retried = match (&alone.status, is_retried) {
            (Some(_), true) => "if listed",
            (Some(_), false) => "no",
            (None, _) if what.starts_with("the caller drops") => "no",
            (None, _) if alone.charged.is_empty() => "placed elsewhere",
            (None, _) => "once, without a policy",
        };
        assert_eq!(row["retried"], retried, "{what}");
    }
}

fn source(status: Option<&Status>) -> &'static str {
    let Some(status) = status else { return "–" };
    // An attempt's error may have others in its chain.
    if cause::<BreakerOpen>(status).is_some() {
        "`BreakerOpen`"
    } else if cause::<NoEndpoint>(status).is_some() {
        "`NoEndpoint`"
    } else if cause::<DeadlineExceeded>(status).is_some() {
        "`DeadlineExceeded`"
    } else if cause::<MessageTooLarge>(status).is_some() {
        "`MessageTooLarge`"
    } else if cause::<AttemptError>(status).is_some() {
        "`AttemptError`"
    } else {
        panic!("{status:?}")
    }
}

/// All but ABORTED.
const RETRY: &str = r#""retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.01s",
    "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["CANCELLED", "UNKNOWN",
    "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
    "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"]}"#;

async fn happens(what: &str, retry: &str) -> Case {
    match what {
        "the endpoint's breaker refuses, others are READY" => refused_by_one(retry).await,
        "every endpoint's breaker is open" => refused_by_all(retry).await,
        "the only endpoint's breaker sheds the call" => shed(retry).await,
        "no endpoint can be reached" => unreachable(retry).await,
        "the deadline passes while the call waits for an endpoint" => late_in_queue(retry).await,
        "the deadline passes at the endpoint" => late_at_the_endpoint(retry).await,
        "the caller drops the call" => dropped(retry).await,
        "the connection is gone before the call has left" => {
            given_back(retry, Progress::NotSent).await
        }
        "the server refuses the stream" => given_back(retry, Progress::Refused).await,
        "the connection is lost after the call was sent" => lost(retry).await,
        "the request's message is too large" => {
            too_large(retry, r#""maxRequestMessageBytes": 1"#).await
        }
        "the response's message is too large" => {
            too_large(retry, r#""maxResponseMessageBytes": 1"#).await
        }
        other => panic!("nothing makes this happen: {other}"),
    }
}

fn method(fields: &[&str]) -> String {
    let fields: Vec<_> = fields.iter().copied().filter(|it| !it.is_empty()).collect();
    match fields[..] {
        [] => config("round_robin", r#""waitForReady": false"#),
        _ => config("round_robin", &fields.join(",")),
    }
}

async fn channel(servers: &[UserServer], fields: &[&str], breaker: BreakerConfig) -> Channel {
    let builder = builder(addresses(servers)).service_config(method(fields));
    let channel = builder.breaker(breaker).build().unwrap();
    all_ready(&channel, servers.len()).await;
    channel
}

/// How often the endpoints were charged with each code, and how many calls they have.
fn charged<C: evenkeel::Connect>(channel: &Channel<C>) -> Vec<Code> {
    let mut charged = Vec::new();
    for one in channel.endpoints() {
        for code in (1..17).map(Code::from_i32) {
            let count = one.stats.failed_with(code);
            charged.extend((0..count).map(|_| code));
        }
    }
    charged
}

async fn case(channel: &Channel) -> Case {
    let status = call(&mut Client::new(channel.clone())).await.err();
    Case {
        status,
        charged: charged(channel),
    }
}

async fn refused_by_one(retry: &str) -> Case {
    let servers = servers(2).await;
    let channel = channel(&servers, &[retry], BreakerConfig::default()).await;
    let held = channel.endpoints()[0].id;
    // The balancer has not heard of it when the first of these is placed.
    channel.breaker(held).unwrap().hold_open();
    let mut client = Client::new(channel.clone());
    for _ in 0..4 {
        assert_eq!(call(&mut client).await.unwrap(), servers[1].name());
    }
    case(&channel).await
}

async fn refused_by_all(retry: &str) -> Case {
    let servers = servers(2).await;
    let channel = channel(&servers, &[retry], BreakerConfig::default()).await;
    for one in channel.endpoints() {
        channel.breaker(one.id).unwrap().hold_open();
    }
    until(&channel, "the breakers are seen", |channel| {
        channel.state() == ConnectivityState::TransientFailure
    })
    .await;
    case(&channel).await
}

async fn shed(retry: &str) -> Case {
    let servers = servers(1).await;
    let breaker = BreakerConfig {
        failures: CodeSet::of(&[Code::Aborted]),
        adaptive: Some(AdaptiveConfig {
            minimum_requests: 1,
            ..AdaptiveConfig::default()
        }),
        ..BreakerConfig::adaptive()
    };
    let channel = channel(&servers, &[retry], breaker).await;
    servers[0].behave(Behaviour::fail(Code::Aborted));
    loop {
        let before = charged(&channel).len();
        let mut case = case(&channel).await;
        if case.status.as_ref().unwrap().code() != Code::Aborted {
            case.charged.drain(..before);
            return case;
        }
    }
}

async fn unreachable(retry: &str) -> Case {
    let mut servers = servers(1).await;
    servers[0].kill().await;
    let builder = builder(addresses(&servers)).service_config(method(&[retry]));
    let channel = builder.build().unwrap();
    until(&channel, "no connection", |channel| {
        channel.state() == ConnectivityState::TransientFailure
    })
    .await;
    case(&channel).await
}

const SHORT: &str = r#""timeout": "0.1s""#;

async fn late_in_queue(retry: &str) -> Case {
    let server = UserServer::start().await.unwrap();
    let silent = FaultProxy::start(server.socket_address()).await.unwrap();
    silent.set(Fault::Pause).await;
    let builder = builder([silent.address()]).service_config(method(&[SHORT, retry]));
    case(&builder.build().unwrap()).await
}

async fn late_at_the_endpoint(retry: &str) -> Case {
    let servers = servers(1).await;
    servers[0].behave(Behaviour::Hang);
    let channel = channel(&servers, &[SHORT, retry], BreakerConfig::default()).await;
    case(&channel).await
}

async fn dropped(retry: &str) -> Case {
    let servers = servers(1).await;
    servers[0].behave(Behaviour::Hang);
    let channel = channel(&servers, &[retry], BreakerConfig::default()).await;
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
    Case {
        status: None,
        charged: charged(&channel),
    }
}

async fn given_back(retry: &str, progress: Progress) -> Case {
    let servers = servers(2).await;
    let connector = GivesBack::default();
    let target = format!("static:///{}", addresses(&servers).join(","));
    let channel = Channel::builder_by(target, connector.clone())
        .backoff(quick())
        .service_config(method(&[retry]))
        .build()
        .unwrap();
    within("a connection", channel.wait_until_ready())
        .await
        .unwrap();
    connector.next(progress);
    let mut client =
        evenkeel_testkit::pb::user_service_client::UserServiceClient::new(channel.clone());
    let answer = client.get_by_id(GetByIdRequest { id: 7 });
    let status = within("an answer", answer).await.err();
    assert!(connector.has_given_back());
    Case {
        status,
        charged: charged(&channel),
    }
}

async fn lost(retry: &str) -> Case {
    let mut servers = servers(1).await;
    servers[0].behave(Behaviour::Hang);
    let channel = channel(&servers, &[retry], BreakerConfig::default()).await;
    let mut client = Client::new(channel.clone());
    let call = async { call(&mut client).await.err() };
    let kill = async {
        servers[0]
            .wait_for("the call", |seen| seen.in_flight == 1)
            .await;
        servers[0].kill().await;
    };
    let (status, ()) = tokio::join!(call, kill);
    Case {
        status,
        charged: charged(&channel),
    }
}

async fn too_large(retry: &str, limit: &str) -> Case {
    let servers = servers(1).await;
    let channel = channel(&servers, &[limit, retry], BreakerConfig::default()).await;
    case(&channel).await
}
