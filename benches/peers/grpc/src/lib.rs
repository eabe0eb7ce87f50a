//! Channels of the `grpc` crate, one for each endpoint, that calls take in turn.
//!
//! In 0.9 its resolvers, its `round_robin` and its service config are private: a `Channel` has one
//! port and `pick_first`. So this is what a user can do, and cheaper than its `round_robin`.

mod call;
mod nodelay;

pub use call::Users;
pub use nodelay::set_nodelay;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel_bench_harness::Options;
use grpc::client::{Channel, ChannelOptions, ConnectivityState};
use grpc::credentials::LocalChannelCredentials;

/// Returns once every channel is READY.
pub async fn connect(options: &Options) -> impl Fn() -> Users + use<> {
    let mut channels = Vec::new();
    for address in &options.endpoints {
        let credentials = LocalChannelCredentials::new_arc();
        let options = ChannelOptions::default();
        let mut channel = Channel::new(format!("dns:///{address}"), credentials, options);
        // Its `wait_for_state_change` is not written yet.
        while channel.get_state(true) != ConnectivityState::Ready {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        channels.push(channel);
    }
    let turns = Arc::new(Turns {
        channels,
        next: AtomicUsize::new(0),
    });
    let shape = options.shape;
    move || Users::new(turns.clone(), shape)
}

/// Channels, each as often as the others.
struct Turns {
    channels: Vec<Channel>,
    next: AtomicUsize,
}

impl Turns {
    fn next(&self) -> &Channel {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.channels[turn % self.channels.len()]
    }
}
