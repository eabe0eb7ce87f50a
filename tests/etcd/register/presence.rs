use etcd_client::{EventType, WatchOptions, WatchStream};

use super::*;

const DRAINING: &str = r#""status":"draining""#;

async fn paused(registration: &Registration) {
    let paused = within("it is paused", registration.paused());
    paused.await.unwrap();
}

/// All events of `user/` from now on.
async fn events(client: &mut Client) -> WatchStream {
    let options = WatchOptions::new().with_prefix();
    client.watch("user/", Some(options)).await.unwrap()
}

/// The next events, as `put` with the value or `delete` without one, until `last` has come.
async fn until_event(events: &mut WatchStream, last: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let read = async {
        while !seen.iter().any(|event: &String| event.starts_with(last)) {
            let answer = events.message().await.unwrap().unwrap();
            for event in answer.events() {
                let value = event.kv().unwrap().value_str().unwrap();
                seen.push(match event.event_type() {
                    EventType::Put => format!("put {value}"),
                    EventType::Delete => "delete".to_owned(),
                });
            }
        }
    };
    within("the event comes", read).await;
    seen
}

#[tokio::test]
async fn a_paused_server_is_out_and_comes_back_under_the_same_lease() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    let lease = read(&mut client, KEY).await.unwrap().1;
    let mut events = events(&mut client).await;

    registration.pause().unwrap();
    paused(&registration).await;
    assert!(read(&mut client, KEY).await.is_none());
    let seen = until_event(&mut events, "delete").await;
    assert!(seen[0].contains(DRAINING) && seen.len() == 2, "{seen:?}");

    registration.resume().unwrap();
    registered(&registration).await;
    let (value, same) = read(&mut client, KEY).await.unwrap();
    assert_eq!(same, lease);
    assert!(!value.contains("status"), "{value}");
}

#[tokio::test]
async fn a_draining_server_stays_listed_until_it_resumes() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    registration.drain().unwrap();
    registered(&registration).await;
    let (value, lease) = read(&mut client, KEY).await.unwrap();
    assert!(value.contains(DRAINING), "{value}");
    registration.resume().unwrap();
    registered(&registration).await;
    let (value, same) = read(&mut client, KEY).await.unwrap();
    assert!(!value.contains(DRAINING) && same == lease, "{value}");
}

#[tokio::test]
async fn every_orderly_end_says_goodbye_and_an_expiry_does_not() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let mut events = events(&mut client).await;
    let deregistered = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&deregistered).await;
    deregistered.deregister().await.unwrap();
    let seen = until_event(&mut events, "delete").await;
    assert!(seen[1].contains(DRAINING) && seen.len() == 3, "{seen:?}");

    let lost = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&lost).await;
    let lease = read(&mut client, KEY).await.unwrap().1;
    client.lease_revoke(lease).await.unwrap();
    let seen = until_event(&mut events, "delete").await;
    assert!(
        !seen.iter().any(|event| event.contains(DRAINING)),
        "{seen:?}"
    );
    until(&lost, "the loss is seen", is_retrying).await;
    registered(&lost).await;

    registrar.shutdown().await.unwrap();
    let seen = until_event(&mut events, "delete").await;
    assert!(seen[1].contains(DRAINING) && seen.len() == 3, "{seen:?}");
}

#[tokio::test]
async fn what_is_wished_while_etcd_is_away_is_done_when_it_is_back() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let registrar = registrar(&server);
    let out = registrar.register("user", endpoint(A, 1.0)).unwrap();
    let back = registrar.register("user", endpoint(B, 1.0)).unwrap();
    registered(&out).await;
    registered(&back).await;
    server.stop().await;
    until(&out, "the outage is seen", is_retrying).await;
    for wish in [
        Registration::drain,
        Registration::resume,
        Registration::pause,
    ] {
        wish(&out).unwrap();
    }
    for wish in [
        Registration::pause,
        Registration::drain,
        Registration::resume,
    ] {
        wish(&back).unwrap();
    }
    let heavier = Metadata::default().with_weight(5.0);
    back.update(heavier).unwrap();
    server.start_again().await;
    paused(&out).await;
    registered(&back).await;
    let mut client = server.client().await;
    assert!(read(&mut client, KEY).await.is_none());
    let (value, _) = read(&mut client, "user/10.0.0.2:80").await.unwrap();
    assert_eq!(value, self::value(B, 5));
}

#[tokio::test]
async fn a_successor_on_the_same_address_keeps_it_until_it_is_gone() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let (first, second) = (registrar(&server), registrar(&server));
    let old = first.register("user", endpoint(A, 1.0)).unwrap();
    registered(&old).await;
    let new = second.register("user", endpoint(A, 2.0)).unwrap();
    registered(&new).await;
    let lease = read(&mut client, KEY).await.unwrap().1;
    until(&old, "it knows that it was replaced", |state| {
        matches!(state, RegistrationState::Retrying { last_error, .. }
            if last_error.contains("held by another lease"))
    })
    .await;
    // Tried again, and again not taken.
    let mut tries = old.watch();
    for _ in 0..2 {
        tries.mark_unchanged();
        let tried = within("it is tried again", tries.changed());
        tried.await.unwrap();
    }
    assert_eq!(read(&mut client, KEY).await.unwrap().1, lease);
    assert!(is_registered(&new.state()), "{:?}", new.state());
    new.deregister().await.unwrap();
    registered(&old).await;
    let (value, _) = read(&mut client, KEY).await.unwrap();
    assert_eq!(value, self::value(A, 1));
}
