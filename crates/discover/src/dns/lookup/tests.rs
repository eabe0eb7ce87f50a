use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::Record;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::super::resolver::System;
use super::*;

/// What a server says to a question.
#[derive(Clone)]
enum Says {
    Records(Vec<RData>),
    Fails,
    Nothing,
}

type Zone = HashMap<(String, RecordType), Says>;

/// A DNS server that can be of another mood for each question. Other names do not exist.
struct Server {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _task: JoinSet<()>,
}

impl Server {
    async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::<Mutex<Zone>>::default();
        let mut task = JoinSet::new();
        let shared = Arc::clone(&zone);
        task.spawn(async move {
            let mut packet = vec![0; 4096];
            loop {
                let (length, from) = socket.recv_from(&mut packet).await.unwrap();
                let answer = answer(&packet[..length], &shared.lock());
                if let Some(answer) = answer {
                    // Who has asked may be gone.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Self {
            address,
            zone,
            _task: task,
        }
    }

    fn says(&self, name: &str, kind: RecordType, says: Says) {
        self.zone.lock().insert((name.to_owned(), kind), says);
    }

    fn addresses(&self, name: &str, ips: &[&str]) {
        for (kind, is_v6) in [(RecordType::A, false), (RecordType::AAAA, true)] {
            let ips = ips.iter().map(|ip| ip.parse::<IpAddr>().unwrap());
            let ips = ips.filter(|ip| ip.is_ipv6() == is_v6).map(RData::from);
            self.says(name, kind, Says::Records(ips.collect()));
        }
    }

    fn both(&self, name: &str, says: Says) {
        self.says(name, RecordType::A, says.clone());
        self.says(name, RecordType::AAAA, says);
    }

    fn services(&self, name: &str, targets: &[(u16, &str)]) {
        let records = targets.iter().map(|(priority, target)| {
            let target = DnsName::from_utf8(target).unwrap();
            RData::SRV(SRV::new(*priority, 0, 80, target))
        });
        self.says(name, RecordType::SRV, Says::Records(records.collect()));
    }

    /// Asked as the configuration says, with the time there is by default.
    fn lookup(&self, name: &str) -> Lookup {
        let config = DnsConfig {
            servers: vec![self.address],
            ..DnsConfig::default()
        };
        Lookup::new(name.parse().unwrap(), &config).unwrap()
    }

    /// Asked as the files of a system say.
    fn system(&self, name: &str, folder: &TempDir) -> Lookup {
        let at = |name: &str| folder.path().join(name);
        let mut system = System::new(at("resolv.conf"), at("hosts"));
        system.port = self.address.port();
        let mut lookup = self.lookup(name);
        lookup.resolver = Resolver::of_system(system, &DnsConfig::default());
        lookup
    }
}

fn answer(packet: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let request = Message::from_vec(packet).ok()?;
    let query = request.queries.first()?.clone();
    let (name, kind) = (query.name().clone(), query.query_type());
    let text = name.to_ascii();
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.add_query(query);
    match zone.get(&(text.clone(), kind)) {
        Some(Says::Nothing) => return None,
        Some(Says::Fails) => response.metadata.response_code = ResponseCode::ServFail,
        Some(Says::Records(records)) => {
            let records = records.iter();
            response.add_answers(
                records.map(|data| Record::from_rdata(name.clone(), 60, data.clone())),
            );
        }
        None if zone.keys().any(|(known, _)| *known == text) => {}
        None => response.metadata.response_code = ResponseCode::NXDomain,
    }
    response.to_vec().ok()
}

/// Each endpoint with its addresses, and whether something is missing.
async fn asked(lookup: &mut Lookup) -> Result<(Vec<String>, bool), LookupError> {
    let answer = lookup.ask().await?;
    let endpoints = answer.endpoints.iter().map(|(_, endpoint)| {
        let addresses = endpoint.addresses().iter().map(ToString::to_string);
        addresses.collect::<Vec<_>>().join(" ")
    });
    Ok((endpoints.collect(), answer.partial.is_some()))
}

fn all(endpoints: &[&str]) -> (Vec<String>, bool) {
    let endpoints = endpoints.iter().map(ToString::to_string);
    (endpoints.collect(), false)
}

fn part(endpoints: &[&str]) -> (Vec<String>, bool) {
    (all(endpoints).0, true)
}

#[tokio::test]
async fn a_family_of_which_nobody_speaks_costs_the_other_nothing() {
    let server = Server::start().await;
    server.addresses("users.test.", &["10.0.0.1"]);
    server.says("users.test.", RecordType::AAAA, Says::Nothing);
    let mut lookup = server.lookup("users.test:80");
    let answer = asked(&mut lookup).await.unwrap();
    assert_eq!(answer, part(&["10.0.0.1:80"]));
}

#[tokio::test]
async fn a_target_that_cannot_be_asked_costs_the_others_nothing() {
    let server = Server::start().await;
    let name = "_grpc._tcp.users.test";
    server.services(
        "_grpc._tcp.users.test.",
        &[(1, "a.test."), (1, "lame.test."), (1, "gone.test.")],
    );
    server.addresses("a.test.", &["10.0.0.1"]);
    let mut lookup = server.lookup(name);
    for says in [Says::Nothing, Says::Fails] {
        server.both("lame.test.", says);
        let answer = asked(&mut lookup).await.unwrap();
        assert_eq!(answer, part(&["10.0.0.1:80"]), "without what is unknown");
    }
    server.addresses("lame.test.", &["10.0.0.2"]);
    let both = ["10.0.0.1:80", "10.0.0.2:80"];
    assert_eq!(asked(&mut lookup).await.unwrap(), all(&both));
    server.both("lame.test.", Says::Fails);
    assert_eq!(asked(&mut lookup).await.unwrap(), part(&both), "its last");

    server.both("a.test.", Says::Fails);
    let mut lookup = server.lookup(name);
    asked(&mut lookup).await.unwrap_err();
    server.services("_grpc._tcp.users.test.", &[(1, ".")]);
    assert_eq!(
        asked(&mut lookup).await.unwrap(),
        all(&[]),
        "no such service"
    );
}

#[tokio::test]
async fn addresses_in_another_order_are_the_same() {
    let server = Server::start().await;
    server.services("_grpc._tcp.users.test.", &[(1, "a.test.")]);
    let mut lookup = server.lookup("_grpc._tcp.users.test");
    server.addresses("a.test.", &["10.0.0.1", "10.0.0.2", "::1"]);
    let first = asked(&mut lookup).await.unwrap();
    server.addresses("a.test.", &["10.0.0.2", "::1", "10.0.0.1"]);
    assert_eq!(asked(&mut lookup).await.unwrap(), first);
}

const KUBERNETES: &str = "nameserver 127.0.0.1\nsearch a.test b.test\noptions ndots:5\n";

#[tokio::test]
async fn an_outage_is_no_missing_name_although_there_are_search_domains() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("resolv.conf"), KUBERNETES).unwrap();
    let mut lookup = server.system("users:80", &folder);
    assert_eq!(asked(&mut lookup).await.unwrap(), all(&[]));

    server.both("users.a.test.", Says::Fails);
    asked(&mut lookup).await.unwrap_err();
    server.addresses("users.b.test.", &["10.0.0.9"]);
    let answer = asked(&mut lookup).await.unwrap();
    assert_eq!(answer, part(&["10.0.0.9:80"]), "the first may be lame");
    let both = ["[::1]:80", "10.0.0.1:80"];
    server.addresses("users.a.test.", &["10.0.0.1", "::1"]);
    assert_eq!(asked(&mut lookup).await.unwrap(), all(&both), "the first");

    server.says("users.a.test.", RecordType::A, Says::Fails);
    assert_eq!(asked(&mut lookup).await.unwrap(), part(&both));
    server.both("users.a.test.", Says::Fails);
    asked(&mut lookup).await.unwrap_err();
    server.zone.lock().clear();
    server.addresses("users.", &["10.0.0.3"]);
    let answer = asked(&mut lookup).await.unwrap();
    assert_eq!(answer, all(&["10.0.0.3:80"]), "the name itself");
}

#[cfg(unix)]
#[tokio::test]
async fn the_hosts_file_counts_as_it_is_now_and_needs_no_server() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let mut here = server.system("localhost:80", &folder);
    let answer = asked(&mut here).await.unwrap();
    assert_eq!(answer, all(&["[::1]:80", "127.0.0.1:80"]));
    let mut lookup = server.system("users:80", &folder);
    let error = asked(&mut lookup).await.unwrap_err().to_string();
    assert!(error.contains("settings cannot be read"), "{error}");
    for host in [1, 2] {
        write("hosts", &format!("10.0.0.{host} users # {host}\n"));
        let answer = asked(&mut lookup).await.unwrap();
        assert_eq!(answer, all(&[&format!("10.0.0.{host}:80")]));
    }
    write("resolv.conf", KUBERNETES);
    server.both("users.a.test.", Says::Nothing);
    let answer = asked(&mut lookup).await.unwrap();
    assert_eq!(answer, all(&["10.0.0.2:80"]), "before the search list");
    write("hosts", "");
    server.addresses("users.a.test.", &["10.0.0.3"]);
    let answer = asked(&mut lookup).await.unwrap();
    assert_eq!(answer, all(&["10.0.0.3:80"]));
}
