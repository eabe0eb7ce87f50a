use super::*;

#[tokio::test]
async fn times_without_end_are_taken_and_the_longest_lease_is_refused_by_name() {
    const MAX: Duration = Duration::MAX;
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let connection: [fn(&mut EtcdConfig); 8] = [
        |it| it.connect_timeout = MAX,
        |it| it.request_timeout = MAX,
        |it| it.keep_alive_interval = MAX,
        |it| it.keep_alive_timeout = MAX,
        |it| it.report_after = MAX,
        |it| it.relist_every = MAX,
        |it| it.max_backoff = MAX,
        |_| {},
    ];
    for endless in connection {
        let mut config = config(&server);
        endless(&mut config);
        let etcd = Etcd::new(config).unwrap();
        let endless = RegistrarConfig {
            max_backoff: MAX,
            shutdown_timeout: MAX,
            ..RegistrarConfig::default()
        };
        let registrar = EtcdRegistrar::new(etcd.clone(), endless).unwrap();
        let mut seen = Seen::of(etcd, "user");
        let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
        seen.until_list(&["10.0.0.1:80*1"]).await;
        registration.update(Metadata::default()).unwrap();
        seen.until_list(&["10.0.0.1:80"]).await;
        let gone = within("it is gone", registration.deregister());
        seen.meanwhile(gone).await.unwrap();
        let shut = within("shutdown ends", registrar.shutdown());
        seen.meanwhile(shut).await.unwrap();
        assert!(read(&mut client, KEY).await.is_none());
    }
    let for_ever = RegistrarConfig {
        ttl: MAX,
        ..RegistrarConfig::default()
    };
    let refused = EtcdRegistrar::new(etcd(&server), for_ever).unwrap_err();
    assert!(refused.to_string().contains("ttl"), "{refused}");
}

/// Requests to etcd are large futures: inside of others, they would take the stack of a thread.
#[tokio::test]
async fn what_is_awaited_is_small() {
    const MOST: usize = 2048;
    let etcd = Etcd::new(EtcdConfig::default()).unwrap();
    let registrar = EtcdRegistrar::new(etcd.clone(), RegistrarConfig::default()).unwrap();
    assert!(size_of_val(&registrar.shutdown()) < MOST);
    assert!(size_of_val(&evenkeel_etcd::EtcdDiscover::list(&etcd, "user")) < MOST);
}
