//! Lines on the standard error, once a second, while something takes long; and its deadline.

use std::time::{Duration, Instant};

/// Time between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Something that is waited for.
pub(crate) struct Progress {
    what: String,
    start: Instant,
    lines: u32,
    deadline: Duration,
}

impl Progress {
    /// Starts its clock.
    pub(crate) fn new(what: String, deadline: Duration) -> Self {
        Self { what, start: Instant::now(), lines: 0, deadline }
    }

    /// Prints how it stands, if a second has passed since the last line. False past the deadline.
    pub(crate) fn is_in_time(&mut self, state: &str) -> bool {
        let passed = self.start.elapsed();
        if passed >= INTERVAL * (self.lines + 1) {
            self.lines = u32::try_from(passed.as_secs()).unwrap_or(u32::MAX - 1);
            eprintln!("{}: {} s: {state}", self.what, passed.as_secs());
        }
        passed < self.deadline
    }

    /// Time since the start.
    pub(crate) fn passed(&self) -> Duration {
        self.start.elapsed()
    }
}
