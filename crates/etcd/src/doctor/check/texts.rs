//! What a report says of each check.

use super::{Check, Texts};

impl Check {
    pub(super) const fn of_etcd(self) -> Texts {
        match self {
            Self::MemberUnreachable => (
                "member-unreachable",
                "one failure more, and clients and servers that know only the others are cut off",
                "start the member, or take its URL out of the configuration",
            ),
            Self::NoLeader => (
                "no-leader",
                "without a leader nothing can be registered, renewed or surely read",
                "bring back a majority of the members, or the network between them",
            ),
            Self::SeveralClusters => (
                "several-clusters",
                "clients that ask one see other servers than clients that ask the other",
                "configure the members of one cluster only",
            ),
            Self::Alarm => (
                "alarm",
                "etcd refuses to write: whoever restarts or loses a lease cannot register again",
                "NOSPACE: compact, defragment, then `etcdctl alarm disarm`; CORRUPT: replace the \
                 member",
            ),
            Self::UnlistedMember => (
                "unlisted-member",
                "when all configured members are down, this one is not asked although it is well",
                "add its URL to the configuration, unless a load balancer stands in between",
            ),
            _ => (
                "unanswered",
                "what it would have shown is not in this report",
                "ask as a user who may, or with a longer timeout",
            ),
        }
    }

    pub(super) const fn of_leases(self) -> Texts {
        match self {
            Self::NoLease => (
                "no-lease",
                "it stays when its server dies: a ghost that clients go on calling",
                "let the server register itself under a lease; delete it if the server is gone: \
                 `etcdctl del KEY`",
            ),
            Self::LeaseGone => (
                "lease-gone",
                "etcd is about to delete it, or has done so meanwhile",
                "look again; if it stays, its server is dead or has lost etcd",
            ),
            Self::ShortTtl => (
                "short-ttl",
                "a lost renewal, a pause of the process or a new leader takes a healthy server out",
                "register with 10 s or more; clients notice a dead server by themselves, at once",
            ),
            Self::LongTtl => (
                "long-ttl",
                "a server that dies without deregistering stays listed for so long",
                "register with 10 s to 60 s",
            ),
            Self::NotRenewed => (
                "not-renewed",
                "most servers renew every third of the time: by that this one is overdue, and its keys go soon",
                "look whether the server lives and reaches etcd",
            ),
            _ => (
                "many-leases",
                "etcd renews and, after a new leader, extends them one by one; tens of thousands \
                 lag",
                "one lease per process for all that it registers, and a TTL of 30 s or more",
            ),
        }
    }

    pub(super) const fn of_names(self) -> Texts {
        match self {
            Self::PrefixBleed => (
                "prefix-bleed",
                "readers that match the name without a final / (grpc-go's etcd resolver) call \
                 these servers too",
                "rename one of the two, or have such clients dial the name with the /",
            ),
            _ => (
                "nested-service",
                "readers that do not compare names take these servers for the service's own",
                "rename it, so that no service's name is the beginning of another one's",
            ),
        }
    }

    pub(super) const fn of_endpoints(self) -> Texts {
        match self {
            Self::NoEndpoints => (
                "no-endpoints",
                "every call fails with UNAVAILABLE, or waits until its deadline",
                "start a server, or compare its name and --prefix and --layout with those here",
            ),
            Self::NobodyTakesCalls => (
                "nobody-takes-calls",
                "every call fails with UNAVAILABLE, or waits until its deadline",
                "start a server, or end the draining of one",
            ),
            Self::Unreadable => (
                "unreadable",
                "the server is not called; some readers (kratos) then refuse the whole list",
                "read it in its own --layout, write it in this one, or delete the key",
            ),
            Self::PartlyIgnored => (
                "partly-ignored",
                "the endpoint is used as if the field were not there",
                "write the field as the layout wants it",
            ),
            Self::UnspecifiedAddress => (
                "unspecified-address",
                "0.0.0.0 and [::] are for listening, port 0 for choosing: nobody can call there",
                "advertise the address that clients reach the server by",
            ),
            Self::LoopbackAddress => (
                "loopback-address",
                "clients on other machines call themselves",
                "advertise the address that clients reach the server by",
            ),
            Self::UnroutableAddress => (
                "unroutable-address",
                "clients beyond the server's own machine or network do not reach it, or reach \
                 somebody else",
                "advertise the address that clients reach the server by",
            ),
            Self::Duplicate => (
                "duplicate",
                "readers that do not merge them (grpc-go, kratos) give it twice its share",
                "one key per server: of its address, not of a random id; after a restart the older \
                 one goes with its lease",
            ),
            Self::AllWeightsZero => (
                "all-weights-zero",
                "0 means no new calls, so there is nobody to call",
                "give at least one server a weight above 0",
            ),
            Self::MixedWeights => (
                "mixed-weights",
                "no weight counts as 1: next to weights of 10 or 100 that is next to nothing",
                "give all of them a weight, or none",
            ),
            Self::NoNewCalls => (
                "no-new-calls",
                "it finishes the calls that it has and gets no others",
                "nothing, if that is meant; otherwise a weight above 0 and the status up",
            ),
            Self::Unreachable => (
                "unreachable",
                "calls there fail, until clients have noticed and go elsewhere",
                "start the server, open the way there, or delete its key",
            ),
            Self::Tls => (
                "tls",
                "a client that trusts and names as the doctor did cannot call there",
                "compare the certificate with --dial-cacert and --dial-authority; renew one that \
                 has expired; a server without TLS needs clients without",
            ),
            _ => (
                "not-http2",
                "a client that connects as the doctor did cannot call there",
                "if it speaks TLS: tell the doctor by --dial-cacert; otherwise look what listens \
                 there",
            ),
        }
    }
}
