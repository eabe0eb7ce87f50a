//! From a target to a stream of endpoints.

use std::pin::Pin;

use evenkeel_core::{Address, BoxError, Endpoint, Target};
use evenkeel_discover::{Change, DiscoverError, MemoryRegistry, StaticDiscover};
use futures_util::{Stream, StreamExt, TryStreamExt};

use crate::BuildError;

/// Endpoints from wherever the target says.
pub(crate) type Endpoints = Pin<Box<dyn Stream<Item = Result<Change, BoxError>> + Send>>;

/// What a target comes to.
pub(crate) struct Opened {
    pub(crate) endpoints: Endpoints,
    /// Tells the source that endpoints fail, if it could know better by now.
    pub(crate) resolve_now: Option<ResolveNow>,
}

/// gRPC's request for another resolution.
pub(crate) type ResolveNow = Box<dyn Fn() + Send + Sync>;

/// What a target may need beside itself.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) registry: Option<MemoryRegistry>,
    #[cfg(feature = "etcd")]
    pub(crate) etcd: Option<EtcdSource>,
    #[cfg(feature = "dns")]
    pub(crate) dns: Option<evenkeel_discover::DnsConfig>,
}

/// Where `etcd:///` targets find etcd: a configuration, for a connection of the channel's own, or an
/// [`Etcd`](evenkeel_etcd::Etcd), which channels and registrars may share.
#[cfg(feature = "etcd")]
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EtcdSource {
    /// The channel's own, made of this.
    Config(Box<evenkeel_etcd::EtcdConfig>),
    /// This one.
    Shared(evenkeel_etcd::Etcd),
}

#[cfg(feature = "etcd")]
impl From<evenkeel_etcd::EtcdConfig> for EtcdSource {
    fn from(config: evenkeel_etcd::EtcdConfig) -> Self {
        Self::Config(Box::new(config))
    }
}

#[cfg(feature = "etcd")]
impl From<evenkeel_etcd::Etcd> for EtcdSource {
    fn from(etcd: evenkeel_etcd::Etcd) -> Self {
        Self::Shared(etcd)
    }
}

impl Sources {
    pub(crate) fn open(self, target: &Target) -> Result<Opened, BuildError> {
        let unused = self
            .authority_is_unused(target.scheme())
            .filter(|_| !target.authority().is_empty());
        if let Some(hint) = unused {
            let (target, authority) = (target.to_string(), target.authority().to_owned());
            return Err(BuildError::UnusedAuthority {
                target,
                authority,
                hint,
            });
        }
        match target.scheme() {
            "static" => {
                let addresses = target
                    .path()
                    .split(',')
                    .map(|text| address(target, text.trim()));
                fixed(addresses.collect::<Result<Vec<_>, _>>()?)
            }
            scheme @ ("unix" | "unix-abstract") => fixed(vec![address(
                target,
                &format!("{scheme}:{}", target.path()),
            )?]),
            "memory" => match self.registry {
                Some(registry) => Ok(opened(registry.watch(target.path()))),
                None => Err(BuildError::NoRegistry {
                    target: target.to_string(),
                }),
            },
            #[cfg(feature = "etcd")]
            "etcd" => {
                use evenkeel_etcd::{Etcd, EtcdConfig, EtcdDiscover};

                let etcd = match self.etcd {
                    Some(EtcdSource::Shared(etcd)) => Ok(etcd),
                    Some(EtcdSource::Config(config)) => Etcd::new(*config),
                    None => Etcd::new(EtcdConfig::for_target(target)),
                };
                let etcd = etcd.map_err(|source| {
                    let source = source.into();
                    BuildError::Etcd {
                        target: target.to_string(),
                        source,
                    }
                })?;
                Ok(opened(EtcdDiscover::watch(etcd, target.path())))
            }
            #[cfg(not(feature = "etcd"))]
            "etcd" => Err(unknown(target, "the feature `etcd` is not enabled")),
            #[cfg(feature = "dns")]
            "dns" => {
                use evenkeel_discover::DnsDiscover;

                let source = DnsDiscover::for_target(target, self.dns.unwrap_or_default());
                let source = source.map_err(|source| BuildError::Dns {
                    target: target.to_string(),
                    source,
                })?;
                let handle = source.handle();
                Ok(Opened {
                    resolve_now: Some(Box::new(move || handle.resolve_now())),
                    ..opened(source)
                })
            }
            #[cfg(not(feature = "dns"))]
            "dns" => Err(unknown(target, "the feature `dns` is not enabled")),
            #[cfg(feature = "file")]
            "file" => {
                use evenkeel_discover::{FileConfig, FileDiscover};

                let (path, service) = match target.path().split_once('#') {
                    Some((path, service)) => (path, Some(service.to_owned())),
                    None => (target.path(), None),
                };
                let config = FileConfig {
                    service,
                    ..FileConfig::default()
                };
                // The slash before it ends the authority, and begins the path.
                Ok(opened(FileDiscover::watch(format!("/{path}"), config)))
            }
            #[cfg(not(feature = "file"))]
            "file" => Err(unknown(target, "the feature `file` is not enabled")),
            _ => Err(unknown(
                target,
                "known are dns, etcd, file, memory, static and unix, and `discover` takes any stream",
            )),
        }
    }
}

impl Sources {
    /// Why an authority in the target would be ignored, if it would.
    fn authority_is_unused(&self, scheme: &str) -> Option<&'static str> {
        match scheme {
            #[cfg(feature = "etcd")]
            "etcd" => self
                .etcd
                .as_ref()
                .map(|_| "the builder was told where etcd is"),
            "file" => Some("a file is on this machine: write the target with three slashes"),
            "memory" | "static" | "unix" | "unix-abstract" => {
                Some("write the target with three slashes")
            }
            _ => None,
        }
    }
}

fn unknown(target: &Target, hint: &'static str) -> BuildError {
    BuildError::Scheme {
        target: target.to_string(),
        scheme: target.scheme().to_owned(),
        hint,
    }
}

fn address(target: &Target, text: &str) -> Result<Address, BuildError> {
    text.parse().map_err(|source| BuildError::Address {
        target: target.to_string(),
        source,
    })
}

fn fixed(addresses: Vec<Address>) -> Result<Opened, BuildError> {
    let endpoints = addresses.into_iter().map(Endpoint::new);
    Ok(opened(StaticDiscover::new(endpoints)))
}

fn opened(source: impl Stream<Item = Result<Change, DiscoverError>> + Send + 'static) -> Opened {
    Opened {
        endpoints: source.map_err(Into::into).boxed(),
        resolve_now: None,
    }
}
