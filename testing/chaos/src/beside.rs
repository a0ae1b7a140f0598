//! A thread beside the run, which takes a turn whenever it is due and ends when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Beside {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Beside {
    /// The first turn is due at `first`; each says when the next one is.
    pub(crate) fn start(
        first: Instant,
        mut turn: impl FnMut() -> Instant + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut due = first;
            while !stopped.load(Ordering::Relaxed) {
                let wait = due.saturating_duration_since(Instant::now());
                if wait.is_zero() {
                    due = turn();
                } else {
                    std::thread::park_timeout(wait);
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join(); // what it was to do is not missed
        }
    }
}
