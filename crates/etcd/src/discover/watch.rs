use std::pin::Pin;

use etcd_client::{WatchOptions, WatchResponse, WatchStream};
use tokio::time::{Duration, Instant, sleep_until};

use super::list::{MAX_MESSAGE, range_end};
use crate::connect::Connection;
use crate::{Etcd, EtcdError};

pub(super) const ACTION: &str = "watch endpoints";

/// One watch at etcd, and whether it lives.
pub(super) struct Watch {
    stream: WatchStream,
    pub(super) generation: usize,
    pub(super) since: Instant,
    /// When to list again although the watch seems well.
    pub(super) relist_at: Instant,
    /// Whether it goes on where another one has ended, without a list in between.
    pub(super) is_resumed: bool,
    /// Kept, as it may be about to ask the member whether it is there.
    lost: Lost,
    progress: Progress,
}

type Lost = Pin<Box<dyn Future<Output = EtcdError> + Send>>;

/// What of the watch's silence.
#[derive(Clone, Copy, Debug)]
enum Progress {
    /// It need not say anything before then.
    Quiet(Instant),
    /// It was asked, and has until then to answer.
    Asked(Instant),
}

impl Watch {
    /// Watches everything that starts with `prefix` from the revision `from` on; gives etcd's
    /// confirmation too.
    pub(super) async fn open(
        etcd: &Etcd,
        connection: &Connection,
        prefix: &str,
        from: i64,
    ) -> Result<(Self, WatchResponse), EtcdError> {
        let mut client = connection
            .client
            .watch_client()
            .max_decoding_message_size(MAX_MESSAGE);
        let options = WatchOptions::new()
            .with_range(range_end(prefix.as_bytes()))
            .with_start_revision(from)
            .with_progress_notify();
        let request = async {
            let mut stream = client.watch(prefix, Some(options)).await?;
            let first = stream.message().await?;
            Ok((stream, first))
        };
        let (stream, first) = etcd.answer(ACTION, request).await?;
        let first = first.ok_or_else(|| EtcdError::ended(ACTION, "refused"))?;
        let now = Instant::now();
        let (config, generation) = (etcd.config(), connection.generation());
        let lost = {
            let etcd = etcd.clone();
            Box::pin(async move { etcd.lost(generation).await })
        };
        let watch = Self {
            stream,
            generation,
            since: now,
            is_resumed: false,
            lost,
            relist_at: now + jittered(config.relist_every),
            progress: Progress::Quiet(now + jittered(config.progress_every)),
        };
        Ok((watch, first))
    }

    /// The next response, whatever it is about. An error when there is none although etcd was asked
    /// for one: the connection may live, and the member hang or the watch be lost in it; or when the
    /// connection is lost. Cancel safe.
    pub(super) async fn next(&mut self, etcd: &Etcd) -> Result<WatchResponse, EtcdError> {
        let within = etcd.config().request_timeout;
        loop {
            let (Progress::Quiet(until) | Progress::Asked(until)) = self.progress;
            tokio::select! {
                // What has come counts, even if it comes to be looked at late.
                biased;
                message = self.stream.message() => {
                    let message = message.map_err(|error| EtcdError::request(ACTION, error))?;
                    etcd.heard();
                    let quiet = jittered(etcd.config().progress_every);
                    self.progress = Progress::Quiet(Instant::now() + quiet);
                    return message.ok_or_else(|| EtcdError::ended(ACTION, "the stream was closed"));
                }
                error = &mut self.lost => return Err(error),
                () = sleep_until(until) => {}
            }
            if matches!(self.progress, Progress::Asked(_)) {
                let action = "ask the watch for its progress";
                return Err(EtcdError::silent(action, etcd.name(), within));
            }
            // First, so that a call that is cancelled meanwhile does not ask twice.
            self.progress = Progress::Asked(Instant::now() + within);
            let asked = self.stream.request_progress().await;
            asked.map_err(|error| EtcdError::request(ACTION, error))?;
        }
    }
}

/// etcd answers a question for progress for all watches of the connection together, under no
/// watch's id.
pub(super) fn is_answer_about_progress(response: &WatchResponse) -> bool {
    response.watch_id() < 0
}

pub(super) fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.9 + 0.2 * fastrand::f64())
}
