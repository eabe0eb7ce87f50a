use std::process::ExitCode;
use std::time::Duration;

use evenkeel_testkit::UserServer;
use tokio::time::timeout;

use super::args::Serve;
use super::error::Error;
use super::registry::Registry;

/// How long clients take to hear that a server has left the registry.
const PROPAGATION: Duration = Duration::from_secs(1);

/// How long running calls may take when the server ends.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs one server until Ctrl-C.
pub(super) async fn serve(args: Serve) -> Result<ExitCode, Error> {
    let registry = Registry::new(Some(&args.at.etcd));
    let registrar = registry.registrar()?;
    let builder = match args.port {
        0 => UserServer::builder(),
        port => UserServer::builder().port(port),
    };
    let mut server = builder.start().await.map_err(Error::Listen)?;
    let registration = registrar.register(&args.at.service, server.weighted(args.weight))?;
    registry.confirm(&registration).await?;
    println!(
        "{} serves {} with weight {}, registered {registry}; Ctrl-C drains it",
        server.name(),
        args.at.service,
        args.weight
    );
    tokio::signal::ctrl_c().await?;

    // First out of the registry, then out of calls, then gone: so that no call is lost.
    println!("leaving the registry");
    if let Err(error) = registration.deregister().await {
        eprintln!("warning: {error}; the entry goes with its lease");
    }
    tokio::time::sleep(PROPAGATION).await;
    println!("finishing {} calls", server.seen().in_flight);
    if timeout(DRAIN, server.shut_down()).await.is_err() {
        eprintln!("warning: calls were still running after {DRAIN:?}");
    }
    println!("served {} calls", server.seen().total_calls());
    Ok(ExitCode::SUCCESS)
}
