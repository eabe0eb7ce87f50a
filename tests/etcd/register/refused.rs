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

#[tokio::test]
async fn a_key_that_may_not_be_read_any_more_costs_no_other() {
    use etcd_client::{Permission, RoleRevokePermissionOptions};
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut root = server.client().await;
    root.role_add("server").await.unwrap();
    let keys = [KEY, "user/10.0.0.2:80", "user/10.0.0.3:80"];
    for key in keys {
        let both = Permission::read_write(key);
        root.role_grant_permission("server", both).await.unwrap();
    }
    for (name, role) in [("root", "root"), ("server", "server")] {
        root.user_add(name, "secret", None).await.unwrap();
        root.user_grant_role(name, role).await.unwrap();
    }
    root.auth_enable().await.unwrap();
    let options = etcd_client::ConnectOptions::new().with_user("root", "secret");
    let mut root = Client::connect([server.endpoint()], Some(options))
        .await
        .unwrap();

    let credentials = evenkeel_etcd::Credentials {
        name: "server".into(),
        password: "secret".into(),
    };
    let config = EtcdConfig {
        credentials: Some(credentials),
        ..config(&server)
    };
    let two_seconds = RegistrarConfig {
        ttl: Duration::from_secs(2),
        ..RegistrarConfig::default()
    };
    let registrar = EtcdRegistrar::new(Etcd::new(config).unwrap(), two_seconds).unwrap();
    let registrations = [A, B, "10.0.0.3:80"].map(|address| {
        let endpoint = endpoint(address, 1.0);
        registrar.register("user", endpoint).unwrap()
    });
    for registration in &registrations {
        registered(registration).await;
    }
    let [refused, others @ ..] = &registrations;
    let mut states = [others[0].watch(), others[1].watch()];
    for states in &mut states {
        states.mark_unchanged();
    }
    let none: Option<RoleRevokePermissionOptions> = None;
    root.role_revoke_permission("server", KEY, none)
        .await
        .unwrap();
    until(refused, "it is refused", |state| {
        matches!(state, RegistrationState::Retrying { last_error, .. }
            if last_error.contains("permission denied"))
    })
    .await;
    for states in &states {
        assert!(!states.has_changed().unwrap(), "{:?}", states.borrow());
    }
    let both = Permission::read_write(KEY);
    root.role_grant_permission("server", both).await.unwrap();
    registered(refused).await;
}

#[tokio::test]
async fn a_full_etcd_is_not_asked_for_each_key() {
    use etcd_client::{AlarmAction, AlarmOptions, AlarmType};
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let early = registrar.register("user", endpoint(B, 1.0)).unwrap();
    registered(&early).await;
    let lease = read(&mut client, "user/10.0.0.2:80").await.unwrap().1;
    let status = client.status().await.unwrap();
    let member = status.header().unwrap().member_id();
    let alarm = |action| {
        let mut of_member = AlarmOptions::new();
        of_member.with_member(member);
        let mut client = client.clone();
        async move {
            let alarmed = client.alarm(action, AlarmType::Nospace, Some(of_member));
            alarmed.await.unwrap();
        }
    };
    alarm(AlarmAction::Activate).await;
    let registrations: Vec<_> = (0..100)
        .map(|n| {
            let endpoint = endpoint(&format!("10.0.1.{n}:80"), 1.0);
            registrar.register("user", endpoint).unwrap()
        })
        .collect();
    for registration in &registrations {
        until(registration, "it is refused", is_retrying).await;
    }
    let refused = r#"grpc_server_handled_total{grpc_code="ResourceExhausted",grpc_method="Txn""#;
    let refused = server.metric(refused).await;
    assert!((1.0..20.0).contains(&refused), "{refused} for 100 keys");
    assert!(is_registered(&early.state()), "{:?}", early.state());
    alarm(AlarmAction::Deactivate).await;
    for registration in &registrations {
        registered(registration).await;
    }
    let mut client = server.client().await;
    let after = read(&mut client, "user/10.0.0.2:80").await.unwrap().1;
    assert_eq!(after, lease);
}
