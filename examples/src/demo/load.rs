use std::sync::Arc;
use std::time::Duration;

use evenkeel::Channel;
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::server::SERVED_BY;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tonic::Request;
use tonic::metadata::MetadataMap;

use super::tally::{Ended, Tally};

/// Callers of `GetById` at a bounded rate; dropping it gives their calls up.
#[derive(Debug)]
pub(super) struct Load {
    callers: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Load {
    /// Starts `callers` that together make `rate` calls a second, at most one each at a time.
    pub(super) fn start(
        channel: &Channel,
        tally: &Arc<Mutex<Tally>>,
        callers: u32,
        rate: f64,
    ) -> Self {
        let stop = watch::Sender::new(false);
        let period = Duration::from_secs_f64(f64::from(callers) / rate);
        let mut tasks = JoinSet::new();
        for number in 0..callers {
            let first = Instant::now() + period * number / callers;
            let client = UserServiceClient::new(channel.clone());
            let tally = Arc::clone(tally);
            let stopped = stop.subscribe();
            tasks.spawn(call_on(client, tally, first, period, stopped));
        }
        Self {
            callers: tasks,
            stop,
        }
    }

    /// Ends the load when each caller has the end of its last call.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.callers.join_next().await.is_some() {}
    }
}

async fn call_on(
    mut client: UserServiceClient<Channel>,
    tally: Arc<Mutex<Tally>>,
    first: Instant,
    period: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let mut ticks = interval_at(first, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        let Some(ticket) = tally.lock().begin_call() else {
            continue;
        };
        let ended = call(&mut client, 123, ticket.deadline).await;
        tally.lock().end_call(&ticket, ended);
    }
}

/// One `GetById`, and who answered it.
pub(super) async fn call(
    client: &mut UserServiceClient<Channel>,
    id: i64,
    deadline: Duration,
) -> Ended {
    let mut request = Request::new(GetByIdRequest { id });
    request.set_timeout(deadline);
    let begin = Instant::now();
    match client.get_by_id(request).await {
        Ok(response) => {
            let server = served_by(response.metadata());
            Ended::Answered(server.unwrap_or_else(|| "?".to_owned()), begin.elapsed())
        }
        Err(status) => {
            let server = served_by(status.metadata());
            Ended::Failed(status, server)
        }
    }
}

/// The server that sent this metadata, as it calls itself.
pub(super) fn served_by(metadata: &MetadataMap) -> Option<String> {
    Some(metadata.get(SERVED_BY)?.to_str().ok()?.to_owned())
}
