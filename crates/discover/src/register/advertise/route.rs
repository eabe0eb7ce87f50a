use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::AdvertisedBy;

/// The longest that a name of the registry may take to resolve.
const LOOKUP: Duration = Duration::from_secs(2);

/// For documentation only (RFC 5737, RFC 3849), so nobody is there: all that is asked for is the
/// way.
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The address of this machine that the way to the registry begins with, or to anywhere; one that
/// a server which listens on `bound` is reached by. Where a registry is on this machine, or a way to
/// it is forwarded from here, says nothing about that, and is taken only when nothing else is there.
pub(super) async fn source(
    bound: SocketAddr,
    registry: &[String],
) -> Option<(IpAddr, AdvertisedBy)> {
    let mut local = None;
    for place in registry {
        let Ok(Ok(found)) = timeout(LOOKUP, lookup_host(place.as_str())).await else {
            continue;
        };
        let source = found.filter_map(|to| towards(bound, to).ok()).next();
        match source.map(|ip| (ip, AdvertisedBy::Route(place.clone()))) {
            Some(source) if !source.0.is_loopback() => return Some(source),
            source => local = local.or(source),
        }
    }
    let anywhere = ANYWHERE.into_iter().map(|ip| SocketAddr::new(ip, 9));
    let source = anywhere.filter_map(|to| towards(bound, to).ok()).next();
    let source = source.map(|source| (source, AdvertisedBy::DefaultRoute));
    source.or(local)
}

/// Connecting a UDP socket chooses the way and sends nothing.
fn towards(bound: SocketAddr, to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A server on 0.0.0.0 does not hear IPv6; one on [::] usually hears both.
    if bound.is_ipv4() && to.is_ipv6() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    let source = socket.local_addr()?.ip();
    match source.is_unspecified() {
        true => Err(io::ErrorKind::AddrNotAvailable.into()),
        false => Ok(source),
    }
}
