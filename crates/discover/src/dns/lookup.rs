use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use evenkeel_core::Endpoint;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name as DnsName, RData, RecordType};
use tokio::time::{Instant, timeout_at};

use super::name::Name;
use super::records::{Target, interleaved, of_addresses, of_targets, settled};
use super::resolver::Resolver;
use super::together::together;
use super::{DnsConfig, DnsError};
use crate::EndpointKey;

/// Asks DNS for one name.
pub(super) struct Lookup {
    name: Name,
    resolver: Resolver,
    timeout: Duration,
    all_priorities: bool,
    /// What hosts had last, for a family whose lookup fails while the other one's does not.
    known: HashMap<DnsName, Host>,
    /// Under which full name the SRV records were.
    srv: Option<DnsName>,
    /// Who is asked, for errors.
    server: String,
}

/// The addresses of a host.
#[derive(Clone, Debug, Default)]
struct Host {
    v6: Vec<IpAddr>,
    v4: Vec<IpAddr>,
    /// Under which full name they were.
    full: Option<DnsName>,
}

/// What was found of a host.
#[derive(Debug)]
struct Found {
    host: Host,
    ttl: Duration,
    partial: Option<LookupError>,
}

/// An answer, which may be that nobody is there.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) endpoints: Vec<(EndpointKey, Endpoint)>,
    pub(super) ttl: Duration,
    /// Why something may be missing.
    pub(super) partial: Option<LookupError>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the system's resolver settings cannot be read: {0}")]
    System(String),
    #[error(transparent)]
    Net(#[from] NetError),
}

impl From<ProtoError> for LookupError {
    fn from(error: ProtoError) -> Self {
        Self::Net(error.into())
    }
}

/// How long a family is waited for when the other one has answered. A server or firewall that is silent about one of
/// them is so each time.
const GRACE: Duration = Duration::from_secs(1);

/// The same for the targets of SRV records, which have two families each.
const TARGETS_GRACE: Duration = Duration::from_secs(2);

/// Longer than any lookup takes, and no problem for clocks.
const FAR: Duration = Duration::from_secs(86_400);

impl Lookup {
    pub(super) fn new(name: Name, config: &DnsConfig) -> Result<Self, DnsError> {
        let mut server = "DNS".to_owned();
        if !config.servers.is_empty() {
            let names: Vec<_> = config.servers.iter().map(ToString::to_string).collect();
            server = format!("DNS {}", names.join(","));
        }
        Ok(Self {
            name,
            resolver: Resolver::new(config)?,
            timeout: config.timeout.clamp(Duration::from_millis(3), FAR),
            all_priorities: config.all_priorities,
            known: HashMap::new(),
            srv: None,
            server,
        })
    }

    /// Who is asked.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// What DNS says now.
    pub(super) async fn ask(&mut self) -> Result<Answer, LookupError> {
        let deadline = Instant::now() + self.timeout;
        let prepared = timeout_at(deadline, self.resolver.prepare()).await;
        prepared.map_err(|_| LookupError::Timeout(self.timeout))?;
        let answer = match self.name.clone() {
            Name::Host { host, port } => self.host(&host, port, deadline).await,
            Name::Srv(name) => self.targets(&name, deadline).await,
        };
        if answer.is_err() {
            self.resolver.has_failed();
        }
        answer
    }

    async fn host(
        &mut self,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<Answer, LookupError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Answer {
                endpoints: of_addresses(&[ip], port),
                ttl: Duration::MAX,
                partial: None,
            });
        }
        let name = DnsName::from_utf8(host)?;
        let Found { host, ttl, partial } = self.addresses(&name, deadline).await?;
        let addresses = interleaved(&host.v6, &host.v4);
        self.known.insert(name, host);
        Ok(Answer {
            endpoints: of_addresses(&addresses, port),
            ttl,
            partial,
        })
    }

    async fn targets(&mut self, name: &str, deadline: Instant) -> Result<Answer, LookupError> {
        let (records, mut ttl, mut partial) = self.services(name).await?;
        let this = &*self;
        let found = records.iter().map(async |record: &SRV| {
            let found = this.addresses(&record.target, deadline).await?;
            Ok::<_, LookupError>(found)
        });
        let has_addresses = |found: &Result<Found, _>| {
            let host = found.as_ref().map(|found| &found.host);
            host.is_ok_and(|host| !(host.v6.is_empty() && host.v4.is_empty()))
        };
        let found = together(found, deadline, TARGETS_GRACE, has_addresses).await;
        let mut targets = Vec::new();
        let mut known = HashMap::new();
        for (record, found) in records.iter().zip(found) {
            let found = found.unwrap_or(Err(LookupError::Timeout(self.timeout)));
            let host = match found {
                Ok(found) => {
                    ttl = ttl.min(found.ttl);
                    partial = partial.or(found.partial);
                    found.host
                }
                Err(error) => {
                    partial = Some(error);
                    self.known.get(&record.target).cloned().unwrap_or_default()
                }
            };
            targets.push(Target {
                host: record.target.to_utf8().trim_end_matches('.').to_owned(),
                port: record.port,
                priority: record.priority,
                weight: record.weight,
                addresses: interleaved(&host.v6, &host.v4),
            });
            known.insert(record.target.clone(), host);
        }
        let endpoints = of_targets(&targets, self.all_priorities);
        match partial {
            Some(error) if endpoints.is_empty() => Err(error),
            partial => {
                self.known = known;
                Ok(Answer {
                    endpoints,
                    ttl,
                    partial,
                })
            }
        }
    }

    /// The SRV records of `name`, within half of the time there is: their targets need some, too.
    async fn services(
        &mut self,
        name: &str,
    ) -> Result<(Vec<SRV>, Duration, Option<LookupError>), LookupError> {
        let deadline = Instant::now() + self.timeout / 2;
        let name = DnsName::from_utf8(name)?;
        let mut failure = None;
        for full in self.resolver.full_names(&name) {
            let was_here = self.srv.as_ref() == Some(&full);
            let records = self.resolver.records(full.clone(), RecordType::SRV);
            let answer = timeout_at(deadline, records).await;
            match answer.unwrap_or_else(|_| Err(LookupError::Timeout(self.timeout / 2))) {
                Ok((records, ttl)) if !records.is_empty() => {
                    self.srv = Some(full);
                    let records = records.into_iter().filter_map(|record| match record {
                        // RFC 2782: the target "." says that there is no such service.
                        RData::SRV(record) if !record.target.is_root() => Some(record),
                        _ => None,
                    });
                    return Ok((records.collect(), ttl, failure));
                }
                Ok(_) => {}
                Err(error) => {
                    failure = Some(error);
                    if was_here {
                        break;
                    }
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok((Vec::new(), Duration::ZERO, None)),
        }
    }

    /// The addresses of `name`: of the first full name that has some. One that cannot be asked is passed over, unless
    /// it is the one that had them last: the next one may be somebody else.
    async fn addresses(&self, name: &DnsName, deadline: Instant) -> Result<Found, LookupError> {
        if let Some((v6, v4)) = self.resolver.fixed(name) {
            let full = None;
            return Ok(Found {
                host: Host { v6, v4, full },
                ttl: Duration::MAX,
                partial: None,
            });
        }
        let nobody = Host::default();
        let known = self.known.get(name).unwrap_or(&nobody);
        let mut failure = None;
        for full in self.resolver.full_names(name) {
            let was_here = known.full.as_ref() == Some(&full);
            let last = if was_here { known } else { &nobody };
            match self.families(&full, last, deadline).await {
                Ok(mut found) if !(found.host.v6.is_empty() && found.host.v4.is_empty()) => {
                    found.host.full = Some(full);
                    found.partial = found.partial.or(failure);
                    return Ok(found);
                }
                Ok(_) => {}
                Err(error) => {
                    failure = Some(error);
                    if was_here {
                        break;
                    }
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(Found {
                host: Host::default(),
                ttl: Duration::ZERO,
                partial: None,
            }),
        }
    }

    /// Both families of a full name. When only one can be asked, the other one's `last` are good.
    async fn families(
        &self,
        full: &DnsName,
        last: &Host,
        deadline: Instant,
    ) -> Result<Found, LookupError> {
        let kinds = [RecordType::AAAA, RecordType::A];
        let asked = kinds.map(|kind| self.resolver.records(full.clone(), kind));
        let mut answers = together(asked, deadline, GRACE, Result::is_ok).await;
        let mut answer = || {
            let answer = answers.pop().flatten();
            answer.unwrap_or(Err(LookupError::Timeout(self.timeout)))
        };
        let (v4, v6) = (answer(), answer());
        let (v6, v4, ttl, partial) = match (v6, v4) {
            (Ok((v6, v6_ttl)), Ok((v4, v4_ttl))) => {
                let ttl = match (v6.is_empty(), v4.is_empty()) {
                    // That a family has no addresses says nothing of the other one's.
                    (true, false) => v4_ttl,
                    (false, true) => v6_ttl,
                    _ => v6_ttl.min(v4_ttl),
                };
                (ips(&v6), ips(&v4), ttl, None)
            }
            (Ok((v6, ttl)), Err(error)) => (ips(&v6), last.v4.clone(), ttl, Some(error)),
            (Err(error), Ok((v4, ttl))) => (last.v6.clone(), ips(&v4), ttl, Some(error)),
            (Err(error), Err(_)) => return Err(error),
        };
        match partial {
            Some(error) if v6.is_empty() && v4.is_empty() => Err(error),
            partial => Ok(Found {
                host: Host {
                    v6: settled(v6, &last.v6),
                    v4: settled(v4, &last.v4),
                    full: None,
                },
                ttl,
                partial,
            }),
        }
    }
}

fn ips(records: &[RData]) -> Vec<IpAddr> {
    records.iter().filter_map(RData::ip_addr).collect()
}

#[cfg(test)]
mod tests;
