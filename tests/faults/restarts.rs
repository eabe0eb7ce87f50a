//! Servers that restart under load, one after the other.

use evenkeel_testkit::{UserServer, within};
use evenkeel_tests::{all_ready, channel, config, servers};

use crate::ledger::{Load, Outcome, executions};
use crate::retrying;

const SERVERS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graceful_restarts_fail_none_of_50_000_calls_and_execute_none_twice() {
    const CALLS: u64 = 50_000;
    // So many that a server that reads has many calls at a time: that is what takes the least time.
    const CALLERS: usize = 64;
    let mut servers = servers(SERVERS).await;
    let config = config("round_robin", &retrying(r#""UNAVAILABLE""#));
    let channel = channel(&servers, &config).await;
    let load = Load::start(&channel, CALLERS, u64::MAX);
    let mut restarts = 0;
    while restarts < 2 * SERVERS || load.ended() < CALLS {
        load.pass(200).await;
        let server = &mut servers[restarts % SERVERS];
        within("its last calls", server.shut_down()).await;
        load.pass(200).await;
        server.restart().await.unwrap();
        all_ready(&channel, SERVERS).await;
        restarts += 1;
    }
    load.stop();
    let Outcome { calls, failures } = load.finish().await;
    assert!(failures.is_empty(), "{failures:?}");
    let executions = executions(&servers);
    assert_eq!(executions.len() as u64, calls, "none was lost");
    assert!(executions.values().all(|times| *times == 1));
    for server in &servers {
        assert_eq!(server.seen().cancelled, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_servers_fail_no_call_and_only_its_policy_executes_one_again() {
    // Fewer calls: what takes time here is that killed servers are connected again.
    const CALLERS: usize = 16;
    let hedging = r#""hedgingPolicy": {"maxAttempts": 4, "hedgingDelay": "0.5s",
        "nonFatalStatusCodes": ["UNAVAILABLE"]}"#;
    for method in [retrying(r#""UNAVAILABLE""#), hedging.to_owned()] {
        let mut servers = servers(SERVERS).await;
        let channel = channel(&servers, &config("round_robin", &method)).await;
        let load = Load::start(&channel, CALLERS, u64::MAX);
        let kills = 2 * SERVERS;
        for kill in 0..kills {
            load.pass(200).await;
            let server = &mut servers[kill % SERVERS];
            server.kill().await;
            load.pass(200).await;
            server.restart().await.unwrap();
            all_ready(&channel, SERVERS).await;
        }
        load.stop();
        let Outcome { calls, failures } = load.finish().await;
        assert!(failures.is_empty(), "{failures:?}");
        let executions = executions(&servers);
        assert_eq!(executions.len() as u64, calls, "none was lost");
        let most = executions.values().max();
        assert!(most <= Some(&4), "{most:?}");
        let seen: Vec<_> = servers.iter().map(UserServer::seen).collect();
        let firsts: u64 = seen.iter().map(|seen| seen.previous_attempts[0]).sum();
        assert!(
            firsts <= calls,
            "{firsts}: nothing was sent again in secret"
        );
        let retries: u64 = seen.iter().map(|seen| seen.retries()).sum();
        let all: u64 = executions.values().map(|times| u64::from(*times)).sum();
        assert!(
            all - calls <= retries,
            "{all} executions, {retries} retries"
        );
        if method != hedging {
            // Only calls that a kill met are tried again, and the next server answers.
            assert!(retries <= (kills * CALLERS) as u64, "{retries} retries");
        }
    }
}
