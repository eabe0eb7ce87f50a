mod lease;

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel_core::{Address, Availability, Metadata};
use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::{Change, DiscoverError};

fn endpoint(address: &str) -> Endpoint {
    Endpoint::new(address.parse::<Address>().unwrap())
}

async fn next(discover: &mut MemoryDiscover) -> Result<Change, DiscoverError> {
    let item = tokio::time::timeout(Duration::from_secs(5), discover.next());
    item.await
        .expect("something is seen")
        .expect("the stream goes on")
}

fn nothing_more(discover: &mut MemoryDiscover) {
    assert!(discover.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_watcher_sees_register_update_and_deregister() {
    let registry = MemoryRegistry::new();
    let mut discover = registry.watch("user");
    assert!(matches!(
        next(&mut discover).await,
        Err(DiscoverError::Empty { .. })
    ));
    nothing_more(&mut discover);

    let registration = registry.register("user", endpoint("127.0.0.1:1")).unwrap();
    registration.registered().await.unwrap();
    let Ok(Change::Insert(key, _)) = next(&mut discover).await else {
        panic!()
    };
    assert_eq!(key.as_str(), "user/127.0.0.1:1");

    let draining = Metadata::default().with_availability(Availability::Draining);
    registration.update(draining.clone()).unwrap();
    let Ok(Change::Insert(same, updated)) = next(&mut discover).await else {
        panic!()
    };
    assert_eq!((same, updated.metadata()), (key.clone(), &draining));

    registration.deregister().await.unwrap();
    assert!(matches!(next(&mut discover).await, Ok(Change::Remove(gone)) if gone == key));
    assert!(matches!(
        next(&mut discover).await,
        Err(DiscoverError::Empty { .. })
    ));
    nothing_more(&mut discover);
}

#[tokio::test]
async fn dropping_the_handle_deregisters() {
    let registry = MemoryRegistry::new();
    drop(registry.register("user", endpoint("127.0.0.1:1")).unwrap());
    assert!(registry.endpoints("user").is_empty());
}

#[tokio::test]
async fn a_service_is_its_exact_name() {
    let registry = MemoryRegistry::new();
    let _other = registry
        .register("user-admin", endpoint("127.0.0.1:1"))
        .unwrap();
    let mut discover = registry.watch("user");
    assert!(next(&mut discover).await.is_err());
    nothing_more(&mut discover);
}

#[tokio::test]
async fn a_late_handle_does_not_touch_its_successor() {
    let registry = MemoryRegistry::new();
    let old = registry.register("user", endpoint("127.0.0.1:1")).unwrap();
    let new = registry.register("user", endpoint("127.0.0.1:1")).unwrap();
    assert!(matches!(old.state(), RegistrationState::Deregistered));
    assert!(old.registered().await.is_err());
    let update = old.update(Metadata::default().with_weight(0.0));
    assert!(matches!(update, Err(RegisterError::Ended)));
    drop(old);
    assert_eq!(registry.endpoints("user"), [endpoint("127.0.0.1:1")]);
    assert!(matches!(new.state(), RegistrationState::Registered));
}

#[tokio::test]
async fn an_address_that_cannot_be_dialled_is_refused() {
    let registry = MemoryRegistry::new();
    for address in ["0.0.0.0:80", "[::]:80", "10.0.0.1:0"] {
        let error = registry.register("user", endpoint(address)).unwrap_err();
        assert!(
            matches!(error, RegisterError::Unspecified { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn forgotten_services_take_no_room() {
    let registry = MemoryRegistry::new();
    let discover = registry.watch("user");
    drop(registry.register("user", endpoint("127.0.0.1:1")).unwrap());
    assert_eq!(registry.shared.state.lock().services.len(), 1);
    drop(discover);
    assert_eq!(registry.shared.state.lock().services.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_end_with_the_present_list_however_fast_it_changes() {
    let registry = MemoryRegistry::new();
    let mut watchers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let mut discover = registry.watch("user");
        watchers.spawn(async move {
            let mut list = BTreeMap::new();
            loop {
                match next(&mut discover).await {
                    Ok(Change::Insert(key, endpoint)) => drop(list.insert(key, endpoint)),
                    Ok(Change::Remove(key)) => drop(list.remove(&key)),
                    Err(_) => {}
                }
                if list.len() == 1 && list.contains_key("user/127.0.0.1:9999") {
                    return;
                }
            }
        });
    }
    for round in 0..200_u16 {
        let ports = 1 + round % 7..8 + round % 5;
        let registered =
            ports.map(|port| registry.register("user", endpoint(&format!("127.0.0.1:{port}"))));
        let registered: Vec<_> = registered.collect();
        tokio::task::yield_now().await;
        drop(registered);
    }
    let _last = registry
        .register("user", endpoint("127.0.0.1:9999"))
        .unwrap();
    while let Some(watcher) = watchers.join_next().await {
        watcher.unwrap();
    }
}

#[tokio::test]
async fn a_paused_server_is_out_until_it_resumes_and_a_draining_one_says_so() {
    let registry = MemoryRegistry::new();
    let registration = registry.register("user", endpoint("127.0.0.1:1")).unwrap();
    let availability = || {
        let endpoints = registry.endpoints("user");
        let listed = endpoints.first()?;
        Some((listed.metadata().availability, listed.metadata().weight))
    };
    let up = Some((Availability::Up, None));
    assert_eq!(availability(), up);

    registration.drain().unwrap();
    registration.drain().unwrap();
    registration.registered().await.unwrap();
    assert_eq!(availability(), Some((Availability::Draining, None)));
    let heavier = Metadata::default().with_weight(2.0);
    registration.update(heavier).unwrap();
    assert_eq!(availability(), Some((Availability::Draining, Some(2.0))));

    registration.pause().unwrap();
    registration.pause().unwrap();
    registration.paused().await.unwrap();
    assert_eq!(availability(), None);
    registration.update(Metadata::default()).unwrap();
    assert!(matches!(registration.state(), RegistrationState::Paused));

    registration.resume().unwrap();
    registration.registered().await.unwrap();
    assert_eq!(availability(), up);
    registration.pause().unwrap();
    registration.deregister().await.unwrap();
    assert_eq!(availability(), None);
}

#[tokio::test]
async fn what_is_asked_for_twice_is_seen_once() {
    let registry = MemoryRegistry::new();
    let registration = registry.register("user", endpoint("127.0.0.1:1")).unwrap();
    let mut discover = registry.watch("user");
    next(&mut discover).await.unwrap();
    registration.resume().unwrap();
    nothing_more(&mut discover);
    registration.drain().unwrap();
    next(&mut discover).await.unwrap();
    registration.drain().unwrap();
    nothing_more(&mut discover);
}

#[tokio::test]
async fn a_successor_also_ends_a_registration_that_is_paused() {
    let registry = MemoryRegistry::new();
    let old = registry.register("user", endpoint("127.0.0.1:1")).unwrap();
    old.pause().unwrap();
    let new = registry.register("user", endpoint("127.0.0.1:1")).unwrap();
    assert!(matches!(old.state(), RegistrationState::Deregistered));
    assert!(matches!(old.resume(), Err(RegisterError::Ended)));
    assert!(matches!(old.paused().await, Err(RegisterError::Ended)));
    drop(old);
    assert!(matches!(new.state(), RegistrationState::Registered));
    assert_eq!(registry.endpoints("user").len(), 1);
}
