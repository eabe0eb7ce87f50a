//! A TCP proxy on loopback that does to connections what networks do.

mod pump;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::port;
use crate::wait::within;
use crate::worker::Worker;

/// What a [`FaultProxy`] does to its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests choose, they never match")]
pub enum Fault {
    /// Passes everything on.
    #[default]
    Pass,
    /// Reads nothing, from either side, and accepts nothing: as a stopped process or an
    /// unplugged cable, connections stay open and silent. Whoever connects is left in the
    /// backlog, where TCP counts it as connected.
    Pause,
    /// Does not listen: new connections are refused. Those that are open go on.
    Refuse,
}

/// A TCP proxy on 127.0.0.1 in front of one server; dropping it ends it and its connections.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    facts: watch::Receiver<Facts>,
    _worker: Worker,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    fault: Fault,
    latency: Duration,
    /// How often connections were to be cut.
    cuts: u64,
}

/// What is true of a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// Connections that are open.
    pub open: usize,
    /// Connections it has accepted since it started.
    pub accepted: u64,
    /// How often it has cut all its connections.
    pub cuts: u64,
    /// Whether it listens.
    pub listening: bool,
}

impl FaultProxy {
    /// A proxy in front of `upstream`, on a port of its own.
    ///
    /// # Errors
    ///
    /// When it cannot listen or has no thread.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = port::listen()?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let (orders, ordered) = watch::channel(Orders::default());
        let (report, facts) = watch::channel(Facts::default());
        let worker = Worker::spawn(format!("proxy {address}"), move || {
            run(listener, address, upstream, ordered, report)
        })?;
        let proxy = Self {
            address,
            orders,
            facts,
            _worker: worker,
        };
        proxy.wait_for(|facts| facts.listening).await;
        Ok(proxy)
    }

    /// Where clients reach it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does `fault` from now on; a new listening state is in force when this returns.
    pub async fn set(&self, fault: Fault) {
        self.orders.send_modify(|orders| orders.fault = fault);
        let listening = fault != Fault::Refuse;
        self.wait_for(|facts| facts.listening == listening).await;
    }

    /// Holds each piece of data for `latency`, in each direction, before it goes on.
    pub fn set_latency(&self, latency: Duration) {
        self.orders.send_modify(|orders| orders.latency = latency);
    }

    /// Resets every connection; new ones are welcome, if the fault lets them in.
    pub async fn cut(&self) {
        let mut cuts = 0;
        self.orders.send_modify(|orders| {
            orders.cuts += 1;
            cuts = orders.cuts;
        });
        self.wait_for(|facts| facts.cuts >= cuts).await;
    }

    /// What is true of it now.
    #[must_use]
    pub fn facts(&self) -> Facts {
        *self.facts.borrow()
    }

    /// Waits until `condition` holds.
    ///
    /// # Panics
    ///
    /// When it does not hold within [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_for(&self, condition: impl FnMut(&Facts) -> bool) -> Facts {
        let mut facts = self.facts.clone();
        let found = within("a state of the proxy", facts.wait_for(condition)).await;
        *found.expect("the proxy runs as long as it is held")
    }
}

async fn run(
    listener: std::net::TcpListener,
    address: SocketAddr,
    upstream: SocketAddr,
    mut orders: watch::Receiver<Orders>,
    report: watch::Sender<Facts>,
) {
    let mut listener = Some(TcpListener::from_std(listener).expect("within a runtime"));
    let mut connections = JoinSet::new();
    let mut cuts = 0;
    let mut cutter = watch::Sender::new(());
    loop {
        report.send_modify(|facts| {
            facts.listening = listener.is_some();
            facts.open = connections.len();
            facts.cuts = cuts;
        });
        // Not marked as seen: an order that comes between here and the last one is still to be done.
        let accepts = orders.borrow().fault == Fault::Pass;
        tokio::select! {
            changed = orders.changed() => {
                if changed.is_err() {
                    return;
                }
                let ordered = *orders.borrow();
                if ordered.fault == Fault::Refuse {
                    listener = None;
                } else if listener.is_none() {
                    listener = Some(bind_again(address).await);
                }
                if ordered.cuts != cuts {
                    cuts = ordered.cuts;
                    cutter = watch::Sender::new(());
                    while connections.join_next().await.is_some() {}
                }
            }
            Some(_) = connections.join_next() => {}
            accepted = accept(listener.as_ref()), if accepts => {
                report.send_modify(|facts| facts.accepted += 1);
                connections.spawn(pump::serve(accepted, upstream, orders.clone(), cutter.subscribe()));
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    if let Some(listener) = listener {
        loop {
            // An error is the client's: it has gone before it was accepted.
            if let Ok((stream, _)) = listener.accept().await {
                return stream;
            }
        }
    }
    std::future::pending().await
}

async fn bind_again(address: SocketAddr) -> TcpListener {
    within("the proxy's own port", async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests;
