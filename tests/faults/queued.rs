//! Calls that queue for a connection's streams when it breaks.

use evenkeel::BreakerConfig;
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::{Behaviour, UserServer, within};
use evenkeel_tests::{Client, all_ready, builder, config};
use futures_util::future::join_all;
use tonic::Code;

use crate::ledger::{Load, executions, with_id};
use crate::retrying;

async fn one_stream_at_a_time() -> UserServer {
    let server = UserServer::builder().max_concurrent_streams(1);
    server.start().await.unwrap()
}

#[tokio::test]
async fn those_that_never_left_are_executed_once_though_there_is_no_retry_policy() {
    const CALLS: u64 = 50;
    let mut server = one_stream_at_a_time().await;
    let config = config("round_robin", r#""waitForReady": true"#);
    let channel = builder([server.address()]).service_config(config);
    let channel = channel.build().unwrap();
    all_ready(&channel, 1).await;
    for round in 0..10 {
        server.behave(Behaviour::Hang);
        let ids = round * CALLS..(round + 1) * CALLS;
        let calls = ids.clone().map(|id| {
            let mut client = Client::new(channel.clone());
            async move {
                client
                    .get_by_id(with_id(id, GetByIdRequest::default()))
                    .await
            }
        });
        let calls = within("all answers", join_all(calls));
        let restart = async {
            server
                .wait_for("one call", |seen| seen.in_flight == 1)
                .await;
            server.kill().await;
            server.behave(Behaviour::Answer);
            server.restart().await.unwrap();
        };
        let (answers, ()) = tokio::join!(calls, restart);
        // The one that the server had may have been executed.
        let failed: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(failed[0].code(), Code::Unavailable);
        let executions = executions(std::slice::from_ref(&server));
        for id in ids {
            assert_eq!(executions.get(&id), Some(&1), "call {id}");
        }
    }
    assert_eq!(server.seen().retries(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_the_middle_of_a_queue_fail_one_call_each_or_retry_it() {
    const CALLS: u64 = 1_000;
    for method in [
        r#""waitForReady": true"#.to_owned(),
        format!(r#""waitForReady": true, {}"#, retrying(r#""UNAVAILABLE""#)),
    ] {
        let has_retries = method.contains("retryPolicy");
        let mut server = one_stream_at_a_time().await;
        let channel = builder([server.address()])
            .service_config(config("round_robin", &method))
            .breaker(BreakerConfig::disabled())
            .build()
            .unwrap();
        all_ready(&channel, 1).await;
        let load = Load::start(&channel, 32, CALLS);
        let mut kills = 0;
        while !load.has_ended() {
            load.pass(50).await;
            server.kill().await;
            server.restart().await.unwrap();
            kills += 1;
        }
        let failures = load.finish().await.failures;
        let executions = executions(std::slice::from_ref(&server));
        let again = executions.values().filter(|times| **times > 1).count();
        let seen = server.seen();
        if has_retries {
            assert!(failures.is_empty(), "{failures:?}");
            assert_eq!(executions.len() as u64, CALLS, "none was lost");
            assert!(again <= kills, "{again} executed again, {kills} kills");
        } else {
            assert!(failures.len() <= kills, "{} of {kills}", failures.len());
            assert_eq!((again, seen.retries()), (0, 0));
            let answered = (0..CALLS).filter(|id| !failures.contains_key(id));
            for id in answered {
                assert_eq!(executions.get(&id), Some(&1), "call {id}");
            }
        }
        assert!(seen.previous_attempts[0] <= CALLS);
    }
}
