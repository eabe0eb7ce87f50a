//! Who takes part, in the order of the tables. A new contender is a line here.

use crate::results;

/// A way to call several endpoints, and where its program comes from.
#[derive(Debug)]
pub(super) struct Contender {
    /// Its program is `contender-NAME`.
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) source: Source,
    /// Crates whose versions are said behind `what`.
    crates: &'static [&'static str],
    /// Whether it is in the tables; else it is there for one figure only.
    pub(super) ranked: bool,
    /// Whether more is looked at than its time. Not, when it waits for timers of the network:
    /// counting would take hours.
    pub(super) counted: bool,
}

/// What builds a contender's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A package of this workspace.
    Here(&'static str),
    /// A package of the workspace `peers`.
    Peers(&'static str),
    /// The Go module in `peers/go`.
    Go,
}

const fn here(
    name: &'static str,
    package: &'static str,
    what: &'static str,
    crates: &'static [&'static str],
) -> Contender {
    Contender {
        name,
        what,
        source: Source::Here(package),
        crates,
        ranked: true,
        counted: true,
    }
}

const fn peer(
    name: &'static str,
    package: &'static str,
    what: &'static str,
    crates: &'static [&'static str],
) -> Contender {
    Contender {
        source: Source::Peers(package),
        ..here(name, package, what, crates)
    }
}

pub(super) const ALL: &[Contender] = &[
    here("h2", "contender-h2", "raw h2, framed by hand", &["h2"]),
    here(
        "h2_stub",
        "contender-h2_stub",
        "h2 under tonic's stub: the floor for what tonic's users can have",
        &["h2", "tonic"],
    ),
    here(
        "evenkeel_round_robin",
        "contender-evenkeel",
        "Evenkeel's channel with round_robin, as it comes otherwise",
        &["evenkeel"],
    ),
    here(
        "evenkeel",
        "contender-evenkeel",
        "Evenkeel's channel with everything on: deadline, retry policy, round_robin, breaker",
        &["evenkeel"],
    ),
    here(
        "evenkeel_layers",
        "contender-evenkeel",
        "the same, its layers stacked by hand",
        &["evenkeel"],
    ),
    here(
        "hyper",
        "contender-hyper",
        "raw hyper, framed by hand",
        &["hyper"],
    ),
    here(
        "hyper_stub",
        "contender-hyper_stub",
        "hyper under tonic's stub",
        &["hyper", "tonic"],
    ),
    here(
        "tonic_channels",
        "contender-tonic",
        "a tonic Channel for each endpoint, and an index",
        &["tonic"],
    ),
    here(
        "balance_list",
        "contender-tonic",
        "tonic's Channel::balance_list",
        &["tonic"],
    ),
    here(
        "peak_ewma",
        "contender-peak_ewma",
        "tower's p2c with PeakEwma over tonic Channels",
        &["tower", "tonic"],
    ),
    peer(
        "ginepro",
        "contender-ginepro",
        "ginepro's LoadBalancedChannel",
        &["ginepro"],
    ),
    peer(
        "grpc",
        "contender-grpc",
        "the grpc crate's Channels with TCP_NODELAY, and an index",
        &["grpc"],
    ),
    Contender {
        counted: false,
        ..peer(
            "grpc_as_shipped",
            "contender-grpc",
            "the same without TCP_NODELAY, which the crate never sets",
            &["grpc"],
        )
    },
    peer(
        "volo",
        "contender-volo",
        "volo-grpc with its default balancer",
        &["volo-grpc"],
    ),
    Contender {
        source: Source::Go,
        ..peer(
            "grpc_go",
            "",
            "grpc-go with round_robin",
            &["google.golang.org/grpc"],
        )
    },
    Contender {
        ranked: false,
        ..here(
            "evenkeel_pick_first",
            "contender-evenkeel",
            "Evenkeel's channel with pick_first: its other endpoints are not connected",
            &["evenkeel"],
        )
    },
];

impl Contender {
    /// What instructions of it valgrind can count.
    pub(super) fn runs_in_valgrind(&self) -> bool {
        self.source != Source::Go
    }

    /// For the results.
    pub(super) fn described(&self) -> results::Contender {
        let lock = match self.source {
            Source::Here(_) => "Cargo.lock",
            Source::Peers(_) => "peers/Cargo.lock",
            Source::Go => "peers/go/go.mod",
        };
        let lock = std::fs::read_to_string(super::folder().join(lock)).unwrap_or_default();
        let versions: Vec<_> = self
            .crates
            .iter()
            .filter_map(|name| Some(format!("{name} {}", self.version(name, &lock)?)))
            .collect();
        results::Contender {
            name: self.name.to_owned(),
            what: format!("{} ({})", self.what, versions.join(", ")),
        }
    }

    /// The version that the lock file has of a crate; of several, the first.
    fn version<'a>(&self, name: &str, lock: &'a str) -> Option<&'a str> {
        if self.source == Source::Go {
            let line = lock.lines().find(|line| line.contains(name))?;
            return line.split_whitespace().last();
        }
        let entry = format!("name = \"{name}\"\nversion = \"");
        lock.split(&entry).nth(1)?.split('"').next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_says_its_versions() {
        for contender in ALL {
            let what = contender.described().what;
            assert!(
                what.contains(char::is_numeric),
                "{}: {what}",
                contender.name
            );
        }
    }
}
