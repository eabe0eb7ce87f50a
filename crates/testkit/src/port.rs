//! Ports on 127.0.0.1 that can be given up and taken again.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use parking_lot::Mutex;

/// Below the ports that the system gives to outgoing connections (32768 and up on Linux): a
/// server that is down keeps its port, since no client can get it by accident, and no client
/// that dials it can meet itself there.
const PORTS: Range<u16> = 20_000..32_000;

/// The ports that this process has given out. Whoever has one may be down at the moment and come
/// back, so nobody else gets it.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Listens on a free port of 127.0.0.1 that stays free when the listener is gone.
///
/// # Errors
///
/// When no port could be bound.
pub fn listen() -> io::Result<TcpListener> {
    let mut given = GIVEN.lock();
    let mut port = random();
    for _ in PORTS {
        port = if port + 1 < PORTS.end {
            port + 1
        } else {
            PORTS.start
        };
        if given.contains(&port) {
            continue;
        }
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            listener => {
                given.insert(port);
                return listener;
            }
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// A free port of 127.0.0.1 for another process, such as etcd.
///
/// # Errors
///
/// When no port could be bound.
pub fn free() -> io::Result<u16> {
    Ok(listen()?.local_addr()?.port())
}

/// A random port, so that processes that look for one at the same time do not meet.
fn random() -> u16 {
    let random = RandomState::new().build_hasher().finish();
    let width = u64::from(PORTS.end - PORTS.start);
    PORTS.start + u16::try_from(random % width).expect("less than the width, which is a u16")
}
