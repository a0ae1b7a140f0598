//! Which cluster runs at present: one at a time, as memory is short.
//!
//! Tests come in order of their clusters, so that each cluster is started once. The first test of
//! the next cluster waits for the last one of the present cluster to end, then replaces it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, anyhow};
use tokio::runtime::Runtime;

use crate::case::Manner;
use crate::configuration::Configuration;
use crate::target::Target;

/// The cluster that runs, and who is using it.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// A cluster that can't be started is not tried again for each test.
    present: Option<(Configuration, Result<Arc<Target>, String>)>,
    users: Users,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Users {
    #[default]
    None,
    Some(usize),
    Alone,
}

/// A place in front of the cluster; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    stage: &'a Stage,
    pub(crate) target: Arc<Target>,
}

impl Stage {
    /// Waits until the cluster may be used in such a manner; starts it if another one, or none,
    /// is running.
    pub(crate) fn enter(
        &self,
        configuration: Configuration,
        manner: Manner,
        runtime: &Runtime,
    ) -> Result<Place<'_>> {
        let mut state = self.state();
        loop {
            let is_present =
                state.present.as_ref().is_some_and(|(present, _)| *present == configuration);
            let users = match (is_present, manner, state.users) {
                (_, Manner::Shared, Users::None) => Users::Some(1),
                (_, Manner::Alone, Users::None) => Users::Alone,
                (true, Manner::Shared, Users::Some(count)) => Users::Some(count + 1),
                _ => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            if !is_present {
                // Under the lock: nobody else may use what is neither here nor there. The old one
                // ends before the new one starts.
                state.present = None;
                let target = runtime.block_on(Target::start(configuration));
                let target = target.map(Arc::new).map_err(|error| format!("{error:#}"));
                state.present = Some((configuration, target));
            }
            let target = match &state.present {
                Some((_, Ok(target))) => Arc::clone(target),
                Some((_, Err(error))) => return Err(anyhow!("{error}")),
                None => return Err(anyhow!("there is no cluster")),
            };
            state.users = users;
            return Ok(Place { stage: self, target });
        }
    }

    /// Ends the present cluster.
    pub(crate) fn clear(&self) {
        self.state().present = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.stage.state();
        state.users = match state.users {
            Users::Some(count) if count > 1 => Users::Some(count - 1),
            _ => Users::None,
        };
        drop(state);
        self.stage.changed.notify_all();
    }
}
