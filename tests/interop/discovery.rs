//! Discovery in etcd, both ways, with those who write and read there in Go.

mod gozero;
mod kratos;
mod naming;

use evenkeel::discover::{Registrar, Registration};
use evenkeel::etcd::{Etcd, EtcdConfig, EtcdRegistrar, RegistrarConfig, codec_named};
use evenkeel::{Channel, Endpoint, Metadata};
use evenkeel_testkit::interop::TestServer;
use evenkeel_testkit::interop::pb::{Empty, test_service_client::TestServiceClient};
use evenkeel_testkit::{EtcdServer, trace_init, within};

/// Unwraps a program that may not be there; the test that needs it is reported as skipped then.
macro_rules! or_skip {
    ($program:expr) => {
        match $program.await {
            Ok(program) => program,
            Err(reason) => return evenkeel_testkit::skip::report(&reason),
        }
    };
}
use or_skip;

/// An etcd with servers in it, and how they are written.
struct Registry {
    etcd: EtcdServer,
    layout: &'static str,
    registrar: EtcdRegistrar,
}

impl Registry {
    /// An empty one; none without etcd.
    async fn start(layout: &'static str) -> Option<Self> {
        trace_init();
        let etcd = EtcdServer::start().await?;
        let registrar = RegistrarConfig {
            allow_loopback: true,
            ..RegistrarConfig::default()
        };
        let config = config(&etcd, layout);
        let registrar = EtcdRegistrar::new(Etcd::new(config).unwrap(), registrar).unwrap();
        Some(Self {
            etcd,
            layout,
            registrar,
        })
    }

    /// A user's channel.
    fn channel(&self, service: &str) -> Channel {
        let builder = Channel::builder(format!("etcd:///{service}"));
        let builder = builder.etcd(config(&self.etcd, self.layout));
        let policy = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;
        builder.service_config(policy).build().unwrap()
    }

    /// One of our servers, once it is registered.
    async fn register(&self, service: &str, metadata: Metadata) -> (TestServer, Registration) {
        let server = TestServer::start().unwrap();
        let endpoint = Endpoint::new(server.address()).with_metadata(metadata);
        let registration = self.registrar.register(service, endpoint).unwrap();
        let written = within("it is registered", registration.registered()).await;
        written.unwrap();
        (server, registration)
    }
}

fn config(etcd: &EtcdServer, layout: &str) -> EtcdConfig {
    EtcdConfig {
        endpoints: vec![etcd.endpoint()],
        codec: codec_named(layout).unwrap(),
        ..EtcdConfig::default()
    }
}

async fn call(channel: &Channel) {
    let mut client = TestServiceClient::new(channel.clone());
    let answer = within("an answer", client.empty_call(Empty {})).await;
    answer.unwrap();
}

/// What a channel knows of its only endpoint: where it is, and what it says of itself.
fn only(channel: &Channel) -> (String, Metadata) {
    let endpoints = channel.endpoints();
    let [report] = &endpoints[..] else {
        panic!("{endpoints:?}");
    };
    (
        report.endpoint.to_string(),
        report.endpoint.metadata().clone(),
    )
}

/// Waits until exactly these are the channel's endpoints.
async fn until<'a>(channel: &Channel, expected: impl IntoIterator<Item = &'a String>) {
    let mut expected: Vec<_> = expected.into_iter().cloned().collect();
    expected.sort();
    within("the endpoints as expected", async {
        loop {
            let changed = channel.changed();
            let endpoints = channel.endpoints();
            let addresses = endpoints.iter().map(|report| report.endpoint.to_string());
            let mut addresses: Vec<_> = addresses.collect();
            addresses.sort();
            if addresses == expected {
                return;
            }
            changed.await;
        }
    })
    .await;
}
