use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{PATIENCE, port, within};

/// A running etcd, which is killed and buried on drop.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
}

/// What etcd is told at its start, apart from ports and folder.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) name: String,
    /// All members: `name=http://127.0.0.1:port`, separated by commas.
    pub(super) members: String,
    /// The id of a cluster is made of its members' peer URLs and of this, so that a cluster that
    /// starts from nothing on the same ports is another one.
    pub(super) incarnation: u32,
    pub(super) heartbeat: Duration,
    pub(super) election: Duration,
    pub(super) tokens: Tokens,
    pub(super) tls: Option<Tls>,
}

/// What a user gets for the password, and how long it is good for; in whole seconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tokens {
    /// A random text, which etcd keeps in memory, and whose time begins anew by each use.
    Simple(Duration),
    /// Signed, with the state of users and roles at the time.
    Jwt(Duration),
}

/// What is in the files named below.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tls {
    pub(super) client_certificates: bool,
}

pub(super) const CERTIFICATE: &str = "server.pem";
pub(super) const KEY: &str = "server-key.pem";
pub(super) const AUTHORITY: &str = "ca.pem";

#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) client: u16,
    pub(super) peer: u16,
    pub(super) tls: u16,
}

impl Process {
    pub(super) fn start(binary: &Path, folder: &Path, setup: &Setup, ports: Ports) -> Self {
        let open = File::options()
            .append(true)
            .create(true)
            .open(folder.join("log"));
        let log = open.expect("the folder is ours");
        let (mut client, peer) = (ports.client_url(), ports.peer_url());
        let mut command = Command::new(binary);
        if let Some(tls) = setup.tls {
            client = format!("{client},{}", ports.tls_url());
            command.arg("--cert-file").arg(folder.join(CERTIFICATE));
            command.arg("--key-file").arg(folder.join(KEY));
            if tls.client_certificates {
                command.arg("--client-cert-auth");
                command.arg("--trusted-ca-file").arg(folder.join(AUTHORITY));
            }
        }
        match setup.tokens {
            Tokens::Simple(ttl) => {
                command.args(["--auth-token-ttl", &ttl.as_secs().to_string()]);
            }
            Tokens::Jwt(ttl) => {
                let secret = folder.join("secret");
                std::fs::write(&secret, "not a secret").expect("the folder is ours");
                command.arg("--auth-token").arg(format!(
                    "jwt,priv-key={},sign-method=HS256,ttl={}s",
                    secret.display(),
                    ttl.as_secs()
                ));
            }
        }
        let child = command
            .args(["--name", &setup.name, "--logger", "zap"])
            .args(["--heartbeat-interval", &milliseconds(setup.heartbeat)])
            .args(["--election-timeout", &milliseconds(setup.election)])
            .arg("--data-dir")
            .arg(data(folder))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &setup.members])
            .arg("--initial-cluster-token")
            .arg(format!("test-{}", setup.incarnation))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle"))
            .stderr(log)
            .spawn();
        Self {
            child: child.expect("the binary is executable"),
        }
    }

    /// Waits until etcd says that it is healthy; false when it has ended instead.
    pub(super) async fn serves(&mut self, port: u16) -> bool {
        let serves = async {
            while !matches!(health(port).await, Ok(true)) {
                if self.child.try_wait().expect("it is our child").is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            true
        };
        within("etcd starts", serves).await
    }

    pub(super) async fn stop(self) {
        self.end(Signal::TERM).await;
    }

    pub(super) async fn kill(self) {
        self.end(Signal::KILL).await;
    }

    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
        // The signal is on its way until the last thread has stopped.
        waitpid(Some(self.id()), WaitOptions::UNTRACED).expect("it is our child");
    }

    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    pub(super) fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    async fn end(mut self, signal: Signal) {
        self.signal(signal);
        let wait = async {
            while let Ok(None) = self.child.try_wait() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, wait).await;
        assert!(ended.is_ok(), "etcd does not end by {signal:?}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("it is our child and not buried");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors say that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Setup {
    /// A cluster of one. Its elections are quick, and the shortest lease that etcd grants is one
    /// and a half of them.
    pub(super) fn alone(name: &str, ports: Ports) -> Self {
        Self {
            name: name.to_owned(),
            members: format!("{name}={}", ports.peer_url()),
            incarnation: 0,
            heartbeat: Duration::from_millis(50),
            election: Duration::from_millis(500),
            tokens: Tokens::Simple(Duration::from_secs(300)),
            tls: None,
        }
    }

    /// A member of a cluster, with etcd's own times: a busy machine must not change the leader.
    pub(super) fn member(name: &str, members: String) -> Self {
        Self {
            name: name.to_owned(),
            members,
            incarnation: 0,
            heartbeat: Duration::from_millis(100),
            election: Duration::from_secs(1),
            tokens: Tokens::Simple(Duration::from_secs(300)),
            tls: None,
        }
    }
}

impl Ports {
    pub(super) fn free() -> Self {
        let free = || port::free().expect("a free port on loopback");
        Self {
            client: free(),
            peer: free(),
            tls: free(),
        }
    }

    pub(super) fn client_url(self) -> String {
        format!("http://127.0.0.1:{}", self.client)
    }

    pub(super) fn tls_url(self) -> String {
        format!("https://127.0.0.1:{}", self.tls)
    }

    pub(super) fn peer_url(self) -> String {
        format!("http://127.0.0.1:{}", self.peer)
    }
}

/// Where etcd keeps what it knows.
pub(super) fn data(folder: &Path) -> std::path::PathBuf {
    folder.join("data")
}

/// All that etcd has said in this folder so far.
pub(super) fn log(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("log"));
    log.unwrap_or_else(|error| error.to_string())
}

fn milliseconds(time: Duration) -> String {
    time.as_millis().to_string()
}

/// What etcd answers to `GET /health`; since 3.4 that includes a read through the leader.
async fn health(port: u16) -> std::io::Result<bool> {
    Ok(get(port, "/health").await?.contains(r#""health":"true""#))
}

/// What etcd answers by HTTP.
pub(super) async fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
