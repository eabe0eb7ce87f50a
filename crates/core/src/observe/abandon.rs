use std::cell::RefCell;
use std::sync::Arc;

use crate::Endpoint;

thread_local! {
    /// What was told since the innermost [`abandon`] began; `None` outside of one.
    static WAITED_FOR: RefCell<Option<Vec<Arc<Endpoint>>>> = const { RefCell::new(None) };
}

/// Drops attempts by `drop`, and gives the endpoints whose answers they had waited for, each once.
///
/// What is dropped can return nothing, so the ticket of an attempt says it on its way out, by
/// [`waited_for`]. A call whose time is over can then name who was too slow, and calls that end
/// in time pay nothing for that.
///
/// ```
/// use std::sync::Arc;
/// use evenkeel_core::observe::{abandon, waited_for};
/// use evenkeel_core::{Address, Endpoint};
///
/// let address: Address = "10.0.0.1:80".parse()?;
/// let endpoint = Arc::new(Endpoint::new(address));
/// let slow = abandon(|| waited_for(&endpoint));
/// assert_eq!(slow, [endpoint]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn abandon(drop: impl FnOnce()) -> Vec<Arc<Endpoint>> {
    let outer = WAITED_FOR.try_with(|it| it.replace(Some(Vec::new())));
    let _restore = Restore(outer.ok().flatten());
    drop();
    let told = WAITED_FOR.try_with(RefCell::take);
    told.ok().flatten().unwrap_or_default()
}

/// An attempt at `endpoint` is dropped without an answer; told to the [`abandon`] that drops it, if
/// one does.
pub fn waited_for(endpoint: &Arc<Endpoint>) {
    // While the thread ends there is nobody to tell.
    let _gone = WAITED_FOR.try_with(|it| {
        if let Some(told) = &mut *it.borrow_mut()
            && !told.contains(endpoint)
        {
            told.push(Arc::clone(endpoint));
        }
    });
}

/// Puts back what was there, also after a panic.
struct Restore(Option<Vec<Arc<Endpoint>>>);

impl Drop for Restore {
    fn drop(&mut self) {
        let _gone = WAITED_FOR.try_with(|it| it.replace(self.0.take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Address;

    fn endpoint(port: u16) -> Arc<Endpoint> {
        let address = format!("10.0.0.1:{port}").parse::<Address>().unwrap();
        Arc::new(Endpoint::new(address))
    }

    #[test]
    fn each_is_told_to_the_innermost() {
        waited_for(&endpoint(1));
        let mut inner = Vec::new();
        let outer = abandon(|| {
            waited_for(&endpoint(2));
            inner = abandon(|| waited_for(&endpoint(3)));
            waited_for(&endpoint(4));
        });
        assert_eq!(inner, [endpoint(3)]);
        assert_eq!(outer, [endpoint(2), endpoint(4)]);
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        let panics = || {
            abandon(|| panic!("in a drop"));
        };
        std::panic::catch_unwind(panics).unwrap_err();
        waited_for(&endpoint(1));
        assert_eq!(abandon(|| {}), []);
    }
}
