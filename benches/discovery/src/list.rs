//! From nothing to the first pick.

use evenkeel::etcd::{Etcd, EtcdDiscover};
use evenkeel::{Channel, ConnectivityState};
use evenkeel_bench_harness::{Caller, Shape, cpu, memory};
use evenkeel_bench_stub::Stub;
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::child::Process;
use crate::error::Error;
use crate::registry::{SERVICE, config, fill, start};
use crate::servers::Servers;

const ROUNDS: usize = 5;
const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

pub(crate) async fn measure() -> Result<(), Error> {
    println!(
        "endpoints | list ms | CPU ms | KiB each | first answer ms | all READY ms | KiB each, connected"
    );
    println!("---|---|---|---|---|---|---");
    for count in [100, 1_000, 10_000] {
        let servers = Servers::start(count).await?;
        let etcd = start().await?;
        fill(&mut etcd.client().await, &servers.addresses).await?;
        let stream = rounds("client-stream", &etcd.endpoint(), count).await?;
        let channel = rounds("client-channel", &etcd.endpoint(), count).await?;
        let each = |bytes: f64| bytes / 1024.0 / f64::from(u32::try_from(count).unwrap_or(1));
        println!(
            "{count} | {:.1} | {:.1} | {:.2} | {:.1} | {:.1} | {:.2}",
            stream[0],
            stream[1],
            each(stream[2]),
            channel[0],
            channel[1],
            each(channel[2]),
        );
    }
    Ok(())
}

/// The median of each figure.
async fn rounds(what: &str, etcd: &str, count: usize) -> Result<Vec<f64>, Error> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut client = Process::start(&[what, etcd, &count.to_string()])?;
        rounds.push(client.numbers().await?);
    }
    let figures = 0..rounds[0].len();
    let median = |figure: usize| {
        let mut all: Vec<_> = rounds.iter().map(|round| round[figure]).collect();
        all.sort_by(f64::total_cmp);
        all[ROUNDS / 2]
    };
    Ok(figures.map(median).collect())
}

/// A client that only discovers: milliseconds, CPU milliseconds, bytes.
pub(crate) async fn stream(etcd: &str, count: usize) -> Result<(), Error> {
    let before = memory::resident();
    let (begin, used) = (Instant::now(), cpu::of_process());
    let mut endpoints = EtcdDiscover::watch(Etcd::new(config(etcd))?, SERVICE);
    let mut list = Vec::with_capacity(count);
    while list.len() < count {
        list.push(endpoints.next().await.ok_or("the stream has ended")??);
    }
    let (took, used) = (begin.elapsed(), cpu::of_process() - used);
    drop(list);
    let resident = memory::resident().saturating_sub(before);
    println!("{} {} {resident}", millis(took), millis(used));
    Ok(())
}

/// A client that calls: milliseconds to the first answer and until all are READY, bytes.
pub(crate) async fn channel(etcd: &str, count: usize) -> Result<(), Error> {
    let before = memory::resident();
    let begin = Instant::now();
    let builder = Channel::builder(format!("etcd:///{SERVICE}")).service_config(ROUND_ROBIN);
    let channel = builder.etcd(config(etcd)).build()?;
    // Fails the process when the call fails.
    Stub::new(channel.clone(), Shape::Unary).call().await;
    let first = begin.elapsed();
    ready(&channel, count).await;
    let all = begin.elapsed();
    let resident = memory::resident().saturating_sub(before);
    println!("{} {} {resident}", millis(first), millis(all));
    Ok(())
}

pub(crate) async fn ready(channel: &Channel, count: usize) {
    loop {
        let changed = channel.changed();
        let endpoints = channel.endpoints();
        let ready = endpoints
            .iter()
            .filter(|one| one.state == ConnectivityState::Ready);
        if ready.count() == count {
            return;
        }
        // Looking at ten thousand of them takes longer than one of them.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        changed.await;
    }
}

pub(crate) fn millis(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
