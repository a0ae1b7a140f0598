//! The primitives under the names that loom uses, so that the models run the shipped code.
//!
//! Not an abstraction: outside of `cfg(loom)` every item is the standard library's own.

#[cfg(loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    sync::Mutex,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(not(loom))]
pub(crate) use self::cell::UnsafeCell;
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(not(loom))]
mod cell {
    /// [`std::cell::UnsafeCell`] with loom's closure interface.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        #[inline]
        pub(crate) const fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        /// A pointer for reading; sharing it is the caller's proof.
        #[inline]
        pub(crate) fn with<O>(&self, read: impl FnOnce(*const T) -> O) -> O {
            read(self.0.get())
        }

        /// A pointer for writing; being alone is the caller's proof.
        #[inline]
        pub(crate) fn with_mut<O>(&self, write: impl FnOnce(*mut T) -> O) -> O {
            write(self.0.get())
        }
    }
}

/// Locks, whether or not somebody panicked inside: what the lock guards is always consistent.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Guard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(loom)]
pub(crate) type Guard<'a, T> = loom::sync::MutexGuard<'a, T>;
#[cfg(not(loom))]
pub(crate) type Guard<'a, T> = std::sync::MutexGuard<'a, T>;

/// Keeps what different threads write off each other's cache lines (two lines: they are fetched
/// in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);
