mod dial;
mod json;
mod text;

use evenkeel_etcd::doctor::{Facts, Finding, Limits, Severity, Unanswered, examine};

use crate::args;
use crate::outcome::Outcome;
use crate::style::Palette;

/// What there is to print.
struct Report<'a> {
    facts: &'a Facts,
    findings: &'a [Finding],
    layout: &'a str,
}

pub(crate) async fn run(args: &args::Doctor) -> Result<Outcome, String> {
    let place = args.at.place()?;
    let name = place.config.endpoints.join(", ");
    let examined = examine(place.config, &place.service).await;
    let mut facts = examined.map_err(|error| could_not_ask(&name, &error.to_string()))?;
    if !args.no_dial {
        let (connector, addresses) = (dial::connector(args)?, facts.addresses());
        let all = addresses.len();
        facts.dialled = dial::all(connector, addresses, args.at.timeout).await;
        if facts.dialled.len() < all {
            let left = all - facts.dialled.len();
            facts.unanswered.push(Unanswered {
                what: format!("{left} of {all} addresses: not dialled in time"),
                is_refused: false,
            });
        }
    }
    let findings = facts.judge(&Limits::default());
    let report = Report {
        facts: &facts,
        findings: &findings,
        layout: &args.at.layout,
    };
    let out = match args.output.json {
        true => json::write(&report),
        false => text::write(&report, args.all, Palette::of_stdout()),
    };
    let worst = findings.iter().map(|finding| finding.severity).max();
    let bad = match args.output.strict {
        true => Severity::Warning,
        false => Severity::Error,
    };
    Ok(Outcome::found(out, worst >= Some(bad)))
}

fn could_not_ask(etcd: &str, reason: &str) -> String {
    let hint = if reason.contains("user name is empty") {
        "; etcd wants a name and a password: --user"
    } else if reason.contains("no leader") {
        "; bring back a majority of etcd's members"
    } else {
        ""
    };
    format!("etcd {etcd}: {reason}{hint}")
}

impl Report<'_> {
    /// How many findings are of `severity`.
    fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings.filter(|it| it.severity == severity).count()
    }
}
