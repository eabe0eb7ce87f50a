use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::args::Watch;
use super::error::Error;
use super::facts::{Facts, Observer};
use super::registry::{self, Registry};
use super::screen::Screen;

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(50);

/// Prints every change of the endpoints until Ctrl-C.
pub(super) async fn watch(args: Watch) -> Result<ExitCode, Error> {
    let registry = Registry::new(Some(&args.at.etcd));
    let config = registry::service_config(None)?;
    let channel = registry.channel(&args.at.service, config)?;
    let mut screen = Screen::new(true);
    let mut observer = Observer::default();
    let mut state = channel.state();
    screen.note(&format!("{} is {state}", args.at.service))?;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let changes = async {
        loop {
            ticks.tick().await;
            for line in observer.look(&Facts::of(&channel)) {
                screen.note(&line)?;
            }
            if channel.state() != state {
                state = channel.state();
                screen.note(&format!("{} is {state}", args.at.service))?;
            }
        }
    };
    tokio::select! {
        failed = changes => failed,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted.map(|()| ExitCode::SUCCESS)?),
    }
}
