//! Servers that register themselves in etcd.

use std::time::Duration;

use evenkeel::Metadata;
use evenkeel::discover::{Registrar, Registration, RegistrationState};
use evenkeel::etcd::{Etcd, EtcdConfig, EtcdRegistrar, RegistrarConfig};
use evenkeel_testkit::{UserServer, within};
use tokio::runtime::Runtime;

/// The shortest lease there is.
pub const TTL: Duration = Duration::from_secs(2);

/// What they register as.
pub const SERVICE: &str = "user-service";

/// A server process: it serves, and registers itself from a runtime of its own. A killed one does
/// neither any more, and says goodbye to nobody.
#[derive(Debug)]
pub struct Process {
    /// What serves.
    pub server: UserServer,
    weight: f64,
    life: Option<Life>,
}

#[derive(Debug)]
struct Life {
    runtime: Runtime,
    registration: Registration,
}

impl Process {
    /// A server that listens and is not registered.
    pub async fn prepare(weight: f64) -> Self {
        Self {
            server: UserServer::start().await.unwrap(),
            weight,
            life: None,
        }
    }

    /// A server that is registered.
    pub async fn start(etcd: &EtcdConfig, weight: f64) -> Self {
        let mut process = Self::prepare(weight).await;
        process.register(etcd);
        process.registered().await;
        process
    }

    /// Begins to register it, in an etcd that may not be there.
    pub fn register(&mut self, etcd: &EtcdConfig) {
        let lease = RegistrarConfig {
            ttl: TTL,
            allow_loopback: true,
            ..RegistrarConfig::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let registration = {
            let _within = runtime.enter();
            let registrar = EtcdRegistrar::new(Etcd::new(etcd.clone()).unwrap(), lease).unwrap();
            let endpoint = self.server.weighted(self.weight);
            registrar.register(SERVICE, endpoint).unwrap()
        };
        self.life = Some(Life {
            runtime,
            registration,
        });
    }

    /// Waits until etcd has it as it is.
    pub async fn registered(&self) {
        let registered = within("it is registered", self.registration().registered());
        registered.await.unwrap();
    }

    /// The state of its registration.
    pub fn state(&self) -> RegistrationState {
        self.registration().state()
    }

    /// Waits until its registration is in such a state.
    pub async fn until(&self, state: fn(&RegistrationState) -> bool) {
        let mut watch = self.registration().watch();
        let found = within("a state of the registration", watch.wait_for(state)).await;
        drop(found.unwrap());
    }

    /// Writes other metadata.
    pub fn update(&self, metadata: Metadata) {
        self.registration().update(metadata).unwrap();
    }

    /// Kills all of it.
    pub async fn kill(&mut self) {
        self.server.kill().await;
        self.end();
    }

    /// Starts it again at the same address.
    pub async fn restart(&mut self, etcd: &EtcdConfig) {
        self.server.restart().await.unwrap();
        self.register(etcd);
        self.registered().await;
    }

    fn registration(&self) -> &Registration {
        &self.life.as_ref().expect("it lives").registration
    }

    /// Ends its registration without a word; the server goes on.
    pub fn end(&mut self) {
        if let Some(life) = self.life.take() {
            life.runtime.shutdown_background();
            // Dropped, it would deregister.
            std::mem::forget(life.registration);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
