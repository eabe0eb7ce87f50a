use evenkeel_testkit::tls::Authority;
use evenkeel_testkit::{EtcdServer, UserServer, port};
use serde_json::Value;

use crate::ran::{Ran, evenkeel, finish, run};
use crate::registry::{register, registry};

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap()
}

/// `severity check` of the findings, the worst first.
fn findings(json: &Value) -> Vec<String> {
    let findings = json["findings"].as_array().unwrap();
    let name = |it: &Value| {
        let [severity, check] = ["severity", "check"].map(|field| it[field].as_str().unwrap());
        format!("{severity} {check}")
    };
    findings.iter().map(name).collect()
}

#[tokio::test]
async fn servers_that_run_are_dialled_and_all_is_as_well_as_on_one_machine() {
    let Some((etcd, registrar)) = registry().await else {
        return;
    };
    let user = UserServer::start().await.unwrap();
    let _registered = register(&registrar, "user", user.address(), 10.0).await;
    let url = etcd.endpoint();
    let ran = run(&["doctor", &url, "user"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out.ends_with("\n1 note\n") && !ran.out.contains('\u{1b}'),
        "{}",
        ran.out
    );

    let ran = run(&["doctor", &url, "user", "--json", "--strict"]).await;
    assert_eq!(ran.code, Some(0), "a note is no warning: {ran:?}");
    let json = json(&ran);
    assert_eq!(findings(&json), ["note loopback-address"]);
    let key = &json["keys"][0];
    assert_eq!(key["connects"], "http2");
    assert_eq!(key["addresses"][0], user.address().to_string());
    assert_eq!(
        (key["weight"].as_f64(), key["status"].as_str()),
        (Some(10.0), Some("up"))
    );
    assert_eq!(key["lease"]["ttlSeconds"], 30);
    assert_eq!(json["etcd"]["members"][0]["hasLeader"], true);
}

#[tokio::test]
async fn servers_that_do_not_answer_or_speak_tls_are_told_apart() {
    let Some((etcd, registrar)) = registry().await else {
        return;
    };
    let nobody = format!("127.0.0.1:{}", port::free().unwrap());
    let authority = Authority::new();
    let tls = authority.server(&["user.example"]);
    let secret = UserServer::builder().tls(tls).start().await.unwrap();
    let _gone = register(&registrar, "user", nobody.parse().unwrap(), 1.0).await;
    let _tls = register(&registrar, "user", secret.address(), 1.0).await;

    let target = format!("{}/user", etcd.endpoint().replace("http", "etcd"));
    let ran = run(&["doctor", &target, "--json"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let json = json(&ran);
    let expected = [
        "error unreachable",
        "warning not-http2",
        "note loopback-address",
    ];
    assert_eq!(findings(&json), expected, "{ran:?}");
    assert_eq!(json["findings"][0]["keys"][0], format!("user/{nobody}"));

    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("ca.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let by_tls = [
        "doctor",
        &target,
        "--json",
        "--dial-cacert",
        trusted.to_str().unwrap(),
    ];
    let ran = run(&by_tls).await;
    let unnamed = ["error unreachable", "error tls", "note loopback-address"];
    assert_eq!(findings(&self::json(&ran)), unnamed, "{ran:?}");
    let by_name = [&by_tls[..], &["--dial-authority", "user.example"]].concat();
    let ran = run(&by_name).await;
    let expected = ["error unreachable", "note loopback-address"];
    assert_eq!(findings(&self::json(&ran)), expected, "{ran:?}");

    let ran = run(&["doctor", &target, "--json", "--no-dial"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(self::json(&ran)["keys"][0]["connects"], Value::Null);
}

#[tokio::test]
async fn what_is_wrong_decides_the_exit_code() {
    let Some((etcd, registrar)) = registry().await else {
        return;
    };
    let mut client = etcd.client().await;
    let url = etcd.endpoint();
    let doctor = |more: &'static [&'static str]| {
        let args: Vec<_> = ["doctor", &url, "user", "--no-dial"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        let command = evenkeel(&args);
        async { finish(command).await }
    };
    let ran = doctor(&[]).await;
    assert!(
        ran.code == Some(1) && ran.out.contains("error    no-endpoints"),
        "{ran:?}"
    );

    let _a = register(&registrar, "user", "10.0.0.1:80".parse().unwrap(), 1.0).await;
    let ran = doctor(&["--strict"]).await;
    assert!(
        ran.code == Some(0) && ran.out.ends_with("all is well\n"),
        "{ran:?}"
    );

    client.put("user-admin/1", "x", None).await.unwrap();
    let ran = doctor(&[]).await;
    assert!(
        ran.code == Some(0) && ran.out.ends_with("1 warning\n"),
        "{ran:?}"
    );
    assert_eq!(doctor(&["--strict"]).await.code, Some(1));

    client.put("user/x", "\u{1b}[31m", None).await.unwrap();
    client
        .put("user/\u{1b}[31m", "10.0.0.7:80", None)
        .await
        .unwrap();
    let ran = doctor(&[]).await;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.out.contains("looks like go-zero or plain"),
        "{}",
        ran.out
    );
    assert!(
        !ran.out.contains('\u{1b}'),
        "what others wrote commands no terminal"
    );
    let ran = doctor(&["--layout", "plain"]).await;
    assert!(ran.out.contains("10.0.0.7:80"), "{ran:?}");
}

#[tokio::test]
async fn who_could_not_ask_ends_with_2_and_says_why() {
    let nobody = format!("http://127.0.0.1:{}", port::free().unwrap());
    let cases: [(&[&str], &str); 5] = [
        (&["doctor", &nobody, "user"], &nobody),
        (&["doctor", &nobody], "which service"),
        (&["doctor", "zk://a", "user"], "known are etcd"),
        (
            &["doctor", &nobody, "user", "--user", "root"],
            "ETCDCTL_PASSWORD",
        ),
        (
            &["doctor", &nobody, "user", "--cacert", "/no/such.pem"],
            "/no/such.pem",
        ),
    ];
    for (args, why) in cases {
        let ran = run(args).await;
        assert!(
            ran.code == Some(2) && ran.out.is_empty(),
            "{args:?}: {ran:?}"
        );
        assert!(ran.err.contains(why), "{args:?}: {ran:?}");
    }
}

#[tokio::test]
async fn a_password_among_the_arguments_is_refused_and_not_repeated() {
    let cases: [&[&str]; 5] = [
        &["zk://a,root:secret@b", "user"],
        &["etcd://a/x,root:secret@b"],
        &["etcd://root:se/secret@a"],
        &["etcd://root:secret@a/user"],
        &["etcd://a", "user", "--user", "root:secret"],
    ];
    for args in cases {
        for command in ["doctor", "watch"] {
            let ran = run(&[&[command], args].concat()).await;
            assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
            let said = format!("{}{}", ran.out, ran.err);
            assert!(
                said.contains("--user") && !said.contains("secret"),
                "{args:?}: {said}"
            );
        }
    }
}

#[tokio::test]
async fn an_etcd_that_hangs_is_not_waited_for() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    etcd.pause();
    let ran = run(&["doctor", &etcd.endpoint(), "user", "--timeout", "0.2"]).await;
    assert!(
        ran.code == Some(2) && ran.err.contains("no answer within 200ms"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn passwords_come_from_the_environment_or_a_file_and_go_nowhere() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let mut client = etcd.client().await;
    client.role_add("root").await.unwrap();
    client.user_add("root", "s3cret", None).await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.auth_enable().await.unwrap();
    let url = etcd.endpoint();
    let args = ["doctor", &url, "user", "--user", "root"];

    let anonymous = run(&args[..3]).await;
    assert!(
        anonymous.code == Some(2) && anonymous.err.contains("--user"),
        "{anonymous:?}"
    );
    let mut wrong = evenkeel(&args);
    wrong.env("ETCDCTL_PASSWORD", "wr0ng");
    let wrong = finish(wrong).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.err.contains("authentication failed") && !wrong.err.contains("wr0ng"));

    let mut right = evenkeel(&args);
    right.env("ETCDCTL_PASSWORD", "s3cret");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret\n").unwrap();
    let from_file = [&args[..], &["--password-file", file.to_str().unwrap()]].concat();
    for ran in [finish(right).await, run(&from_file).await] {
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.out.contains("no-endpoints") && !ran.out.contains("s3cret"),
            "{ran:?}"
        );
    }
}

#[tokio::test]
async fn what_is_alike_or_long_is_cut_in_text_and_whole_in_json() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let mut client = etcd.client().await;
    for n in 0..8 {
        let value = format!(r#"{{"Addr":"10.0.0.{n}:80"}}"#);
        for key in ["a", "b"] {
            let put = client.put(format!("user/{n}{key}"), value.clone(), None);
            put.await.unwrap();
        }
    }
    let long = "\u{9b}".repeat(1000);
    client.put(format!("user/{long}"), "{", None).await.unwrap();
    let url = etcd.endpoint();
    let args = ["doctor", &url, "user", "--no-dial"];
    let text = run(&args).await;
    assert_eq!(
        text.out.matches("\nwarning  duplicate: ").count(),
        5,
        "{}",
        text.out
    );
    assert!(
        text.out.contains("… and 3 more of duplicate (--json)"),
        "{}",
        text.out
    );
    assert!(
        text.out.lines().all(|line| line.chars().count() < 400),
        "{}",
        text.out
    );
    let ran = run(&[&args[..], &["--json"]].concat()).await;
    assert!(!ran.out.contains('\u{9b}'), "{}", ran.out);
    let json = json(&ran);
    let found = findings(&json);
    let duplicates = found.iter().filter(|it| *it == "warning duplicate");
    assert_eq!(duplicates.count(), 8);
    let keys = json["keys"].as_array().unwrap();
    assert!(keys.iter().any(|it| it["key"] == format!("user/{long}")));
}
