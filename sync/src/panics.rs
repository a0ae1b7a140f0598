//! Foreign code that panics: what must be done all the same.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The first panic of a round, kept until all calls are made.
///
/// A guard that makes the remaining calls when the scope unwinds would not do: the second panic
/// would then abort the process.
#[derive(Default)]
pub(crate) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    /// Makes one call; `None` if it panicked.
    #[inline]
    pub(crate) fn catch<T>(&mut self, call: impl FnOnce() -> T) -> Option<T> {
        // Unwind safe: the callers' own data is consistent whenever they call foreign code.
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.0.get_or_insert(panic);
                None
            }
        }
    }

    /// Goes on with the first panic, if there was any.
    #[inline]
    pub(crate) fn resume(self) {
        if let Some(panic) = self.0 {
            resume_unwind(panic);
        }
    }
}

/// Runs its function if the scope is left by a panic; to be forgotten otherwise.
pub(crate) struct OnUnwind<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnUnwind<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
