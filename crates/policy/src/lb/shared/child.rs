use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Instant;

use evenkeel_core::{
    BuildPolicy, ConnectivityState, Discovery, EndpointIndex, EndpointView, Policy, Update, View,
};

use crate::lb::{GracefulSwitch, Subset};

/// One of the children of a wrapper that has several, with the endpoints that it is shown.
///
/// It is asked only when there is something new for it, so that one change among many endpoints
/// concerns the children only that it belongs to.
pub(in crate::lb) struct Child {
    policy: Box<dyn Policy>,
    subset: Subset,
    last: Option<Update>,
    /// Its config is new, or discovery's word was: nothing it said counts any more.
    stale: bool,
    woken: Option<(Arc<Woken>, Waker)>,
}

/// Whether a picker of the child wants it to be asked again; its wrapper is woken too.
struct Woken {
    child: AtomicBool,
    wrapper: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.child.store(true, Ordering::Release);
        self.wrapper.wake_by_ref();
    }
}

impl Child {
    pub(in crate::lb) fn new(build: &dyn BuildPolicy) -> Self {
        Self {
            policy: build.build(),
            subset: Subset::default(),
            last: None,
            stale: true,
            woken: None,
        }
    }

    /// Gives it another config; if it cannot take that, another policy takes over from it.
    pub(in crate::lb) fn reconfigure(&mut self, build: &dyn BuildPolicy) {
        GracefulSwitch::reconfigure_child(&mut self.policy, build);
        self.stale = true;
    }

    /// Shows it these endpoints of `view`. The places in what it says are those of `view`.
    pub(in crate::lb) fn update<'a>(
        &mut self,
        now: Instant,
        view: &View<'_>,
        endpoints: impl IntoIterator<Item = (EndpointIndex, &'a EndpointView)>,
    ) -> &Update {
        let changed = self.subset.refresh(endpoints);
        let woken = self.take_woken(view.waker);
        let failed = matches!(view.discovery, Discovery::Failed(_));
        let due = |last: &Update| {
            last.wake_at.is_some_and(|at| at <= now)
                // What makes it ask to be called is not in the view.
                || !last.observe.failures.is_empty()
                || woken
                || (view.call_waiting && last.state == ConnectivityState::Idle)
        };
        let last = self.last.take().filter(|last| {
            let same = !changed && !self.stale && !failed;
            same && !due(last)
        });
        self.stale = failed;
        let mut shown = *view;
        shown.waker = self.woken.as_ref().map(|(_, waker)| waker);
        let update = last.unwrap_or_else(|| self.subset.show(&mut *self.policy, now, &shown));
        self.last.insert(update)
    }

    /// Whether it was woken since it was asked last, or its pickers wake the wrong one.
    fn take_woken(&mut self, wrapper: Option<&Waker>) -> bool {
        let Some(wrapper) = wrapper else {
            return self.woken.take().is_some();
        };
        match &self.woken {
            Some((woken, _)) if woken.wrapper.will_wake(wrapper) => {
                woken.child.swap(false, Ordering::AcqRel)
            }
            _ => {
                let woken = Arc::new(Woken {
                    child: AtomicBool::new(false),
                    wrapper: wrapper.clone(),
                });
                self.woken = Some((woken.clone(), woken.into()));
                true
            }
        }
    }

    /// What it said last.
    pub(in crate::lb) const fn last(&self) -> Option<&Update> {
        self.last.as_ref()
    }

    pub(in crate::lb) fn endpoints(&self) -> &[EndpointView] {
        self.subset.endpoints()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use evenkeel_core::ConnectivityState::Ready;
    use evenkeel_core::{Pick, PickArgs, Picker};

    use super::*;
    use crate::script::Script;

    /// Counts how often it is asked; its picker asks for that.
    struct Counts(Arc<AtomicUsize>);

    #[derive(Debug)]
    struct Wakes(Option<Waker>);

    impl Policy for Counts {
        fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
            self.0.fetch_add(1, Ordering::Relaxed);
            Update::new(Ready, Arc::new(Wakes(view.waker.cloned())))
        }
    }

    impl Picker for Wakes {
        fn pick(&self, _: &PickArgs<'_>) -> Pick {
            self.0.as_ref().expect("there is one").wake_by_ref();
            Pick::Queue
        }
    }

    #[test]
    fn a_child_is_asked_when_its_endpoints_change_and_when_its_own_picker_wakes_it() {
        let driver = Arc::new(Woken {
            child: AtomicBool::new(false),
            wrapper: Waker::noop().clone(),
        });
        let waker = Waker::from(driver.clone());
        let mut script = Script::new(&[Ready; 2]);
        let asked = [Arc::<AtomicUsize>::default(), Arc::default()];
        let mut children = asked
            .clone()
            .map(|asked| Child::new(&move || Counts(asked.clone())));
        let mut update = |script: &Script| {
            let view = script.view().with_waker(&waker);
            let all = children.iter_mut().zip(view.indexed());
            let pickers =
                all.map(|(child, one)| child.update(script.now(), &view, [one]).picker.clone());
            let pickers: Vec<_> = pickers.collect();
            (
                pickers,
                asked.clone().map(|asked| asked.load(Ordering::Relaxed)),
            )
        };
        let (pickers, counts) = update(&script);
        assert_eq!(counts, [1, 1]);
        assert_eq!(update(&script).1, [1, 1]);
        script.answer(&*pickers[1], &[], 0);
        assert!(
            driver.child.load(Ordering::Relaxed),
            "the driver is woken too"
        );
        assert_eq!(update(&script).1, [1, 2]);
        assert_eq!(update(&script).1, [1, 2]);
        script.fail(0, "refused");
        assert_eq!(update(&script).1, [2, 2]);
    }
}
