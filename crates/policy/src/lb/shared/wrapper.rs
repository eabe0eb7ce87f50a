use std::any::Any;
use std::fmt;
use std::sync::Arc;

use evenkeel_core::{BuildPolicy, Policy};

use crate::lb::GracefulSwitch;

/// A policy around another one, its child, that [`BuildWrapper`] can build and reconfigure.
pub trait Wrapper: Policy + Sized {
    /// What it is built from, beside its child.
    type Config: Clone + Send + Sync + 'static;

    /// A policy that has seen no endpoint yet, around `child`.
    fn new(config: Self::Config, child: Box<dyn Policy>) -> Self;

    /// Takes another config for its next update, and keeps what it has learnt.
    fn configure(&mut self, config: Self::Config);

    /// Its child, to be reconfigured or replaced.
    fn child_mut(&mut self) -> &mut Box<dyn Policy>;
}

/// Builds a wrapper and its child.
///
/// Given to a wrapper of the same kind that runs, it changes that one's config; the child's too
/// if it takes it, otherwise another child takes over from it as in a [`GracefulSwitch`].
pub struct BuildWrapper<W: Wrapper> {
    config: W::Config,
    child: Arc<dyn BuildPolicy>,
}

impl<W: Wrapper> BuildWrapper<W> {
    /// Of the wrapper's own config and its child's.
    #[must_use]
    pub fn new(config: W::Config, child: Arc<dyn BuildPolicy>) -> Self {
        Self { config, child }
    }

    /// The wrapper's own config.
    pub const fn config(&self) -> &W::Config {
        &self.config
    }
}

impl<W: Wrapper> Clone for BuildWrapper<W> {
    fn clone(&self) -> Self {
        Self::new(self.config.clone(), self.child.clone())
    }
}

impl<W: Wrapper> BuildPolicy for BuildWrapper<W> {
    fn build(&self) -> Box<dyn Policy> {
        Box::new(W::new(self.config.clone(), self.child.build()))
    }

    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let Some(wrapper) = running.downcast_mut::<W>() else {
            return false;
        };
        wrapper.configure(self.config.clone());
        GracefulSwitch::reconfigure_child(wrapper.child_mut(), &*self.child);
        true
    }
}

impl<W: Wrapper> fmt::Debug for BuildWrapper<W>
where
    W::Config: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildWrapper")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
