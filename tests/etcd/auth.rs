use std::time::Duration;

use etcd_client::Client;
use evenkeel_core::{Address, Endpoint};
use evenkeel_discover::{DiscoverError, Registrar, Registration, RegistrationState};
use evenkeel_etcd::{Credentials, Etcd, EtcdConfig, EtcdRegistrar, RegistrarConfig};
use evenkeel_testkit::{EtcdServer, PATIENCE, within};

use crate::seen::{A, B, Seen, config, value};

const KEY: &str = "user/10.0.0.1:80";
/// All keys of the service.
const USER: [&str; 2] = ["user/", "user0"];
/// Short, and longer than what etcd loses by counting whole seconds.
const TTL: Duration = Duration::from_secs(2);

/// As the user `app`; it reports an outage only when a test has failed anyway.
fn as_app(server: &EtcdServer, password: &str) -> EtcdConfig {
    let credentials = Credentials {
        name: "app".into(),
        password: password.into(),
    };
    EtcdConfig {
        credentials: Some(credentials),
        request_timeout: Duration::from_secs(5),
        report_after: PATIENCE,
        // A token outlives what is asked for in the background otherwise.
        check_every: PATIENCE,
        ..config(server)
    }
}

/// Switches authentication on, with a user `app` who may use the service `user`; gives root.
async fn with_app(server: &EtcdServer) -> Client {
    let mut anybody = server.client().await;
    server.add_user(&mut anybody, "app", "right", USER).await;
    server.enable_auth("root").await;
    server.client_as("root", "root").await
}

async fn put(server: &EtcdServer, key: &str, value: &str) {
    let mut root = server.client_as("root", "root").await;
    root.put(key, value, None).await.unwrap();
}

async fn lease(server: &EtcdServer) -> i64 {
    let mut root = server.client_as("root", "root").await;
    let found = root.get(KEY, None).await.unwrap();
    found.kvs().first().map_or(0, |key| key.lease())
}

fn register(etcd: &Etcd, allow: Duration) -> (EtcdRegistrar, Registration) {
    let config = RegistrarConfig {
        ttl: allow,
        ..RegistrarConfig::default()
    };
    let registrar = EtcdRegistrar::new(etcd.clone(), config).unwrap();
    let endpoint = Endpoint::new(A.parse::<Address>().unwrap());
    let registration = registrar.register("user", endpoint).unwrap();
    (registrar, registration)
}

/// Waits until all tokens given so far have expired. Only time can do that.
async fn tokens_expire() {
    tokio::time::sleep(TTL + Duration::from_millis(1500)).await;
}

fn unreported(seen: &Seen) {
    let outage = matches!(seen.report, Some(DiscoverError::Unavailable { .. }));
    assert!(!outage, "{:?}", seen.report);
}

/// A client and a server through the end of their tokens' time: neither notices.
async fn outlives_its_tokens(server: EtcdServer) {
    with_app(&server).await;
    let etcd = Etcd::new(as_app(&server, "right")).unwrap();
    let (_registrar, registration) = register(&etcd, Duration::from_secs(3));
    let mut states = registration.watch();
    let mut seen = Seen::of(etcd.clone(), "user");
    seen.until_list(&["10.0.0.1:80"]).await;
    within("it is registered", registration.registered())
        .await
        .unwrap();
    let first = lease(&server).await;
    states.mark_unchanged();

    // Idle: the lease is renewed, which is the only request.
    seen.meanwhile(tokens_expire()).await;
    put(&server, "user/2", &value(B, 1)).await;
    seen.until_list(&["10.0.0.1:80", "10.0.0.2:80*1"]).await;
    unreported(&seen);
    // A list begins with an outdated token.
    let mut late = Seen::of(etcd.clone(), "user");
    late.until_list(&["10.0.0.1:80", "10.0.0.2:80*1"]).await;
    // So does a write.
    tokens_expire().await;
    registration
        .update(evenkeel_core::Metadata::default().with_weight(5.0))
        .unwrap();
    seen.until_list(&["10.0.0.1:80*5", "10.0.0.2:80*1"]).await;
    unreported(&seen);
    assert_eq!(lease(&server).await, first, "the lease was lost");
    assert!(!is_retrying(&states.borrow_and_update()));
}

fn is_retrying(state: &RegistrationState) -> bool {
    matches!(state, RegistrationState::Retrying { .. })
}

#[tokio::test]
async fn the_end_of_a_simple_token_is_not_noticed() {
    let Some(server) = EtcdServer::builder().simple_tokens(TTL).start().await else {
        return;
    };
    outlives_its_tokens(server).await;
}

#[tokio::test]
async fn the_end_of_a_signed_token_is_not_noticed() {
    let Some(server) = EtcdServer::builder().jwt(TTL).start().await else {
        return;
    };
    outlives_its_tokens(server).await;
}

#[tokio::test]
async fn users_that_are_added_outdate_no_one() {
    let builder = EtcdServer::builder().jwt(Duration::from_secs(600));
    let Some(server) = builder.start().await else {
        return;
    };
    with_app(&server).await;
    let etcd = Etcd::new(as_app(&server, "right")).unwrap();
    let (_registrar, registration) = register(&etcd, Duration::from_secs(3));
    let mut seen = Seen::of(etcd.clone(), "user");
    seen.until_list(&["10.0.0.1:80"]).await;
    let first = lease(&server).await;
    let mut states = registration.watch();
    // Each outdates all tokens, and between them there is something to write and to learn.
    for n in 1..=5 {
        let mut root = server.client_as("root", "root").await;
        let name = format!("user{n}");
        root.user_add(name, "password", None).await.unwrap();
        let weight = evenkeel_core::Metadata::default().with_weight(f64::from(n));
        registration.update(weight).unwrap();
        let expected = format!("10.0.0.1:80*{n}");
        let learned = move |seen: &Seen| {
            unreported(seen);
            seen.addresses() == [expected.as_str()]
        };
        seen.until("the list as expected", learned).await;
        let mut late = Seen::of(etcd.clone(), "user");
        late.until("a list", |seen| !seen.list.is_empty()).await;
        assert!(!is_retrying(&states.borrow_and_update()), "round {n}");
    }
    assert_eq!(lease(&server).await, first, "the lease was lost");
}

#[tokio::test]
async fn an_etcd_that_forgets_its_tokens_is_asked_for_another_one() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    with_app(&server).await;
    put(&server, "user/1", &value(A, 1)).await;
    let etcd = Etcd::new(as_app(&server, "right")).unwrap();
    let mut seen = Seen::of(etcd, "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    server.stop().await;
    server.start_again().await;
    put(&server, "user/1", &value(A, 2)).await;
    seen.until_list(&["10.0.0.1:80*2"]).await;
    unreported(&seen);
}

#[tokio::test]
async fn authentication_can_be_switched_on_and_off() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let etcd = Etcd::new(as_app(&server, "right")).unwrap();
    let mut seen = Seen::of(etcd.clone(), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;

    let mut root = with_app(&server).await;
    let mut late = Seen::of(etcd.clone(), "user");
    late.until_list(&["10.0.0.1:80*1"]).await;
    put(&server, "user/1", &value(A, 2)).await;
    seen.until_list(&["10.0.0.1:80*2"]).await;

    root.auth_disable().await.unwrap();
    let mut late = Seen::of(etcd, "user");
    late.until_list(&["10.0.0.1:80*2"]).await;
    unreported(&seen);
}

#[tokio::test]
async fn a_wrong_password_is_told_at_once_and_seldom_sent() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut root = with_app(&server).await;
    put(&server, "user/1", &value(B, 1)).await;
    let etcd = Etcd::new(as_app(&server, "wrong")).unwrap();
    let start = tokio::time::Instant::now();
    let (_registrar, registration) = register(&etcd, Duration::from_secs(3));
    let mut discoveries: Vec<_> = (0..4).map(|_| Seen::of(etcd.clone(), "user")).collect();
    for seen in &mut discoveries {
        let refused = |seen: &Seen| matches!(seen.report, Some(DiscoverError::Unavailable { .. }));
        seen.until("a refusal", refused).await;
        let text = seen.report.as_ref().unwrap().to_string();
        assert!(text.contains("authentication failed"), "{text}");
        assert!(!text.contains("wrong"), "{text}");
    }
    let mut states = registration.watch();
    within("the registrar is told", states.wait_for(is_retrying))
        .await
        .unwrap();
    let refused = "grpc_server_handled_total{grpc_code=\"InvalidArgument\",\
                   grpc_method=\"Authenticate\"";
    let refused = server.metric(refused).await;
    let allowed = 1.0 + start.elapsed().as_secs_f64() / 5.0;
    assert!((1.0..=allowed).contains(&refused), "{refused} times");
    // The password becomes right while they wait.
    root.user_change_password("app", "wrong").await.unwrap();
    let mut seen = discoveries.swap_remove(0);
    seen.until("the list", |seen| seen.list.len() == 2).await;
    within("it is registered", registration.registered())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_password_that_becomes_wrong_is_seldom_sent_and_ends_no_watch() {
    let Some(server) = EtcdServer::builder().simple_tokens(TTL).start().await else {
        return;
    };
    let mut root = with_app(&server).await;
    put(&server, "user/1", &value(A, 1)).await;
    let etcd = Etcd::new(as_app(&server, "right")).unwrap();
    let mut seen = Seen::of(etcd.clone(), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    root.user_change_password("app", "other").await.unwrap();
    tokens_expire().await;
    let start = tokio::time::Instant::now();
    let (_registrar, _registration) = register(&etcd, Duration::from_secs(3));
    for service in ["user/a", "user/b", "user/c", "user/d"] {
        let mut late = Seen::of(etcd.clone(), service);
        let refused = |seen: &Seen| matches!(seen.report, Some(DiscoverError::Unavailable { .. }));
        late.until("a refusal", refused).await;
        let text = late.report.as_ref().unwrap().to_string();
        assert!(text.contains("authentication failed"), "{text}");
        // It goes on asking.
        seen.meanwhile(late.meanwhile(tokio::time::sleep(Duration::from_millis(700))))
            .await;
    }
    put(&server, "user/1", &value(A, 2)).await;
    seen.until_list(&["10.0.0.1:80*2"]).await;
    unreported(&seen);
    let refused = "grpc_server_handled_total{grpc_code=\"InvalidArgument\",\
                   grpc_method=\"Authenticate\"";
    let refused = server.metric(refused).await;
    // The registrar and the first of the others may both have found out by themselves.
    let allowed = 2.0 + start.elapsed().as_secs_f64() / 5.0;
    assert!((1.0..=allowed).contains(&refused), "{refused} times");

    let mut root = server.client_as("root", "root").await;
    root.user_change_password("app", "right").await.unwrap();
    let mut late = Seen::of(etcd, "user/a");
    late.until("an answer", |seen| {
        matches!(seen.report, Some(DiscoverError::Empty { .. }))
    })
    .await;
}

#[tokio::test]
async fn a_permission_that_is_taken_away_is_told_and_the_list_stays() {
    let builder = EtcdServer::builder().jwt(Duration::from_secs(600));
    let Some(server) = builder.start().await else {
        return;
    };
    with_app(&server).await;
    put(&server, "user/1", &value(A, 1)).await;
    let config = EtcdConfig {
        relist_every: Duration::from_secs(1),
        ..as_app(&server, "right")
    };
    let etcd = Etcd::new(config).unwrap();
    let mut seen = Seen::of(etcd.clone(), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    let mut root = server.client_as("root", "root").await;
    server.revoke(&mut root, "app", USER).await;
    let refused = |seen: &Seen| matches!(seen.report, Some(DiscoverError::Unavailable { .. }));
    seen.until("a refusal", refused).await;
    let text = seen.report.as_ref().unwrap().to_string();
    assert!(text.contains("permission denied"), "{text}");
    assert!(text.contains(&server.endpoint()), "{text}");
    assert_eq!(seen.addresses(), ["10.0.0.1:80*1"]);
    // That is etcd's answer, and no reason for another connection.
    assert!(etcd.member().is_some());
    let mut root = server.client_as("root", "root").await;
    let permission = etcd_client::Permission::read("user/").with_range_end("user0");
    root.role_grant_permission("app", permission).await.unwrap();
    put(&server, "user/1", &value(A, 2)).await;
    seen.until_list(&["10.0.0.1:80*2"]).await;
}
