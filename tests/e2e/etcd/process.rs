use std::time::Duration;

use evenkeel::Metadata;
use evenkeel::discover::{Registrar, Registration, RegistrationState};
use evenkeel::etcd::{Etcd, EtcdConfig, EtcdRegistrar, RegistrarConfig};
use evenkeel_testkit::{EtcdServer, UserServer, within};
use tokio::runtime::Runtime;

/// The shortest lease there is.
const TTL: Duration = Duration::from_secs(2);

/// A server process: it serves, and registers itself from a runtime of its own. A killed one does
/// neither any more, and says goodbye to nobody.
pub(crate) struct Process {
    pub(crate) server: UserServer,
    weight: f64,
    life: Option<Life>,
}

struct Life {
    runtime: Runtime,
    registration: Registration,
}

impl Process {
    /// A server that listens and is not registered.
    pub(crate) async fn prepare(weight: f64) -> Self {
        Self {
            server: UserServer::start().await.unwrap(),
            weight,
            life: None,
        }
    }

    /// A server that is registered.
    pub(crate) async fn start(etcd: &EtcdServer, weight: f64) -> Self {
        let mut process = Self::prepare(weight).await;
        process.register(etcd);
        process.registered().await;
        process
    }

    pub(crate) fn register(&mut self, etcd: &EtcdServer) {
        let config = EtcdConfig {
            endpoints: vec![etcd.endpoint()],
            ..EtcdConfig::default()
        };
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
            let registrar = EtcdRegistrar::new(Etcd::new(config).unwrap(), lease).unwrap();
            let endpoint = self.server.weighted(self.weight);
            registrar.register("user-service", endpoint).unwrap()
        };
        self.life = Some(Life {
            runtime,
            registration,
        });
    }

    /// Waits until etcd has it as it is.
    pub(crate) async fn registered(&self) {
        let registered = within("it is registered", self.registration().registered());
        registered.await.unwrap();
    }

    pub(crate) fn state(&self) -> RegistrationState {
        self.registration().state()
    }

    /// Waits until its registration is in such a state.
    pub(crate) async fn until(&self, state: fn(&RegistrationState) -> bool) {
        let mut watch = self.registration().watch();
        let found = within("a state of the registration", watch.wait_for(state)).await;
        drop(found.unwrap());
    }

    pub(crate) fn update(&self, metadata: Metadata) {
        self.registration().update(metadata).unwrap();
    }

    /// Kills all of it.
    pub(crate) async fn kill(&mut self) {
        self.server.kill().await;
        self.end();
    }

    /// Starts it again at the same address.
    pub(crate) async fn restart(&mut self, etcd: &EtcdServer) {
        self.server.restart().await.unwrap();
        self.register(etcd);
        self.registered().await;
    }

    fn registration(&self) -> &Registration {
        &self.life.as_ref().expect("it lives").registration
    }

    /// Ends its registration without a word; the server goes on.
    pub(crate) fn end(&mut self) {
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
