//! docs/errors.md: what happens on this side, row by row, on real servers.

mod gives_back;
mod scenes;

use std::collections::HashMap;

use evenkeel::errors::{
    AttemptError, BreakerOpen, DeadlineExceeded, MessageTooLarge, NoEndpoint, cause, code_name,
};
use tonic::Status;

use self::scenes::{Terms, happens};

const PAGE: &str = include_str!("../../docs/errors.md");

/// The rows of the table of what happens here, by the columns' names.
fn rows() -> Vec<HashMap<&'static str, &'static str>> {
    let mut lines = PAGE.lines().map(|line| {
        let cells = line.trim().trim_matches('|').split('|').map(str::trim);
        cells.collect::<Vec<_>>()
    });
    let head = lines.find(|cells| cells[0] == "what happens").unwrap();
    let rows = lines.skip(1).take_while(|cells| cells.len() == head.len());
    rows.map(|cells| head.iter().copied().zip(cells).collect())
        .collect()
}

/// Runs what a row tells of, in three ways.
#[tokio::test]
async fn each_row_is_what_happens() {
    let rows = rows();
    assert_eq!(rows.len(), 12);
    for row in rows {
        let what = row["what happens"];
        let alone = happens(what, Terms::ALONE).await;
        let listed = happens(what, Terms::LISTED).await;

        let code = alone.status.as_ref().map(Status::code);
        let code = code.map_or("–".into(), |code| format!("`{}`", code_name(code)));
        assert_eq!(row["the caller sees"], code, "{what}");
        assert_eq!(row["typed source"], source(alone.status.as_ref()), "{what}");
        let charged = match alone.charged[..] {
            [] => "nothing".to_owned(),
            [code] => format!("`{}`", code_name(code)),
            _ => panic!("{what}: {:?}", alone.charged),
        };
        assert_eq!(row["counts as"], charged, "{what}");
        let retried = match (&alone.status, listed.is_retried()) {
            (Some(_), true) => "if listed",
            (Some(_), false) => "no",
            (None, _) if what.starts_with("the caller drops") => "no",
            (None, _) if alone.charged.is_empty() => "placed elsewhere",
            (None, _) => "once, without a policy",
        };
        assert_eq!(row["retried"], retried, "{what}");

        let token = if retried == "if listed" {
            // One token less, and there are too few for the retry itself.
            let throttled = happens(what, Terms::throttled(2)).await;
            assert!(!throttled.is_retried(), "{what}: it takes a token");
            "if listed"
        } else {
            // One token less, and there were too few for a retry of the next call.
            let throttled = happens(what, Terms::throttled(3)).await;
            assert_eq!(throttled.next_is_retried, Some(true), "{what}: no token");
            "no"
        };
        assert_eq!(row["throttle token"], token, "{what}");
    }
}

fn source(status: Option<&Status>) -> &'static str {
    let Some(status) = status else { return "–" };
    // An attempt's error may have others in its chain.
    if cause::<BreakerOpen>(status).is_some() {
        "`BreakerOpen`"
    } else if cause::<NoEndpoint>(status).is_some() {
        "`NoEndpoint`"
    } else if cause::<DeadlineExceeded>(status).is_some() {
        "`DeadlineExceeded`"
    } else if cause::<MessageTooLarge>(status).is_some() {
        "`MessageTooLarge`"
    } else if cause::<AttemptError>(status).is_some() {
        "`AttemptError`"
    } else {
        panic!("{status:?}")
    }
}
