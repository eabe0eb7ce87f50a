use std::fmt;

use evenkeel_balance::Balance;
use evenkeel_core::ConnectivityState;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::discover;

use super::Case;
use super::steered::Steered;

type Item = Result<discover::Change<usize, Steered>, std::convert::Infallible>;

/// What changes of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// READY becomes CONNECTING; with the next change it is READY again.
    State,
    /// Its weight.
    Weight,
    /// It goes, and another one comes: two changes.
    Replaced,
}

/// All of them, with what tables call them.
pub const CHANGES: [(&str, Change); 3] = [
    ("state", Change::State),
    ("weight", Change::Weight),
    ("replaced", Change::Replaced),
];

/// A balancer over endpoints that change when they are told to.
pub struct Channel {
    case: Case,
    changes: mpsc::UnboundedSender<Item>,
    endpoints: Vec<(usize, Steered)>,
    /// The places of those that are CONNECTING.
    connecting: Vec<usize>,
    next_key: usize,
    steps: usize,
    balance: Balance<Steered>,
    runtime: Runtime,
}

impl Channel {
    /// Over as many READY endpoints.
    ///
    /// # Errors
    ///
    /// Those of the runtime.
    pub fn new(case: Case, endpoints: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (changes, receiver) = mpsc::unbounded_channel();
        let balance = runtime.block_on(async {
            let stream = UnboundedReceiverStream::new(receiver);
            Balance::new(stream, case.build())
        });
        let mut channel = Self {
            case,
            changes,
            endpoints: Vec::new(),
            connecting: Vec::new(),
            next_key: 0,
            steps: 0,
            balance,
            runtime,
        };
        for _ in 0..endpoints {
            let new = channel.add();
            channel.endpoints.push(new);
        }
        channel.runtime.block_on(async {
            while channel.balance.state() != ConnectivityState::Ready
                || channel.balance.endpoints().len() < endpoints
            {
                channel.balance.changed().await;
            }
        });
        Ok(channel)
    }

    fn add(&mut self) -> (usize, Steered) {
        let key = self.next_key;
        self.next_key += 1;
        let endpoint = Steered::new(self.case.endpoint(key), ConnectivityState::Ready);
        let insert = discover::Change::Insert(key, endpoint.clone());
        self.changes.send(Ok(insert)).expect("the balancer listens");
        (key, endpoint)
    }

    /// Makes `count` changes at once (at least two if endpoints are replaced) and waits until a
    /// snapshot with all of them is published.
    pub fn change(&mut self, change: Change, count: usize) {
        let changed = self.balance.changed();
        if change == Change::State && !self.connecting.is_empty() {
            for place in self.connecting.drain(..) {
                self.endpoints[place].1.set(ConnectivityState::Ready);
            }
        } else {
            let endpoints = match change {
                Change::Replaced => count.div_ceil(2),
                Change::State | Change::Weight => count,
            };
            for _ in 0..endpoints {
                self.change_one(change);
            }
        }
        self.runtime.block_on(changed);
    }

    fn change_one(&mut self, change: Change) {
        self.steps += 1;
        // Far apart, and each its turn.
        let place = self.steps * 7_919 % self.endpoints.len();
        match change {
            Change::State => {
                self.endpoints[place].1.set(ConnectivityState::Connecting);
                self.connecting.push(place);
            }
            Change::Weight => self.endpoints[place].1.weigh((2 + self.steps % 50) as f64),
            Change::Replaced => {
                let remove = discover::Change::Remove(self.endpoints[place].0);
                self.changes.send(Ok(remove)).expect("the balancer listens");
                self.endpoints[place] = self.add();
            }
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("policy", &self.case.name)
            .field("endpoints", &self.endpoints.len())
            .finish_non_exhaustive()
    }
}
