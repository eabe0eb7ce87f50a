//! What the documentation shows as a service config is one.

use evenkeel_service_config::ParseOptions;

const POLICIES: &str = include_str!("../../../docs/policies.md");
const HEALTH: &str = include_str!("../../../docs/health.md");
const CALLS: &str = include_str!("../../../docs/calls.md");
const README: &str = include_str!("../../../README.md");

/// The blocks of `language` in a Markdown text.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split_once("```").expect("each block ends").0)
        .collect()
}

#[test]
fn every_json_example_is_a_valid_service_config_without_a_warning() {
    let examples: Vec<_> = [POLICIES, CALLS, HEALTH, README]
        .iter()
        .flat_map(|text| blocks(text, "json"))
        .collect();
    assert!(examples.len() >= 12, "{}", examples.len());
    for example in examples {
        let parsed = ParseOptions::strict().parse(example);
        assert!(parsed.is_ok(), "{parsed:?} of {example}");
    }
}

#[test]
fn every_builtin_policy_is_documented() {
    let options = ParseOptions::default();
    let undocumented: Vec<_> = options
        .registry
        .names()
        .filter(|name| name.contains('.') || name.ends_with("_experimental"))
        .filter(|name| !POLICIES.contains(&format!("`{name}`")))
        .collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
}
