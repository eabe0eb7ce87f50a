//! A breaker around a subchannel, without a balancer.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A subchannel of sorts.
pub(super) struct Subchannel {
    reports: mpsc::UnboundedReceiver<Report>,
    inner: Inner,
    admitted: Arc<AtomicUsize>,
}

impl Connectivity for Subchannel {
    type Sender = Inner;
    type Admission = ();

    fn admit(&self, _: Admit) -> Result<(Inner, ()), BoxError> {
        self.admitted.fetch_add(1, Ordering::Relaxed);
        Ok((self.inner.clone(), ()))
    }

    fn settle(&self, (): (), _: Outcome, _: &str) {}

    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        self.reports.poll_recv(cx)
    }

    fn connect(&self) {}

    fn disconnect(&self) {}

    fn reset_backoff(&self) {}

    fn stream_load(&self, _: Option<&LoadStream>, _: &Arc<EndpointStats>) {}

    fn check_health(&self, _: Option<&Arc<str>>) {}

    fn allow_connections(&self, _: u32) {}
}

impl Service<Request<TestBody>> for Subchannel {
    type Response = Response<TestBody>;
    type Error = Status;
    type Future = <Inner as Service<Request<TestBody>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<TestBody>) -> Self::Future {
        self.inner.call(request)
    }
}

/// A breaker around a subchannel, and what the balancer sees of it.
pub(super) struct Watched {
    pub(super) states: mpsc::UnboundedSender<Report>,
    pub(super) breaker: Breaker<Subchannel>,
    pub(super) inner: Inner,
    /// How many attempts have come to the subchannel.
    pub(super) admitted: Arc<AtomicUsize>,
}

pub(super) fn watched() -> Watched {
    watched_with(config())
}

pub(super) fn watched_with(config: BreakerConfig) -> Watched {
    let (states, reports) = mpsc::unbounded_channel();
    let inner = Scripted::new();
    let subchannel = Subchannel {
        reports,
        inner: inner.clone(),
        admitted: Arc::default(),
    };
    let admitted = subchannel.admitted.clone();
    Watched {
        states,
        breaker: BreakerLayer::new(config).layer(subchannel),
        inner,
        admitted,
    }
}

impl Watched {
    pub(super) fn is(&self, state: ConnectivityState) {
        let endpoint = Endpoint::new("10.0.0.1:80".parse::<Address>().unwrap());
        let report = Report::new(Arc::new(endpoint), state);
        self.states.send(report).unwrap();
    }

    pub(super) async fn next(&mut self) -> Report {
        poll_fn(|cx| self.breaker.poll_report(cx)).await.unwrap()
    }

    pub(super) async fn report(&mut self) -> (ConnectivityState, BreakerState, Option<String>) {
        let report = self.next().await;
        let error = report.error.map(|error| error.to_string());
        (report.state, report.breaker.unwrap(), error)
    }

    pub(super) fn nothing_new(&mut self) {
        assert!(
            poll_fn(|cx| self.breaker.poll_report(cx))
                .now_or_never()
                .is_none()
        );
    }

    /// What the balancer gives back to its queue, to wait for a report.
    pub(super) async fn is_refused(&mut self) {
        let status = self.breaker.call(unary("hello")).await.unwrap_err();
        assert!(cause::<BreakerOpen>(&status).is_some(), "{status}");
    }

    /// The balancer knows that it is half-open and may be probed.
    pub(super) async fn half_open(&mut self) {
        self.is(Ready);
        self.report().await;
        self.attempt(lost()).await;
        self.attempt(lost()).await;
        self.report().await;
        assert_eq!(self.report().await, (Ready, HalfOpen, None));
    }

    pub(super) async fn attempt(&mut self, answer: Answer) {
        self.inner.reply(|| answer);
        let response = self.breaker.call(unary("hello")).await;
        if let Ok(response) = response {
            drop(response.into_body().collect().await);
        }
    }
}
