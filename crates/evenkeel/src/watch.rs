//! Tells in the log what becomes of a channel's service config.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use evenkeel_service_config::{ConfigChanges, LiveConfig, ServiceConfig};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// After that much time, a name in the config that no call has is worth a warning.
const NEVER_CALLED: Duration = Duration::from_secs(60);

/// The task that tells; ends when this is dropped.
pub(crate) struct Watch {
    first_call: Arc<FirstCall>,
    _task: JoinSet<()>,
}

#[derive(Default)]
struct FirstCall {
    was_made: AtomicBool,
    made: Notify,
}

impl Watch {
    /// Watches `config` for the channel to `target`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn start(target: Arc<str>, config: &LiveConfig) -> Self {
        let first_call = Arc::<FirstCall>::default();
        let mut task = JoinSet::new();
        // Watched before it is read: no change is missed.
        let changes = config.changes();
        let current = config.current();
        task.spawn(tell(target, changes, current, Arc::clone(&first_call)));
        Self {
            first_call,
            _task: task,
        }
    }

    /// A clone of the channel is called for the first time.
    #[cold]
    pub(crate) fn note_call(&self) {
        let first_call = &self.first_call;
        if !first_call.was_made.load(Ordering::Relaxed)
            && !first_call.was_made.swap(true, Ordering::Relaxed)
        {
            first_call.made.notify_one();
        }
    }
}

async fn tell(
    target: Arc<str>,
    mut changes: ConfigChanges,
    mut current: ServiceConfig,
    first_call: Arc<FirstCall>,
) {
    let mut is_called = false;
    // When it is time to look for names that no call has.
    let mut due = None;
    loop {
        let look = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => match changed {
                Ok(config) => {
                    tell_change(&target, &current, &config);
                    current = config;
                    due = is_called.then(|| Instant::now() + NEVER_CALLED);
                }
                Err(error) => tracing::warn!(
                    %target,
                    "the first service config is refused, and there is no other: {error}"
                ),
            },
            () = first_call.made.notified(), if !is_called => {
                is_called = true;
                due = Some(Instant::now() + NEVER_CALLED);
            }
            () = look => {
                due = None;
                let names = current.unused_names();
                if !names.is_empty() {
                    let names = names.join(", ");
                    tracing::warn!(
                        %target,
                        "service config: no call so far was of {names}; see explain()"
                    );
                }
            }
        }
    }
}

fn tell_change(target: &str, before: &ServiceConfig, after: &ServiceConfig) {
    let changes = differences(before, after);
    if changes.is_empty() {
        return;
    }
    tracing::info!(%target, "service config updated: {}", changes.join("; "));
    for warning in after.warnings() {
        tracing::warn!(%target, "service config: {warning}");
    }
}

/// What is different in `after`, a part each.
fn differences(before: &ServiceConfig, after: &ServiceConfig) -> Vec<String> {
    let (before, after) = (before.explain(), after.explain());
    let mut found = Vec::new();
    let (from, to) = (&before.load_balancing, &after.load_balancing);
    if from.name != to.name {
        found.push(format!("LB policy {} instead of {}", to.name, from.name));
    } else if from != to {
        found.push(format!("LB policy {} has another config", to.name));
    }
    for method in &after.methods {
        match before.methods.iter().find(|it| it.name == method.name) {
            None => found.push(format!("new for {}", method.name)),
            Some(old) => {
                // Where it is written, and whether it was called, is no setting.
                let mut old = old.clone();
                old.path.clone_from(&method.path);
                old.called = method.called;
                if old != *method {
                    found.push(format!("changed for {}", method.name));
                }
            }
        }
    }
    let names: Vec<_> = after.methods.iter().map(|it| &it.name).collect();
    let gone = before
        .methods
        .iter()
        .filter(|it| !names.contains(&&it.name));
    found.extend(gone.map(|method| format!("nothing more for {}", method.name)));
    if before.retry_throttling != after.retry_throttling {
        found.push("retryThrottling".to_owned());
    }
    if before.health_check_service_name != after.health_check_service_name {
        found.push("healthCheckConfig".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_told_by_its_name() {
        let config = |json: &str| ServiceConfig::parse(json).unwrap();
        let method = |name: &str, timeout: &str| {
            format!(r#"{{"name":[{{"service":"{name}"}}],"timeout":"{timeout}"}}"#)
        };
        let methods = |methods: [String; 2]| {
            config(&format!(r#"{{"methodConfig":[{}]}}"#, methods.join(",")))
        };
        let round_robin = config(r#"{"loadBalancingConfig":[{"round_robin":{}}]}"#);
        let one = methods([method("A", "1s"), method("B", "1s")]);
        for (before, after, expected) in [
            (&one, &one, &[][..]),
            (
                &ServiceConfig::default(),
                &round_robin,
                &["LB policy round_robin instead of pick_first"],
            ),
            (
                &one,
                &methods([method("C", "1s"), method("A", "2s")]),
                &["new for C", "changed for A", "nothing more for B"],
            ),
            (&one, &methods([method("B", "1s"), method("A", "1s")]), &[]),
            (
                &round_robin,
                &config(
                    r#"{"loadBalancingConfig":[{"round_robin":{}}],
                        "retryThrottling":{"maxTokens":1,"tokenRatio":1}}"#,
                ),
                &["retryThrottling"],
            ),
        ] {
            assert_eq!(differences(before, after), expected);
        }
    }

    /// What the log was told, by a subscriber of this thread.
    #[derive(Clone, Default)]
    struct Log(Arc<parking_lot::Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn warnings(&self) -> usize {
            let log = String::from_utf8(self.0.lock().clone()).unwrap();
            log.matches("no call so far was of").count()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_no_call_has_is_told_of_once_a_minute_after_the_first_call() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        let _logged = tracing::subscriber::set_default(subscriber);
        let live = LiveConfig::default();
        live.update(r#"{"methodConfig":[{"name":[{"service":"Never"}],"timeout":"1s"}]}"#)
            .unwrap();
        let watch = Watch::start("test".into(), &live);
        let pass = |time| async move {
            tokio::time::sleep(time).await;
        };
        pass(10 * NEVER_CALLED).await;
        assert_eq!(log.warnings(), 0, "nothing was called yet");
        watch.note_call();
        pass(NEVER_CALLED - Duration::from_secs(1)).await;
        assert_eq!(log.warnings(), 0);
        pass(Duration::from_secs(2)).await;
        assert_eq!(log.warnings(), 1);
        pass(10 * NEVER_CALLED).await;
        assert_eq!(log.warnings(), 1, "once");

        // A config in which it is called.
        live.update(r#"{"methodConfig":[{"name":[{"service":"Called"}],"timeout":"1s"}]}"#)
            .unwrap();
        assert!(live.current().method("/Called/It").is_some());
        pass(2 * NEVER_CALLED).await;
        assert_eq!(log.warnings(), 1);
    }
}
