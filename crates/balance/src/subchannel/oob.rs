//! Load reports that the server streams beside its calls (ORCA, gRFC A51).

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use evenkeel_core::ConnectivityState;
use evenkeel_transport::Connection;
use http::uri::PathAndQuery;
use prost::Message;
use tracing::{debug, error};

use super::state::{LoadWatch, State};
use crate::server_stream::{Heard, keep_open};

/// The stream of load reports over one connection, while it is asked for. Dropping it ends the stream.
#[derive(Default)]
pub(super) struct LoadReports {
    /// Boxed: most connections have none.
    stream: Option<Box<Stream>>,
    /// The server has no such service.
    is_unknown: bool,
}

struct Stream {
    interval: Duration,
    reading: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl LoadReports {
    /// Over a connection that is new, and has yet to be shown. Where it takes the place of another one
    /// (gRFC A105), the endpoint goes on: what is known of its load counts (gRFC A58).
    pub(super) fn new<H: Connection>(connection: &Arc<H>, state: &Arc<State<H>>) -> Self {
        if state.report().state != ConnectivityState::Ready
            && let Some(watch) = state.load()
        {
            watch.stats.restart_load();
        }
        let mut reports = Self::default();
        reports.follow(connection, state);
        reports
    }

    /// Opens, closes or replaces the stream, if another interval is asked for.
    pub(super) fn follow<H: Connection>(&mut self, connection: &Arc<H>, state: &Arc<State<H>>) {
        let wanted = state.load().map(|watch| watch.stream.interval);
        let present = self.stream.as_ref().map(|stream| stream.interval);
        if wanted != present {
            let wanted = wanted.filter(|_| !self.is_unknown);
            let open = |interval| Box::new(Stream::open(interval, connection, state));
            self.stream = wanted.map(open);
        }
    }

    /// Takes in what comes, for ever. Cancel safe.
    pub(super) fn run(&mut self) -> impl Future<Output = Infallible> {
        // Not an async block, which would keep more: every connection has one.
        poll_fn(|cx| {
            if let Some(stream) = &mut self.stream
                && stream.reading.as_mut().poll(cx).is_ready()
            {
                self.stream = None;
                self.is_unknown = true;
            }
            Poll::Pending
        })
    }
}

impl Stream {
    fn open<H: Connection>(interval: Duration, connection: &Arc<H>, state: &Arc<State<H>>) -> Self {
        let request = Request::every(interval).encode_to_vec().into();
        let method = PathAndQuery::from_static(METHOD);
        let state = state.clone();
        let reading = keep_open(connection.clone(), method, request, move |heard| {
            hear(&state, heard);
        });
        Self {
            interval,
            reading: Box::pin(reading),
        }
    }
}

fn hear<H>(state: &State<H>, heard: Heard) {
    match heard {
        Heard::Opening => {}
        Heard::Message(report) => {
            if let Some(LoadWatch { stream, stats }) = state.load()
                && let Some(weight) = stream.reader.weight(&report)
            {
                stats.record_load(tokio::time::Instant::now().into_std(), weight);
            }
        }
        Heard::Ended(status) => {
            debug!(endpoint = %state.endpoint(), %status, "load reports ended, asking again");
        }
        Heard::Unimplemented(status) => {
            error!(endpoint = %state.endpoint(), %status, "no load reports: its server has none");
        }
    }
}

const METHOD: &str = "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics";

/// `xds.service.orca.v3.OrcaLoadReportRequest`.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, optional, tag = "1")]
    report_interval: Option<Interval>,
    /// None of them makes a weight.
    #[prost(string, repeated, tag = "2")]
    request_cost_names: Vec<String>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
struct Interval {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Request {
    fn every(interval: Duration) -> Self {
        let interval = interval.min(LONGEST);
        Self {
            report_interval: Some(Interval {
                seconds: interval.as_secs().cast_signed(),
                nanos: interval.subsec_nanos().cast_signed(),
            }),
            request_cost_names: Vec::new(),
        }
    }
}

/// The most that a `google.protobuf.Duration` can be.
const LONGEST: Duration = Duration::from_secs(315_576_000_000);

#[cfg(test)]
mod tests;
