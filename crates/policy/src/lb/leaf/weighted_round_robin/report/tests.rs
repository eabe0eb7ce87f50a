use super::*;

#[derive(Clone, PartialEq, Message)]
struct Whole {
    #[prost(double, tag = "1")]
    cpu: f64,
    #[prost(double, tag = "2")]
    memory: f64,
    #[prost(uint64, tag = "3")]
    rps: u64,
    #[prost(map = "string, double", tag = "4")]
    request_cost: HashMap<String, f64>,
    #[prost(map = "string, double", tag = "5")]
    utilization: HashMap<String, f64>,
    #[prost(double, tag = "6")]
    rps_fractional: f64,
    #[prost(double, tag = "7")]
    eps: f64,
    #[prost(map = "string, double", tag = "8")]
    named_metrics: HashMap<String, f64>,
    #[prost(double, tag = "9")]
    application: f64,
}

fn weight(names: &[&str], penalty: f64, report: &Whole) -> Option<f64> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    ReportReader::new(&names, penalty).weight(&report.encode_to_vec())
}

fn report(qps: f64) -> Whole {
    Whole {
        rps_fractional: qps,
        rps: 7_777,
        ..Whole::default()
    }
}

fn map(entries: &[(&str, f64)]) -> HashMap<String, f64> {
    let entries = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), *value));
    entries.collect()
}

fn assert_weight(actual: Option<f64>, expected: Option<f64>, what: &str) {
    let close = match (actual, expected) {
        (Some(actual), Some(expected)) => (actual / expected - 1.0).abs() < 1e-9,
        (actual, expected) => actual == expected,
    };
    assert!(close, "{what}: {actual:?}, not {expected:?}");
}

#[test]
fn a_weight_is_qps_over_utilization_and_errors_count_as_utilization() {
    let nan = f64::NAN;
    for (qps, application, cpu, memory, eps, penalty, expected) in [
        // qps, application, cpu, memory, eps, penalty
        (100.0, 0.5, 0.0, 0.0, 0.0, 1.0, Some(200.0)),
        (100.0, 0.5, 0.9, 0.0, 0.0, 1.0, Some(200.0)),
        (100.0, 0.0, 0.25, 0.0, 0.0, 1.0, Some(400.0)),
        (100.0, -1.0, 0.25, 0.0, 0.0, 1.0, Some(400.0)),
        (100.0, nan, 0.25, 0.0, 0.0, 1.0, Some(400.0)),
        (100.0, 2.0, 0.0, 0.0, 0.0, 1.0, Some(50.0)),
        (100.0, 0.0, 0.0, 0.9, 0.0, 1.0, None),
        (100.0, 0.0, nan, 0.0, 0.0, 1.0, None),
        (0.0, 0.5, 0.0, 0.0, 0.0, 1.0, None),
        (-3.0, 0.5, 0.0, 0.0, 0.0, 1.0, None),
        (nan, 0.5, 0.0, 0.0, 0.0, 1.0, None),
        (100.0, 0.5, 0.0, 0.0, 50.0, 1.0, Some(100.0)),
        (100.0, 0.5, 0.0, 0.0, 50.0, 0.5, Some(100.0 / 0.75)),
        (100.0, 0.5, 0.0, 0.0, 50.0, 0.0, Some(200.0)),
        (100.0, 0.5, 0.0, 0.0, -50.0, 1.0, Some(200.0)),
        (100.0, 0.5, 0.0, 0.0, nan, 1.0, Some(200.0)),
        (100.0, 0.5, 0.0, 0.0, f64::INFINITY, 1.0, None),
        (f64::INFINITY, 0.5, 0.0, 0.0, 0.0, 1.0, None),
        (1e300, 1e-300, 0.0, 0.0, 0.0, 1.0, None),
        (100.0, f64::INFINITY, 0.0, 0.0, 0.0, 1.0, None),
    ] {
        let report = Whole {
            application,
            cpu,
            memory,
            eps,
            ..report(qps)
        };
        assert_weight(
            weight(&[], penalty, &report),
            expected,
            &format!("{report:?}"),
        );
    }
}

#[test]
fn configured_metrics_come_before_the_default_and_the_largest_counts() {
    let report = Whole {
        application: 0.5,
        cpu: 0.25,
        memory: 0.8,
        named_metrics: map(&[("queue", 0.4), ("a.b", 2.0), ("nan", f64::NAN)]),
        utilization: map(&[("disk", 0.1), ("bad", -1.0), ("zero", 0.0)]),
        request_cost: map(&[("cost", 5.0)]),
        ..report(100.0)
    };
    for (names, utilization) in [
        (&[][..], 0.5),
        (&["cpu_utilization"], 0.25),
        (&["mem_utilization"], 0.8),
        (&["application_utilization", "cpu_utilization"], 0.5),
        (&["named_metrics.queue"], 0.4),
        (&["named_metrics.queue", "utilization.disk"], 0.4),
        (&["utilization.disk"], 0.1),
        (&["named_metrics.a.b"], 2.0),
        // Missing in the report, or no value: as if not configured.
        (&["named_metrics.none"], 0.5),
        (
            &["named_metrics.nan", "utilization.bad", "utilization.zero"],
            0.5,
        ),
        // No metrics at all.
        (
            &["queue", "request_cost.cost", "named_metrics", "", "."],
            0.5,
        ),
    ] {
        let expected = Some(100.0 / utilization);
        assert_weight(weight(names, 1.0, &report), expected, &format!("{names:?}"));
    }
}

#[test]
fn what_is_no_report_is_ignored() {
    let reader = ReportReader::new(&["named_metrics.a".to_owned()], 1.0);
    let good = Whole {
        cpu: 0.5,
        ..report(100.0)
    };
    let good = good.encode_to_vec();
    assert!(reader.weight(&good).is_some());
    for bad in [
        &[][..],
        &good[..good.len() - 1],
        b"not a report",
        &[0xFF; 40],
        // A map of the wrong type.
        &[&good[..], &[0x40, 0x01]].concat(),
    ] {
        assert_eq!(reader.weight(bad), None, "{bad:?}");
    }
}
