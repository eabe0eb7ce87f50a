//! A DNS server on loopback that says what the test wants.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::worker::Worker;

/// A DNS server, over UDP and TCP; it ends when this is dropped.
///
/// Names that it was told nothing of do not exist.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _worker: Worker,
}

#[derive(Debug, Default)]
struct Zone {
    records: HashMap<String, Vec<(u32, RData)>>,
    mood: DnsMood,
    queries: Vec<DnsQuery>,
}

/// How a [`DnsServer`] answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests name all of them")]
pub enum DnsMood {
    /// With the records it has.
    #[default]
    Well,
    /// With SERVFAIL.
    Fails,
    /// With SERVFAIL to questions for IPv6 addresses only.
    FailsForIpv6,
    /// Not at all.
    Silent,
    /// Over UDP with nothing but the hint that the answer is too long for it.
    Truncates,
}

/// A question that came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DnsQuery {
    /// The name, with the dot at its end, in lower case.
    pub name: String,
    /// The type of records: `A`, `AAAA`, `SRV`.
    pub kind: String,
    /// Whether it came over TCP.
    pub over_tcp: bool,
}

impl DnsServer {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub fn start() -> io::Result<Self> {
        let (tcp, udp) = listen()?;
        let address = tcp.local_addr()?;
        let zone = Arc::<Mutex<Zone>>::default();
        let shared = Arc::clone(&zone);
        let worker = Worker::spawn("dns".to_owned(), move || async move {
            if let Err(error) = serve(tcp, udp, shared).await {
                tracing::error!("the DNS server has ended: {error}");
            }
        })?;
        Ok(Self {
            address,
            zone,
            _worker: worker,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `name` has these addresses from now on, and no other records.
    pub fn set_addresses<'a>(
        &self,
        name: &str,
        ttl: u32,
        addresses: impl IntoIterator<Item = &'a str>,
    ) {
        let records = addresses.into_iter().map(|text| {
            let ip = text.parse::<IpAddr>();
            (ttl, RData::from(ip.expect("tests give IP addresses")))
        });
        self.set(name, records.collect());
    }

    /// `name` has these SRV records from now on: priority, weight, port and target.
    pub fn set_srv<'a>(
        &self,
        name: &str,
        ttl: u32,
        records: impl IntoIterator<Item = (u16, u16, u16, &'a str)>,
    ) {
        let records = records.into_iter().map(|(priority, weight, port, target)| {
            let target = absolute(target);
            let target = Name::from_ascii(target).expect("tests give names");
            let record = SRV::new(priority, weight, port, target);
            (ttl, RData::SRV(record))
        });
        self.set(name, records.collect());
    }

    /// `name` does not exist any more.
    pub fn forget(&self, name: &str) {
        self.zone.lock().records.remove(&absolute(name));
    }

    /// How it answers from now on.
    pub fn be(&self, mood: DnsMood) {
        self.zone.lock().mood = mood;
    }

    /// The questions that came, in their order.
    #[must_use]
    pub fn queries(&self) -> Vec<DnsQuery> {
        self.zone.lock().queries.clone()
    }

    fn set(&self, name: &str, records: Vec<(u32, RData)>) {
        self.zone.lock().records.insert(absolute(name), records);
    }
}

fn absolute(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    if name.ends_with('.') {
        name
    } else {
        format!("{name}.")
    }
}

/// The same port for both.
fn listen() -> io::Result<(std::net::TcpListener, std::net::UdpSocket)> {
    const TRIES: usize = 20;
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let tcp = crate::port::listen()?;
        match std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, tcp.local_addr()?.port())) {
            Ok(udp) => {
                tcp.set_nonblocking(true)?;
                udp.set_nonblocking(true)?;
                return Ok((tcp, udp));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn serve(
    tcp: std::net::TcpListener,
    udp: std::net::UdpSocket,
    zone: Arc<Mutex<Zone>>,
) -> io::Result<()> {
    let (tcp, udp) = (TcpListener::from_std(tcp)?, UdpSocket::from_std(udp)?);
    let mut streams = JoinSet::new();
    let mut packet = vec![0; 4096];
    loop {
        tokio::select! {
            received = udp.recv_from(&mut packet) => {
                let (length, from) = received?;
                if let Some(answer) = zone.lock().answer(&packet[..length], false) {
                    // Who has asked may be gone.
                    let _ = udp.try_send_to(&answer, from);
                }
            }
            accepted = tcp.accept() => {
                let (stream, _) = accepted?;
                streams.spawn(serve_stream(stream, Arc::clone(&zone)));
            }
        }
    }
}

/// Each message comes after its length.
async fn serve_stream(mut stream: TcpStream, zone: Arc<Mutex<Zone>>) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut packet = vec![0; length.into()];
        stream.read_exact(&mut packet).await?;
        let answer = zone.lock().answer(&packet, true);
        if let Some(answer) = answer {
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            stream.write_u16(length).await?;
            stream.write_all(&answer).await?;
        }
    }
}

impl Zone {
    fn answer(&mut self, packet: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
        let request = Message::from_vec(packet).ok()?;
        let query = request.queries.first()?.clone();
        let (name, kind) = (query.name().clone(), query.query_type());
        self.queries.push(DnsQuery {
            name: name.to_ascii().to_ascii_lowercase(),
            kind: kind.to_string(),
            over_tcp,
        });
        let mut response = Message::response(request.metadata.id, request.metadata.op_code);
        response.add_query(query);
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        match self.mood {
            DnsMood::Silent => return None,
            DnsMood::Fails => response.metadata.response_code = ResponseCode::ServFail,
            DnsMood::FailsForIpv6 if kind == RecordType::AAAA => {
                response.metadata.response_code = ResponseCode::ServFail;
            }
            DnsMood::Truncates if !over_tcp => response.metadata.truncation = true,
            _ => {
                match self.records.get(&name.to_ascii().to_ascii_lowercase()) {
                    None => response.metadata.response_code = ResponseCode::NXDomain,
                    Some(records) => {
                        let wanted = records
                            .iter()
                            .filter(|(_, data)| data.record_type() == kind);
                        response.add_answers(wanted.map(|(ttl, data)| {
                            Record::from_rdata(name.clone(), *ttl, data.clone())
                        }));
                    }
                }
            }
        }
        response.to_vec().ok()
    }
}
