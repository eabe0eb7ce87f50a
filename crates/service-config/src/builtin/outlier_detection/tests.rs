use std::time::Duration;

use super::*;
use crate::builtin::table::{bad, good};

#[test]
fn fields_have_the_defaults_of_the_specification_and_an_explicit_zero_is_kept() {
    let config = |change: &dyn Fn(&mut OutlierDetectionConfig)| {
        let mut config = OutlierDetectionConfig::default();
        change(&mut config);
        config
    };
    let success_rate = |change: &dyn Fn(&mut SuccessRateEjection)| {
        let mut ejection = SuccessRateEjection::default();
        change(&mut ejection);
        config(&|config| config.success_rate = Some(ejection))
    };
    let failure_percentage = |change: &dyn Fn(&mut FailurePercentageEjection)| {
        let mut ejection = FailurePercentageEjection::default();
        change(&mut ejection);
        config(&|config| config.failure_percentage = Some(ejection))
    };
    for (fields, expected) in [
        ("", config(&|_| ())),
        (r#""interval": null,"#, config(&|_| ())),
        (
            r#""interval": "0.5s", "baseEjectionTime": "1s", "maxEjectionTime": "2s","#,
            config(&|config| {
                config.interval = Duration::from_millis(500);
                config.base_ejection_time = Duration::from_secs(1);
                config.max_ejection_time = Duration::from_secs(2);
            }),
        ),
        (
            r#""interval": "0.1s", "maxEjectionPercent": 0,"#,
            config(&|config| {
                config.interval = Duration::from_millis(100);
                config.max_ejection_percent = 0;
            }),
        ),
        (r#""successRateEjection": {},"#, success_rate(&|_| ())),
        (
            r#""successRateEjection": {"stdevFactor": 0, "enforcementPercentage": 0,
                "minimumHosts": 0, "requestVolume": 0},"#,
            success_rate(&|ejection| {
                ejection.stdev_factor = 0;
                ejection.enforcement_percentage = 0;
                ejection.minimum_hosts = 0;
                ejection.request_volume = 0;
            }),
        ),
        (
            r#""failurePercentageEjection": {},"#,
            failure_percentage(&|_| ()),
        ),
        (
            r#""failurePercentageEjection": {"threshold": 100, "enforcementPercentage": 5,
                "minimumHosts": 1, "requestVolume": 7},"#,
            failure_percentage(&|ejection| {
                ejection.threshold = 100;
                ejection.enforcement_percentage = 5;
                ejection.minimum_hosts = 1;
                ejection.request_volume = 7;
            }),
        ),
    ] {
        let json = format!(r#"{{{fields}"childPolicy": [{{"round_robin": {{}}}}]}}"#);
        // Without an algorithm it is warned of.
        let ejects = expected.success_rate.is_some() || expected.failure_percentage.is_some();
        let warnings = if ejects { &[][..] } else { &[""] };
        let build = good(OutlierDetection::NAME, &json, parse, warnings);
        assert_eq!(*build.config(), expected, "{fields}");
    }
}

#[test]
fn an_interval_of_less_than_100_ms_is_taken_for_that_and_warned_of() {
    for interval in ["0s", "0.099s"] {
        let json = format!(
            r#"{{"interval": {interval:?}, "failurePercentageEjection": {{}},
                "childPolicy": [{{"round_robin": {{}}}}]}}"#
        );
        let build = good(OutlierDetection::NAME, &json, parse, &[".interval"]);
        let taken = build.config().interval;
        assert_eq!(taken, Duration::from_millis(100), "{interval}");
    }
}

#[test]
fn what_is_out_of_bounds_is_refused_with_its_place() {
    let child = r#""childPolicy": [{"round_robin": {}}]"#;
    for (config, place, reason) in [
        ("{}", ".childPolicy", "required"),
        (r#"{"childPolicy": []}"#, ".childPolicy", "names no policy"),
        (r#"{"interval": "-1s", CHILD}"#, ".interval", "negative"),
        (r#"{"interval": 10, CHILD}"#, ".interval", r#""10s""#),
        (
            r#"{"baseEjectionTime": "30", CHILD}"#,
            ".baseEjectionTime",
            r#""30s""#,
        ),
        (
            r#"{"maxEjectionTime": "5m", CHILD}"#,
            ".maxEjectionTime",
            r#""300s""#,
        ),
        (
            r#"{"maxEjectionPercent": 101, CHILD}"#,
            ".maxEjectionPercent",
            "from 0 to 100",
        ),
        (
            r#"{"successRateEjection": true, CHILD}"#,
            ".successRateEjection",
            "not an object",
        ),
        (
            r#"{"successRateEjection": {"stdevFactor": -1}, CHILD}"#,
            ".successRateEjection.stdevFactor",
            "at least 0",
        ),
        (
            r#"{"successRateEjection": {"enforcementPercentage": 101}, CHILD}"#,
            ".successRateEjection.enforcementPercentage",
            "from 0 to 100",
        ),
        (
            r#"{"failurePercentageEjection": {"threshold": 100.5}, CHILD}"#,
            ".failurePercentageEjection.threshold",
            "not a whole number",
        ),
        (
            r#"{"failurePercentageEjection": {"enforcementPercentage": 200}, CHILD}"#,
            ".failurePercentageEjection.enforcementPercentage",
            "from 0 to 100",
        ),
        (
            r#"{"failurePercentageEjection": {"requestVolume": "many"}, CHILD}"#,
            ".failurePercentageEjection.requestVolume",
            "not a number",
        ),
    ] {
        let config = config.replace("CHILD", child);
        bad(OutlierDetection::NAME, &config, place, reason);
    }
}
