use std::time::Duration;

use evenkeel::{BreakerState, ConnectivityState};

/// One endpoint, as the table shows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) endpoint: String,
    /// `None` when the channel does not know it.
    pub(super) state: Option<ConnectivityState>,
    pub(super) weight: String,
    /// In percent.
    pub(super) share: f64,
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
    pub(super) failures: u64,
    pub(super) breaker: Option<BreakerState>,
}

/// The heading and one line for each row.
pub(super) fn table(rows: &[Row]) -> Vec<String> {
    let heading = format!(
        "{:<22}{:<19}{:>9}{:>9}{:>10}{:>10}{:>10}  {}",
        "endpoint", "state", "weight", "share", "p50", "p99", "failures", "breaker"
    );
    let rows = rows.iter().map(|row| {
        format!(
            "{:<22}{:<19}{:>9}{:>7.1} %{:>10}{:>10}{:>10}  {}",
            row.endpoint,
            row.state.map_or("-", ConnectivityState::as_str),
            row.weight,
            row.share,
            duration(row.p50),
            duration(row.p99),
            row.failures,
            row.breaker.map_or("-", BreakerState::as_str),
        )
    });
    std::iter::once(heading).chain(rows).collect()
}

/// `1.2 ms`, or `-` when nothing was measured.
pub(super) fn duration(duration: Option<Duration>) -> String {
    match duration {
        Some(duration) => format!("{:.1} ms", duration.as_secs_f64() * 1e3),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = Row {
            endpoint: "127.0.0.1:31234".to_owned(),
            state: Some(ConnectivityState::TransientFailure),
            weight: "30".to_owned(),
            share: 50.04,
            p50: Some(Duration::from_micros(1_234)),
            p99: None,
            failures: 7,
            breaker: Some(BreakerState::HalfOpen),
        };
        let lines = table(&[row]);
        let end = |line: &str, word: &str| line.find(word).map(|at| at + word.len());
        for (heading, value) in [("weight", "30"), ("share", "50.0 %"), ("p50", "1.2 ms")] {
            assert_eq!(
                end(&lines[0], heading),
                end(&lines[1][22..], value).map(|at| at + 22)
            );
        }
        assert_eq!(lines[0].find("breaker"), lines[1].find("half-open"));
    }
}
