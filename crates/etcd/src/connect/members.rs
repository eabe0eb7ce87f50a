use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Uri;

/// Who has failed is asked last for this long.
const LAST_FOR: Duration = Duration::from_secs(30);

/// The members of the cluster, and whom to ask first. Pure.
#[derive(Debug)]
pub(super) struct Members {
    members: Vec<Member>,
    /// The place to begin at: not the same one in every process.
    first: usize,
}

#[derive(Debug)]
struct Member {
    url: Arc<str>,
    /// From the configuration: never forgotten.
    configured: bool,
    failed_at: Option<Instant>,
}

impl Members {
    pub(super) fn new(urls: &[String], first: usize) -> Self {
        let mut members = Self {
            members: Vec::new(),
            first,
        };
        for url in urls {
            members.add(url, true);
        }
        members
    }

    /// All members in the order in which to ask them: those that have failed lately come last, and
    /// among them who failed first.
    pub(super) fn order(&self, now: Instant) -> Vec<Arc<str>> {
        let count = self.members.len();
        let mut order: Vec<_> = (0..count)
            .map(|n| &self.members[self.first.wrapping_add(n) % count])
            .collect();
        order.sort_by_key(|member| {
            let lately = |at: &Instant| now.saturating_duration_since(*at) < LAST_FOR;
            member.failed_at.filter(lately)
        });
        order
            .into_iter()
            .map(|member| Arc::clone(&member.url))
            .collect()
    }

    pub(super) fn failed(&mut self, url: &str, now: Instant) {
        if let Some(member) = self.find(url) {
            member.failed_at = Some(now);
        }
    }

    pub(super) fn well(&mut self, url: &str) {
        if let Some(member) = self.find(url) {
            member.failed_at = None;
        }
    }

    /// Takes over what the member at `asked` says of the cluster: adds the client URLs that are of
    /// use here, and forgets those it was told before and not now.
    pub(super) fn learned<'u>(&mut self, asked: &str, urls: impl Iterator<Item = &'u str>) {
        let urls: HashSet<_> = urls
            .map(|url| url.trim_end_matches('/'))
            .filter(|url| is_of_use(url, asked))
            .collect();
        // An empty list says nothing of the cluster.
        if urls.is_empty() {
            return;
        }
        self.members
            .retain(|member| member.configured || urls.contains(&*member.url));
        let mut urls: Vec<_> = urls.into_iter().collect();
        urls.sort_unstable();
        for url in urls {
            self.add(url, false);
        }
    }

    fn add(&mut self, url: &str, configured: bool) {
        if self.find(url).is_none() {
            self.members.push(Member {
                url: url.into(),
                configured,
                failed_at: None,
            });
        }
    }

    fn find(&mut self, url: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| *member.url == *url)
    }
}

/// Whether a URL that a member has published leads there from here. Many clusters publish what
/// they listen on: `0.0.0.0`, or `localhost`, which is somebody else here.
fn is_of_use(published: &str, asked: &str) -> bool {
    let (Ok(published), Ok(asked)) = (published.parse::<Uri>(), asked.parse::<Uri>()) else {
        return false;
    };
    let (Some(host), Some(_)) = (published.host(), published.port()) else {
        return false;
    };
    published.scheme() == asked.scheme()
        && !is_unspecified(host)
        && (!is_loopback(host) || asked.host().is_some_and(is_loopback))
}

fn is_unspecified(host: &str) -> bool {
    address(host).is_some_and(|address| address.is_unspecified())
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || address(host).is_some_and(|address| address.is_loopback())
}

fn address(host: &str) -> Option<std::net::IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: [&str; 3] = [
        "http://10.0.0.1:1",
        "http://10.0.0.2:1",
        "http://10.0.0.3:1",
    ];

    fn members(first: usize) -> Members {
        Members::new(&ABC.map(str::to_owned), first)
    }

    #[expect(clippy::disallowed_methods, reason = "a start for the table's times")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn who_has_failed_is_asked_last_for_a_while() {
        let start = start();
        let at = |seconds| start + Duration::from_secs(seconds);
        let order = |members: &Members, now| -> Vec<usize> {
            let place = |url: &Arc<str>| ABC.iter().position(|known| **known == **url).unwrap();
            members.order(now).iter().map(place).collect()
        };
        let mut members = members(7);
        assert_eq!(order(&members, at(0)), [1, 2, 0]);
        members.failed(ABC[1], at(0));
        assert_eq!(order(&members, at(1)), [2, 0, 1]);
        members.failed(ABC[2], at(2));
        assert_eq!(order(&members, at(3)), [0, 1, 2]);
        members.failed(ABC[0], at(4));
        assert_eq!(order(&members, at(5)), [1, 2, 0], "who failed first, first");
        members.well(ABC[2]);
        assert_eq!(order(&members, at(5)), [2, 1, 0]);
        assert_eq!(order(&members, at(31)), [1, 2, 0], "the first is forgiven");
        assert_eq!(order(&members, at(60)), [1, 2, 0]);
        members.failed("http://unknown:1", at(60));
    }

    #[test]
    fn what_is_configured_stays_and_what_was_learned_goes_again() {
        let now = start();
        let mut members = members(0);
        let urls = |members: &Members| -> Vec<String> {
            let mut urls: Vec<_> = members.order(now).iter().map(ToString::to_string).collect();
            urls.sort();
            urls
        };
        let learn = |members: &mut Members, learned: &[&str]| {
            members.learned(ABC[0], learned.iter().copied());
        };
        learn(&mut members, &[ABC[0], "http://10.0.0.4:1/"]);
        assert_eq!(urls(&members).len(), 4);
        assert_eq!(urls(&members)[3], "http://10.0.0.4:1");
        learn(&mut members, &[]);
        assert_eq!(urls(&members).len(), 4, "that says nothing");
        learn(&mut members, &["http://10.0.0.5:1"]);
        assert_eq!(
            urls(&members),
            [ABC[0], ABC[1], ABC[2], "http://10.0.0.5:1"]
        );
    }

    #[test]
    fn published_urls_that_lead_nowhere_are_passed_over() {
        for (published, asked, of_use) in [
            ("http://10.0.0.2:1", "http://10.0.0.1:1", true),
            ("http://etcd-1:2379", "http://etcd:2379", true),
            ("https://10.0.0.2:1", "https://10.0.0.1:1", true),
            // A password would go there in clear text.
            ("http://10.0.0.2:1", "https://10.0.0.1:1", false),
            ("https://10.0.0.2:1", "http://10.0.0.1:1", false),
            ("http://0.0.0.0:1", "http://127.0.0.1:1", false),
            ("http://[::]:1", "http://127.0.0.1:1", false),
            ("http://127.0.0.1:1", "http://10.0.0.1:1", false),
            ("http://localhost:1", "http://etcd:1", false),
            ("http://[::1]:1", "http://10.0.0.1:1", false),
            ("http://127.0.0.1:2", "http://localhost:1", true),
            ("http://10.0.0.2", "http://10.0.0.1:1", false),
            ("unix://etcd:1", "http://10.0.0.1:1", false),
            ("not a url", "http://10.0.0.1:1", false),
            ("", "http://10.0.0.1:1", false),
        ] {
            assert_eq!(is_of_use(published, asked), of_use, "{published} {asked}");
        }
    }
}
