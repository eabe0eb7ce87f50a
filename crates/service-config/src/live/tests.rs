use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Wake, Waker};

use super::*;

const BAD: &str = r#"{"methodConfig": [{"name": [{}], "timeout": "100ms"}]}"#;

/// A config that is known by its number.
fn numbered(number: u64) -> String {
    format!(r#"{{"methodConfig": [{{"name": [{{}}], "timeout": "{number}s"}}]}}"#)
}

fn parsed(number: u64) -> ServiceConfig {
    ServiceConfig::parse(&numbered(number)).unwrap()
}

/// `None` for a config that sets nothing.
fn number(config: &ServiceConfig) -> Option<u64> {
    Some(config.method("/s/m")?.timeout.unwrap().as_secs())
}

#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Task {
    fn woken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll(changes: &mut ConfigChanges, task: &Arc<Task>) -> Poll<Result<Option<u64>, ConfigError>> {
    let waker = Waker::from(task.clone());
    let changed = changes.poll_changed(&Context::from_waker(&waker));
    changed.map_ok(|config| number(&config))
}

fn poll_once(changes: &mut ConfigChanges) -> Poll<Result<Option<u64>, ConfigError>> {
    poll(changes, &Arc::default())
}

#[test]
fn the_default_config_is_in_force_until_there_is_another_and_when_there_is_none() {
    for (default, expected) in [(None, None), (Some(parsed(1)), Some(1))] {
        let live = LiveConfig::new(default, ParseOptions::default());
        assert_eq!(number(&live.current()), expected);
        live.update(&numbered(2)).unwrap();
        assert_eq!(number(&live.current()), Some(2));
        live.reset();
        assert_eq!(number(&live.current()), expected);
        live.set(parsed(3));
        assert_eq!(number(&live.current()), Some(3));
    }
}

#[test]
fn a_bad_config_keeps_the_one_before_and_is_remembered_until_a_good_one() {
    let live = LiveConfig::from(parsed(1));
    live.update(&numbered(2)).unwrap();
    let mut changes = live.changes();
    let error = live.update(BAD).unwrap_err();
    assert_eq!(error.path, "$.methodConfig[0].timeout");
    assert_eq!(number(&live.current()), Some(2));
    assert_eq!((live.refused(), live.failure()), (Some(error), None));
    assert!(poll_once(&mut changes).is_pending(), "nothing has changed");

    live.update(&numbered(2)).unwrap();
    assert_eq!(live.refused(), None, "the good one once more");
    assert!(poll_once(&mut changes).is_pending(), "and still the same");
    live.update(&numbered(3)).unwrap();
    assert_eq!(poll_once(&mut changes), Poll::Ready(Ok(Some(3))));
}

#[test]
fn a_bad_first_config_is_a_failure_only_without_a_default() {
    let with_default = LiveConfig::from(parsed(1));
    let error = with_default.update(BAD).unwrap_err();
    assert_eq!(with_default.failure(), None);
    assert_eq!(number(&with_default.current()), Some(1));

    let live = LiveConfig::default();
    assert_eq!(live.failure(), None, "nothing has been tried");
    let mut changes = live.changes();
    live.update(BAD).unwrap_err();
    assert_eq!(live.failure(), Some(error.clone()));
    assert_eq!(poll_once(&mut changes), Poll::Ready(Err(error)));
    live.update(&numbered(2)).unwrap();
    assert_eq!(live.failure(), None);
    assert_eq!(poll_once(&mut changes), Poll::Ready(Ok(Some(2))));
}

#[test]
fn no_config_is_one_to_go_back_to() {
    let live = LiveConfig::default();
    live.reset();
    live.update(BAD).unwrap_err();
    assert_eq!(live.failure(), None);
    assert_eq!(number(&live.current()), None);
}

#[test]
fn updates_are_parsed_with_its_options() {
    let live = LiveConfig::new(None, ParseOptions::strict());
    assert_eq!(live.update(r#"{"x": 1}"#).unwrap_err().path, "$.x");
}

#[test]
fn readers_see_the_newest_config_and_are_told_of_each_change_once() {
    let live = LiveConfig::from(parsed(1));
    let mut reader = live.reader();
    let mut clone = reader.clone();
    assert!(!reader.refresh());
    live.update(&numbered(2)).unwrap();
    live.update(&numbered(3)).unwrap();
    assert_eq!(number(clone.config()), Some(1), "not refreshed yet");
    for reader in [&mut reader, &mut clone] {
        assert!(reader.refresh());
        assert_eq!(number(reader.config()), Some(3));
        assert!(!reader.refresh());
        assert_eq!(number(reader.get()), Some(3));
    }
}

#[test]
fn calls_that_clones_have_looked_up_count_until_the_next_change() {
    let live = LiveConfig::default();
    live.update(r#"{"methodConfig": [{"name": [{"service": "s"}]}]}"#)
        .unwrap();
    let mut reader = live.reader();
    assert_eq!(live.current().unused_names(), ["s"]);
    assert!(reader.get().method("/s/m").is_some());
    assert!(live.current().unused_names().is_empty());
}

#[test]
fn who_waits_is_woken_by_a_change_and_may_skip_some() {
    let live = LiveConfig::default();
    let mut changes = live.changes();
    let task = Arc::new(Task::default());
    assert!(poll(&mut changes, &task).is_pending());
    live.set(parsed(1));
    live.set(parsed(2));
    assert_eq!(task.woken(), 1);
    assert_eq!(poll(&mut changes, &task), Poll::Ready(Ok(Some(2))));
    assert!(poll(&mut changes, &task).is_pending());
}

#[test]
fn a_dropped_wait_loses_nothing_and_holds_nothing() {
    let live = LiveConfig::default();
    let mut changes = live.changes();
    let task = Arc::new(Task::default());
    let waker = Waker::from(task.clone());
    {
        let waiting = pin!(changes.changed());
        assert!(waiting.poll(&mut Context::from_waker(&waker)).is_pending());
    }
    live.set(parsed(1));
    assert_eq!(poll_once(&mut changes), Poll::Ready(Ok(Some(1))));

    assert!(poll(&mut changes, &task).is_pending());
    drop((changes, waker));
    assert_eq!(Arc::strong_count(&task), 1);
}

#[test]
fn readers_in_other_threads_never_see_an_older_config_again() {
    const LAST: u64 = 200;
    let live = LiveConfig::from(parsed(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let mut reader = live.reader();
            scope.spawn(move || {
                let mut last = 0;
                while last < LAST {
                    let next = number(reader.get()).unwrap();
                    assert!(next >= last, "{next} after {last}");
                    last = next;
                }
            });
        }
        for next in 1..=LAST {
            live.update(&numbered(next)).unwrap();
        }
    });
}
