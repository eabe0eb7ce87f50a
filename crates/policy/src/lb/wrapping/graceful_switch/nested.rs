use std::any::Any;

use evenkeel_core::{BuildPolicy, Policy};

use super::{GracefulSwitch, Named};

/// What every child is called: whether it can take a config is asked of its type alone.
const CHILD: &str = "child";

impl GracefulSwitch {
    /// Whether `child` is a `P`, be it by itself or as what serves while or since it was replaced.
    pub(in crate::lb) fn serves<P: Policy>(child: &dyn Policy) -> bool {
        let child: &dyn Any = child;
        let serving = child.downcast_ref::<Self>().map(|it| &*it.serving.policy);
        let serving = serving.map_or(child, |policy| policy as &dyn Any);
        serving.is::<P>()
    }

    /// Gives a wrapper's child another config. If it cannot take that, another policy takes over
    /// from it, so that a child changes as gracefully as its wrapper would.
    pub(in crate::lb) fn reconfigure_child(child: &mut Box<dyn Policy>, build: &dyn BuildPolicy) {
        let running: &mut dyn Any = &mut **child;
        if let Some(switch) = running.downcast_mut::<Self>() {
            switch.switch_to(CHILD, build);
        } else if !build.reconfigure(running) {
            let policy = std::mem::replace(child, Box::new(Self::new(CHILD, build)));
            let running: &mut dyn Any = &mut **child;
            if let Some(switch) = running.downcast_mut::<Self>() {
                let name = CHILD.into();
                let next = std::mem::replace(&mut switch.serving, Named { name, policy });
                switch.next = Some(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use evenkeel_core::ConnectivityState::{Idle, Ready};
    use evenkeel_core::{Update, View};

    use super::*;
    use crate::lb::{
        BuildWrapper, Levels, PanicThreshold, PickFirst, PriorityBuilder, RandomSubsettingConfig,
        RoundRobin, Selector, Subset,
    };
    use crate::script::Script;

    type Around = fn(Arc<dyn BuildPolicy>) -> Box<dyn BuildPolicy>;

    /// Any policy, built anew each time.
    fn anew<P: Policy>(build: fn() -> P) -> Arc<dyn BuildPolicy> {
        Arc::new(build)
    }

    #[test]
    fn below_a_wrapper_the_serving_child_stays_until_the_next_one_is_ready() {
        let around: [Around; 4] = [
            |child| {
                Box::new(BuildWrapper::<PanicThreshold>::new(
                    Default::default(),
                    child,
                ))
            },
            |child| Box::new(RandomSubsettingConfig::new(5, child)),
            |child| Box::new(RandomSubsettingConfig::new(2, child)),
            |child| {
                let levels = Levels::first_of(vec![Selector::default()]);
                Box::new(PriorityBuilder::new(Default::default(), levels, child))
            },
        ];
        for around in around {
            let mut script = Script::new(&[Idle; 3]);
            let mut policy = around(anew(PickFirst::default)).build();
            let update = script.update(&mut *policy);
            let first = script.ids(&update.connect)[0];
            script.set(first, Ready);
            let update = script.update(&mut *policy);
            assert_eq!(script.picks(&*update.picker, 1), [first]);
            // A next child that has to connect yet: it wants the others only.
            let others = around(Arc::new(move || Others(first)));
            for _ in 0..2 {
                let running: &mut dyn Any = &mut *policy;
                assert!(others.reconfigure(running));
                let update = script.update(&mut *policy);
                assert_eq!(update.state, Ready);
                assert_eq!(script.picks(&*update.picker, 1), [first]);
                let wanted = script.ids(&update.connect);
                assert!(!wanted.is_empty() && !wanted.contains(&first));
            }
            let update = script.update(&mut *policy);
            let other = script.ids(&update.connect)[0];
            script.set(other, Ready);
            let update = script.update(&mut *policy);
            assert_eq!(script.picks(&*update.picker, 1), [other]);
            // And on to a third one.
            let running: &mut dyn Any = &mut *policy;
            assert!(around(anew(PickFirst::default)).reconfigure(running));
            let update = script.update(&mut *policy);
            assert_eq!(script.picks(&*update.picker, 1).len(), 1);
        }
    }

    /// A round_robin of all but one endpoint.
    struct Others(u64);

    impl Policy for Others {
        fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
            let others = Subset::of(view, |_, one| one.id.0 != self.0);
            others.show(&mut RoundRobin::new(), now, view)
        }
    }
}
