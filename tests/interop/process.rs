use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use evenkeel_testkit::interop::Ended;
use evenkeel_testkit::within;
use tokio::sync::{mpsc, oneshot, watch};

/// A server in a process of its own; dropping this kills it.
///
/// It says `listening ADDRESS` once, or `ready` if nobody calls it, `ended PATH CODE` for each call, and answers what it is asked.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    ended: watch::Receiver<Vec<Ended>>,
    answers: mpsc::UnboundedReceiver<String>,
    log: File,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts it and waits until it listens.
    pub(crate) async fn start(mut command: Command) -> Self {
        let log = tempfile::tempfile().unwrap();
        let child = command
            // It ends when this does, should nobody be left to kill it.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone().unwrap())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = child.stdout.take().expect("it is a pipe");
        let (listening, address) = oneshot::channel();
        let (sender, ended) = watch::channel(Vec::new());
        let (answer, answers) = mpsc::unbounded_channel();
        let reader = std::thread::spawn(move || read(said, listening, &sender, &answer));
        let mut server = Self {
            child,
            address: NOBODY,
            ended,
            answers,
            log,
            reader: Some(reader),
        };
        match within("a server that listens", address).await {
            Ok(address) => server.address = address,
            Err(_) => panic!("{command:?} does not start; it says:\n{}", server.log()),
        }
        server
    }

    /// Where clients reach it.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells it one line.
    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("it is a pipe");
        writeln!(stdin, "{line}").unwrap();
    }

    /// Tells it one line, which it answers with one.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        match within("an answer", self.answers.recv()).await {
            Some(answer) => answer,
            None => panic!("{line}: it has ended; it says:\n{}", self.log()),
        }
    }

    /// The calls that have ended, in their order.
    pub(crate) fn ended(&self) -> watch::Receiver<Vec<Ended>> {
        self.ended.clone()
    }

    fn log(&mut self) -> String {
        let mut text = String::new();
        self.log.rewind().unwrap();
        self.log.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error says that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            // What it has to say was said.
            let _ = reader.join();
        }
    }
}

/// The address of what nobody calls.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn start(listening: &mut Option<oneshot::Sender<SocketAddr>>, address: SocketAddr) {
    if let Some(listening) = listening.take() {
        // An error says that nobody waits any more.
        let _ = listening.send(address);
    }
}

fn read(
    said: ChildStdout,
    listening: oneshot::Sender<SocketAddr>,
    ended: &watch::Sender<Vec<Ended>>,
    answers: &mpsc::UnboundedSender<String>,
) {
    let mut listening = Some(listening);
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["listening", address] => start(&mut listening, address.parse().unwrap()),
            ["ready"] => start(&mut listening, NOBODY),
            ["ended", path, code] => {
                let (path, code) = (path.to_owned(), code.parse().unwrap());
                ended.send_modify(|ended| ended.push(Ended { path, code }));
            }
            // An error says that nobody asks any more.
            _ => drop(answers.send(line)),
        }
    }
}
