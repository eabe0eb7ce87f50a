use std::any::Any;

use super::Policy;

/// A validated config of an LB policy: builds the policy for a channel.
///
/// Closures that return a policy are one.
pub trait BuildPolicy: Send + Sync + 'static {
    /// A policy that has seen no endpoint yet.
    fn build(&self) -> Box<dyn Policy>;

    /// Gives this config to a policy that runs, so that it keeps what it has learnt; `false`
    /// when it cannot take it, and another one has to be built. `running` is to be downcast.
    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let _ = running;
        false
    }
}

impl<F, P> BuildPolicy for F
where
    F: Fn() -> P + Send + Sync + 'static,
    P: Policy,
{
    fn build(&self) -> Box<dyn Policy> {
        Box::new(self())
    }
}
