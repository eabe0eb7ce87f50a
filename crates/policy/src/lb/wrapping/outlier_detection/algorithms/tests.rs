use proptest::prelude::*;

use super::*;

const fn bucket(succeeded: u64, failed: u64) -> Bucket {
    Bucket { succeeded, failed }
}

fn places(outliers: &[Outlier]) -> Vec<usize> {
    outliers.iter().map(|outlier| outlier.place).collect()
}

const GOOD: Bucket = bucket(100, 0);
const BAD: Bucket = bucket(0, 100);

#[test]
fn an_outlier_succeeds_strictly_less_than_the_mean_minus_population_deviations() {
    // Mean 0.8, population deviation 0.4 (that of a sample would be 0.447).
    let one_bad = [GOOD, GOOD, BAD, GOOD, GOOD];
    for (stdev_factor, buckets, expected) in [
        (1_900, &one_bad[..], &[2][..]),
        (1_999, &one_bad, &[2]),
        (2_000, &one_bad, &[]),
        (0, &one_bad, &[2]),
        (1_900, &[GOOD; 5], &[]),
        (0, &[BAD; 5], &[]),
        // Mean 0.96, deviation 0.08: 0.8 is two of them below.
        (1_900, &[GOOD, GOOD, GOOD, GOOD, bucket(80, 20)], &[4]),
        (2_100, &[GOOD, GOOD, GOOD, GOOD, bucket(80, 20)], &[]),
    ] {
        let config = SuccessRateEjection {
            stdev_factor,
            ..Default::default()
        };
        let outliers = success_rate(&config, buckets);
        assert_eq!(places(&outliers), expected, "{stdev_factor} {buckets:?}");
    }
}

#[test]
fn the_success_rate_of_an_outlier_comes_with_what_was_required() {
    let outliers = success_rate(
        &SuccessRateEjection::default(),
        &[GOOD, GOOD, GOOD, GOOD, BAD],
    );
    let text = outliers[0].reason.to_string();
    assert_eq!(
        text,
        "0.0 % of its calls succeeded, 4.0 % were required, the mean of all endpoints is 80.0 %"
    );
}

#[test]
fn endpoints_without_enough_calls_are_not_compared() {
    let few = bucket(0, 99);
    let enough = bucket(0, 100);
    let config = SuccessRateEjection::default();
    let buckets = |last| [GOOD, GOOD, GOOD, GOOD, GOOD, last];
    assert_eq!(places(&success_rate(&config, &buckets(few))), []);
    assert_eq!(places(&success_rate(&config, &buckets(enough))), [5]);

    let config = FailurePercentageEjection::default();
    let buckets = |last| [GOOD, GOOD, GOOD, GOOD, GOOD, last];
    let few = bucket(0, 49);
    assert_eq!(places(&failure_percentage(&config, &buckets(few))), []);
    let enough = bucket(0, 50);
    assert_eq!(places(&failure_percentage(&config, &buckets(enough))), [5]);

    let any = FailurePercentageEjection {
        request_volume: 0,
        minimum_hosts: 0,
        threshold: 0,
        ..config
    };
    let idle = Bucket::default();
    assert_eq!(places(&failure_percentage(&any, &[idle, idle])), []);
    assert_eq!(places(&failure_percentage(&any, &[])), []);
}

#[test]
fn too_few_endpoints_with_enough_calls_are_not_compared_at_all() {
    let few = [GOOD, GOOD, GOOD, BAD, bucket(0, 9)];
    let enough = [GOOD, GOOD, GOOD, BAD, GOOD];
    let config = SuccessRateEjection {
        stdev_factor: 1_000,
        ..Default::default()
    };
    assert_eq!(places(&success_rate(&config, &few)), []);
    assert_eq!(places(&success_rate(&config, &enough)), [3]);
    let config = FailurePercentageEjection::default();
    assert_eq!(places(&failure_percentage(&config, &few)), []);
    assert_eq!(places(&failure_percentage(&config, &enough)), [3]);
}

#[test]
fn the_failure_percentage_must_be_strictly_above_the_threshold() {
    for (threshold, failed, is_outlier) in [
        (85, 85, false),
        (85, 86, true),
        (0, 0, false),
        (0, 1, true),
        (99, 100, true),
        (100, 100, false),
        (1_000, 100, false),
    ] {
        let config = FailurePercentageEjection {
            threshold,
            minimum_hosts: 1,
            ..Default::default()
        };
        let outliers = failure_percentage(&config, &[bucket(100 - failed, failed)]);
        assert_eq!(!outliers.is_empty(), is_outlier, "{failed} > {threshold}");
    }
    let config = FailurePercentageEjection::default();
    let outliers = failure_percentage(&config, &[GOOD, BAD, GOOD, GOOD, bucket(1, 199)]);
    assert_eq!(
        outliers[1].reason.to_string(),
        "99.5 % of its calls failed, 85 % are tolerated"
    );
}

#[test]
fn the_worst_come_first() {
    let buckets = [
        bucket(10, 90),
        GOOD,
        bucket(5, 95),
        GOOD,
        bucket(14, 86),
        GOOD,
        bucket(0, 100),
    ];
    let config = FailurePercentageEjection::default();
    assert_eq!(places(&failure_percentage(&config, &buckets)), [6, 2, 0, 4]);
    let config = SuccessRateEjection {
        stdev_factor: 500,
        ..Default::default()
    };
    assert_eq!(places(&success_rate(&config, &buckets)), [6, 2, 0, 4]);
}

proptest! {
    #[test]
    fn endpoints_that_do_alike_are_never_outliers(
        succeeded in 1..1_000_u64,
        failed in 0..1_000_u64,
        times in proptest::collection::vec(1..1_000_u64, 1..200),
        stdev_factor in 0..3_000_u32,
    ) {
        let alike = times.iter().map(|times| bucket(succeeded * times, failed * times));
        let config = SuccessRateEjection {
            stdev_factor,
            minimum_hosts: 1,
            request_volume: 1,
            ..Default::default()
        };
        prop_assert_eq!(success_rate(&config, &alike.collect::<Vec<_>>()), []);
    }

    #[test]
    fn any_counters_are_judged(
        buckets in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..20),
        number: u32,
    ) {
        let buckets: Vec<_> = buckets.into_iter().map(|(one, two)| bucket(one, two)).collect();
        let config = SuccessRateEjection {
            stdev_factor: number,
            enforcement_percentage: number,
            minimum_hosts: number % 8,
            request_volume: number,
        };
        let fits = |outliers: &[Outlier]| outliers.len() <= buckets.len();
        prop_assert!(fits(&success_rate(&config, &buckets)));
        let config = FailurePercentageEjection {
            threshold: number,
            enforcement_percentage: number,
            minimum_hosts: number % 8,
            request_volume: number,
        };
        prop_assert!(fits(&failure_percentage(&config, &buckets)));
    }
}
