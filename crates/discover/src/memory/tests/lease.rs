use super::*;

const TTL: Duration = Duration::from_secs(15);

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_nobody_renews_goes() {
    let registry = MemoryRegistry::new();
    let lease = registry.register_for("user", endpoint("127.0.0.1:1"), TTL);
    let lease = lease.unwrap();
    let _stays = registry.register("user", endpoint("127.0.0.1:2")).unwrap();
    let mut discover = registry.watch("user");
    next(&mut discover).await.unwrap();
    next(&mut discover).await.unwrap();
    for _ in 0..3 {
        pass(14).await;
        lease.renew().unwrap();
        nothing_more(&mut discover);
    }
    pass(14).await;
    nothing_more(&mut discover);
    pass(1).await;
    let gone = next(&mut discover).await;
    assert!(matches!(gone, Ok(Change::Remove(key)) if key.as_str() == "user/127.0.0.1:1"));
    let state = lease.registration().state();
    assert!(matches!(state, RegistrationState::Deregistered));
    assert!(matches!(lease.renew(), Err(RegisterError::Ended)));
    assert_eq!(registry.endpoints("user"), [endpoint("127.0.0.1:2")]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_not_seen_after_its_time_even_if_nobody_watches() {
    let registry = MemoryRegistry::new();
    let lease = registry.register_for("user", endpoint("127.0.0.1:1"), TTL);
    let lease = lease.unwrap();
    pass(15).await;
    assert!(matches!(lease.renew(), Err(RegisterError::Ended)));
    assert!(registry.endpoints("user").is_empty());
    assert!(registry.shared.state.lock().services.is_empty());

    let again = registry.register_for("user", endpoint("127.0.0.1:1"), TTL);
    let again = again.unwrap();
    drop(lease);
    assert_eq!(
        registry.endpoints("user").len(),
        1,
        "the old one's end is late"
    );
    again.deregister().await.unwrap();
    assert!(registry.endpoints("user").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_watcher_does_not_see_what_has_expired() {
    let registry = MemoryRegistry::new();
    let _lease = registry.register_for("user", endpoint("127.0.0.1:1"), TTL);
    pass(20).await;
    let mut discover = registry.watch("user");
    let empty = next(&mut discover).await;
    assert!(matches!(empty, Err(DiscoverError::Empty { .. })));
}
