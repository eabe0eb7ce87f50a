//! A registry that does not keep still: what a hundred changes in a second cost each client.

use std::time::Duration;

use evenkeel::Channel;
use evenkeel::etcd::{Etcd, EtcdDiscover};
use evenkeel_bench_harness::cpu;
use futures_util::StreamExt;
use tokio::time::{Instant, interval, sleep};

use crate::child::{Process, told};
use crate::error::Error;
use crate::list::{millis, ready};
use crate::registry::{SERVICE, config, entry, fill, start};
use crate::servers::Servers;

const PER_SECOND: u32 = 100;
const SECONDS: u32 = 10;
const WEIGHTED: &str =
    r#"{"loadBalancingConfig": [{"evenkeel.registered_weighted_round_robin": {}}]}"#;

pub(crate) async fn measure() -> Result<(), Error> {
    println!(
        "\nendpoints | client | CPU at rest | CPU at {PER_SECOND} changes/s | µs of CPU per change"
    );
    println!("---|---|---|---|---");
    for count in [1_000, 10_000] {
        let servers = Servers::start(count).await?;
        let etcd = start().await?;
        let mut writer = etcd.client().await;
        fill(&mut writer, &servers.addresses).await?;
        for kind in ["stream", "channel"] {
            let count = count.to_string();
            let mut client = Process::start(&["client-changes", &etcd.endpoint(), &count, kind])?;
            client.line().await?;
            let rest = used(&mut client).await?;
            sleep(Duration::from_secs(SECONDS.into())).await;
            let rest = used(&mut client).await? - rest;
            let begin = used(&mut client).await?;
            let mut due = interval(Duration::from_secs(1) / PER_SECOND);
            let start = Instant::now();
            for change in 0..PER_SECOND * SECONDS {
                due.tick().await;
                let address = &servers.addresses[fastrand::usize(..servers.addresses.len())];
                let (key, value) = entry(address, 11 + change);
                writer.put(key, value, None).await?;
            }
            let took = start.elapsed();
            sleep(Duration::from_millis(200)).await;
            let busy = used(&mut client).await? - begin;
            let of_a_core = |used: f64| used / millis(took) * 100.0;
            let changes = f64::from(PER_SECOND * SECONDS);
            println!(
                "{count} | {kind} | {:.2} % | {:.2} % | {:.0}",
                of_a_core(rest),
                of_a_core(busy),
                (busy - rest).max(0.0) * 1e3 / changes,
            );
        }
    }
    Ok(())
}

/// CPU milliseconds of the client so far.
async fn used(client: &mut Process) -> Result<f64, Error> {
    client.tell().await?;
    Ok(client.numbers().await?[0])
}

/// Says what CPU time it has used whenever it is asked.
pub(crate) async fn client(etcd: &str, count: usize, kind: &str) -> Result<(), Error> {
    let report = async {
        loop {
            told().await?;
            println!("{}", millis(cpu::of_process()));
        }
    };
    if kind == "channel" {
        let builder = Channel::builder(format!("etcd:///{SERVICE}")).service_config(WEIGHTED);
        let channel = builder.etcd(config(etcd)).build()?;
        ready(&channel, count).await;
        println!("ready");
        return report.await;
    }
    let mut endpoints = EtcdDiscover::watch(Etcd::new(config(etcd))?, SERVICE);
    for _ in 0..count {
        endpoints.next().await.ok_or("the stream has ended")??;
    }
    println!("ready");
    let follow = async { while endpoints.next().await.is_some() {} };
    tokio::select! {
        () = follow => Err("the stream has ended".into()),
        report = report => report,
    }
}
