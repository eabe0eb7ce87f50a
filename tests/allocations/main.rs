//! What a unary call that goes well costs its caller: heap allocations and tasks.
//!
//! The servers run on threads of their own, and allocations are counted per thread; so what the
//! test's current-thread runtime allocates is the client's, all of it: the generated stub, the
//! stack of layers, and the connections' tasks.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod server;

use evenkeel::discover::StaticDiscover;
use evenkeel::{Channel, Endpoint, Metadata};
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::{alloc, tasks};
use tokio::runtime::Runtime;

use server::LeanServer;

/// The service config of the demo and its course: weighted, with retries.
const COURSE: &str = r#"{"loadBalancingConfig":[{"custom_weighted_round_robin":{}}],
    "methodConfig":[{"name":[{"service":"UserService"}],
      "retryPolicy":{"maxAttempts":4,"initialBackoff":"0.01s","maxBackoff":"0.1s",
        "backoffMultiplier":2.0,"retryableStatusCodes":["UNAVAILABLE"]}}]}"#;

const CALLS: u32 = 1_000;

struct Client {
    runtime: Runtime,
    stub: UserServiceClient<Channel>,
    _servers: Vec<LeanServer>,
}

impl Client {
    /// A channel to three servers, each of which has been called often: every buffer and every
    /// table has its size.
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let servers: Vec<_> = (0..3).map(|_| LeanServer::start()).collect();
        let weights = servers.iter().zip([10.0, 20.0, 30.0]);
        let endpoints: Vec<_> = weights
            .map(|(server, weight)| {
                Endpoint::new(server.address).with_metadata(Metadata::default().with_weight(weight))
            })
            .collect();
        let channel = runtime.block_on(async {
            Channel::builder("static:///user-service")
                .discover(StaticDiscover::new(endpoints))
                .service_config(COURSE)
                .build()
                .unwrap()
        });
        let mut client = Self {
            runtime,
            stub: UserServiceClient::new(channel),
            _servers: servers,
        };
        client.call(3 * CALLS);
        client
    }

    /// Makes calls one after the other; gives the most tasks that were alive.
    fn call(&mut self, times: u32) -> usize {
        let stub = &mut self.stub;
        self.runtime.block_on(async {
            let mut most = 0;
            for _ in 0..times {
                let call = stub.get_by_id(GetByIdRequest::default());
                tokio::pin!(call);
                let waiting = std::future::poll_fn(|cx| {
                    let polled = call.as_mut().poll(cx);
                    most = most.max(tasks::alive());
                    polled
                });
                waiting.await.unwrap();
            }
            most
        })
    }
}

#[test]
fn a_unary_call_makes_at_most_20_allocations() {
    let mut client = Client::new();
    let counted = alloc::during(|| {
        client.call(CALLS);
    });
    let per_call = counted.count_total as f64 / f64::from(CALLS);
    let bytes = counted.bytes_total / u64::from(CALLS);
    println!("{per_call:.3} allocations and {bytes} bytes per call");
    // A fraction remains: each second, the first answer of a connection has a date that is new to
    // its table of headers.
    let dates = u64::from(CALLS) / 20;
    assert!(
        counted.count_total <= 20 * u64::from(CALLS) + dates,
        "{per_call}"
    );
}

#[test]
fn a_unary_call_spawns_no_task() {
    let mut client = Client::new();
    let before = client.runtime.block_on(async { tasks::alive() });
    let during = client.call(CALLS);
    let after = client.runtime.block_on(async { tasks::alive() });
    // The driver, the one that tells of the service config, and two per endpoint: its subchannel's
    // and its connection's.
    assert_eq!((before, during, after), (8, 8, 8));
}
