//! The call's layers around a plain tonic `Channel`: a deadline, retries and a breaker, with no
//! discovery and no balancing of ours.

use std::error::Error;
use std::time::Duration;

use evenkeel::resilience::TonicBodyLayer;
use evenkeel::{BreakerConfig, BreakerLayer, DeadlineLayer, RetryLayer, ServiceConfig};
use evenkeel_testkit::pb::{GetByIdRequest, user_service_client::UserServiceClient};
use evenkeel_testkit::{Behaviour, UserServer};
use tonic::{Code, transport::Endpoint};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = UserServer::start().await?;

    let config = ServiceConfig::parse(
        r#"{"methodConfig": [{
            "name": [{"service": "UserService"}],
            "timeout": "0.5s",
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 2.0,
                "retryableStatusCodes": ["UNAVAILABLE"]
            }
        }]}"#,
    )?;
    let channel = Endpoint::from_shared(format!("http://{}", server.address()))?
        .connect()
        .await?;
    let breaker = BreakerConfig {
        open_time: Duration::from_millis(500),
        ..BreakerConfig::default()
    };
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(&config))
        .layer(RetryLayer::new(&config))
        .layer(BreakerLayer::new(breaker))
        .layer(TonicBodyLayer)
        .service(channel);
    let mut client = UserServiceClient::new(service);
    let request = GetByIdRequest { id: 123 };

    // Two failures, and the caller sees none of them.
    server.fail_next(2, Code::Unavailable);
    let user = client.get_by_id(request).await?.into_inner().user;
    println!("attempt 3 found {}", user.unwrap_or_default().name);

    // A server that hangs costs the caller half a second and not more.
    server.behave(Behaviour::Hang);
    let status = client.get_by_id(request).await.err().ok_or("an answer?")?;
    println!("{:?}: {}", status.code(), status.message());
    assert_eq!(status.code(), Code::DeadlineExceeded);

    // A server that goes on failing is left alone.
    server.behave(Behaviour::fail(Code::Internal));
    let before = server.seen().total_calls();
    for _ in 0..50 {
        client.get_by_id(request).await.err().ok_or("an answer?")?;
    }
    let reached = server.seen().total_calls() - before;
    println!("{reached} of 50 calls reached the failing server");
    assert!(reached < 50);

    // And asked again when the breaker's time is over.
    server.behave(Behaviour::Answer);
    while client.get_by_id(request).await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("the breaker has let the server back in");
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
