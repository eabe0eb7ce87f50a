use evenkeel_testkit::within;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::ran::evenkeel;
use crate::registry::{register, registry};

#[tokio::test]
async fn endpoints_are_told_as_they_come_change_and_go() {
    let Some((etcd, registrar)) = registry().await else {
        return;
    };
    let address = "10.0.0.1:80";
    let registration = register(&registrar, "user", address.parse().unwrap(), 1.0).await;
    let mut child = evenkeel(&["watch", &etcd.endpoint(), "user", "--json"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async |what: &str| {
        let line = within(what, lines.next_line()).await.unwrap().unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["event"], what, "{line}");
        assert!(line["time"].as_f64().unwrap() > 0.0);
        line
    };
    let added = next("added").await;
    assert_eq!(added["endpoint"]["addresses"][0], address);
    assert_eq!(added["endpoint"]["weight"], 1.0);

    let metadata = evenkeel_core::Metadata::default().with_weight(7.0);
    registration.update(metadata).unwrap();
    let updated = next("updated").await;
    assert_eq!(updated["endpoint"]["weight"], 7.0);
    assert_eq!(updated["was"]["weight"], 1.0);
    etcd.client()
        .await
        .delete("user/10.0.0.1:80", None)
        .await
        .unwrap();
    let removed = next("removed").await;
    assert_eq!(removed["key"], "user/10.0.0.1:80");
    child.kill().await.unwrap();
}
