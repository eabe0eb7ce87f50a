//! Client-side health checking (gRFC A17) against grpc-go's own health service.

use evenkeel::ConnectivityState::{Ready, TransientFailure};
use evenkeel::errors::{NotHealthy, NotHealthyReason, ServingStatus, cause};
use evenkeel::{Channel, ConnectivityState};
use evenkeel_testkit::{skip, trace_init, within};

use crate::go;

fn config(service: &str) -> String {
    format!(
        r#"{{"loadBalancingConfig": [{{"round_robin": {{}}}}],
            "healthCheckConfig": {{"serviceName": "{service}"}}}}"#
    )
}

/// Waits until the channel's one endpoint is in `state`, and says what its server has said then.
async fn reach(channel: &Channel, state: ConnectivityState) -> Option<ServingStatus> {
    within("the state", async {
        loop {
            let changed = channel.changed();
            if let [endpoint] = &channel.endpoints()[..]
                && endpoint.state == state
            {
                let error = endpoint.error.as_deref()?;
                return match cause::<NotHealthy>(error)?.reason {
                    NotHealthyReason::Status(status) => Some(status),
                    _ => None,
                };
            }
            changed.await;
        }
    })
    .await
}

#[tokio::test]
async fn what_grpc_go_says_of_its_health_is_heeded() {
    trace_init();
    let mut server = match go::server().await {
        Ok(server) => server,
        Err(reason) => return skip::report(&reason),
    };
    let target = format!("static:///{}", server.address());
    let builder = Channel::builder(target).service_config(config("evenkeel"));
    let channel = builder.build().unwrap();
    let said = reach(&channel, TransientFailure).await;
    assert_eq!(said, Some(ServingStatus::ServiceUnknown));
    for _ in 0..3 {
        server.tell("evenkeel 1");
        assert_eq!(reach(&channel, Ready).await, None);
        server.tell("evenkeel 2");
        let said = reach(&channel, TransientFailure).await;
        assert_eq!(said, Some(ServingStatus::NotServing));
    }
    // The server as a whole is SERVING from the start.
    channel.update_service_config(&config("")).unwrap();
    assert_eq!(reach(&channel, Ready).await, None);
}
