//! Values, addresses and weights.

use std::net::IpAddr;

use evenkeel_core::{Address, Availability, Endpoint};

use super::{Findings, count, said};
use crate::doctor::{Check, Entry, Facts, Severity, Unreadable};

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    values(facts, findings);
    let listed: Vec<_> = endpoints(facts).collect();
    if listed.is_empty() {
        nobody(facts, findings);
        return;
    }
    addresses(facts, findings);
    weights(facts, &listed, findings);
}

fn endpoints(facts: &Facts) -> impl Iterator<Item = &Endpoint> {
    facts.entries.iter().filter_map(Entry::endpoint)
}

fn nobody(facts: &Facts, findings: &mut Findings) {
    let mut what = match facts.entries.len() {
        0 => format!("no key begins with {:?}", facts.prefix),
        keys => format!("{} and no endpoint", count(keys, "key")),
    };
    for (layout, prefix, keys) in &facts.elsewhere {
        let keys = count(*keys, "key");
        what += &format!("; {keys} under {prefix:?}, the place of --layout {layout}");
    }
    findings.error(Check::NoEndpoints, vec![], what);
}

fn values(facts: &Facts, findings: &mut Findings) {
    let unspecified = said(&facts.entries, |entry| match &entry.reading {
        Ok(_) => None,
        Err(unreadable) => unreadable.unspecified.clone(),
    });
    for (address, keys) in unspecified {
        let what = format!("{} at {address}", count(keys.len(), "server"));
        findings.error(Check::UnspecifiedAddress, keys, what);
    }
    let unreadable = said(&facts.entries, |entry| {
        let unreadable = entry.reading.as_ref().err();
        let reason = unreadable.filter(|it| it.unspecified.is_none());
        reason.map(describe)
    });
    for (what, keys) in unreadable {
        findings.error(Check::Unreadable, keys, what);
    }
    let remarks = said(&facts.entries, |entry| entry.decoded()?.remark.clone());
    for (what, keys) in remarks {
        findings.warning(Check::PartlyIgnored, keys, what);
    }
}

fn describe(unreadable: &Unreadable) -> String {
    let reason = &unreadable.reason;
    match unreadable.readable_as.as_slice() {
        [] => reason.clone(),
        layouts => format!("{reason}; looks like {}", layouts.join(" or ")),
    }
}

fn addresses(facts: &Facts, findings: &mut Findings) {
    // As a reader that is not as strict as ours may have let it pass.
    let at = |is: fn(&Address) -> bool| {
        said(&facts.entries, move |entry| {
            let mut addresses = entry.endpoint()?.addresses().iter();
            addresses.find(|address| is(address)).map(|_| ())
        })
        .remove(&())
    };
    if let Some(keys) = at(Address::is_unspecified) {
        let what = format!("{} without an address", count(keys.len(), "server"));
        findings.error(Check::UnspecifiedAddress, keys, what);
    }
    if let Some(keys) = at(|address| address.is_local_only() && !address.is_unspecified()) {
        let what = format!(
            "{} that no other machine can reach",
            count(keys.len(), "server")
        );
        let one_machine = keys.len() == endpoints(facts).count() && etcd_is_local(facts);
        match one_machine {
            true => findings.note(Check::LoopbackAddress, keys, format!("{what}, as etcd")),
            false => findings.error(Check::LoopbackAddress, keys, what),
        }
    }
    let unroutable = said(&facts.entries, |entry| {
        entry.endpoint()?.addresses().iter().find_map(unroutable)
    });
    for ((severity, of), keys) in unroutable {
        let what = format!("{} with {of}", count(keys.len(), "server"));
        findings.add(severity, Check::UnroutableAddress, keys, what);
    }
    let servers = said(&facts.entries, |entry| {
        let endpoint = entry.endpoint()?;
        let mut addresses: Vec<_> = endpoint.addresses().to_vec();
        addresses.sort();
        Some((addresses, endpoint.authority().map(str::to_owned)))
    });
    for ((addresses, _), keys) in servers {
        if keys.len() > 1 {
            let what = format!("{} has {} keys", addresses[0], keys.len());
            findings.warning(Check::Duplicate, keys, what);
        }
    }
}

/// Whether this is one machine, where loopback addresses are right. That the doctor's own way to
/// etcd is local says little: it may be a tunnel.
fn etcd_is_local(facts: &Facts) -> bool {
    let told = &facts.client_urls;
    let asked = || facts.members.iter().map(|member| &member.url);
    match told.is_empty() {
        true => facts.members.len() == 1 && asked().all(|url| is_local(url)),
        false => asked().chain(told).all(|url| is_local(url)),
    }
}

fn is_local(url: &str) -> bool {
    let uri = url.parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let ip = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

/// What is wrong with an address that names a machine: how bad it is, and what it is.
fn unroutable(address: &Address) -> Option<(Severity, &'static str)> {
    let Address::Ip(socket) = address else {
        return None;
    };
    let ip = socket.ip().to_canonical();
    let (is_link_local, is_broadcast, is_docker) = match ip {
        IpAddr::V4(ip) => (
            ip.is_link_local(),
            ip.is_broadcast(),
            matches!(ip.octets(), [172, 17, ..]),
        ),
        IpAddr::V6(ip) => (ip.is_unicast_link_local(), false, false),
    };
    if ip.is_multicast() || is_broadcast {
        Some((Severity::Error, "an address of many"))
    } else if is_link_local {
        Some((Severity::Error, "an address of one link"))
    } else {
        is_docker.then_some((
            Severity::Note,
            "an address of what is mostly Docker's bridge",
        ))
    }
}

fn weights(facts: &Facts, listed: &[&Endpoint], findings: &mut Findings) {
    let weights = || listed.iter().map(|endpoint| endpoint.metadata().weight);
    let none_takes_calls = !listed.iter().any(|it| it.metadata().accepts_calls());
    if weights().all(|weight| weight == Some(0.0)) {
        let what = format!("{}, all with weight 0", count(listed.len(), "server"));
        findings.error(Check::AllWeightsZero, vec![], what);
    } else if none_takes_calls {
        let what = format!(
            "{}, none of which takes calls",
            count(listed.len(), "server")
        );
        findings.error(Check::NobodyTakesCalls, vec![], what);
    }
    // None counts as 1.
    let says_more = |weight: Option<f64>| weight.is_some_and(|weight| weight != 1.0);
    if weights().any(says_more) && weights().any(|weight| weight.is_none()) {
        let without = said(&facts.entries, |entry| {
            entry.endpoint()?.metadata().weight.is_none().then_some(())
        });
        let keys = without.into_values().flatten().collect::<Vec<_>>();
        let what = format!("{} of {} have no weight", keys.len(), listed.len());
        findings.warning(Check::MixedWeights, keys, what);
    }
    let resting = said(&facts.entries, |entry| {
        let metadata = entry.endpoint()?.metadata();
        match metadata.availability {
            Availability::Up if metadata.weight == Some(0.0) => Some("weight 0"),
            Availability::Up => None,
            other => Some(other.as_str()),
        }
    });
    for (why, keys) in resting {
        let what = format!("{}: {why}", count(keys.len(), "server"));
        findings.note(Check::NoNewCalls, keys, what);
    }
}
