use std::fmt;
use std::str::FromStr;

/// The name a channel is dialled by: `scheme://authority/path`, in gRPC's name syntax.
///
/// | text | scheme | authority | path |
/// |---|---|---|---|
/// | `etcd:///user-service` | `etcd` | | `user-service` |
/// | `etcd://10.0.0.1:2379,10.0.0.2:2379/service/user` | `etcd` | `10.0.0.1:2379,10.0.0.2:2379` | `service/user` |
/// | `dns:///users.internal:8090` | `dns` | | `users.internal:8090` |
/// | `dns://8.8.8.8/_grpc._tcp.users.internal` | `dns` | `8.8.8.8` | `_grpc._tcp.users.internal` |
/// | `file:///etc/endpoints.yaml#user-service` | `file` | | `etc/endpoints.yaml#user-service` |
/// | `static:///10.0.0.5:8090,10.0.0.6:8090` | `static` | | `10.0.0.5:8090,10.0.0.6:8090` |
/// | `unix:///run/user.sock` | `unix` | | `/run/user.sock` |
/// | `10.0.0.5:8090` | `static` | | `10.0.0.5:8090` |
///
/// ```
/// use evenkeel_core::Target;
///
/// let target: Target = "etcd:///service/user".parse()?;
/// assert_eq!((target.scheme(), target.path()), ("etcd", "service/user"));
/// assert_eq!(target.service_authority(), "service-user");
/// # Ok::<(), evenkeel_core::ParseTargetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    scheme: String,
    authority: String,
    path: String,
}

/// Text that is not a [`Target`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid target {text:?}: {reason}")]
#[non_exhaustive]
pub struct ParseTargetError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Target {
    /// What finds the endpoints: `etcd`, `static`, `unix`, …; lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Where to ask, when the scheme needs to be told; often empty.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The service's name, without the leading slash (with it for `unix:///…`).
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The `:authority` of calls to this target, unless the user chose another: the path, with `-`
    /// for what may not stand in an authority, and `localhost` for Unix sockets. For SRV records it is the
    /// name without `_service._proto`, and for a file the service in it, or its name without `.yaml`.
    #[must_use]
    pub fn service_authority(&self) -> String {
        if self.scheme.starts_with("unix") {
            return "localhost".to_owned();
        }
        let first = match self.scheme.as_str() {
            "dns" => host_of_srv(&self.path),
            "file" => service_of_file(&self.path),
            _ => self.path.split(',').next().unwrap_or_default(),
        };
        let first = first.trim_start_matches('/');
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._~:[]".contains(c);
        first
            .chars()
            .map(|c| if legal(c) { c } else { '-' })
            .collect()
    }
}

/// A certificate has no names with `_`.
fn host_of_srv(name: &str) -> &str {
    let mut host = name;
    while let Some((label, rest)) = host.split_once('.')
        && label.starts_with('_')
    {
        host = rest;
    }
    host
}

fn service_of_file(path: &str) -> &str {
    let (path, service) = path.split_once('#').unwrap_or((path, ""));
    if !service.is_empty() {
        return service;
    }
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    if stem.is_empty() { name } else { stem }
}

impl FromStr for Target {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, ParseTargetError> {
        let error = |reason| ParseTargetError {
            text: text.to_owned(),
            reason,
        };
        let (scheme, authority, path) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                (scheme, authority, path)
            }
            None => match text.split_once(':') {
                Some((scheme @ ("unix" | "unix-abstract"), path)) => (scheme, "", path),
                _ => ("static", "", text),
            },
        };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if scheme.is_empty() || !scheme.bytes().all(legal) {
            return Err(error(
                "the scheme has only letters, digits, '+', '-' and '.'",
            ));
        }
        if path.trim_matches('/').is_empty() {
            return Err(if authority.is_empty() {
                error("the name after the scheme is missing")
            } else {
                error("the name is missing; a target without an authority has three slashes")
            });
        }
        let scheme = scheme.to_ascii_lowercase();
        let absolute = scheme == "unix" && text.contains("://");
        let path = if absolute {
            format!("/{path}")
        } else {
            path.to_owned()
        };
        Ok(Self {
            scheme,
            authority: authority.to_owned(),
            path,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        if self.scheme == "unix" {
            let slashes = if path.starts_with('/') { "//" } else { "" };
            return write!(f, "unix:{slashes}{}{path}", self.authority);
        }
        write!(f, "{}://{}/{path}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_three_parts() {
        for (text, parts, shown) in [
            (
                "etcd:///user-service",
                ("etcd", "", "user-service"),
                "etcd:///user-service",
            ),
            ("ETCD:///a", ("etcd", "", "a"), "etcd:///a"),
            (
                "etcd://h1:1,h2:2/service/user",
                ("etcd", "h1:1,h2:2", "service/user"),
                "",
            ),
            // A slash that the name begins with, as other frameworks' keys do.
            ("etcd:////services/web", ("etcd", "", "/services/web"), ""),
            ("static:///a:1,b:2", ("static", "", "a:1,b:2"), ""),
            (
                "127.0.0.1:80",
                ("static", "", "127.0.0.1:80"),
                "static:///127.0.0.1:80",
            ),
            ("unix:///run/x.sock", ("unix", "", "/run/x.sock"), ""),
            ("unix:x.sock", ("unix", "", "x.sock"), ""),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(
                (target.scheme(), target.authority(), target.path()),
                parts,
                "{text}"
            );
            assert_eq!(
                target.to_string(),
                if shown.is_empty() { text } else { shown }
            );
        }
    }

    #[test]
    fn text_that_is_no_target_says_why() {
        for (text, why) in [
            ("", "name after the scheme"),
            ("etcd:///", "name after the scheme"),
            ("etcd://user-service", "three slashes"),
            ("e tcd:///x", "scheme"),
            ("://x/y", "scheme"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_default_authority_is_a_legal_one() {
        for (text, authority) in [
            ("etcd:///service/user", "service-user"),
            ("etcd:///user-service", "user-service"),
            ("etcd:////services/web", "services-web"),
            ("static:///127.0.0.1:80,127.0.0.1:81", "127.0.0.1:80"),
            ("unix:///run/x.sock", "localhost"),
            ("dns:///users.internal:8090", "users.internal:8090"),
            ("dns:///_grpc._tcp.users.internal", "users.internal"),
            ("file:///etc/user-service.yaml", "user-service"),
            ("file:///etc/all.yaml#user", "user"),
            ("file:///etc/.yaml", ".yaml"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.service_authority(), authority);
            assert!(authority.parse::<http::uri::Authority>().is_ok());
        }
    }
}
