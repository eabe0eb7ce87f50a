//! The report for people.

use std::fmt::Display;

use evenkeel_service_config::Explanation;

use super::{Finding, Report};
use crate::plain::plain;
use crate::style::Palette;

pub(super) fn write(report: &Report, palette: Palette) -> String {
    let mut out = format!("{}: {}\n", plain(&report.file), summary(report));
    for finding in &report.findings {
        out += &describe(finding, palette);
    }
    if let Some(method) = &report.method {
        out += &format!("\n{}:\n", plain(&method.name));
        match &method.entry {
            Some(entry) => out += &lines(entry),
            None => out += "  nothing is configured\n",
        }
    }
    if let Some(explanation) = &report.explanation {
        out += &format!("\n{}", lines(&without_findings(explanation)));
    }
    out
}

/// Each line is what others wrote, at least in part.
fn lines(explanation: &impl Display) -> String {
    let text = explanation.to_string();
    text.lines().map(|line| plain(line) + "\n").collect()
}

/// They have been shown, with their places.
fn without_findings(explanation: &Explanation) -> Explanation {
    let mut explanation = explanation.clone();
    explanation.warnings.clear();
    explanation.likely_mistakes.clear();
    explanation
}

fn summary(report: &Report) -> String {
    let counts = [
        (report.errors, "error"),
        (report.warnings, "warning"),
        (report.notes, "note"),
    ];
    let some = counts.iter().filter(|(number, _)| *number > 0);
    let some = some.map(|(number, what)| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    });
    match some.collect::<Vec<_>>().as_slice() {
        [] => "all is well".to_owned(),
        counts => counts.join(", "),
    }
}

fn describe(finding: &Finding, palette: Palette) -> String {
    let severity = palette.severity(finding.severity, &format!("{:<9}", finding.severity));
    let place = match (finding.line, finding.column) {
        (Some(line), Some(column)) => format!("{line}:{column}: "),
        _ => String::new(),
    };
    let (path, reason) = (plain(&finding.path), plain(&finding.reason));
    format!("{severity}{place}{path}: {reason}\n")
}
