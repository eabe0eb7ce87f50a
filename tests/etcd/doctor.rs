//! What `evenkeel_etcd::doctor` finds in a real etcd; what it makes of that is tested by tables
//! there.

use std::time::Duration;

use etcd_client::{AlarmAction, AlarmType, Client, Permission, PutOptions};
use evenkeel_etcd::doctor::{Facts, Limits, examine};
use evenkeel_etcd::{Credentials, EtcdConfig, codec_named};
use evenkeel_testkit::{EtcdCluster, EtcdServer, within};

use crate::seen::{A, B, value};

/// With time for a machine that is busy: what is late is a finding.
fn config(server: &EtcdServer) -> EtcdConfig {
    EtcdConfig {
        endpoints: vec![server.endpoint()],
        ..EtcdConfig::default()
    }
}

/// `severity check (keys): what`, the worst first.
fn findings_by(facts: &Facts, limits: &Limits) -> Vec<String> {
    let findings = facts.judge(limits);
    findings
        .iter()
        .map(|it| match it.keys.as_slice() {
            [] => format!("{} {}: {}", it.severity, it.check, it.what),
            keys => {
                let keys = keys.join(" ");
                format!("{} {} ({keys}): {}", it.severity, it.check, it.what)
            }
        })
        .collect()
}

fn findings(facts: &Facts) -> Vec<String> {
    findings_by(facts, &Limits::default())
}

async fn look(server: &EtcdServer, service: &str) -> Facts {
    examine(config(server), service).await.unwrap()
}

/// Writes `value` under `key` and a new lease of `ttl` seconds.
async fn put(client: &mut Client, key: &str, value: impl Into<Vec<u8>>, ttl: i64) {
    let lease = client.lease_grant(ttl, None).await.unwrap().id();
    let options = PutOptions::new().with_lease(lease);
    client.put(key, value, Some(options)).await.unwrap();
}

#[tokio::test]
async fn a_healthy_service_has_facts_and_no_findings() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    put(&mut client, "user/1", value(A, 10), 30).await;
    put(&mut client, "user/2", value(B, 20), 30).await;
    let facts = look(&server, "user").await;
    assert_eq!(findings(&facts), [""; 0]);
    assert_eq!((facts.entries.len(), facts.leases.len()), (2, 2));
    assert_eq!(
        facts.lease(&facts.entries[0]).unwrap().granted.as_secs(),
        30
    );
    let addresses: Vec<_> = facts.addresses().iter().map(ToString::to_string).collect();
    assert_eq!(addresses, [A, B]);
    let status = facts.members[0].status.as_ref().unwrap();
    assert!(status.has_leader && !status.version.is_empty() && facts.revision > 2);
}

#[tokio::test]
async fn what_is_wrong_with_keys_is_found() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let weighs_nothing = r#"{"Addr":"10.0.0.3:80","Metadata":{"weight":0,"zone":[1]}}"#;
    let draining = r#"{"Addr":"10.0.0.4:80","Metadata":{"weight":1,"status":"draining"}}"#;
    put(&mut client, "user/a", value(A, 10), 30).await;
    put(&mut client, "user/b", value(A, 10), 30).await;
    client.put("user/c", value(B, 10), None).await.unwrap();
    put(&mut client, "user/d", value("127.0.0.1:80", 10), 30).await;
    put(&mut client, "user/e", value("0.0.0.0:80", 10), 30).await;
    put(&mut client, "user/f", "{{{", 30).await;
    put(&mut client, "user/g", weighs_nothing, 30).await;
    put(&mut client, "user/h", draining, 30).await;
    put(&mut client, "user/i", r#"{"Addr":"10.0.0.5:80"}"#, 30).await;
    put(&mut client, "user/j/k", value("10.0.0.6:80", 1), 30).await;
    assert_eq!(
        findings(&look(&server, "user").await),
        [
            "error unreadable (user/f): not JSON: key must be a string at line 1 column 2",
            "error unspecified-address (user/e): 1 server at 0.0.0.0:80",
            "error loopback-address (user/d): 1 server that no other machine can reach",
            "error no-lease (user/c): 1 key without a lease",
            "warning partly-ignored (user/g): zone cannot be [1]",
            "warning duplicate (user/a user/b): 10.0.0.1:80 has 2 keys",
            "warning mixed-weights (user/i): 1 of 8 have no weight",
            r#"warning nested-service (user/j/k): 1 key of what looks like the service "user/j""#,
            "note no-new-calls (user/h): 1 server: draining",
            "note no-new-calls (user/g): 1 server: weight 0",
        ]
    );
}

#[tokio::test]
async fn a_service_without_servers_or_without_willing_ones_is_an_error() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let nobody = findings(&look(&server, "user").await);
    assert_eq!(
        nobody,
        [r#"error no-endpoints: no key begins with "user/""#]
    );
    put(&mut client, "user/a", value(A, 0), 30).await;
    let unwilling = findings(&look(&server, "user").await);
    assert_eq!(
        unwilling[0],
        "error all-weights-zero: 1 server, all with weight 0"
    );
    let down = r#"{"Addr":"10.0.0.1:80","Metadata":{"status":"down"}}"#;
    put(&mut client, "user/a", down, 30).await;
    let down = findings(&look(&server, "user").await);
    assert_eq!(
        down,
        [
            "error nobody-takes-calls: 1 server, none of which takes calls",
            "note no-new-calls (user/a): 1 server: down",
        ]
    );
}

#[tokio::test]
async fn leases_are_asked_for_once_and_judged() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    put(&mut client, "user/a", value(A, 1), 3).await;
    put(&mut client, "user/b", value(B, 1), 600).await;
    let shared = client.lease_grant(30, None).await.unwrap().id();
    for n in 3..6 {
        let options = PutOptions::new().with_lease(shared);
        let value = value(&format!("10.0.0.{n}:80"), 1);
        let key = format!("user/{n}");
        client.put(key, value, Some(options)).await.unwrap();
    }
    let facts = look(&server, "user").await;
    assert_eq!((facts.entries.len(), facts.leases.len()), (5, 3));
    let limits = Limits {
        many_leases: 3,
        ..Limits::default()
    };
    assert_eq!(
        findings_by(&facts, &limits),
        [
            "warning short-ttl (user/a): a TTL of 3s",
            "warning long-ttl (user/b): a TTL of 600s",
            "warning many-leases: 3 leases for 5 keys",
        ]
    );
}

#[tokio::test]
async fn a_lease_that_nobody_renews_is_found_before_it_ends() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    put(&mut server.client().await, "user/a", value(A, 1), 6).await;
    within("the renewal to be overdue", async {
        while !findings(&look(&server, "user").await)
            .iter()
            .any(|it| it.starts_with("warning not-renewed (user/a): "))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn services_whose_names_begin_alike_are_found_and_counted() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    put(&mut client, "v1/user/a", value(A, 1), 30).await;
    let others = [
        "v1/user",
        "v1/user-admin/a",
        "v1/user-admin/b/c",
        "v1/user0/a",
        "v1/users",
        // None of these begins with it.
        "v1/use/a",
        "v1/uses/a",
        "user-admin/a",
    ];
    for key in others {
        put(&mut client, key, value(B, 1), 30).await;
    }
    let prefix = "v1/".to_owned();
    let config = EtcdConfig {
        prefix,
        ..config(&server)
    };
    let facts = examine(config, "user").await.unwrap();
    assert_eq!(
        findings(&facts),
        [
            "warning prefix-bleed (v1/user v1/user-admin/ v1/user0/ v1/users): 4 other names begin alike, with 5 keys"
        ]
    );
}

#[tokio::test]
async fn an_alarm_is_found() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    put(&mut client, "user/a", value(A, 1), 30).await;
    let raise = client.alarm(AlarmAction::Activate, AlarmType::Nospace, None);
    raise.await.unwrap();
    let found = findings(&look(&server, "user").await);
    assert_eq!(found, ["error alarm: etcd has raised NOSPACE"]);
}

#[tokio::test]
async fn members_that_are_down_unnamed_or_strange_are_found() {
    let Some(mut cluster) = EtcdCluster::start().await else {
        return;
    };
    let urls = cluster.endpoints();
    let mut client = cluster.client().await;
    put(&mut client, "user/a", value(A, 1), 30).await;
    let mut config = config(cluster.member(0));

    let found = findings(&examine(config.clone(), "user").await.unwrap());
    let unnamed = |url: &str| {
        format!("note unlisted-member: the cluster has a member {url} that was not named")
    };
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.contains(&unnamed(&urls[1])) && found.contains(&unnamed(&urls[2])));

    config.endpoints = urls.clone();
    let found = findings(&examine(config.clone(), "user").await.unwrap());
    assert_eq!(found, [""; 0]);

    // By names that the cluster does not use.
    let named = |url: &String| url.replace("127.0.0.1", "localhost");
    config.endpoints = urls.iter().take(2).map(named).collect();
    let found = findings(&examine(config.clone(), "user").await.unwrap());
    assert_eq!(found, [unnamed(&urls[2])]);
    config.endpoints = urls.clone();

    let leader = cluster.leader().await;
    cluster.member((leader + 1) % 3).kill().await;
    let facts = within("an answer of the others", examine(config.clone(), "user"));
    let facts = facts.await.unwrap();
    let found = findings(&facts);
    let down = format!("warning member-unreachable: {}: ", urls[(leader + 1) % 3]);
    assert!(found.len() == 1 && found[0].starts_with(&down), "{found:?}");
    assert_eq!(facts.entries.len(), 1);

    let other = EtcdServer::start().await.unwrap();
    config.endpoints.push(other.endpoint());
    let found = findings(&examine(config.clone(), "user").await.unwrap());
    let two = "error several-clusters: the members are of 2 clusters: ";
    assert!(found[0].starts_with(two), "{found:?}");
}

#[tokio::test]
async fn without_a_leader_nothing_can_be_asked_and_that_is_said() {
    let Some(mut cluster) = EtcdCluster::start().await else {
        return;
    };
    let mut config = config(cluster.member(0));
    config.endpoints = cluster.endpoints();
    for n in [1, 2] {
        cluster.member(n).kill().await;
    }
    within("the last member to notice", async {
        loop {
            let error = examine(config.clone(), "user").await.unwrap_err();
            if error.to_string().contains("no leader") {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_may_not_look_is_told_so_and_who_may_look_a_little_gets_that() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    put(&mut client, "user/a", value(A, 1), 30).await;
    let allowed = Permission::read("user/").with_prefix();
    client.role_add("root").await.unwrap();
    client.role_add("reader").await.unwrap();
    client
        .role_grant_permission("reader", allowed)
        .await
        .unwrap();
    for (name, role) in [("root", "root"), ("eve", "reader")] {
        client.user_add(name, "secret", None).await.unwrap();
        client.user_grant_role(name, role).await.unwrap();
    }
    client.auth_enable().await.unwrap();
    let with = |name: &str, password: &str| {
        let (name, password) = (name.to_owned(), password.to_owned());
        EtcdConfig {
            credentials: Some(Credentials { name, password }),
            ..config(&server)
        }
    };
    let anonymous = examine(config(&server), "user").await.unwrap_err();
    assert!(
        anonymous.to_string().contains("user name is empty"),
        "{anonymous}"
    );
    let wrong = examine(with("root", "hush"), "user").await.unwrap_err();
    assert!(
        wrong.to_string().contains("authentication failed"),
        "{wrong}"
    );
    assert!(!wrong.to_string().contains("hush"), "{wrong}");
    let all = examine(with("root", "secret"), "user").await.unwrap();
    assert_eq!(findings(&all), [""; 0]);
    let part = findings(&examine(with("eve", "secret"), "user").await.unwrap());
    let about: Vec<_> = part
        .iter()
        .map(|it| it.split(": ").take(2).collect::<Vec<_>>().join(": "))
        .collect();
    let expected = ["note unanswered: keys that begin with \"user\""];
    assert_eq!(about, expected, "{part:?}");
}

#[tokio::test]
async fn ten_thousand_keys_are_read_page_by_page() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let servers: Vec<_> = (0..10_000).collect();
    for chunk in servers.chunks(100) {
        let lease = client.lease_grant(60, None).await.unwrap().id();
        let puts = chunk.iter().map(|n| {
            let address = format!("10.0.{}.{}:80", n / 250, n % 250);
            let options = PutOptions::new().with_lease(lease);
            etcd_client::TxnOp::put(format!("user/{address}"), value(&address, 1), Some(options))
        });
        let puts = etcd_client::Txn::new().and_then(puts.collect::<Vec<_>>());
        client.txn(puts).await.unwrap();
    }
    let facts = look(&server, "user").await;
    assert_eq!((facts.entries.len(), facts.leases.len()), (10_000, 100));
    assert_eq!(findings(&facts), [""; 0]);
}

#[tokio::test]
async fn another_layout_is_recognised_by_its_place_and_by_its_values() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let kratos = r#"{"id":"1","name":"user","version":"v1","metadata":{"weight":"10"},"endpoints":["grpc://10.0.0.5:9000"]}"#;
    put(&mut client, "/microservices/user/1", kratos, 30).await;
    assert_eq!(
        findings(&look(&server, "user").await),
        [
            r#"error no-endpoints: no key begins with "user/"; 1 key under "/microservices/user/", the place of --layout kratos"#
        ]
    );
    put(&mut client, "user/1", kratos, 30).await;
    put(&mut client, "user/2", value(A, 1), 30).await;
    let found = findings(&look(&server, "user").await);
    assert!(
        found.len() == 1 && found[0].starts_with("error unreadable (user/1)"),
        "{found:?}"
    );
    assert!(
        found[0].contains("looks like ") && found[0].contains("kratos"),
        "{found:?}"
    );

    let stranger = kratos.replace("user", "user/admin");
    put(&mut client, "/microservices/user/admin/1", stranger, 30).await;
    let config = EtcdConfig {
        codec: codec_named("kratos").unwrap(),
        ..config(&server)
    };
    let found = findings(&examine(config, "user").await.unwrap());
    assert_eq!(
        found,
        ["note nested-service (/microservices/user/admin/1): 1 key of another service, left out"]
    );
}
