//! The report for programs. Fields are only ever added; docs/cli.md says what they are.

use evenkeel_etcd::doctor::{Dialled, Entry, Facts, Finding, Member, Severity};
use serde::Serialize;

use super::Report;
use crate::plain::plain_json;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    service: &'a str,
    layout: &'a str,
    prefix: &'a str,
    etcd: Etcd<'a>,
    keys: Vec<Key<'a>>,
    findings: Vec<Found<'a>>,
    errors: usize,
    warnings: usize,
    notes: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Etcd<'a> {
    revision: i64,
    members: Vec<Asked<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    url: &'a str,
    version: Option<&'a str>,
    has_leader: Option<bool>,
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key<'a> {
    key: &'a str,
    addresses: Vec<String>,
    weight: Option<f64>,
    status: Option<&'static str>,
    lease: Option<Lease>,
    connects: Option<&'static str>,
    unreadable: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lease {
    /// In hexadecimal, as etcdctl has it.
    id: String,
    ttl_seconds: Option<u64>,
    remaining_seconds: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    severity: &'static str,
    check: &'static str,
    keys: &'a [String],
    what: &'a str,
    why: &'static str,
    fix: &'static str,
}

pub(super) fn write(report: &Report<'_>) -> String {
    let facts = report.facts;
    let document = Document {
        service: &facts.service,
        layout: report.layout,
        prefix: &facts.prefix,
        etcd: Etcd {
            revision: facts.revision,
            members: facts.members.iter().map(asked).collect(),
        },
        keys: facts.entries.iter().map(|it| key(facts, it)).collect(),
        findings: report.findings.iter().map(found).collect(),
        errors: report.count(Severity::Error),
        warnings: report.count(Severity::Warning),
        notes: report.count(Severity::Note),
    };
    let json = serde_json::to_string_pretty(&document);
    plain_json(&json.expect("its maps have text for keys")) + "\n"
}

fn asked(member: &Member) -> Asked<'_> {
    let status = member.status.as_ref();
    Asked {
        url: &member.url,
        version: status.ok().map(|status| status.version.as_str()),
        has_leader: status.ok().map(|status| status.has_leader),
        error: status.err().map(ToString::to_string),
    }
}

fn key<'a>(facts: &Facts, entry: &'a Entry) -> Key<'a> {
    let endpoint = entry.endpoint();
    let metadata = endpoint.map(|endpoint| endpoint.metadata());
    let times = facts.lease(entry);
    let addresses = endpoint.map(|endpoint| endpoint.addresses());
    Key {
        key: &entry.key,
        addresses: addresses
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect(),
        weight: metadata.and_then(|metadata| metadata.weight),
        status: metadata.map(|metadata| metadata.availability.as_str()),
        lease: entry.lease.map(|id| Lease {
            id: format!("{id:x}"),
            ttl_seconds: times.map(|lease| lease.granted.as_secs()),
            remaining_seconds: times.map(|lease| lease.remaining.as_secs()),
        }),
        connects: answered(facts, entry).map(connects),
        unreadable: entry.reading.as_ref().err().map(|it| it.reason.as_str()),
    }
}

/// The best that its addresses have answered: one is enough.
pub(super) fn answered<'a>(facts: &'a Facts, entry: &Entry) -> Option<&'a Dialled> {
    let addresses = entry.endpoint()?.addresses().iter();
    let dialled = addresses.filter_map(|address| facts.dialled.get(address));
    dialled.max_by_key(|dialled| match dialled {
        Dialled::Http2 => 2,
        Dialled::NotHttp2(_) | Dialled::Tls(_) => 1,
        _ => 0,
    })
}

const fn connects(dialled: &Dialled) -> &'static str {
    match dialled {
        Dialled::Http2 => "http2",
        Dialled::Tls(_) => "tlsFails",
        Dialled::NotHttp2(_) => "notHttp2",
        _ => "unreachable",
    }
}

fn found(finding: &Finding) -> Found<'_> {
    Found {
        severity: finding.severity.as_str(),
        check: finding.check.as_str(),
        keys: &finding.keys,
        what: &finding.what,
        why: finding.check.why(),
        fix: finding.check.fix(),
    }
}
