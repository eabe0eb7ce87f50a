use std::sync::Arc;

use evenkeel_policy::throttle::{Throttle, ThrottleConfig};
use evenkeel_service_config::LiveConfig;
use parking_lot::Mutex;

use crate::method::Again;
use crate::methods::Methods;

/// The throttle that all services of a layer share, whatever becomes of its config. A config without
/// `retryThrottling` has the default one, if there is one.
///
/// Where implementations differ: an update with the same parameters changes nothing, one with
/// others leaves the throttle as full as it was (C-core; Go fills it). Calls that are running then
/// still count where they have started.
#[derive(Debug)]
pub(crate) struct Throttles {
    /// `None`: what there is stays.
    live: Option<LiveConfig>,
    default: Option<ThrottleConfig>,
    throttle: Mutex<Option<Arc<Throttle>>>,
}

impl Throttles {
    pub(crate) fn of(methods: &Methods<Again>, default: Option<ThrottleConfig>) -> Self {
        let config = match methods {
            Methods::Config(config) => config.retry_throttling(),
            Methods::Live(live) => live.current().retry_throttling(),
            Methods::All(_) => None,
        };
        Self {
            live: methods.live().cloned(),
            default,
            throttle: Mutex::new(config.or(default).map(Throttle::new).map(Arc::new)),
        }
    }

    /// The throttle of calls that start now.
    pub(crate) fn current(&self) -> Option<Arc<Throttle>> {
        let mut throttle = self.throttle.lock();
        if let Some(live) = &self.live {
            // Read under the lock: whoever comes last sees the newest.
            let config = live.current().retry_throttling().or(self.default);
            *throttle = config.map(|config| match throttle.take() {
                Some(throttle) if throttle.config() == config => throttle,
                Some(throttle) => Arc::new(throttle.replaced_by(config)),
                None => Arc::new(Throttle::new(config)),
            });
        }
        throttle.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use evenkeel_policy::hedge::HedgingPolicy;
    use evenkeel_policy::retry::CodeSet;
    use evenkeel_service_config::ServiceConfig;

    use super::*;

    fn json(max: u32, ratio: &str) -> String {
        format!(r#"{{"retryThrottling": {{"maxTokens": {max}, "tokenRatio": {ratio}}}}}"#)
    }

    #[test]
    fn an_update_keeps_the_throttle_or_how_full_it_is() {
        let live = LiveConfig::default();
        live.update(&json(10, "0.1")).unwrap();
        let throttles = Throttles::of(&Methods::Live(live.clone()), None);
        let first = throttles.current().unwrap();
        (0..5).for_each(|_| first.on_failure());

        live.update(
            r#"{"loadBalancingConfig": [{"round_robin": {}}],
            "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}"#,
        )
        .unwrap();
        assert!(Arc::ptr_eq(&throttles.current().unwrap(), &first));

        live.update(&json(100, "0.1")).unwrap();
        let second = throttles.current().unwrap();
        assert_eq!(second.milli_tokens(), 50_000);
        assert!(Arc::ptr_eq(&throttles.current().unwrap(), &second));

        live.update("{}").unwrap();
        assert!(throttles.current().is_none());
        live.update(&json(10, "0.1")).unwrap();
        assert_eq!(throttles.current().unwrap().milli_tokens(), 10_000);
    }

    #[test]
    fn a_config_without_throttling_has_the_default_one_and_an_update_keeps_how_full_it_is() {
        let default = ThrottleConfig::new(100_000, 100);
        let policy = HedgingPolicy::new(2, Duration::ZERO, CodeSet::default());
        let all = Methods::All(Again::Hedge(policy));
        let empty = Methods::Config(ServiceConfig::default());
        for methods in [all, empty] {
            let throttle = Throttles::of(&methods, Some(default)).current().unwrap();
            assert_eq!(throttle.config(), default);
            assert!(Throttles::of(&methods, None).current().is_none());
        }

        let live = LiveConfig::default();
        let throttles = Throttles::of(&Methods::Live(live.clone()), Some(default));
        let first = throttles.current().unwrap();
        assert_eq!(first.config(), default);
        (0..50).for_each(|_| first.on_failure());
        live.update(&json(10, "0.5")).unwrap();
        let own = throttles.current().unwrap();
        assert_eq!(own.config(), ThrottleConfig::new(10_000, 500));
        assert_eq!(own.milli_tokens(), 5_000);
        live.update("{}").unwrap();
        let again = throttles.current().unwrap();
        assert_eq!((again.config(), again.milli_tokens()), (default, 50_000));
    }
}
