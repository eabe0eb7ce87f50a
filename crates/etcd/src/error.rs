mod advice;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::error::chain;
use tonic::Code;

use crate::connect::is_about_token;
use advice::with_advice;

/// What went wrong with etcd.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// A configuration that cannot work.
    #[error("etcd configuration: {field}: {reason}")]
    #[non_exhaustive]
    Config {
        /// The field of the configuration.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// etcd, or the way there, answered with an error.
    #[error("{action}: {reason}")]
    #[non_exhaustive]
    Request {
        /// What was asked for.
        action: &'static str,
        /// The gRPC code; UNAVAILABLE when there is no connection.
        code: Code,
        /// Who was asked and the answer, with its sources.
        reason: String,
    },
    /// No answer in time.
    #[error("{action}: {member}: no answer within {within:?}")]
    #[non_exhaustive]
    Timeout {
        /// What was asked for.
        action: &'static str,
        /// Who was asked: the URL of a member.
        member: Arc<str>,
        /// The limit.
        within: Duration,
    },
    /// A watch or keep-alive stream has ended.
    #[error("{action}: {reason}")]
    #[non_exhaustive]
    StreamEnded {
        /// What it was for.
        action: &'static str,
        /// What etcd said, or what was seen.
        reason: String,
    },
    /// The lease expired or was revoked, and the keys under it are gone.
    #[error("the lease was lost")]
    LeaseLost,
    /// The key was deleted or overwritten by somebody else.
    #[error("{key} was deleted or overwritten")]
    #[non_exhaustive]
    KeyLost {
        /// The key.
        key: String,
    },
    /// Another process has registered the same key, later than we did, and lives.
    #[error(
        "{key} is held by another lease, {lease:x}: another process has registered this address"
    )]
    #[non_exhaustive]
    KeyHeld {
        /// The key.
        key: String,
        /// The other process's lease.
        lease: i64,
    },
}

impl EtcdError {
    pub(crate) fn config(field: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Config { field, reason }
    }

    pub(crate) fn ended(action: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::StreamEnded { action, reason }
    }

    pub(crate) fn request(action: &'static str, error: etcd_client::Error) -> Self {
        let (code, reason) = match error {
            etcd_client::Error::GRpcStatus(status) => (status.code(), status_text(&status)),
            etcd_client::Error::TransportError(error) => (Code::Unavailable, chain(&error)),
            other => (Code::Unknown, other.to_string()),
        };
        Self::Request {
            action,
            code,
            reason,
        }
    }

    pub(crate) fn held(key: &str, lease: i64) -> Self {
        let key = key.to_owned();
        Self::KeyHeld { key, lease }
    }

    /// There is no connection to this member.
    pub(crate) fn unreachable(action: &'static str, member: &str, reason: &str) -> Self {
        let reason = format!("{member}: {}", with_advice(member, reason));
        let code = Code::Unavailable;
        Self::Request {
            action,
            code,
            reason,
        }
    }

    pub(crate) fn silent(action: &'static str, member: &Arc<str>, within: Duration) -> Self {
        Self::Timeout {
            action,
            member: Arc::clone(member),
            within,
        }
    }

    /// What all members have failed with.
    pub(crate) fn all(action: &'static str, mut errors: Vec<Self>) -> Self {
        match errors.len() {
            0 => Self::ended(action, "no member was asked"),
            1 => errors.swap_remove(0),
            _ => {
                // The same action again and again adds nothing.
                let start = format!("{action}: ");
                let texts = errors.iter().map(|error| {
                    let text = error.to_string();
                    text.strip_prefix(&start).map_or(text.clone(), Into::into)
                });
                let reason = texts.collect::<Vec<_>>().join("; ");
                let code = Code::Unavailable;
                Self::Request {
                    action,
                    code,
                    reason,
                }
            }
        }
    }

    /// The same, naming the member that was asked.
    pub(crate) fn at(mut self, member: &str) -> Self {
        if let Self::Request { reason, .. } = &mut self {
            *reason = format!("{member}: {reason}");
        }
        self
    }

    /// Whether etcd has refused us for who we are: nothing that goes away by waiting.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Request { code, .. } => {
                *code == Code::PermissionDenied || self.is_about_the_password()
            }
            Self::StreamEnded { reason, .. } => reason.contains("permission denied"),
            _ => false,
        }
    }

    /// Whether nobody answered: asking once more costs as much time.
    pub(crate) fn is_silence(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Request { code, reason, .. } => {
                *code == Code::Unavailable && !reason.contains("no leader")
            }
            _ => false,
        }
    }

    /// Whether etcd has refused name or password.
    pub(crate) fn is_about_the_password(&self) -> bool {
        let Self::Request { code, reason, .. } = self else {
            return false;
        };
        *code == Code::InvalidArgument && reason.contains("authentication failed")
    }

    /// Whether another token would do.
    pub(crate) fn is_about_the_token(&self) -> bool {
        match self {
            Self::Request { code, reason, .. } => {
                *code == Code::Unauthenticated || is_about_token(reason)
            }
            Self::StreamEnded { reason, .. } => is_about_token(reason),
            _ => false,
        }
    }

    /// Whether another member may do better: this one has not given etcd's answer.
    pub(crate) fn is_about_the_member(&self) -> bool {
        match self {
            Self::Request { code, .. } => matches!(
                code,
                Code::Unavailable
                    | Code::Unknown
                    | Code::Internal
                    | Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::DataLoss
                    | Code::Unimplemented
            ),
            Self::Timeout { .. } | Self::StreamEnded { .. } => {
                !self.is_about_the_token() && !self.is_refusal()
            }
            _ => false,
        }
    }

    /// Whether etcd has refused just this key or value, and may well take others.
    pub(crate) fn is_about_the_key(&self) -> bool {
        let Self::Request { code, reason, .. } = self else {
            return false;
        };
        match code {
            // No permission; a message longer than may be received or sent.
            Code::PermissionDenied | Code::OutOfRange => true,
            // The same as gRPC's other implementations say it.
            Code::ResourceExhausted => reason.contains("larger than max"),
            // A request that is too large; but etcd also complains of outdated tokens like this.
            Code::InvalidArgument => !reason.contains("auth") && !reason.contains("user name"),
            _ => false,
        }
    }

    /// Whether etcd takes nothing at the moment, whoever asks: it is overloaded, or full.
    pub(crate) fn is_exhaustion(&self) -> bool {
        let exhausted =
            matches!(self, Self::Request { code, .. } if *code == Code::ResourceExhausted);
        exhausted && !self.is_about_the_key()
    }

    /// Whether the revision that was asked for has been compacted away.
    pub(crate) fn is_compaction(&self) -> bool {
        let Self::Request { code, reason, .. } = self else {
            return false;
        };
        *code == Code::OutOfRange && reason.contains("compacted")
    }

    /// Whether etcd does not know (any more) what was named: a lease that is gone.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::LeaseLost)
            || matches!(self, Self::Request { code, .. } if *code == Code::NotFound)
    }
}

/// The message of a status and its sources; tonic's own `Display` has all of the struct in it.
fn status_text(status: &tonic::Status) -> String {
    let sources = status.source().map(chain);
    match (status.message(), sources) {
        ("", None) => status.code().description().to_owned(),
        ("", Some(sources)) => sources,
        (message, Some(sources)) if !sources.contains(message) => format!("{message}: {sources}"),
        (_, Some(sources)) => sources,
        (message, None) => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compaction_is_told_from_a_message_that_is_too_long() {
        for (reason, expected) in [
            (
                "etcdserver: mvcc: required revision has been compacted",
                true,
            ),
            ("decoded message length too large", false),
        ] {
            let error = EtcdError::Request {
                action: "list endpoints",
                code: Code::OutOfRange,
                reason: reason.into(),
            };
            assert_eq!(error.is_compaction(), expected, "{error}");
        }
    }

    #[test]
    fn what_is_wrong_with_one_key_is_told_from_what_is_wrong_with_all() {
        let cases = [
            (
                Code::PermissionDenied,
                "etcdserver: permission denied",
                true,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: request is too large",
                true,
            ),
            (
                Code::ResourceExhausted,
                "grpc: received message larger than max (2097152 vs. 2000000)",
                true,
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                false,
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: too many requests",
                false,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: revision of auth store is old",
                false,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: user name is empty",
                false,
            ),
            (
                Code::Unauthenticated,
                "etcdserver: invalid auth token",
                false,
            ),
            (
                Code::NotFound,
                "etcdserver: requested lease not found",
                false,
            ),
            (Code::Unavailable, "connection refused", false),
        ];
        for (code, reason, expected) in cases {
            let error = EtcdError::Request {
                action: "register",
                code,
                reason: reason.into(),
            };
            assert_eq!(error.is_about_the_key(), expected, "{error}");
            let exhausted = code == Code::ResourceExhausted && !expected;
            assert_eq!(error.is_exhaustion(), exhausted, "{error}");
        }
        assert!(!EtcdError::LeaseLost.is_about_the_key());
    }
}
