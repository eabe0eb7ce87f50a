use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use evenkeel_core::{BoxError, Endpoint};
use futures_util::future::{join, join_all};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::name::Name;
use super::records::{Target, interleaved, of_addresses, of_targets};
use super::{DnsConfig, DnsError};
use crate::EndpointKey;

/// Asks DNS for one name.
pub(super) struct Lookup {
    name: Name,
    resolver: TokioResolver,
    timeout: Duration,
    all_priorities: bool,
    /// What hosts had last, for a family whose lookup fails while the other one's does not.
    known: HashMap<String, Families>,
    /// Who is asked, for errors.
    server: String,
}

#[derive(Clone, Debug, Default)]
struct Families {
    v6: Vec<IpAddr>,
    v4: Vec<IpAddr>,
}

/// An answer, which may be that nobody is there.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) endpoints: Vec<(EndpointKey, Endpoint)>,
    pub(super) ttl: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error(transparent)]
    Net(#[from] NetError),
}

/// Records of one type, and how long they hold; none when the name has no such records.
type Records = Result<(Vec<RData>, Duration), NetError>;

impl Lookup {
    pub(super) fn new(name: Name, config: &DnsConfig) -> Result<Self, DnsError> {
        let system = |error: NetError| DnsError::System(BoxError::from(error));
        let mut server = "DNS".to_owned();
        let mut builder = if config.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(system)?
        } else {
            let names: Vec<_> = config.servers.iter().map(ToString::to_string).collect();
            server = format!("DNS {}", names.join(","));
            let servers = config.servers.iter().map(|server| {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = server.port();
                }
                NameServerConfig::new(server.ip(), true, connections)
            });
            let servers = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        if !config.servers.is_empty() {
            options.use_hosts_file = ResolveHosts::Never;
        }
        options.attempts = 2;
        // So that each server is asked more than once within the time there is.
        let once = (config.timeout / 3).max(Duration::from_millis(1));
        options.timeout = options.timeout.min(once);
        let resolver = builder.build().map_err(system)?;
        Ok(Self {
            name,
            resolver,
            timeout: config.timeout.max(Duration::from_millis(3)),
            all_priorities: config.all_priorities,
            known: HashMap::new(),
            server,
        })
    }

    /// Who is asked.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// What DNS says now.
    pub(super) async fn ask(&mut self) -> Result<Answer, LookupError> {
        // How long answers hold is decided by whoever asks.
        self.resolver.clear_cache();
        let timeout = self.timeout;
        let answer = async {
            match self.name.clone() {
                Name::Host { host, port } => self.hosts(&host, port).await,
                Name::Srv(name) => self.targets(&name).await,
            }
        };
        match tokio::time::timeout(timeout, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(LookupError::Timeout(timeout)),
        }
    }

    async fn hosts(&mut self, host: &str, port: u16) -> Result<Answer, NetError> {
        let (families, ttl) = self.addresses(host).await?;
        let addresses = interleaved(&families.v6, &families.v4);
        self.known.insert(host.to_owned(), families);
        Ok(Answer {
            endpoints: of_addresses(&addresses, port),
            ttl,
        })
    }

    async fn targets(&mut self, name: &str) -> Result<Answer, NetError> {
        let (records, mut ttl) = self.records(name, RecordType::SRV).await?;
        let records = records.into_iter().filter_map(|record| match record {
            // RFC 2782: the target "." says that there is no such service.
            RData::SRV(record) if !record.target.is_root() => Some(record),
            _ => None,
        });
        let records: Vec<_> = records.collect();
        let this = &*self;
        let found = records.into_iter().map(async |record| {
            let host = record.target.to_utf8();
            let found = this.addresses(&host).await;
            (host, record, found)
        });
        let mut targets = Vec::new();
        let mut known = HashMap::new();
        let mut failure = None;
        for (host, record, found) in join_all(found).await {
            let families = match found {
                Ok((families, its_ttl)) => {
                    ttl = ttl.min(its_ttl);
                    families
                }
                Err(error) => {
                    failure = Some(error);
                    ttl = Duration::ZERO;
                    self.known.get(&host).cloned().unwrap_or_default()
                }
            };
            targets.push(Target {
                host: host.trim_end_matches('.').to_owned(),
                port: record.port,
                priority: record.priority,
                weight: record.weight,
                addresses: interleaved(&families.v6, &families.v4),
            });
            known.insert(host, families);
        }
        let endpoints = of_targets(&targets, self.all_priorities);
        match failure {
            Some(error) if endpoints.is_empty() => Err(error),
            _ => {
                self.known = known;
                Ok(Answer { endpoints, ttl })
            }
        }
    }

    /// The addresses of `host`. When only one family can be asked, the other one's last are good.
    async fn addresses(&self, host: &str) -> Result<(Families, Duration), NetError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            let (mut v6, mut v4) = (Vec::new(), Vec::new());
            let family = if ip.is_ipv6() { &mut v6 } else { &mut v4 };
            family.push(ip);
            return Ok((Families { v6, v4 }, Duration::MAX));
        }
        let v6 = self.records(host, RecordType::AAAA);
        let v4 = self.records(host, RecordType::A);
        let known = self.known.get(host).cloned().unwrap_or_default();
        let none = known.v6.is_empty() && known.v4.is_empty();
        match join(v6, v4).await {
            (Ok((v6, v6_ttl)), Ok((v4, v4_ttl))) => {
                let ttl = match (v6.is_empty(), v4.is_empty()) {
                    // That a family has no addresses says nothing of the other one's.
                    (true, false) => v4_ttl,
                    (false, true) => v6_ttl,
                    _ => v6_ttl.min(v4_ttl),
                };
                let (v6, v4) = (ips(&v6), ips(&v4));
                Ok((Families { v6, v4 }, ttl))
            }
            (Ok((v6, _)), Err(error)) => {
                let (v6, v4) = (ips(&v6), known.v4);
                if v6.is_empty() && (none || v4.is_empty()) {
                    return Err(error);
                }
                Ok((Families { v6, v4 }, Duration::ZERO))
            }
            (Err(error), Ok((v4, _))) => {
                let (v6, v4) = (known.v6, ips(&v4));
                if v4.is_empty() && (none || v6.is_empty()) {
                    return Err(error);
                }
                Ok((Families { v6, v4 }, Duration::ZERO))
            }
            (Err(error), Err(_)) => Err(error),
        }
    }

    async fn records(&self, name: &str, kind: RecordType) -> Records {
        match self.resolver.lookup(name, kind).await {
            Ok(found) => {
                let records = found.answers().iter();
                let ttl = records.clone().map(|record| record.ttl).min();
                let ttl = Duration::from_secs(ttl.unwrap_or_default().into());
                let wanted = records.filter(|record| record.record_type() == kind);
                let records = wanted.map(|record| record.data.clone()).collect();
                Ok((records, ttl))
            }
            Err(error) if error.is_no_records_found() => Ok((Vec::new(), Duration::ZERO)),
            Err(error) => Err(error),
        }
    }
}

fn ips(records: &[RData]) -> Vec<IpAddr> {
    records.iter().filter_map(RData::ip_addr).collect()
}
