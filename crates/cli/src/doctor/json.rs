//! The report for programs. Fields are only ever added; docs/cli.md says what they are.

use evenkeel_etcd::doctor::{
    Dialled, Entry, Facts, Finding, Member, Neighbour, Severity, Unanswered,
};
use serde::Serialize;

use super::Report;
use crate::plain::plain_json;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    /// Of this document; another number when what was there does not mean the same any more.
    schema: u32,
    service: &'a str,
    layout: &'a str,
    prefix: &'a str,
    etcd: Etcd<'a>,
    keys: Vec<Key<'a>>,
    neighbours: Vec<Near<'a>>,
    elsewhere: Vec<Elsewhere<'a>>,
    unanswered: Vec<Open<'a>>,
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
    alarms: Vec<&'a str>,
    unlisted_members: &'a [String],
    client_urls: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Near<'a> {
    name: &'a str,
    keys: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Elsewhere<'a> {
    layout: &'a str,
    prefix: &'a str,
    keys: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Open<'a> {
    what: &'a str,
    is_refused: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    url: &'a str,
    /// In hexadecimal, as etcdctl has it.
    cluster: Option<String>,
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
    dialled: Vec<Tried<'a>>,
    unreadable: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tried<'a> {
    address: String,
    connects: &'static str,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lease {
    /// In hexadecimal, as etcdctl has it.
    id: String,
    state: &'static str,
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
        schema: 1,
        service: &facts.service,
        layout: report.layout,
        prefix: &facts.prefix,
        etcd: Etcd {
            revision: facts.revision,
            members: facts.members.iter().map(asked).collect(),
            alarms: facts.alarms.iter().copied().collect(),
            unlisted_members: &facts.unlisted_members,
            client_urls: &facts.client_urls,
        },
        keys: facts.entries.iter().map(|it| key(facts, it)).collect(),
        neighbours: facts.neighbours.iter().map(near).collect(),
        elsewhere: facts.elsewhere.iter().map(elsewhere).collect(),
        unanswered: facts.unanswered.iter().map(open).collect(),
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
        cluster: status.ok().map(|status| format!("{:x}", status.cluster)),
        version: status.ok().map(|status| status.version.as_str()),
        has_leader: status.ok().map(|status| status.has_leader),
        error: status.err().map(ToString::to_string),
    }
}

fn near(neighbour: &Neighbour) -> Near<'_> {
    Near {
        name: &neighbour.name,
        keys: neighbour.keys,
    }
}

fn elsewhere<'a>((layout, prefix, keys): &'a (&'static str, String, usize)) -> Elsewhere<'a> {
    Elsewhere {
        layout,
        prefix,
        keys: *keys,
    }
}

fn open(unanswered: &Unanswered) -> Open<'_> {
    Open {
        what: &unanswered.what,
        is_refused: unanswered.is_refused,
    }
}

fn key<'a>(facts: &'a Facts, entry: &'a Entry) -> Key<'a> {
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
            state: match facts.leases.get(&id) {
                Some(Some(_)) => "alive",
                Some(None) => "gone",
                None => "unknown",
            },
            ttl_seconds: times.map(|lease| lease.granted.as_secs()),
            remaining_seconds: times.map(|lease| lease.remaining.as_secs()),
        }),
        connects: answered(facts, entry).map(connects),
        dialled: dialled(facts, entry),
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

fn dialled<'a>(facts: &'a Facts, entry: &Entry) -> Vec<Tried<'a>> {
    let addresses = entry.endpoint().map(|endpoint| endpoint.addresses());
    let tried = |address| {
        let dialled = facts.dialled.get(address)?;
        Some(Tried {
            address: address.to_string(),
            connects: connects(dialled),
            reason: match dialled {
                Dialled::Unreachable(reason) | Dialled::NotHttp2(reason) | Dialled::Tls(reason) => {
                    Some(reason)
                }
                _ => None,
            },
        })
    };
    addresses
        .unwrap_or_default()
        .iter()
        .filter_map(tried)
        .collect()
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
