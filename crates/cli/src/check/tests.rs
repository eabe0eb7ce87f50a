use super::*;

fn check(text: &str, method: Option<&str>) -> Report {
    examine("config.json".into(), text, &ParseOptions::default(), method)
}

fn shown(text: &str) -> String {
    text::write(&check(text, None), Palette::none())
}

#[test]
fn an_error_has_its_place_and_a_hint() {
    let text = "{\n  \"methodConfig\": [{\"name\": [{}], \"timeout\": \"100ms\"}]\n}";
    assert_eq!(
        shown(text),
        "config.json: 1 error\nerror    2:46: $.methodConfig[0].timeout: \"100ms\" is not a \
         duration; write seconds, for example \"0.1s\"\n"
    );
    let malformed = check("{\n  \"a\": ,\n}", None);
    let error = &malformed.findings[0];
    assert_eq!((error.line, error.column), (Some(2), Some(8)));
    let after_letters = check("{\"äöü\": ,}", None);
    assert_eq!(after_letters.findings[0].column, Some(9));
    assert!(!malformed.valid && malformed.explanation.is_none());
}

#[test]
fn warnings_and_notes_come_before_the_explanation_and_once() {
    let shown = shown(
        r#"{"methodConfigs": [], "methodConfig": [
            {"name": [{"service": "UserServiceClient"}], "timeout": "1s"}]}"#,
    );
    let head: Vec<_> = shown.lines().take(5).collect();
    assert_eq!(head[0], "config.json: 1 warning, 1 note");
    assert!(
        head[1].starts_with("warning  1:19: $.methodConfigs: unknown field"),
        "{shown}"
    );
    assert!(
        head[2].starts_with("note     2:35: $.methodConfig[0].name[0].service"),
        "{shown}"
    );
    assert_eq!(head[3..], ["", "load balancing:"]);
    assert_eq!(shown.matches("methodConfigs").count(), 1, "{shown}");
}

#[test]
fn the_most_specific_entry_counts_for_a_method() {
    let text = r#"{"methodConfig": [
        {"name": [{"service": "a.S", "method": "M"}], "timeout": "1s"},
        {"name": [{"service": "a.S"}], "timeout": "2s"},
        {"name": [{}], "timeout": "3s"}]}"#;
    for (method, entry) in [
        ("a.S/M", "a.S/M"),
        ("a.S/N", "a.S"),
        ("b.S/M", "all services"),
    ] {
        let found = check(text, Some(method)).method.unwrap();
        assert_eq!(found.entry.unwrap().name, entry);
    }
    // Names that look like what was asked for, and that no call has.
    for name in ["a.S/M", "all services"] {
        let text = format!(
            r#"{{"methodConfig": [{{"name": [{{"service": "{name}"}}], "timeout": "1s"}}]}}"#
        );
        let found = check(&text, Some("a.S/M")).method.unwrap();
        assert!(found.entry.is_none(), "{name}: {:?}", found.entry);
    }
    let nothing = check("{}", Some("a.S/M"));
    let shown = text::write(&nothing, Palette::none());
    assert_eq!(
        shown,
        "config.json: all is well\n\na.S/M:\n  nothing is configured\n"
    );
    assert_eq!(method_name("/a.S/M"), Ok("a.S/M"));
    assert!(method_name("a.S").is_err() && method_name("/M").is_err());
}
