use std::net::{IpAddr, SocketAddr};

use evenkeel_core::{Address, Endpoint, Metadata};

use crate::EndpointKey;

/// An SRV record, and the addresses of its target.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) addresses: Vec<IpAddr>,
}

/// What [`Target::priority`] is called among the metadata.
const PRIORITY: &str = "priority";

/// The weight of an SRV record with weight 0 among others: "a very small chance" (RFC 2782), where
/// an endpoint with weight 0 would get nothing.
const SMALL: f64 = 0.1;

/// Addresses of both families in turn, so that who takes some gets some of both.
pub(super) fn interleaved(v6: &[IpAddr], v4: &[IpAddr]) -> Vec<IpAddr> {
    let longest = v6.len().max(v4.len());
    let pairs = (0..longest).flat_map(|index| [v6.get(index), v4.get(index)]);
    pairs.flatten().copied().collect()
}

/// Those that are `known` first, in the order they had: servers tell the same addresses in another order
/// each time, and an endpoint whose addresses change their order is told again.
pub(super) fn settled(mut found: Vec<IpAddr>, known: &[IpAddr]) -> Vec<IpAddr> {
    let place = |ip: &IpAddr| known.iter().position(|known| known == ip);
    found.sort_by_cached_key(|ip| place(ip).unwrap_or(usize::MAX));
    found
}

/// One endpoint per address.
pub(super) fn of_addresses(addresses: &[IpAddr], port: u16) -> Vec<(EndpointKey, Endpoint)> {
    let addresses = addresses.iter();
    let endpoints = addresses.map(|ip| {
        let address = SocketAddr::new(*ip, port);
        (address.to_string().into(), Endpoint::new(address))
    });
    endpoints.collect()
}

/// One endpoint per target that has an address: of the lowest priority that has one, or of all.
pub(super) fn of_targets(targets: &[Target], all: bool) -> Vec<(EndpointKey, Endpoint)> {
    let known = targets.iter().filter(|target| !target.addresses.is_empty());
    let lowest = known.clone().map(|target| target.priority).min();
    let wanted = known.filter(|target| all || Some(target.priority) == lowest);
    let endpoints = wanted.filter_map(|target| {
        let port = target.port;
        let addresses = target.addresses.iter();
        let addresses = addresses.map(|ip| Address::Ip(SocketAddr::new(*ip, port)));
        let mut metadata = Metadata::default();
        let group = || targets.iter().filter(|one| one.priority == target.priority);
        // Where all weights are 0, none is said.
        if group().any(|one| one.weight > 0) {
            let weight = if target.weight == 0 {
                SMALL
            } else {
                target.weight.into()
            };
            metadata = metadata.with_weight(weight);
        }
        if all {
            let priority = target.priority.to_string();
            metadata.other.insert(PRIORITY.to_owned(), priority);
        }
        let endpoint = Endpoint::with_addresses(addresses).ok()?;
        let key = format!("{}:{port}", target.host);
        Some((key.into(), endpoint.with_metadata(metadata)))
    });
    endpoints.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(text: &[&str]) -> Vec<IpAddr> {
        text.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        let (v6, v4) = (ips(&["::1"]), ips(&["10.0.0.1", "10.0.0.2"]));
        let mixed = interleaved(&v6, &v4);
        assert_eq!(mixed, ips(&["::1", "10.0.0.1", "10.0.0.2"]));
        let endpoints = of_addresses(&mixed, 80);
        let names: Vec<_> = endpoints.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(names, ["[::1]:80", "10.0.0.1:80", "10.0.0.2:80"]);
    }

    #[test]
    fn an_order_that_is_known_stays() {
        let found = ips(&["10.0.0.3", "10.0.0.4", "10.0.0.1"]);
        let known = ips(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let expected = ips(&["10.0.0.1", "10.0.0.3", "10.0.0.4"]);
        assert_eq!(settled(found.clone(), &known), expected);
        assert_eq!(settled(found.clone(), &[]), found);
    }

    fn target(host: &str, priority: u16, weight: u16, addresses: &[&str]) -> Target {
        Target {
            host: host.to_owned(),
            port: 80,
            priority,
            weight,
            addresses: ips(addresses),
        }
    }

    #[test]
    fn a_target_is_an_endpoint_and_the_lowest_priority_counts() {
        let targets = [
            target("gone", 0, 5, &[]),
            target("a", 1, 3, &["::1", "10.0.0.1"]),
            target("b", 1, 0, &["10.0.0.2"]),
            target("c", 2, 0, &["10.0.0.3"]),
        ];
        let seen = |all| {
            let endpoints = of_targets(&targets, all).into_iter();
            let text = endpoints.map(|(key, endpoint)| {
                let metadata = endpoint.metadata();
                let (addresses, weight) = (endpoint.addresses().len(), metadata.weight);
                let priority = metadata.other.get(PRIORITY).cloned();
                (key.to_string(), addresses, weight, priority)
            });
            text.collect::<Vec<_>>()
        };
        let expected = [
            ("a:80".to_owned(), 2, Some(3.0), None),
            ("b:80".to_owned(), 1, Some(0.1), None),
        ];
        assert_eq!(seen(false), expected);
        let all = seen(true);
        assert_eq!(all.len(), 3);
        assert_eq!(all[2], ("c:80".to_owned(), 1, None, Some("2".to_owned())));
    }
}
