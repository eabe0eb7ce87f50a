//! Who is asked for their health, and by whom it is heeded.

use super::*;

#[tokio::test(start_paused = true)]
async fn health_checking_is_disabled_by_default_and_without_a_service_name() {
    for health in ["null", "{}", r#"{"serviceName": null}"#] {
        let mut test = Test::new(&[A], &config(r#"{"round_robin": {}}"#, health));
        test.reach(A, Ready).await;
        test.calls(3).await;
        assert!(test.is_never_asked().await, "{health}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_empty_service_name_is_a_name() {
    let json = config(r#"{"round_robin": {}}"#, r#"{"serviceName": ""}"#);
    let mut test = Test::new(&[A], &json);
    let watch = test.watch().await;
    assert_eq!(watch.service, "");
    let _answers = watch.say(SERVING);
    test.reach(A, Ready).await;
}

#[tokio::test(start_paused = true)]
async fn the_channel_can_disable_it() {
    let mut test = Test::with(&[A], &round_robin(), |builder| builder.health_checks(false));
    test.reach(A, Ready).await;
    assert!(test.is_never_asked().await);
}

#[tokio::test(start_paused = true)]
async fn pick_first_inhibits_it() {
    for policy in [
        r#"{"pick_first": {}}"#,
        r#"{"outlier_detection_experimental": {"failurePercentageEjection": {}, "childPolicy": [{"pick_first": {}}]}}"#,
        r#"{"random_subsetting_experimental": {"subsetSize": 5, "childPolicy": [{"pick_first": {}}]}}"#,
        r#"{"evenkeel.priority": {"levels": [{}], "childPolicy": [{"pick_first": {}}]}}"#,
    ] {
        let mut test = Test::new(&[A, B], &config(policy, r#"{"serviceName": "s"}"#));
        test.calls(10).await;
        assert!(test.is_never_asked().await, "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn policies_that_compare_endpoints_heed_it() {
    const ROUND_ROBIN: &str = r#""childPolicy": [{"round_robin": {}}]"#;
    let wrapped = |name: &str, fields: &str| format!(r#"{{"{name}": {{{fields} {ROUND_ROBIN}}}}}"#);
    let policies = [
        "round_robin",
        "weighted_round_robin",
        "least_request_experimental",
        "evenkeel.random",
        "evenkeel.fastest_response",
        "evenkeel.registered_weighted_round_robin",
    ];
    let policies = policies.map(|name| format!(r#"{{"{name}": {{}}}}"#));
    let with_fields = [
        r#"{"ring_hash_experimental": {"requestHashHeader": "x-key"}}"#.to_owned(),
        r#"{"evenkeel.ring_hash": {"hashOn": {"header": "x-key"}}}"#.to_owned(),
        wrapped(
            "outlier_detection_experimental",
            r#""failurePercentageEjection": {},"#,
        ),
        wrapped("random_subsetting_experimental", r#""subsetSize": 5,"#),
        wrapped("evenkeel.panic_threshold", ""),
        wrapped("evenkeel.slow_start", ""),
        wrapped("evenkeel.priority", r#""levels": [{}],"#),
        wrapped(
            "evenkeel.metadata_routing",
            r#""routes": [{"header": "x-tag", "metadata": "tag"}],"#,
        ),
    ];
    for policy in policies.iter().chain(&with_fields) {
        let mut test = Test::new(&[A, B], &config(policy, r#"{"serviceName": "s"}"#));
        let _answering = test.answer_all();
        test.calls(20).await;
        let calls = [A, B].map(|address| test.servers.calls(address));
        assert_eq!(calls, [20, 0], "{policy}");
    }
}
