//! One driver in a run: its session, its clients, and a runtime that is its own.
//!
//! The runtime has one thread. Were two drivers on one runtime, the tasks of one would wait behind
//! those of the other, and what one takes of the CPU would show in the times of both; with a thread
//! each the system shares the cores out between them. More threads than one would be of no use at
//! some hundred requests a second, and with the nodes they would be more than there are cores.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::clients::{Client, Official, Shardwire, Which};
use crate::load::{Found, Load, Written, read_back};
use crate::pace::Calls;
use crate::run::{Plan, STOP_DEADLINE};
use crate::tally::Tally;

/// A driver in a run, whichever it is. Dropping it ends its session.
pub(crate) trait Side {
    fn name(&self) -> &'static str;

    /// Starts the clients, which ask when they are called.
    fn start(&mut self, calls: &Calls, tally: &Arc<Tally>);

    /// Waits for the clients, which end when nobody can call them any more.
    fn join(&mut self) -> Result<()>;

    /// Reads back all that the clients wrote.
    fn read_back(&self) -> Found;
}

/// Connects a driver.
pub(crate) fn connect(which: Which, nodes: &[SocketAddr], plan: &Plan) -> Result<Box<dyn Side>> {
    Ok(match which {
        Which::Shardwire => Box::new(Driven::<Shardwire>::connect(nodes, plan)?),
        Which::Scylla => Box::new(Driven::<Official>::connect(nodes, plan)?),
    })
}

#[derive(Debug)]
struct Driven<C> {
    client: Arc<C>,
    plan: Plan,
    tasks: Vec<JoinHandle<Written>>,
    written: Vec<Written>,
    // Dropped last: the session's tasks are there.
    runtime: Runtime,
}

impl<C: Client> Driven<C> {
    fn connect(nodes: &[SocketAddr], plan: &Plan) -> Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name(C::NAME).enable_all().build()?;
        // On the runtime's own thread, as all that follows.
        let connected = runtime.spawn({
            let nodes = nodes.to_vec();
            async move { C::connect(&nodes).await }
        });
        let client = runtime.block_on(connected).context("connecting panicked")??;
        Ok(Self {
            client: Arc::new(client),
            plan: plan.clone(),
            tasks: Vec::new(),
            written: Vec::new(),
            runtime,
        })
    }
}

impl<C: Client> Side for Driven<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn start(&mut self, calls: &Calls, tally: &Arc<Tally>) {
        for (number, calls) in (0..).zip(calls.listen()) {
            let load = Load {
                client: Arc::clone(&self.client),
                tally: Arc::clone(tally),
                calls,
                seed: self.plan.seed,
                number,
            };
            self.tasks.push(self.runtime.spawn(load.run()));
        }
    }

    fn join(&mut self) -> Result<()> {
        for task in self.tasks.drain(..) {
            // One that hangs is what this is to find.
            let ended = async { tokio::time::timeout(STOP_DEADLINE, task).await };
            let ended = self.runtime.block_on(ended);
            let ended = ended.with_context(|| format!("{}: a request has not ended", C::NAME))?;
            self.written.push(ended.with_context(|| format!("{}: a client panicked", C::NAME))?);
        }
        Ok(())
    }

    fn read_back(&self) -> Found {
        let shown = |count: u64| {
            if count.is_multiple_of(10_000) {
                eprintln!("{}: read back {count}", C::NAME);
            }
        };
        let width = self.plan.concurrency as usize;
        self.runtime.block_on(read_back(&*self.client, self.plan.seed, width, &self.written, shown))
    }
}
