use std::process::Stdio;

use serde_json::Value;

use crate::ran::{evenkeel, finish, run, run_with};

const GOOD: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [{"name": [{"service": "UserService"}], "timeout": "1s"}]}"#;

#[tokio::test]
async fn a_good_config_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, GOOD).unwrap();
    let file = file.to_str().unwrap();
    let ran = run(&["check", "--strict", file]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out
            .starts_with(&format!("{file}: all is well\n\nload balancing:\n"))
    );
    let ran = run(&["check", file, "--method", "UserService/GetById", "--json"]).await;
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["method"]["entry"]["timeout"], "1s");
    assert_eq!(
        (json["valid"].as_bool(), &json["explanation"]),
        (Some(true), &Value::Null)
    );
}

#[tokio::test]
async fn exit_codes_tell_errors_warnings_and_failures_apart() {
    let wrong = r#"{"retryPolicy": {"maxAttempts": 4}}"#;
    let cases: [(&[&str], &str, i32); 7] = [
        (&["check", "-"], GOOD, 0),
        (&["check", "-"], "\u{feff}{}", 0),
        (&["check", "-"], wrong, 0),
        (&["check", "--strict", "-"], wrong, 1),
        (&["check", "-"], r#"{"methodConfig": 1}"#, 1),
        (&["check", "-"], "{", 1),
        (&["check", "-", "--method", "GetById"], GOOD, 2),
    ];
    for (args, input, code) in cases {
        let ran = run_with(args, input).await;
        assert_eq!(ran.code, Some(code), "{args:?} {input}: {ran:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("long.json");
    std::fs::write(&long, vec![b' '; (1 << 20) + 1]).unwrap();
    let long = run(&["check", long.to_str().unwrap()]).await;
    assert!(
        long.code == Some(2) && long.err.contains("longer than"),
        "{long:?}"
    );
    let missing = run(&["check", "/no/such/file"]).await;
    assert!(
        missing.code == Some(2) && missing.err.contains("/no/such/file"),
        "{missing:?}"
    );
    assert_eq!(run(&["check"]).await.code, Some(2));
}

#[tokio::test]
async fn json_has_places_and_reasons() {
    let ran = run_with(&["check", "-", "--json"], "{\"methodConfigs\":\n []}").await;
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    let finding = &json["findings"][0];
    assert_eq!(finding["severity"], "warning");
    assert_eq!(finding["path"], "$.methodConfigs");
    assert_eq!(
        (finding["line"].as_u64(), finding["column"].as_u64()),
        (Some(2), Some(2))
    );
    assert_eq!(json["warnings"], 1);
    assert_eq!(json["explanation"]["loadBalancing"]["name"], "pick_first");
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_none_and_one_that_nobody_reads_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    for (text, code) in [("{}", 0), ("{", 1)] {
        std::fs::write(&file, text).unwrap();
        let args = ["check", file.to_str().unwrap()];

        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = evenkeel(&args);
        command.stdout(Stdio::from(full.unwrap()));
        let full = finish(command).await;
        assert_eq!(full.code, Some(2), "{full:?}");
        assert!(
            full.err.starts_with("evenkeel: the standard output: "),
            "{full:?}"
        );

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = evenkeel(&args);
        command.stdout(Stdio::from(writer));
        let unread = finish(command).await;
        assert_eq!((unread.code, &*unread.err), (Some(code), ""), "{unread:?}");
    }
}

#[tokio::test]
async fn what_others_wrote_commands_no_terminal() {
    for c in ['\u{7f}', '\u{9b}', '\u{61c}', '\u{202e}'] {
        let config = format!(
            r#"{{"loadBalancingConfig": [{{"yours": {{"field{c}": "value{c}"}}}}, {{"round_robin": {{}}}}],
            "methodConfig": [{{"name": [{{"service": "a{c}"}}], "timeout": "1s"}}], "unknown{c}": "{c}"}}"#
        );
        for args in [&["check", "-"][..], &["check", "-", "--json"]] {
            let ran = run_with(args, &config).await;
            assert_eq!(ran.code, Some(0), "{ran:?}");
            assert!(!ran.out.contains(c), "{c:?} {args:?}: {}", ran.out);
        }
    }
}
