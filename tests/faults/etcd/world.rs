use std::time::Duration;

use etcd_client::{GetOptions, GetResponse};
use evenkeel::discover::RegistrationState;
use evenkeel::etcd::EtcdConfig;
use evenkeel::{Channel, ConnectivityState, EndpointReport};
use evenkeel_testkit::{Fault, FaultProxy, trace_init, within};
use evenkeel_tests::{Process, SERVICE, TTL, all_ready, config, quick};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::registry::{Members, Registry};
use crate::ledger::Load;
use crate::retrying;

/// Within so much of a fault's end, everything is as it should be again.
const RECOVERY: Duration = Duration::from_secs(5);
/// Within so much more than a lease, the dead are forgotten.
const GHOSTS: Duration = Duration::from_secs(2);
const CALLERS: usize = 4;

/// What calls do when there is nobody to call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Calls {
    /// As by default. A list that is empty for a moment fails all of that moment.
    FailFast,
    /// For a channel that has no list yet: an outage of the list is not seen by them.
    WaitForReady,
}

/// An etcd, servers that are registered there, and a channel that finds them and is called.
pub(crate) struct World {
    pub(crate) registry: Registry,
    /// The way of the channel to each member.
    lines: Vec<FaultProxy>,
    pub(crate) living: Vec<Process>,
    /// Their ports stay theirs.
    dead: Vec<Process>,
    pub(crate) channel: Channel,
    load: Load,
}

impl World {
    /// Three servers, all of them called; `None` without etcd.
    pub(crate) async fn start(members: Members) -> Option<Self> {
        Some(Self::at(Registry::start(members).await?).await)
    }

    /// The same, in an etcd of one's own.
    pub(crate) async fn at(registry: Registry) -> Self {
        let mut living = Vec::new();
        for _ in 0..3 {
            living.push(Process::start(&registry.config(), 1.0).await);
        }
        let mut world = Self::of(registry, living, Calls::FailFast).await;
        world.all_are_ready().await;
        world.calls_go_on().await;
        world
    }

    /// A channel that may have nothing to find yet.
    pub(crate) async fn of(registry: Registry, living: Vec<Process>, calls: Calls) -> Self {
        trace_init();
        let mut lines = Vec::new();
        for endpoint in registry.endpoints() {
            let address = endpoint.trim_start_matches("http://").parse().unwrap();
            lines.push(FaultProxy::start(address).await.unwrap());
        }
        let etcd = EtcdConfig {
            endpoints: lines
                .iter()
                .map(|line| format!("http://{}", line.address()))
                .collect(),
            ..registry.config()
        };
        let waits = matches!(calls, Calls::WaitForReady);
        let method = retrying(r#""UNAVAILABLE""#);
        let method = format!(r#""waitForReady": {waits}, {method}"#);
        let channel = Channel::builder(format!("etcd:///{SERVICE}"))
            .service_config(config("round_robin", &method))
            .backoff(quick())
            .etcd(etcd)
            .build()
            .unwrap();
        let load = Load::gentle(&channel, CALLERS, Duration::from_millis(5));
        Self {
            registry,
            lines,
            living,
            dead: Vec::new(),
            channel,
            load,
        }
    }

    /// Cuts the channel off from etcd; servers are not.
    pub(crate) async fn disconnect(&self) {
        for line in &self.lines {
            line.set(Fault::Refuse).await;
            line.cut().await;
        }
    }

    /// Leaves the channel's connections to etcd open, and passes nothing on.
    pub(crate) async fn silence(&self) {
        for line in &self.lines {
            line.set(Fault::Pause).await;
        }
    }

    pub(crate) async fn reconnect(&self) {
        for line in &self.lines {
            line.set(Fault::Pass).await;
        }
    }

    /// While etcd is disturbed: a server dies without a word, another one starts.
    pub(crate) async fn one_dies_and_one_comes(&mut self) {
        let mut dead = self.living.remove(0);
        dead.kill().await;
        self.dead.push(dead);
        self.one_comes().await;
        self.calls_go_on().await;
    }

    /// A server starts, and registers as soon as it can.
    pub(crate) async fn one_comes(&mut self) {
        let mut process = Process::prepare(1.0).await;
        process.register(&self.registry.config());
        self.living.push(process);
    }

    /// All servers notice that they may not be registered.
    pub(crate) async fn servers_notice(&self) {
        for process in &self.living {
            process
                .until(|state| matches!(state, RegistrationState::Retrying { .. }))
                .await;
        }
    }

    /// Calls are answered now, and not only later.
    pub(crate) async fn calls_go_on(&self) {
        self.load.pass(50).await;
    }

    /// The channel has exactly the servers that live.
    pub(crate) async fn all_are_ready(&mut self) {
        all_ready(&self.channel, self.living.len()).await;
    }

    /// The fault is over: what is demanded of every row.
    pub(crate) async fn recovers(mut self) {
        let end = Instant::now();
        let converged = async {
            for process in &self.living {
                process.registered().await;
            }
            self.sees_the_living().await;
            // What a state says may be older than the fault; what etcd has is not.
            let expected = self.expected();
            loop {
                let registered = self.registered().await;
                if expected.iter().all(|one| registered.contains(one)) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let by_then = timeout_at(end + RECOVERY, converged).await;
        assert!(
            by_then.is_ok(),
            "not within {RECOVERY:?}: {}",
            self.picture()
        );
        let recovered = end.elapsed();
        // A watch that is alive, and not just a list that was good.
        self.one_comes().await;
        let by_then = timeout_at(end + RECOVERY, self.sees_the_living()).await;
        assert!(
            by_then.is_ok(),
            "blind after {RECOVERY:?}: {}",
            self.picture()
        );
        let watching = end.elapsed();
        let forgotten = end + TTL + GHOSTS;
        let by_then = timeout_at(forgotten, self.forgets_the_dead()).await;
        assert!(
            by_then.is_ok(),
            "ghosts after {:?}: {}",
            end.elapsed(),
            self.picture()
        );
        let clean = end.elapsed();
        // And that is how it stays, in etcd as well.
        sleep_until(forgotten).await;
        assert_eq!(self.listed(), self.expected(), "{}", self.picture());
        assert_eq!(self.registered().await, self.expected());
        self.calls_go_on().await;
        self.load.stop();
        let outcome = self.load.finish().await;
        let failed = outcome.failures.len();
        let one = outcome.failures.into_values().next();
        assert!(failed == 0, "{failed} of {}: {one:?}", outcome.calls);
        println!(
            "{} calls, 0 failed; all back after {recovered:.1?}, a newcomer seen after {watching:.1?}, \
             no ghost after {clean:.1?}",
            outcome.calls
        );
    }

    /// Waits until all that live are listed and READY.
    pub(crate) async fn sees_the_living(&self) {
        let expected = self.expected();
        self.until(move |endpoints| {
            let ready = endpoints
                .iter()
                .filter(|one| one.state == ConnectivityState::Ready)
                .map(|one| one.endpoint.to_string());
            let ready: Vec<_> = ready.collect();
            expected.iter().all(|one| ready.contains(one))
        })
        .await;
    }

    /// Waits until none but those that live are listed.
    async fn forgets_the_dead(&self) {
        let expected = self.expected();
        self.until(move |endpoints| addresses(endpoints) == expected)
            .await;
    }

    async fn until(&self, condition: impl Fn(&[EndpointReport]) -> bool) {
        within("a list of endpoints", async {
            loop {
                let changed = self.channel.changed();
                if condition(&self.channel.endpoints()) {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }

    fn expected(&self) -> Vec<String> {
        let living = self.living.iter();
        let mut expected: Vec<_> = living
            .map(|process| process.server.address().to_string())
            .collect();
        expected.sort();
        expected
    }

    fn listed(&self) -> Vec<String> {
        addresses(&self.channel.endpoints())
    }

    /// The addresses that etcd has keys of.
    async fn registered(&self) -> Vec<String> {
        let mut keys: Vec<_> = keys(&self.registry).await;
        keys.sort();
        keys
    }

    /// For the text of a failure.
    fn picture(&self) -> String {
        let states: Vec<_> = self.living.iter().map(Process::state).collect();
        let endpoints = self.channel.endpoints().into_iter();
        let listed: Vec<_> = endpoints
            .map(|one| format!("{} {:?}", one.endpoint, one.state))
            .collect();
        let expected = self.expected();
        format!("expected {expected:?}, listed {listed:?}, registrations {states:?}")
    }
}

/// What is registered, by address.
pub(crate) async fn keys(registry: &Registry) -> Vec<String> {
    let answer = entries(registry).await;
    let keys = answer.kvs().iter().map(|entry| entry.key_str().unwrap());
    keys.map(|key| key.rsplit('/').next().unwrap().to_owned())
        .collect()
}

/// What etcd has; asked again while it is not itself yet.
async fn entries(registry: &Registry) -> GetResponse {
    let mut client = registry.client().await;
    within("an answer of etcd", async {
        loop {
            let prefix = GetOptions::new().with_prefix();
            match client.get(format!("{SERVICE}/"), Some(prefix)).await {
                Ok(answer) => return answer,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await
}

fn addresses(endpoints: &[EndpointReport]) -> Vec<String> {
    let mut addresses: Vec<_> = endpoints
        .iter()
        .map(|one| one.endpoint.to_string())
        .collect();
    addresses.sort();
    addresses
}
