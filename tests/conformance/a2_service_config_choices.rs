//! gRFC A2 (service configs in DNS): which of the choices in a TXT record a client takes.

use evenkeel_service_config::{LiveConfig, ServiceConfig, ServiceConfigChoices};

/// A choice by these criteria, whose service config has the policy `name`.
fn choice(criteria: &str, name: &str) -> String {
    let comma = if criteria.is_empty() { "" } else { ", " };
    format!(
        r#"{{{criteria}{comma}"serviceConfig": {{"loadBalancingConfig": [{{{name:?}: {{}}}}]}}}}"#
    )
}

/// `round_robin` by these criteria.
fn only(criteria: &str) -> String {
    format!("[{}]", choice(criteria, "round_robin"))
}

/// The policy that a client is given, if it is given any.
fn chosen(list: &str, language: &str, hostname: &str, percent: u32) -> Option<String> {
    let choices = ServiceConfigChoices::parse(list).unwrap_or_else(|error| panic!("{error}"));
    let text = choices.choose(language, hostname, percent)?;
    let config = ServiceConfig::parse(&text).unwrap();
    Some(config.load_balancing().name().to_owned())
}

fn is_chosen(list: &str, language: &str, hostname: &str, percent: u32) -> bool {
    chosen(list, language, hostname, percent).is_some()
}

/// Why a list is wrong, and where.
fn refusal(list: &str) -> String {
    let parsed = ServiceConfigChoices::parse(list);
    parsed.expect_err(list).to_string()
}

#[test]
fn a_record_is_a_list_of_choices() {
    for wrong in [
        "",
        "{}",
        "null",
        "7",
        r#""text""#,
        "[1]",
        "[[]]",
        "[null]",
        "[{}",
    ] {
        refusal(wrong);
    }
    assert!(!is_chosen("[]", "rust", "host", 0));
}

#[test]
fn a_criterion_that_is_absent_or_empty_matches_all_clients() {
    for criteria in [
        "",
        r#""clientLanguage": []"#,
        r#""clientHostname": []"#,
        r#""clientLanguage": [], "clientHostname": []"#,
    ] {
        for (language, hostname, percent) in [("rust", "a", 0), ("", "", 50), ("go", "b", 99)] {
            assert!(
                is_chosen(&only(criteria), language, hostname, percent),
                "{criteria}"
            );
        }
    }
}

#[test]
fn languages_are_compared_without_regard_to_case() {
    let list = only(r#""clientLanguage": ["C++", "Rust"]"#);
    for (language, expected) in [
        ("rust", true),
        ("RUST", true),
        ("c++", true),
        ("rus", false),
        ("rust ", false),
        ("", false),
    ] {
        assert_eq!(is_chosen(&list, language, "h", 0), expected, "{language}");
    }
}

#[test]
fn hostnames_are_compared_exactly() {
    let list = only(r#""clientHostname": ["pod-0", "pod-0.users.svc"]"#);
    for (hostname, expected) in [
        ("pod-0", true),
        ("pod-0.users.svc", true),
        ("Pod-0", false),
        ("pod-00", false),
        ("pod-0.users", false),
        ("", false),
    ] {
        assert_eq!(
            is_chosen(&list, "rust", hostname, 0),
            expected,
            "{hostname}"
        );
    }
}

#[test]
fn a_percentage_is_an_integer_from_0_to_100() {
    for percentage in ["0", "1", "50", "100"] {
        ServiceConfigChoices::parse(&only(&format!(r#""percentage": {percentage}"#))).unwrap();
    }
    for percentage in ["-1", "101", "0.5", "1e9", "true", "[]", r#""a few""#] {
        let refusal = refusal(&only(&format!(r#""percentage": {percentage}"#)));
        assert!(
            refusal.contains("$[0].percentage"),
            "{percentage}: {refusal}"
        );
    }
}

#[test]
fn a_percentage_is_of_all_clients_and_each_keeps_its_choice() {
    for percentage in [0, 1, 37, 100] {
        let list = only(&format!(r#""percentage": {percentage}"#));
        let clients = (0..100).filter(|percent| is_chosen(&list, "rust", "h", *percent));
        assert_eq!(clients.count(), percentage);
    }
    // Who is among the first 10 % is among the first 20 %: a canary grows, it does not move.
    let (few, more) = (only(r#""percentage": 10"#), only(r#""percentage": 20"#));
    for percent in 0..100 {
        let is_in = |list: &str| is_chosen(list, "rust", "h", percent);
        assert!(is_in(&more) || !is_in(&few), "{percent}");
    }
}

#[test]
fn all_criteria_of_a_choice_must_match() {
    let list = only(r#""clientLanguage": ["rust"], "percentage": 50, "clientHostname": ["a"]"#);
    for (language, hostname, percent, expected) in [
        ("rust", "a", 49, true),
        ("go", "a", 49, false),
        ("rust", "b", 49, false),
        ("rust", "a", 50, false),
    ] {
        let is_chosen = is_chosen(&list, language, hostname, percent);
        assert_eq!(is_chosen, expected, "{language} {hostname} {percent}");
    }
}

#[test]
fn the_first_choice_that_matches_is_taken() {
    let list = format!(
        "[{}, {}, {}]",
        choice(r#""clientLanguage": ["go"]"#, "pick_first"),
        choice(r#""percentage": 10"#, "round_robin"),
        choice("", "weighted_round_robin"),
    );
    for (language, percent, name) in [
        ("go", 0, "pick_first"),
        ("go", 99, "pick_first"),
        ("rust", 9, "round_robin"),
        ("rust", 10, "weighted_round_robin"),
    ] {
        let chosen = chosen(&list, language, "h", percent);
        assert_eq!(chosen.as_deref(), Some(name), "{language} {percent}");
    }
}

#[test]
fn a_field_that_is_not_known_makes_the_whole_list_wrong() {
    // Other than in a service config (A21), and wherever the choice is that has it.
    let good = choice("", "round_robin");
    for unknown in ["acme", "clientLanguages", "weight"] {
        let wrong = choice(&format!("{unknown:?}: []"), "round_robin");
        for (list, place) in [
            (format!("[{wrong}, {good}]"), "$[0]"),
            (format!("[{good}, {wrong}]"), "$[1]"),
        ] {
            let refusal = refusal(&list);
            assert!(refusal.contains(&format!("{place}.{unknown}")), "{refusal}");
        }
    }
    // In the service config itself they are ignored.
    let text = r#"[{"serviceConfig": {"acme": 1, "loadBalancingConfig": [{"round_robin": {}}]}}]"#;
    assert_eq!(chosen(text, "rust", "h", 0).unwrap(), "round_robin");
}

#[test]
fn a_choice_must_have_a_service_config() {
    for list in ["[{}]", r#"[{"serviceConfig": {}}, {"percentage": 0}]"#] {
        assert!(refusal(list).contains("serviceConfig"), "{list}");
    }
}

#[test]
fn only_the_service_config_that_is_chosen_is_validated() {
    let list = format!(
        r#"[{{"clientLanguage": ["java"], "serviceConfig": {{"methodConfig": 7}}}}, {}]"#,
        choice("", "round_robin")
    );
    assert_eq!(chosen(&list, "rust", "h", 0).unwrap(), "round_robin");
    let choices = ServiceConfigChoices::parse(&list).unwrap();
    let text = choices.choose("java", "h", 0).unwrap();
    let error = ServiceConfig::parse(&text).unwrap_err();
    assert_eq!(error.path, "$.methodConfig");
    // Then it is as any other that is wrong (A21).
    let live = LiveConfig::default();
    live.update(&text).unwrap_err();
    assert!(live.failure().is_some());
}

#[test]
fn no_choice_that_matches_is_as_if_there_were_none() {
    let list = only(r#""clientLanguage": ["go"]"#);
    let choices = ServiceConfigChoices::parse(&list).unwrap();
    assert_eq!(choices.choose("rust", "h", 0), None);
    // So the channel's default config is in force (A21).
    let default = r#"{"loadBalancingConfig": [{"weighted_round_robin": {}}]}"#;
    let live = LiveConfig::from(ServiceConfig::parse(default).unwrap());
    live.update(&choices.choose("go", "h", 0).unwrap()).unwrap();
    assert_eq!(live.current().load_balancing().name(), "round_robin");
    live.reset();
    assert_eq!(
        live.current().load_balancing().name(),
        "weighted_round_robin"
    );
}
