//! The report for people.

use evenkeel_etcd::doctor::{Dialled, Entry, Facts, Finding, Severity};

use super::Report;
use super::json::answered;
use crate::columns::columns;
use crate::plain::{brief, plain};
use crate::style::Palette;

/// More rows are for `--all`.
const ROWS: usize = 50;
/// More keys of one finding are in the JSON.
const KEYS: usize = 5;
/// More findings of one check are in the JSON.
const FINDINGS: usize = 5;
/// The letters of a cell: a long one makes the table's lines long, all of them.
const CELL: usize = 80;
/// The letters of a line.
const LINE: usize = 300;

pub(super) fn write(report: &Report<'_>, all: bool, palette: Palette) -> String {
    let mut out = head(report);
    out.push('\n');
    if !report.facts.entries.is_empty() {
        let limit = if all { usize::MAX } else { ROWS };
        out += &table(report.facts, limit, palette);
        out.push('\n');
    }
    // Those of one check and severity are next to each other.
    let alike = |a: &Finding, b: &Finding| (a.severity, a.check) == (b.severity, b.check);
    for findings in report.findings.chunk_by(alike) {
        for finding in findings.iter().take(FINDINGS) {
            out += &describe(finding, palette);
            out.push('\n');
        }
        if let [first, .., _] = findings
            && let hidden @ 1.. = findings.len().saturating_sub(FINDINGS)
        {
            out += &format!("… and {hidden} more of {} (--json)\n\n", first.check);
        }
    }
    out + &summary(report)
}

fn head(report: &Report<'_>) -> String {
    let facts = report.facts;
    let mut head = String::new();
    for (place, member) in facts.members.iter().enumerate() {
        let title = if place == 0 { "etcd" } else { "" };
        let says = match &member.status {
            Ok(status) => brief(&status.version, CELL),
            Err(_) => "no answer".to_owned(),
        };
        head += &format!("{title:<9}{} ({says})\n", plain(&member.url));
    }
    let keys = facts.entries.len();
    let endpoints = facts.entries.iter().filter_map(Entry::endpoint).count();
    head + &format!(
        "{:<9}{}: {keys} under {}, {endpoints} in layout {}\n",
        "service",
        plain(&facts.service),
        plain(&facts.prefix),
        report.layout,
        keys = count(keys, "key"),
        endpoints = count(endpoints, "endpoint"),
    )
}

fn table(facts: &Facts, limit: usize, palette: Palette) -> String {
    let heading = ["key", "address", "weight", "status", "lease", "connects"];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(facts.entries.iter().take(limit).map(|it| row(facts, it)));
    let lines = columns(&rows, [false, false, true, false, false, false]);
    let mut table = String::new();
    for (place, line) in lines.iter().enumerate() {
        match place {
            0 => table += &palette.heading(line),
            _ => table += line,
        }
        table.push('\n');
    }
    let hidden = facts.entries.len().saturating_sub(limit);
    if hidden > 0 {
        table += &format!("… and {} more (--all)\n", count(hidden, "key"));
    }
    table
}

fn row(facts: &Facts, entry: &Entry) -> [String; 6] {
    let nothing = || "-".to_owned();
    // Relative, as the prefix is in the head.
    let key = entry.key.strip_prefix(&facts.prefix).unwrap_or(&entry.key);
    let endpoint = entry.endpoint();
    let metadata = endpoint.map(|endpoint| endpoint.metadata());
    let addresses = endpoint.map(|endpoint| {
        let addresses = endpoint.addresses().iter().map(ToString::to_string);
        brief(&addresses.collect::<Vec<_>>().join(", "), CELL)
    });
    let weight = metadata.and_then(|metadata| metadata.weight);
    let status = metadata.map(|metadata| metadata.availability.as_str());
    let lease = match (entry.lease, facts.lease(entry)) {
        (None, _) => "none".to_owned(),
        (Some(_), None) => "unknown".to_owned(),
        (Some(_), Some(lease)) => format!("{:?} of {:?}", lease.remaining, lease.granted),
    };
    [
        brief(key, CELL),
        addresses.unwrap_or_else(|| "unreadable".to_owned()),
        weight.map_or_else(nothing, |weight| weight.to_string()),
        status.map_or_else(nothing, str::to_owned),
        lease,
        answered(facts, entry).map_or_else(nothing, |it| connects(it).to_owned()),
    ]
}

const fn connects(dialled: &Dialled) -> &'static str {
    match dialled {
        Dialled::Http2 => "yes",
        Dialled::Tls(_) => "TLS fails",
        Dialled::NotHttp2(_) => "not HTTP/2",
        _ => "no",
    }
}

fn describe(finding: &Finding, palette: Palette) -> String {
    let severity = finding.severity.as_str();
    let padded = format!("{severity:<9}");
    let mut text = format!(
        "{}{}: {}\n",
        palette.severity(severity, &padded),
        finding.check,
        brief(&finding.what, LINE)
    );
    for key in finding.keys.iter().take(KEYS) {
        text += &format!("{:9}{}\n", "", brief(key, LINE));
    }
    let hidden = finding.keys.len().saturating_sub(KEYS);
    if hidden > 0 {
        text += &format!("{:9}… and {hidden} more (--json)\n", "");
    }
    let (why, fix) = (finding.check.why(), finding.check.fix());
    text + &format!("{:9}why: {why}\n{:9}do:  {fix}\n", "", "")
}

fn summary(report: &Report<'_>) -> String {
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
        let number = report.count(severity);
        (number, count(number, severity.as_str()))
    });
    let some = counts.into_iter().filter(|(number, _)| *number > 0);
    match some.map(|(_, text)| text).collect::<Vec<_>>().as_slice() {
        [] => "all is well\n".to_owned(),
        counts => format!("{}\n", counts.join(", ")),
    }
}

/// `1 key`, `2 keys`.
fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
