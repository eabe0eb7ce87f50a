use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use evenkeel_core::BoxError;
use evenkeel_core::error::chain;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver};

use super::lookup::LookupError;
use super::{DnsConfig, DnsError};

/// Whom to ask, and under which full names: the servers of the configuration, or what the system's
/// files say now.
pub(super) struct Resolver {
    system: Option<System>,
    /// How long one question may take.
    once: Duration,
    /// Or why there is nobody to ask.
    dns: Result<TokioResolver, String>,
    hosts: Hosts,
    search: Vec<Name>,
    ndots: usize,
}

/// Where a system says whom to ask.
pub(super) struct System {
    pub(super) resolv_conf: PathBuf,
    pub(super) hosts: PathBuf,
    /// Where its servers listen.
    pub(super) port: u16,
    read: Option<Texts>,
}

/// What is in its files; nothing where they cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Texts {
    resolv_conf: Result<Vec<u8>, String>,
    hosts: Vec<u8>,
}

/// Records of one type, and how long they hold; none when the name has no such records.
pub(super) type Records = Result<(Vec<RData>, Duration), LookupError>;

impl System {
    pub(super) fn new(resolv_conf: impl Into<PathBuf>, hosts: impl Into<PathBuf>) -> Self {
        Self {
            resolv_conf: resolv_conf.into(),
            hosts: hosts.into(),
            port: 53,
            read: None,
        }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new("/etc/resolv.conf", "/etc/hosts")
    }
}

impl Resolver {
    pub(super) fn new(config: &DnsConfig) -> Result<Self, DnsError> {
        let mut this = Self::of_system(System::default(), config);
        if !config.servers.is_empty() {
            this.system = None;
            let servers = config.servers.iter().map(|server| name_server(*server));
            let servers = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            let dns = build(servers, ResolverOpts::default(), this.once);
            this.dns = Ok(dns.map_err(|error| DnsError::System(BoxError::from(error)))?);
        }
        Ok(this)
    }

    /// Reads nothing yet.
    pub(super) fn of_system(system: System, config: &DnsConfig) -> Self {
        Self {
            system: Some(system),
            // So that each server is asked more than once within the time there is.
            once: (config.timeout / 3).max(Duration::from_millis(1)),
            dns: Err("nothing was read yet".to_owned()),
            hosts: Hosts::default(),
            search: Vec::new(),
            ndots: 1,
        }
    }

    /// To be called before each lookup: the system's files may be others by now.
    pub(super) async fn prepare(&mut self) {
        if let Some(system) = &mut self.system {
            let (resolv_conf, hosts) = (system.resolv_conf.clone(), system.hosts.clone());
            let read = move || Texts {
                resolv_conf: std::fs::read(resolv_conf).map_err(|error| error.to_string()),
                hosts: std::fs::read(hosts).unwrap_or_default(),
            };
            if let Ok(texts) = tokio::task::spawn_blocking(read).await
                && system.read.as_ref() != Some(&texts)
            {
                system.read = Some(texts.clone());
                let port = system.port;
                self.take(&texts, port);
            }
        }
        if let Ok(dns) = &self.dns {
            // How long answers hold is decided by whoever asks.
            dns.clear_cache();
        }
    }

    /// What was learned of the system may be wrong: where it is not in files, nothing else says so.
    pub(super) fn has_failed(&mut self) {
        if let Some(system) = &mut self.system
            && !IN_FILES
        {
            system.read = None;
        }
    }

    fn take(&mut self, texts: &Texts, port: u16) {
        self.hosts = hosts(&texts.hosts);
        self.search.clear();
        let settings = settings(&texts.resolv_conf).and_then(|(mut config, options)| {
            for connection in config
                .name_servers
                .iter_mut()
                .flat_map(|server| &mut server.connections)
            {
                if connection.port == 53 {
                    connection.port = port;
                }
            }
            // As elsewhere: the search list, or else the system's own domain.
            self.search.clone_from(&config.search);
            if self.search.is_empty() {
                self.search.extend(config.domain.clone());
            }
            self.ndots = options.ndots;
            build(config, options, self.once).map_err(|error| chain(&error))
        });
        self.dns = settings;
    }

    /// The full names that `name` may stand for, in the order in which they are looked for.
    pub(super) fn full_names(&self, name: &Name) -> Vec<Name> {
        let mut raw = name.clone();
        raw.set_fqdn(true);
        if name.is_fqdn() {
            return vec![raw];
        }
        let searched = self.search.iter();
        // One that would be too long is none.
        let searched = searched.filter_map(|domain| {
            let mut full = name.clone().append_domain(domain).ok()?;
            full.set_fqdn(true);
            Some(full)
        });
        let mut names: Vec<_> = searched.collect();
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let place = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(place, raw);
        names
    }

    /// The addresses that need no question, of IPv6 and IPv4: those in the hosts file, as it is written
    /// there, and this host.
    pub(super) fn fixed(&self, name: &Name) -> Option<(Vec<IpAddr>, Vec<IpAddr>)> {
        let of = |kind| {
            let found = self
                .hosts
                .lookup_static_host(&Query::query(name.clone(), kind));
            let records = found.iter().flat_map(|found| found.answers());
            let ips = records.filter_map(|record| record.data.ip_addr());
            ips.collect::<Vec<_>>()
        };
        let (v6, v4) = (of(RecordType::AAAA), of(RecordType::A));
        if v6.is_empty() && v4.is_empty() {
            // RFC 6761: it is not asked for.
            return name.is_localhost().then(|| {
                let (v6, v4) = (std::net::Ipv6Addr::LOCALHOST, std::net::Ipv4Addr::LOCALHOST);
                (vec![v6.into()], vec![v4.into()])
            });
        }
        Some((v6, v4))
    }

    /// What DNS has for a full name.
    pub(super) async fn records(&self, full: Name, kind: RecordType) -> Records {
        let dns = self.dns.as_ref();
        let dns = dns.map_err(|error| LookupError::System(error.clone()))?;
        match dns.lookup(full, kind).await {
            Ok(found) => {
                let records = found.answers().iter();
                let ttl = records.clone().map(|record| record.ttl).min();
                let ttl = Duration::from_secs(ttl.unwrap_or_default().into());
                let wanted = records.filter(|record| record.record_type() == kind);
                let records = wanted.map(|record| record.data.clone()).collect();
                Ok((records, ttl))
            }
            Err(error) if error.is_no_records_found() => Ok((Vec::new(), Duration::ZERO)),
            Err(error) => Err(error.into()),
        }
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = server.port();
    }
    NameServerConfig::new(server.ip(), true, connections)
}

fn build(
    config: ResolverConfig,
    mut options: ResolverOpts,
    once: Duration,
) -> Result<TokioResolver, NetError> {
    // They are looked at here.
    options.use_hosts_file = ResolveHosts::Never;
    options.attempts = 2;
    options.timeout = options.timeout.min(once);
    let provider = TokioRuntimeProvider::default();
    let mut builder = TokioResolver::builder_with_config(config, provider);
    *builder.options_mut() = options;
    builder.build()
}

type Settings = Result<(ResolverConfig, ResolverOpts), String>;

/// Whether a system's settings are all in its files.
const IN_FILES: bool = cfg!(all(
    unix,
    not(any(target_os = "android", target_vendor = "apple"))
));

#[cfg(all(unix, not(any(target_os = "android", target_vendor = "apple"))))]
fn settings(resolv_conf: &Result<Vec<u8>, String>) -> Settings {
    let text = resolv_conf.as_ref().map_err(Clone::clone)?;
    let settings = hickory_resolver::system_conf::parse_resolv_conf(text);
    settings.map_err(|error| chain(&error))
}

#[cfg(not(all(unix, not(any(target_os = "android", target_vendor = "apple")))))]
fn settings(_: &Result<Vec<u8>, String>) -> Settings {
    let settings = hickory_resolver::system_conf::read_system_conf();
    settings.map_err(|error| chain(&error))
}

fn hosts(text: &[u8]) -> Hosts {
    let mut hosts = Hosts::default();
    if cfg!(unix) {
        // Reading it from memory fails for what is no text, and then at that line.
        let _ = hosts.read_hosts_conf(text);
        hosts
    } else {
        Hosts::from_system().unwrap_or_default()
    }
}
