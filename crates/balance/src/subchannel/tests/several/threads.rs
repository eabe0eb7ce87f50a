//! Many calls at once, from several threads.

use super::*;

/// Connects at once; counts who is on each of its connections.
#[derive(Clone)]
struct Counting {
    made: Arc<AtomicUsize>,
    on: Arc<[AtomicUsize; 3]>,
    /// Kept open.
    closes: Arc<Mutex<Vec<oneshot::Sender<CloseReason>>>>,
}

#[derive(Clone)]
struct Counted {
    on: Arc<[AtomicUsize; 3]>,
    number: usize,
}

const STREAMS: usize = 2;

impl Connect for Counting {
    type Connection = Counted;
    type Future = BoxFuture<'static, Result<Connected<Counted>, ConnectError>>;

    fn connect(&self, _: &Address, _: &Endpoint) -> Self::Future {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let (close, closed) = oneshot::channel();
        self.closes.lock().push(close);
        let on = self.on.clone();
        async move { Ok(Connected::new(Counted { on, number }, closed)) }.boxed()
    }
}

impl Connection for Counted {
    type ResponseBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Status>;
    type Future<B: RequestBody> = BoxFuture<'static, Result<Response<Self::ResponseBody>, Status>>;

    fn send<B: RequestBody>(&self, _: Request<B>) -> Self::Future<B> {
        let connection = self.clone();
        let was = connection.on[connection.number].fetch_add(1, Ordering::AcqRel);
        assert!(was < STREAMS, "more calls than streams");
        async move {
            tokio::task::yield_now().await;
            connection.on[connection.number].fetch_sub(1, Ordering::AcqRel);
            Err(Status::ok("answered"))
        }
        .boxed()
    }

    fn max_concurrent_streams(&self) -> usize {
        STREAMS
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_of_many_threads_never_have_more_than_the_streams_there_are_and_all_get_one() {
    let connector = Counting {
        made: Arc::default(),
        on: Arc::default(),
        closes: Arc::default(),
    };
    let config = SubchannelConfig::default();
    let mut subchannel = Subchannel::new(endpoint(), connector.clone(), config);
    subchannel.allow_connections(3);
    subchannel.connect();
    while subchannel.report().state != ConnectivityState::Ready {
        poll_fn(|cx| subchannel.poll_report(cx)).await;
    }
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..16 {
        let subchannel = subchannel.clone();
        callers.spawn(async move {
            for call in 0..2_000 {
                let (mut sender, admission) = subchannel.admit(Admit::Normally).unwrap();
                let ready =
                    poll_fn(|cx| Service::<Request<Full<Bytes>>>::poll_ready(&mut sender, cx));
                // Some are given up, be it while they wait or just when they need not any more.
                if (caller + call) % 5 == 0 {
                    let given_up = tokio::task::yield_now();
                    tokio::select! {
                        biased;
                        _ = ready => {}
                        () = given_up => {}
                    }
                } else {
                    ready.await.unwrap();
                    let request = Request::new(Full::new(Bytes::new()));
                    let answer = sender.call(request).await.map(drop);
                    assert_eq!(answer.unwrap_err().code(), Code::Ok);
                }
                drop(admission);
            }
        });
    }
    let all = timeout(Duration::from_secs(60), callers.join_all());
    all.await.expect("nobody waits for ever");
    assert_eq!(connector.made.load(Ordering::Relaxed), 3);
    // Every stream is free again.
    let calls: Vec<_> = (0..3 * STREAMS)
        .map(|_| subchannel.admit(Admit::Normally).unwrap())
        .collect();
    for (mut sender, _admission) in calls {
        let ready = poll_fn(|cx| Service::<Request<Full<Bytes>>>::poll_ready(&mut sender, cx));
        ready.now_or_never().unwrap().unwrap();
    }
}
