mod nested;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{BuildPolicy, ConnectivityState, Policy, Update, View};

use crate::lb::shared::merged::{both, earlier};

/// Runs one policy, and goes over to another without a gap.
///
/// The policy that serves goes on doing so until the next one has something to say. Each time both
/// are asked (gRPC's rule for graceful switches):
///
/// | the one that serves | the next one | who serves from then on |
/// |---|---|---|
/// | READY | CONNECTING | the one that serves |
/// | READY | READY, IDLE or TRANSIENT_FAILURE | the next one |
/// | not READY | any | the next one |
///
/// So a next policy that fails does take over: a config that sends calls nowhere is obeyed, not
/// ignored for ever. While both run, the connections that either wants are made, none that the
/// other may need is closed, and both are called when either wants to be. Of two ways to measure
/// attempts the serving policy's is used.
pub struct GracefulSwitch {
    serving: Named,
    next: Option<Named>,
}

struct Named {
    name: Arc<str>,
    policy: Box<dyn Policy>,
}

/// What [`GracefulSwitch::switch_to`] has decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Switch {
    /// Who takes the config.
    pub taken_by: TakenBy,
    /// The policy that was to serve next, and will not.
    pub given_up: Option<Arc<str>>,
}

/// Who takes a config that a [`GracefulSwitch`] was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TakenBy {
    /// The policy that serves: it goes on.
    Serving,
    /// The policy that was to serve next already.
    Next,
    /// Another policy, which is built for it and is to serve next.
    New,
}

impl Named {
    fn new(name: &str, build: &dyn BuildPolicy) -> Self {
        Self {
            name: name.into(),
            policy: build.build(),
        }
    }

    fn into_name(self) -> Arc<str> {
        self.name
    }

    /// Whether it is of this name, and runs with `build`'s config now.
    fn takes(&mut self, name: &str, build: &dyn BuildPolicy) -> bool {
        let running: &mut dyn Any = &mut *self.policy;
        *self.name == *name && build.reconfigure(running)
    }
}

impl GracefulSwitch {
    /// Runs this policy from the beginning.
    #[must_use]
    pub fn new(name: &str, build: &dyn BuildPolicy) -> Self {
        Self {
            serving: Named::new(name, build),
            next: None,
        }
    }

    /// Goes over to the policy `name` with the config in `build`. Takes effect with the next
    /// update.
    ///
    /// A policy of that name that runs already is [reconfigured](BuildPolicy::reconfigure) and
    /// keeps what it has learnt; if it cannot be, another one of the name is switched to. Only the
    /// switch that was asked for last counts: a next policy of another name is given up, also
    /// when it is the serving one that is to stay.
    pub fn switch_to(&mut self, name: &str, build: &dyn BuildPolicy) -> Switch {
        let mut given_up = None;
        let taken_by = if self.serving.takes(name, build) {
            given_up = self.next.take();
            TakenBy::Serving
        } else if self
            .next
            .as_mut()
            .is_some_and(|next| next.takes(name, build))
        {
            TakenBy::Next
        } else {
            given_up = self.next.replace(Named::new(name, build));
            TakenBy::New
        };
        Switch {
            taken_by,
            given_up: given_up.map(Named::into_name),
        }
    }

    /// The name of the policy that serves.
    #[must_use]
    pub fn serving(&self) -> &str {
        &self.serving.name
    }

    /// The name of the policy that is to serve next, while there is one.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        self.next.as_ref().map(|next| &*next.name)
    }
}

impl Policy for GracefulSwitch {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        let mut update = self.serving.policy.update(now, view);
        let Some(mut next) = self.next.take() else {
            return update;
        };
        let wanted = next.policy.update(now, view);
        if update.state != ConnectivityState::Ready || wanted.state != ConnectivityState::Connecting
        {
            self.serving = next;
            return wanted;
        }
        self.next = Some(next);
        update.connect.extend(wanted.connect);
        // The serving one's too: pick_first would close what the next one is just opening.
        update.disconnect.clear();
        update.wake_at = earlier(update.wake_at, wanted.wake_at);
        update.observe = both(update.observe, &wanted.observe);
        update
    }
}

impl fmt::Debug for GracefulSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GracefulSwitch")
            .field("serving", &self.serving.name)
            .field("next", &self.next())
            .finish()
    }
}

#[cfg(test)]
mod tests;
