mod texts;

use std::fmt;

/// What is looked at, in the order of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// A configured member does not answer.
    MemberUnreachable,
    /// A member has no leader.
    NoLeader,
    /// The configured members are of several clusters.
    SeveralClusters,
    /// etcd has raised an alarm.
    Alarm,
    /// The cluster has members that were not configured.
    UnlistedMember,
    /// etcd did not answer a question of the doctor's.
    Unanswered,
    /// There is no endpoint.
    NoEndpoints,
    /// There are endpoints, and none of them takes new calls.
    NobodyTakesCalls,
    /// A value that the layout cannot read.
    Unreadable,
    /// A part of a value that makes no sense.
    PartlyIgnored,
    /// An address that names no machine or no port.
    UnspecifiedAddress,
    /// An address that only its own machine can reach.
    LoopbackAddress,
    /// An address that no router passes on.
    UnroutableAddress,
    /// Several keys for one server.
    Duplicate,
    /// A key that never expires.
    NoLease,
    /// A key whose lease is gone.
    LeaseGone,
    /// A lease that a short hiccup ends.
    ShortTtl,
    /// A lease that outlives its server for long.
    LongTtl,
    /// A lease that nobody seems to renew.
    NotRenewed,
    /// Very many leases.
    ManyLeases,
    /// All weights are 0.
    AllWeightsZero,
    /// Some endpoints have a weight and others have none.
    MixedWeights,
    /// An endpoint that wants no new calls.
    NoNewCalls,
    /// An address that cannot be connected to.
    Unreachable,
    /// An address that was dialled by TLS, in vain.
    Tls,
    /// An address where nobody speaks HTTP/2, in the way that it was dialled.
    NotHttp2,
    /// Keys of another service that begin in the same way.
    PrefixBleed,
    /// Keys of what looks like another service, below this one.
    NestedService,
}

/// Name, why it hurts, and what to do.
type Texts = (&'static str, &'static str, &'static str);

impl Check {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::MemberUnreachable,
        Self::NoLeader,
        Self::SeveralClusters,
        Self::Alarm,
        Self::UnlistedMember,
        Self::Unanswered,
        Self::NoEndpoints,
        Self::NobodyTakesCalls,
        Self::Unreadable,
        Self::PartlyIgnored,
        Self::UnspecifiedAddress,
        Self::LoopbackAddress,
        Self::UnroutableAddress,
        Self::Duplicate,
        Self::NoLease,
        Self::LeaseGone,
        Self::ShortTtl,
        Self::LongTtl,
        Self::NotRenewed,
        Self::ManyLeases,
        Self::AllWeightsZero,
        Self::MixedWeights,
        Self::NoNewCalls,
        Self::Unreachable,
        Self::Tls,
        Self::NotHttp2,
        Self::PrefixBleed,
        Self::NestedService,
    ];

    /// Its name, which stays: `no-lease`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.texts().0
    }

    /// Why it hurts.
    #[must_use]
    pub const fn why(self) -> &'static str {
        self.texts().1
    }

    /// What to do about it.
    #[must_use]
    pub const fn fix(self) -> &'static str {
        self.texts().2
    }

    // None has the texts of another one: who adds a check is told by the compiler.
    const fn texts(self) -> Texts {
        match self {
            Self::MemberUnreachable
            | Self::NoLeader
            | Self::SeveralClusters
            | Self::Alarm
            | Self::UnlistedMember
            | Self::Unanswered => self.of_etcd(),
            Self::NoLease
            | Self::LeaseGone
            | Self::ShortTtl
            | Self::LongTtl
            | Self::NotRenewed
            | Self::ManyLeases => self.of_leases(),
            Self::PrefixBleed | Self::NestedService => self.of_names(),
            Self::NoEndpoints
            | Self::NobodyTakesCalls
            | Self::Unreadable
            | Self::PartlyIgnored
            | Self::UnspecifiedAddress
            | Self::LoopbackAddress
            | Self::UnroutableAddress
            | Self::Duplicate
            | Self::AllWeightsZero
            | Self::MixedWeights
            | Self::NoNewCalls
            | Self::Unreachable
            | Self::Tls
            | Self::NotHttp2 => self.of_endpoints(),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_has_a_name_and_texts_of_its_own() {
        let names: HashSet<_> = Check::ALL.iter().map(|check| check.as_str()).collect();
        assert_eq!(names.len(), Check::ALL.len());
        for check in Check::ALL {
            let name = check.as_str();
            assert!(
                name.bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            );
            assert!(
                !check.why().ends_with('.') && !check.fix().ends_with('.'),
                "{name}"
            );
        }
    }
}
