//! IPv6 and IPv4 in turn.

use std::net::{IpAddr, SocketAddr};

use evenkeel_core::Address;

/// `items` with their address families in turn, beginning with that of the first, and in their
/// own order within a family (RFC 8305, section 4; gRFC A61): a broken family costs one head
/// start, not one for each of its addresses.
///
/// IPv4 in IPv6's clothes is IPv4; host names and sockets of Unix are a family of their own.
pub fn interleave<T>(items: Vec<T>, address: impl Fn(&T) -> &Address) -> Vec<T> {
    let count = items.len();
    let mut families: Vec<(Family, Vec<T>)> = Vec::new();
    for item in items {
        let family = Family::of(address(&item));
        match families.iter_mut().find(|known| known.0 == family) {
            Some((_, members)) => members.push(item),
            None => families.push((family, vec![item])),
        }
    }
    let mut families: Vec<_> = families.into_iter().map(|one| one.1.into_iter()).collect();
    let mut order = Vec::with_capacity(count);
    while order.len() < count {
        order.extend(families.iter_mut().filter_map(Iterator::next));
    }
    order
}

#[derive(Clone, Copy, PartialEq)]
enum Family {
    V4,
    V6,
    Other,
}

impl Family {
    const fn of(address: &Address) -> Self {
        match address {
            Address::Ip(SocketAddr::V4(_)) => Self::V4,
            Address::Ip(SocketAddr::V6(address)) => match address.ip().to_canonical() {
                IpAddr::V4(_) => Self::V4,
                IpAddr::V6(_) => Self::V6,
            },
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_addresss_family_leads_and_orders_within_families_stay() {
        for (given, expected) in [
            (&[][..], &[][..]),
            (&["1.1.1.1:1", "1.1.1.2:1"], &["1.1.1.1:1", "1.1.1.2:1"]),
            (
                &["[::2]:1", "[::3]:1", "[::4]:1", "1.1.1.1:1", "1.1.1.2:1"],
                &["[::2]:1", "1.1.1.1:1", "[::3]:1", "1.1.1.2:1", "[::4]:1"],
            ),
            (
                &["[::ffff:1.1.1.9]:1", "1.1.1.1:1", "[::2]:1"],
                &["[::ffff:1.1.1.9]:1", "[::2]:1", "1.1.1.1:1"],
            ),
            (
                &["a.b:1", "c.d:1", "1.1.1.1:1"],
                &["a.b:1", "1.1.1.1:1", "c.d:1"],
            ),
        ] {
            let parse = |text: &&str| text.parse::<Address>().unwrap();
            let given: Vec<_> = given.iter().map(parse).collect();
            let expected: Vec<_> = expected.iter().map(parse).collect();
            assert_eq!(interleave(given, |address| address), expected);
        }
    }
}
