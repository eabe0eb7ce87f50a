use std::process::ExitCode;
use std::time::Duration;

use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use tokio::time::{MissedTickBehavior, interval};

use super::args::Call;
use super::error::Error;
use super::load;
use super::registry::{self, Registry};
use super::table::duration;
use super::tally::{Ended, PhaseTally, code_name};

/// What a call may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Calls up to this many are printed one by one.
const PRINTED: u64 = 20;

/// Calls one after the other, and says who answered.
pub(super) async fn call(args: Call) -> Result<ExitCode, Error> {
    let registry = Registry::new(Some(&args.at.etcd));
    let config = registry::service_config(args.service_config.as_deref())?;
    let channel = registry.channel(&args.at.service, config)?;
    let mut client = UserServiceClient::new(channel);
    let mut tally = PhaseTally::new("all", DEADLINE, None);
    let mut ticks = interval(Duration::from_secs_f64(1.0 / args.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let calls = async {
        while args.count == 0 || tally.calls < args.count {
            ticks.tick().await;
            let ended = load::call(&mut client, args.id, DEADLINE).await;
            if tally.calls < PRINTED {
                println!("{}", line(args.id, &ended));
            }
            tally.count(ended);
        }
    };
    tokio::select! {
        () = calls => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    println!("{tally}");
    for server in tally.window.servers() {
        println!(
            "  {server}: {:.1} %, p50 {}, p99 {}",
            tally.window.share(server),
            duration(tally.window.quantile(server, 0.5)),
            duration(tally.window.quantile(server, 0.99)),
        );
    }
    Ok(match tally.unexpected {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn line(id: i64, ended: &Ended) -> String {
    match ended {
        Ended::Answered(server, took) => {
            format!("user {id} from {server} in {}", duration(Some(*took)))
        }
        Ended::Failed(status, _) => {
            format!("{}: {}", code_name(status.code()), status.message())
        }
    }
}
