use super::*;
use crate::ServiceConfig;

/// The number of the service config that is chosen, by its timeout.
fn chosen(list: &str, language: &str, hostname: &str, percent: u32) -> Option<u64> {
    let choices = ServiceConfigChoices::parse(list).unwrap_or_else(|error| panic!("{error}"));
    let text = choices.choose(language, hostname, percent)?;
    let config = ServiceConfig::parse(&text).unwrap();
    let timeout = config.method("/s/m").unwrap().timeout.unwrap();
    Some(timeout.as_secs())
}

/// A choice with these criteria whose service config is `number`.
fn choice(criteria: &str, number: u64) -> String {
    let comma = if criteria.is_empty() { "" } else { "," };
    format!(
        r#"{{{criteria}{comma} "serviceConfig": {{"methodConfig": [{{"name": [{{}}], "timeout": "{number}s"}}]}}}}"#
    )
}

fn list(criteria: &[&str]) -> String {
    let choices: Vec<_> = (1..)
        .zip(criteria)
        .map(|(number, criteria)| choice(criteria, number))
        .collect();
    format!("[{}]", choices.join(","))
}

#[test]
fn an_absent_null_or_empty_criterion_matches() {
    for criteria in [
        "",
        r#""clientLanguage": []"#,
        r#""clientLanguage": null, "percentage": null, "clientHostname": null"#,
        r#""clientHostname": []"#,
    ] {
        assert_eq!(chosen(&list(&[criteria]), "rust", "h", 99), Some(1));
    }
}

#[test]
fn the_language_counts_in_any_case_and_the_hostname_exactly() {
    let list = list(&[
        r#""clientLanguage": ["GO", "Rust"], "clientHostname": ["a", "b"]"#,
        r#""clientLanguage": ["rust"]"#,
        r#""clientHostname": ["a"]"#,
    ]);
    for (language, hostname, expected) in [
        ("rust", "b", Some(1)),
        ("go", "a", Some(1)),
        ("rust", "B", Some(2)),
        ("RUST", "c", Some(2)),
        ("java", "a", Some(3)),
        ("java", "A", None),
        ("", "", None),
    ] {
        let number = chosen(&list, language, hostname, 0);
        assert_eq!(number, expected, "{language} {hostname}");
    }
}

#[test]
fn the_first_whose_criteria_all_match_is_chosen() {
    let list = list(&[
        r#""clientLanguage": ["rust"], "percentage": 0"#,
        r#""percentage": 50"#,
        "",
    ]);
    assert_eq!(chosen(&list, "rust", "h", 0), Some(2));
    assert_eq!(chosen(&list, "rust", "h", 50), Some(3));
}

#[test]
fn a_percentage_is_of_all_clients() {
    for percentage in [0_u32, 1, 37, 99, 100] {
        let list = list(&[&format!(r#""percentage": {percentage}"#)]);
        let draws = (0..100).filter(|draw| chosen(&list, "rust", "h", *draw).is_some());
        assert_eq!(draws.count() as u32, percentage);
    }
    let all = list(&[r#""percentage": 100"#]);
    assert_eq!(chosen(&all, "rust", "h", 100), Some(1), "as 99");
}

#[test]
fn nothing_that_matches_is_none() {
    assert_eq!(chosen("[]", "rust", "h", 0), None);
}

#[test]
fn only_the_chosen_config_is_looked_into() {
    let json = r#"[{"clientLanguage": ["java"], "serviceConfig": {"methodConfig": 7}},
                   {"serviceConfig": {"unknown": 1, "timeout": "100ms"}}]"#;
    let choices = ServiceConfigChoices::parse(json).unwrap();
    let parse = |language| ServiceConfig::parse(&choices.choose(language, "h", 0).unwrap());
    assert_eq!(parse("java").unwrap_err().path, "$.methodConfig");
    assert_eq!(parse("rust").unwrap().warnings().len(), 2);
}

#[test]
fn a_wrong_choice_makes_the_whole_list_wrong() {
    for (json, path, part) in [
        ("", "$", "malformed JSON"),
        ("{}", "$", "not a list"),
        ("[1]", "$[0]", "not an object"),
        ("[{}]", "$[0].serviceConfig", "required"),
        (
            r#"[{"serviceConfig": {}}, {"serviceConfig": {}, "clientLanguages": []}]"#,
            "$[1].clientLanguages",
            r#"unknown field; did you mean "clientLanguage"?"#,
        ),
        (
            r#"[{"serviceConfig": {}, "percentage": 101}]"#,
            "$[0].percentage",
            "from 0 to 100",
        ),
        (
            r#"[{"serviceConfig": {}, "percentage": -1}]"#,
            "$[0].percentage",
            "from 0 to 100",
        ),
        (
            r#"[{"serviceConfig": {}, "percentage": 0.5}]"#,
            "$[0].percentage",
            "from 0 to 100",
        ),
        (
            r#"[{"serviceConfig": {}, "clientLanguage": "rust"}]"#,
            "$[0].clientLanguage",
            "not a list; put it in [ ]",
        ),
        (
            r#"[{"serviceConfig": {}, "clientHostname": ["a", 1]}]"#,
            "$[0].clientHostname[1]",
            "not a text",
        ),
        (
            r#"[{"percentage": 1, "percentage": 2, "serviceConfig": {}}]"#,
            "$[0].percentage",
            "twice",
        ),
    ] {
        let error = ServiceConfigChoices::parse(json).unwrap_err();
        assert_eq!(error.path, path, "{json}: {error}");
        assert!(error.reason.contains(part), "{json}: {error}");
    }
}

#[test]
fn spellings_in_another_case_are_taken_with_a_warning() {
    let choices =
        ServiceConfigChoices::parse(r#"[{"ClientLanguage": ["go"], "serviceConfig": {}}]"#)
            .unwrap();
    assert_eq!(choices.warnings()[0].path, "$[0].ClientLanguage");
    assert_eq!(choices.choose("rust", "h", 0), None);
}
