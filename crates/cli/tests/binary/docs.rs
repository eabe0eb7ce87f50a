//! What the documentation shows is what there is.

use std::collections::BTreeSet;

use evenkeel_etcd::doctor::Check;
use serde_json::Value;

use crate::ran::{run, run_with};
use crate::registry::{register, registry};

const PAGE: &str = include_str!("../../../../docs/cli.md");
const README: &str = include_str!("../../../../README.md");

/// What a page shows as the output of `command`.
fn shown<'p>(page: &'p str, command: &str) -> &'p str {
    let start = format!("```console\n$ {command}\n");
    let (_, rest) = page.split_once(&start).expect("the page shows the command");
    rest.split_once("```").expect("each block ends").0
}

/// `text` with the version of the etcd in the documentation, and its leases' times.
fn as_documented(text: &str, endpoint: &str) -> String {
    let text = text.replace(endpoint, "http://127.0.0.1:2379");
    let version = text.split(['(', ')']).nth(1).unwrap().to_owned();
    let mut text = text.replacen(&version, "3.4.23", 1);
    for seconds in 20..=30 {
        text = text.replace(&format!("{seconds}s of 30s"), "29s of 30s");
    }
    text
}

#[tokio::test]
async fn the_doctor_says_what_the_pages_show() {
    let Some((etcd, registrar)) = registry().await else {
        return;
    };
    let address = |text: &str| text.parse().unwrap();
    let _a = register(&registrar, "service/user", address("10.0.0.5:8090"), 10.0).await;
    let _b = register(&registrar, "service/user", address("10.0.0.6:8090"), 20.0).await;
    let mut client = etcd.client().await;
    let by_hand = r#"{"Addr":"10.0.0.5:8090"}"#;
    for key in ["service/user/old", "service/user-admin/10.0.0.9:8090"] {
        client.put(key, by_hand, None).await.unwrap();
    }
    let ran = run(&["doctor", &etcd.endpoint(), "service/user", "--no-dial"]).await;
    let command = "evenkeel doctor etcd://127.0.0.1:2379 service/user --no-dial";
    let out = as_documented(&ran.out, &etcd.endpoint());
    assert_eq!(out, shown(PAGE, command));
    // The README leaves out most of it.
    for line in shown(README, command).lines().filter(|line| *line != "…") {
        assert!(out.lines().any(|it| it == line), "{line}\nis not in\n{out}");
    }
}

#[tokio::test]
async fn the_check_says_what_the_page_shows() {
    let (_, rest) = PAGE
        .split_once("```json\n")
        .expect("the page shows a config");
    let (config, _) = rest.split_once("```").expect("each block ends");
    let ran = run_with(&["check", "-"], config).await;
    let out = ran.out.replacen("-:", "service-config.json:", 1);
    assert_eq!(out, shown(PAGE, "evenkeel check service-config.json"));
}

#[test]
fn every_check_is_documented() {
    for check in Check::ALL {
        let row = format!("| `{check}` |");
        assert!(PAGE.contains(&row), "{row} is missing");
    }
}

/// The fields of `value`: `keys[].lease.id`.
fn paths(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let separator = if path.is_empty() { "" } else { "." };
                paths(value, &format!("{path}{separator}{name}"), all);
            }
        }
        Value::Array(items) => {
            let path = format!("{path}[]");
            for item in items {
                paths(item, &path, all);
            }
        }
        _ => drop(all.insert(path.to_owned())),
    }
}

#[tokio::test]
async fn the_fields_of_the_doctors_json_are_those_of_the_page() {
    let Some((etcd, registrar)) = registry().await else {
        return;
    };
    let mut client = etcd.client().await;
    let mut shown = BTreeSet::new();
    let mut look = async |service: &str| {
        let ran = run(&["doctor", &etcd.endpoint(), service, "--json"]).await;
        let json: Value = serde_json::from_str(&ran.out).unwrap();
        paths(&json, "", &mut shown);
    };
    client
        .put("/microservices/user/1", "x", None)
        .await
        .unwrap();
    look("user").await;
    let _a = register(&registrar, "user", "127.0.0.1:1".parse().unwrap(), 1.0).await;
    client.put("user-admin/1", "x", None).await.unwrap();
    client.put("user/1", "x", None).await.unwrap();
    look("user").await;

    let (_, table) = PAGE.split_once("### JSON\n").expect("it has a part");
    let (table, _) = table.split_once("## check").expect("it ends");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| {
        let field = row.split(" | ").next().unwrap_or_default();
        field.split('`').skip(1).step_by(2).map(str::to_owned)
    });
    let documented: BTreeSet<_> = names.collect();
    // Here nothing of that kind is the matter.
    let absent = [
        "etcd.alarms[]",
        "etcd.unlistedMembers[]",
        "unanswered[].what",
        "unanswered[].isRefused",
    ];
    shown.extend(absent.map(str::to_owned));
    assert_eq!(shown, documented);
}
