//! A thousand servers that come back after an outage: how fast, and what they ask of etcd meanwhile.

use std::time::Duration;

use evenkeel::Endpoint;
use evenkeel::discover::{Registrar, RegistrationState};
use evenkeel::etcd::{Etcd, EtcdRegistrar, RegistrarConfig};
use tokio::time::{Instant, sleep, sleep_until};

use crate::child::Process;
use crate::error::Error;
use crate::list::millis;
use crate::metrics::{Requests, requests};
use crate::registry::{SERVICE, config, start};

const SERVERS: usize = 1_000;
const TTL: Duration = Duration::from_secs(10);
const SAMPLE: Duration = Duration::from_millis(100);

pub(crate) async fn measure() -> Result<(), Error> {
    println!(
        "\n{SERVERS} servers with leases of {TTL:?}, after an outage of {:?}:\n",
        3 * TTL
    );
    println!(
        "etcd comes back | all are back after ms | requests in the busiest 100 ms | in the busiest \
         second | leases granted | writes | renewals | all requests | keys"
    );
    println!("---|---|---|---|---|---|---|---|---");
    after("with its data", false).await?;
    after("empty", true).await
}

async fn after(what: &str, empty: bool) -> Result<(), Error> {
    let mut etcd = start().await?;
    let mut servers = Process::start(&["registrars", &etcd.endpoint(), &SERVERS.to_string()])?;
    servers.line().await?;
    etcd.kill().await;
    sleep(3 * TTL).await;
    if empty {
        etcd.wipe();
    }
    etcd.start_again().await;
    let begin = Instant::now();
    let mut samples = vec![Requests::default()];
    let back = servers.line();
    tokio::pin!(back);
    let mut back_after = None;
    // As long again, for the renewals that follow.
    let mut until = begin + 6 * TTL;
    let mut next = begin;
    while next < until {
        next += SAMPLE;
        tokio::select! {
            line = &mut back, if back_after.is_none() => {
                line?;
                back_after = Some(begin.elapsed());
                until = Instant::now() + 2 * TTL;
            }
            () = sleep_until(next) => samples.push(requests(&etcd).await?),
        }
    }
    let back_after = back_after.ok_or("not all came back")?;
    let per_sample = samples.windows(2).map(|pair| pair[1].all - pair[0].all);
    let most = per_sample.fold(0.0, f64::max);
    let per_second = samples.windows(11).map(|pair| pair[10].all - pair[0].all);
    let most_in_a_second = per_second.fold(0.0, f64::max);
    let last = samples.last().copied().unwrap_or_default();
    let mut client = etcd.client().await;
    let options = etcd_client::GetOptions::new()
        .with_prefix()
        .with_count_only();
    let keys = client
        .get(format!("{SERVICE}/"), Some(options))
        .await?
        .count();
    println!(
        "{what} | {:.0} | {most} | {most_in_a_second} | {} | {} | {} | {} | {keys}",
        millis(back_after),
        last.grants,
        last.writes,
        last.renewals,
        last.all,
    );
    Ok(())
}

/// So many servers, each with a connection and a lease of its own, as processes would have. Says
/// a line when all are registered, and another one when all are again.
pub(crate) async fn registrars(etcd: &str, count: usize) -> Result<(), Error> {
    let lease = RegistrarConfig {
        ttl: TTL,
        allow_loopback: true,
        ..RegistrarConfig::default()
    };
    let mut registrations = Vec::new();
    for port in 1..=count {
        let registrar = EtcdRegistrar::new(Etcd::new(config(etcd))?, lease.clone())?;
        let address: evenkeel::Address = format!("127.0.0.1:{port}").parse()?;
        registrations.push(registrar.register(SERVICE, Endpoint::new(address))?);
    }
    for registration in &registrations {
        registration.registered().await?;
    }
    println!("registered");
    for registration in &registrations {
        let mut state = registration.watch();
        let lost = |state: &RegistrationState| matches!(state, RegistrationState::Retrying { .. });
        state.wait_for(lost).await?;
    }
    for registration in &registrations {
        registration.registered().await?;
    }
    println!("registered again");
    std::future::pending().await
}
