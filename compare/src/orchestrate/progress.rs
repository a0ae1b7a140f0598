//! A line that says what happens, renewed every second. Next: `results.rs`.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::matrix::Case;

/// Shows progress from a thread of its own until dropped.
pub(super) struct Progress {
    shared: Arc<Shared>,
    printer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    over: Condvar,
}

#[derive(Default)]
struct State {
    label: String,
    done: u32,
    expected: u32,
    is_over: bool,
}

impl Progress {
    /// Starts to print on standard error: one line renewed in place, on a terminal; a line a
    /// second elsewhere.
    pub(super) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let for_printer = Arc::clone(&shared);
        let printer = thread::spawn(move || print_until_over(&for_printer));
        Self { shared, printer: Some(printer) }
    }

    /// How many runs there will be.
    pub(super) fn expect_runs(&self, count: usize) {
        self.change(|state| state.expected = u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// A run begins.
    pub(super) fn at(&self, what: &str, driver: &str, case: &Case) {
        self.change(|state| state.label = format!("{what} {driver} {case}"));
    }

    /// A run ended.
    pub(super) fn done(&self) {
        self.change(|state| state.done += 1);
    }

    /// A run will not happen.
    pub(super) fn skip(&self) {
        self.change(|state| state.expected = state.expected.saturating_sub(1));
    }

    /// Stops printing; how many runs there were.
    pub(super) fn finish(&mut self) -> u32 {
        self.change(|state| state.is_over = true);
        self.shared.over.notify_all();
        if let Some(printer) = self.printer.take() {
            let _ = printer.join();
        }
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).done
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn print_until_over(shared: &Shared) {
    let began = Instant::now();
    let in_place = std::io::stderr().is_terminal();
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    while !state.is_over {
        let line = line(&state, began.elapsed());
        let mut stderr = std::io::stderr().lock();
        // Nobody looks when it cannot be written.
        let _ = match in_place {
            true => write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush()),
            false => writeln!(stderr, "{line}"),
        };
        drop(stderr);
        state = shared
            .over
            .wait_timeout(state, PERIOD)
            .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
    }
    if in_place {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}

fn line(state: &State, elapsed: Duration) -> String {
    let State { label, done, expected, .. } = state;
    let elapsed = elapsed.as_secs();
    if *expected == 0 {
        return format!("[{elapsed:>3} s] starting");
    }
    let mut line = format!("[{elapsed:>3} s] {done}/{expected} {label}");
    if *done > 0 {
        let left = elapsed * u64::from(expected.saturating_sub(*done)) / u64::from(*done);
        line.push_str(&format!("  (about {left} s left)"));
    }
    line
}

const PERIOD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_what_is_done_and_left() {
        let mut state = State::default();
        assert_eq!(line(&state, Duration::ZERO), "[  0 s] starting");
        state = State { label: "time floor scan-c1".into(), done: 3, expected: 9, is_over: false };
        assert_eq!(
            line(&state, Duration::from_secs(30)),
            "[ 30 s] 3/9 time floor scan-c1  (about 60 s left)"
        );
    }
}
