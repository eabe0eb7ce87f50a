use super::*;

#[tokio::test]
async fn an_entry_that_etcd_refuses_holds_up_no_other_and_is_tried_again() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let registrar = registrar(&server);
    // etcd takes 1.5 MiB.
    let mut large = Metadata::default();
    large.other.insert("large".into(), "x".repeat(1_700_000));
    let refused = endpoint(B, 1.0).with_metadata(large);
    let refused = registrar.register("user", refused).unwrap();
    until(&refused, "it is refused", is_retrying).await;
    let mut others = Vec::new();
    for n in 1..=8 {
        let other = endpoint(&format!("10.0.1.{n}:80"), 1.0);
        others.push(registrar.register("user", other).unwrap());
    }
    for other in &others {
        registered(other).await;
    }
    let mut retries = refused.watch();
    retries.mark_unchanged();
    within("it is tried again", retries.changed())
        .await
        .unwrap();
    let state = refused.state();
    assert!(
        matches!(&state, RegistrationState::Retrying { last_error, .. }
            if last_error.contains("too large")),
        "{state:?}"
    );
    for other in others {
        assert!(is_registered(&other.state()), "{:?}", other.state());
        other.deregister().await.unwrap();
    }
    refused.update(Metadata::default()).unwrap();
    registered(&refused).await;
}
