//! Evenkeel's layers stacked by hand, as its documentation shows it: the same as its channel with
//! everything on.

use std::process::ExitCode;

use contender_evenkeel::EVERYTHING;
use evenkeel::discover::StaticDiscover;
use evenkeel::{
    Address, BalanceLayer, BreakerConfig, BreakerLayer, ConnectLayer, Connector, DeadlineLayer,
    Endpoint, EndpointLayer, RetryLayer, ServiceConfig,
};
use evenkeel_bench_harness::Options;
use evenkeel_bench_stub::Stub;
use tower::ServiceBuilder;

fn main() -> ExitCode {
    evenkeel_bench_harness::run(async |options: Options| {
        let config = ServiceConfig::parse(EVERYTHING).expect("the config is ours");
        let addresses = options.endpoints.iter().copied().map(Address::from);
        let channel = ServiceBuilder::new()
            .layer(RetryLayer::new(&config).with_deadline(DeadlineLayer::new(&config)))
            .layer(BalanceLayer::new(&config))
            .layer(EndpointLayer::new(BreakerLayer::new(
                BreakerConfig::default(),
            )))
            .layer(ConnectLayer::new(Connector::new()))
            .service(StaticDiscover::new(addresses.map(Endpoint::new)));
        move || Stub::new(channel.clone(), options.shape)
    })
}
