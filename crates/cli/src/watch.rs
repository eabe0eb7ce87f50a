use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel_core::Endpoint;
use evenkeel_discover::{DiscoverExt, Event};
use evenkeel_etcd::{Etcd, EtcdConfig, EtcdDiscover, OnLoss};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::args;
use crate::outcome::{Outcome, print};
use crate::plain::{plain, plain_json};

/// Prints events until Ctrl-C, or until one finds that nobody reads them any more.
pub(crate) async fn run(args: &args::Watch) -> Result<Outcome, String> {
    let place = args.at.place()?;
    // What etcd has, not what a channel would make of it.
    let config = EtcdConfig {
        on_loss: OnLoss::AcceptEmpty,
        ..place.config
    };
    let etcd = Etcd::new(config).map_err(|error| error.to_string())?;
    let mut events = EtcdDiscover::watch(etcd, place.service).events();
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = &mut stop => None,
        };
        let Some(event) = event else {
            break;
        };
        let line = match args.json {
            true => plain_json(&in_json(&event, since_epoch()).to_string()),
            false => in_text(&event, since_epoch()),
        };
        // Beside the signal, as a reader that does not go on blocks it.
        let printed = spawn_blocking(move || print(&format!("{line}\n")));
        let goes_on = tokio::select! {
            printed = printed => printed.map_err(|error| error.to_string())??,
            _ = &mut stop => false,
        };
        if !goes_on {
            break;
        }
    }
    Ok(Outcome::found(String::new(), false))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of day is for people, and decides nothing"
)]
fn since_epoch() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

fn in_text(event: &Event, at: Duration) -> String {
    let seconds = at.as_secs() % (24 * 60 * 60);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (word, says) = match event {
        Event::Added { key, endpoint, .. } => ("added", format!("{key}  {}", describe(endpoint))),
        Event::Updated { key, old, new, .. } => (
            "updated",
            format!("{key}  {} → {}", describe(old), describe(new)),
        ),
        Event::Removed { key, endpoint, .. } => {
            ("removed", format!("{key}  {}", describe(endpoint)))
        }
        Event::Report(error) => ("report", error.to_string()),
        Event::Recovered => ("recovered", String::new()),
        _ => ("other", format!("{event:?}")),
    };
    let line = format!(
        "{hours:02}:{minutes:02}:{seconds:02}Z  {word:<9}  {}",
        plain(&says)
    );
    line.trim_end().to_owned()
}

/// Address and what decides whether it is called.
fn describe(endpoint: &Endpoint) -> String {
    let metadata = endpoint.metadata();
    let weight = metadata.weight.map(|weight| format!(" weight {weight}"));
    let (weight, status) = (weight.unwrap_or_default(), metadata.availability.as_str());
    format!("{endpoint}{weight} {status}")
}

fn in_json(event: &Event, at: Duration) -> Value {
    let mut line = match event {
        Event::Added { key, endpoint, .. } => {
            json!({"event": "added", "key": key.as_str(), "endpoint": value(endpoint)})
        }
        Event::Updated { key, old, new, .. } => {
            let (old, new) = (value(old), value(new));
            json!({"event": "updated", "key": key.as_str(), "endpoint": new, "was": old})
        }
        Event::Removed { key, endpoint, .. } => {
            json!({"event": "removed", "key": key.as_str(), "endpoint": value(endpoint)})
        }
        Event::Report(error) => json!({"event": "report", "reason": error.to_string()}),
        Event::Recovered => json!({"event": "recovered"}),
        _ => json!({"event": "other"}),
    };
    line["time"] = json!(at.as_secs_f64());
    line
}

fn value(endpoint: &Endpoint) -> Value {
    let addresses: Vec<_> = endpoint
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    let metadata = endpoint.metadata();
    json!({
        "addresses": addresses,
        "weight": metadata.weight,
        "status": metadata.availability.as_str(),
        "version": metadata.version,
        "zone": metadata.zone,
        "region": metadata.region,
        "tags": metadata.tags,
        "other": metadata.other,
    })
}
