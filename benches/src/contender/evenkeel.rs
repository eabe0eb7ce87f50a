//! Evenkeel's channel: round_robin, a retry policy, a breaker around each endpoint.

use ::evenkeel::{Channel, ConnectivityState};

use super::Contender;
use crate::load::Stub;

const SERVICE_CONFIG: &str = r#"{
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [{
        "name": [{"service": "UserService"}],
        "retryPolicy": {
            "maxAttempts": 4, "initialBackoff": "0.01s", "maxBackoff": "0.1s",
            "backoffMultiplier": 2.0, "retryableStatusCodes": ["UNAVAILABLE"]
        }
    }]
}"#;

pub(super) const CONTENDER: Contender = Contender {
    name: "evenkeel",
    connect: |addresses| {
        Box::pin(async move {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let channel = Channel::builder(format!("static:///{}", addresses.join(",")))
                .service_config(SERVICE_CONFIG)
                .build()
                .expect("the target and the config are ours");
            all_ready(&channel, addresses.len()).await;
            Box::new(Stub(channel)) as _
        })
    },
};

async fn all_ready(channel: &Channel, endpoints: usize) {
    loop {
        let changed = channel.changed();
        let reports = channel.endpoints();
        let ready = reports
            .iter()
            .filter(|report| report.state == ConnectivityState::Ready);
        if ready.count() == endpoints {
            return;
        }
        changed.await;
    }
}
