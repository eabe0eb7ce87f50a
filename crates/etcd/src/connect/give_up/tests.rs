use std::convert::Infallible;
use std::future::pending;

use etcd_client::{Channel, Client};
use http::{Request, Response};
use tonic::body::Body;
use tower::service_fn;
use tower::util::BoxCloneSyncService;

use super::*;
use crate::EtcdConfig;

/// The message of a `StatusResponse` in which 1 is the leader.
const STATUS: &str = "\0\0\0\0\x02\x20\x01";

/// Connected to a member that answers checks, or nothing at all.
async fn connected(answers_checks: bool) -> Etcd {
    let member = service_fn(move |request: Request<Body>| async move {
        if !answers_checks || !request.uri().path().ends_with("/Status") {
            pending::<()>().await;
        }
        let response = Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "0");
        let response = response.body(Body::new(STATUS.to_owned()));
        Ok::<_, Infallible>(response.unwrap())
    });
    let member = tower::ServiceExt::<Request<Body>>::map_err(member, |never| match never {});
    let channel = Channel::Custom(BoxCloneSyncService::new(member));
    let client = Client::from_channel(channel, None).await.unwrap();
    let config = EtcdConfig {
        request_timeout: LIMIT,
        sync_members: Some(Duration::from_secs(3600)),
        ..EtcdConfig::default()
    };
    let etcd = Etcd::new(config).unwrap();
    let mut current = etcd.shared.current.lock().await;
    current.client = Some(client);
    current.generation = 1;
    drop(current);
    etcd
}

const LIMIT: Duration = Duration::from_secs(2);

/// Somebody's request was not answered in time; whether the connection is given up for it.
async fn is_given_up(etcd: &Etcd, action: &'static str) -> bool {
    let error = EtcdError::silent(action, etcd.name(), LIMIT);
    etcd.suspect(1, &error).await;
    etcd.shared.current.lock().await.client.is_none()
}

fn last_heard(etcd: &Etcd, ago: Duration) {
    etcd.shared.in_use.lock().heard_at = Instant::now().checked_sub(ago).unwrap();
}

#[tokio::test]
async fn a_slow_member_is_told_from_one_that_hangs() {
    let long = LIMIT * 10;
    let slow = connected(true).await;
    last_heard(&slow, long);
    assert!(!is_given_up(&slow, "list").await, "it answers a check");

    let hung = connected(false).await;
    assert!(!is_given_up(&hung, "list").await, "it has just answered");
    last_heard(&hung, long);
    assert!(is_given_up(&hung, "list").await);

    let slow = connected(true).await;
    assert!(is_given_up(&slow, CHECK).await, "that was the check");
}

#[tokio::test]
async fn a_member_that_answers_nothing_but_checks_is_given_up() {
    let slow = connected(true).await;
    let since = |ago| {
        let since = Instant::now().checked_sub(ago);
        slow.shared.in_use.lock().slow_since = since;
    };
    since(LIMIT);
    assert!(!is_given_up(&slow, "list").await);
    since(LIMIT * SLOW);
    assert!(is_given_up(&slow, "list").await);
}

#[tokio::test]
async fn members_are_asked_for_again_soon_when_who_asked_was_dropped() {
    let etcd = connected(true).await;
    let client = etcd.connection().await.unwrap().client;
    let asking = etcd.sync_if_due(&client);
    let dropped = tokio::time::timeout(Duration::from_millis(1), asking).await;
    assert!(dropped.is_err(), "it never answers that");
    let next = etcd.shared.in_use.lock().sync_at.unwrap();
    assert!(next <= Instant::now() + LIMIT, "not after an hour");
}
