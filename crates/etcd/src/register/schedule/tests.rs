use proptest::prelude::*;

use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn windows_double_to_the_limit_and_start_again() {
    let mut schedule = Schedule::new(ms(3000));
    let windows: Vec<_> = (0..5).map(|_| schedule.next(ms(0), 1.0)).collect();
    assert_eq!(windows, [ms(500), ms(1000), ms(2000), ms(3000), ms(3000)]);
    assert_eq!(schedule.next(ms(0), 0.5), ms(1500), "all of it is random");
    schedule.reset();
    assert_eq!(schedule.next(ms(0), 1.0), ms(500));
    assert_eq!(Schedule::new(ms(100)).next(ms(0), 1.0), ms(100));
}

#[test]
fn while_the_lease_lives_there_is_time() {
    let mut schedule = Schedule::new(ms(5000));
    assert_eq!(schedule.next(ms(9000), 1.0), ms(4500));
    assert_eq!(schedule.next(ms(3000), 1.0), ms(1500));
    assert_eq!(schedule.next(ms(1000), 1.0), ms(900), "not 2 s");
    let far = schedule.next(ms(60_000), 1.0);
    assert_eq!(far, ms(5000), "never more than the limit");
}

proptest! {
    #[test]
    fn a_lease_that_lives_outlives_the_delay(
        left in 0_u64..20_000,
        before in 0_usize..8,
        random in 0.0..1.0_f64,
    ) {
        let mut schedule = Schedule::new(ms(5000));
        for _ in 0..before {
            schedule.next(ms(0), 0.0);
        }
        let delay = schedule.next(ms(left), random);
        prop_assert!(left == 0 || delay <= ms(left).mul_f64(0.9).max(FIRST));
        prop_assert!(delay <= ms(5000));
    }
}

/// When each of `many` registrars reaches an etcd that breaks all connections at once and serves
/// again after `outage`, and whether that is before its lease ends; leases live for 10 s and were
/// renewed at some time in the last 3.3 s.
fn arrivals(many: usize, outage: Duration) -> Vec<(Duration, bool)> {
    let ttl = ms(10_000);
    let mut random = fastrand::Rng::with_seed(42);
    let mut arrivals: Vec<_> = (0..many)
        .map(|_| {
            let lease_until = ttl - (ttl / 3).mul_f64(random.f64());
            let mut schedule = Schedule::new(ttl / 2);
            let mut now = Duration::ZERO;
            while now < outage || now.is_zero() {
                let left = lease_until.saturating_sub(now);
                now += schedule.next(left, random.f64());
            }
            (now, now <= lease_until)
        })
        .collect();
    arrivals.sort();
    arrivals
}

/// Most arrivals within any 100 ms.
fn peak(arrivals: &[(Duration, bool)]) -> usize {
    let within = |&(from, _): &(Duration, bool)| {
        let later = |&&(at, _): &&(Duration, bool)| (from..from + ms(100)).contains(&at);
        arrivals.iter().filter(later).count()
    };
    arrivals.iter().map(within).max().unwrap_or(0)
}

#[test]
fn a_thousand_come_back_one_after_the_other_and_before_their_leases_end() {
    // Outages after which all leases still live, those that some survive, and longer ones.
    for (outages, most, all_live) in [
        ([0, 200, 1000, 3000, 6000], 120, true),
        ([6700, 7000, 8000, 9000, 9900], 200, false),
        ([11_000, 15_000, 30_000, 300_000, 3_600_000], 80, false),
    ] {
        for outage in outages.map(ms) {
            let arrivals = arrivals(1000, outage);
            let peak = peak(&arrivals);
            assert!(peak <= most, "{peak} within 0.1 s after {outage:?}");
            let (last, _) = arrivals[999];
            assert!(last <= outage + ms(5000), "{last:?} after {outage:?}");
            let live = arrivals.iter().all(|&(_, lives)| lives);
            assert!(live || !all_live, "a lease ended after {outage:?}");
        }
    }
}
