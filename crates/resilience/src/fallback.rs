use std::error::Error;
use std::fmt;
use std::str::FromStr;

use evenkeel_policy::retry::RetryPolicy;
use evenkeel_policy::throttle::ThrottleConfig;

/// How calls are tried again whose methods a service config has neither retries nor hedging for.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct FallbackRetry {
    /// The policy.
    pub policy: RetryPolicy,
    /// Methods and services whose calls it is not for, since they must not be made twice.
    pub except: Vec<MethodName>,
    /// The throttle where the service config has no `retryThrottling`: of all retries then, those that
    /// the service config has included.
    pub throttle: Option<ThrottleConfig>,
}

/// A method, `package.Service/Method`, or all of a service, `package.Service`: as a service config
/// names them, and never one that no call can have.
///
/// ```
/// use evenkeel_resilience::MethodName;
///
/// let name: MethodName = "user.UserService/Create".parse()?;
/// assert!(name.covers("/user.UserService/Create"));
/// assert!(!name.covers("/user.UserService/Get"));
/// assert!("/user.UserService/Create".parse::<MethodName>().is_err());
/// # Ok::<(), evenkeel_resilience::InvalidMethodName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MethodName(Box<str>);

/// No call has a method of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidMethodName {
    /// What was to be a name.
    pub name: String,
}

impl FallbackRetry {
    /// The policy of the calls to `path`, if it is for them.
    pub(crate) fn policy_of(&self, path: &str) -> Option<&RetryPolicy> {
        let is_excepted = self.except.iter().any(|name| name.covers(path));
        (!is_excepted).then_some(&self.policy)
    }
}

impl From<RetryPolicy> for FallbackRetry {
    /// For all methods, without a throttle of its own.
    fn from(policy: RetryPolicy) -> Self {
        Self {
            policy,
            except: Vec::new(),
            throttle: None,
        }
    }
}

impl MethodName {
    /// Whether calls to `path`, `/package.Service/Method`, are of this name.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        let path = path.strip_prefix('/').unwrap_or(path);
        let service = path.rsplit_once('/').map(|(service, _)| service);
        *self.0 == *path || service == Some(&*self.0)
    }
}

impl FromStr for MethodName {
    type Err = InvalidMethodName;

    /// # Errors
    ///
    /// [`InvalidMethodName`] for a name with an empty part, with more than one slash, or with
    /// characters that a path does not have. It does not begin with a slash.
    fn from_str(name: &str) -> Result<Self, InvalidMethodName> {
        let is_part = |part: &str| {
            let mut bytes = part.bytes();
            !part.is_empty() && bytes.all(|byte| byte.is_ascii_graphic() && !b"/?#".contains(&byte))
        };
        let is_valid = match name.split_once('/') {
            Some((service, method)) => is_part(service) && is_part(method),
            None => is_part(name),
        };
        if is_valid {
            Ok(Self(name.into()))
        } else {
            let name = name.to_owned();
            Err(InvalidMethodName { name })
        }
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidMethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        write!(
            f,
            "{name:?} is no name of a method: write package.Service or package.Service/Method"
        )
    }
}

impl Error for InvalidMethodName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_a_method_or_of_all_of_a_service() {
        for (name, path, is_covered) in [
            ("a.B/C", "/a.B/C", true),
            ("a.B/C", "/a.B/D", false),
            ("a.B/C", "/a.B/CC", false),
            ("a.B/C", "/a.B", false),
            ("a.B", "/a.B/C", true),
            ("a.B", "/a.B/D", true),
            ("a.B", "/a.BB/C", false),
            ("a.B", "/x.a.B/C", false),
            ("B", "/a.B/C", false),
            ("B", "/B/C", true),
        ] {
            let parsed = name.parse::<MethodName>().unwrap();
            assert_eq!(parsed.covers(path), is_covered, "{name} {path}");
            assert_eq!(parsed.to_string(), name);
        }
    }

    #[test]
    fn what_no_call_has_is_no_name() {
        for name in [
            "", "/", "/a.B", "a.B/", "/a.B/C", "a.B/C/D", "a.B//C", "a B", "a.B/C?x", " a.B", "ä",
        ] {
            let error = name.parse::<MethodName>().unwrap_err();
            assert_eq!(error.name, name);
            assert!(error.to_string().contains("Service/Method"));
        }
    }
}
