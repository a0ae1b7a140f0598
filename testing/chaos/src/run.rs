//! A run: nodes, one driver or two at once, the load, the script, the reading back.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use shardwire_testing_cassandra::{Cassandra, Version};

use crate::beside::Beside;
use crate::clients::Which;
use crate::load::Found;
use crate::pace::Calls;
use crate::script::{Fault, Form, Script, Times};
use crate::side::{self, Side};
use crate::tally::{Noticed, Slow, Tally, rate};

/// With each partition on all of them.
pub(crate) const NODE_COUNT: usize = 3;

/// What `nodetool disablebinary` takes at most until the port is closed.
const DISABLE_DEADLINE: Duration = Duration::from_secs(60);

/// How often a port is looked at that is about to be closed: the error of the fault's time.
const PORT_POLL: Duration = Duration::from_millis(5);

/// Time after the load was told to stop in which all requests end.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// What each driver has to go through.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) version: Version,
    pub(crate) duration: Duration,
    /// Of each driver, as the rate.
    pub(crate) concurrency: u32,
    pub(crate) rate: u32,
    pub(crate) seed: u64,
    /// Kinds of faults.
    pub(crate) faults: Vec<Fault>,
}

/// What one driver made of it.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) driver: &'static str,
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Successes a second before the first fault.
    pub(crate) fault_free_rate: f64,
    /// The same between faults, of the second half of each calm.
    pub(crate) calm_rates: Vec<f64>,
    pub(crate) faults: Vec<Noticed>,
    pub(crate) rare: Slow,
    pub(crate) found: Found,
    /// Successes and failures, in tenths of a second.
    pub(crate) spans: Vec<(u32, u32)>,
}

/// From one time of a run to another.
type Calm = (Duration, Duration);

/// Runs the script with all the drivers at once, on nodes of their own.
pub(crate) fn run(drivers: &[Which], plan: &Plan) -> Result<Vec<Outcome>> {
    let form = if drivers.len() > 1 { Form::Paired } else { Form::Alone };
    let times = Times::of(plan.duration, form);
    let builder = Cassandra::builder().version(plan.version).nodes(NODE_COUNT).nodetool();
    let mut cluster = builder.start().context("Cassandra can't be started")?;
    let nodes = cluster.contact_points();
    let connect = |which: &Which| side::connect(*which, &nodes, plan);
    let mut sides: Vec<_> = drivers.iter().map(connect).collect::<Result<_>>()?;
    let stage = Stage::new(sides.len(), plan);
    for (side, tally) in sides.iter_mut().zip(&stage.tallies) {
        side.start(&stage.calls, tally);
    }
    let clock = Calls::keep_pace(&stage.calls, Instant::now(), plan.rate);
    let progress = stage.show_progress(&sides, plan);
    sleep(times.warm_up);
    let mut calms = Vec::new();
    let mut script = Script::new(plan.seed, NODE_COUNT, form, &plan.faults);
    let performed = stage.perform(&mut cluster, &nodes, plan, times, &mut script, &mut calms);
    let seconds = stage.start.elapsed().as_secs_f64();
    drop(clock);
    let tallies = stage.end();
    for side in &mut sides {
        side.join()?;
    }
    drop(progress);
    performed?;
    let mut outcomes = Vec::new();
    for (side, tally) in sides.iter().zip(tallies) {
        // Before the reading back, whose time is not the run's.
        outcomes.push(outcome(side.as_ref(), &tally, seconds, times, &calms)?);
    }
    for (side, outcome) in sides.iter().zip(&mut outcomes) {
        outcome.found = side.read_back();
    }
    cluster.shutdown()?;
    Ok(outcomes)
}

/// All but what is read back.
fn outcome(
    side: &dyn Side,
    tally: &Tally,
    seconds: f64,
    times: Times,
    calms: &[Calm],
) -> Result<Outcome> {
    let spans = tally.spans();
    let of = |span: fn(&(u32, u32)) -> u32| spans.iter().map(|s| u64::from(span(s))).sum::<u64>();
    let before = rate(&spans, times.warm_up / 2, times.warm_up);
    Ok(Outcome {
        driver: side.name(),
        seconds,
        requests: of(|span| span.0) + of(|span| span.1),
        failed: of(|span| span.1),
        fault_free_rate: before.context("no rate before faults")?,
        calm_rates: calms.iter().filter_map(|(from, to)| rate(&spans, *from, *to)).collect(),
        faults: tally.noticed(),
        rare: tally.rare(),
        found: Found::default(),
        spans,
    })
}

/// Who is told of faults: the tally of each driver, and all clients.
struct Stage {
    start: Instant,
    tallies: Vec<Arc<Tally>>,
    calls: Arc<Calls>,
}

impl Stage {
    fn new(driver_count: usize, plan: &Plan) -> Stage {
        let start = Instant::now();
        let tally = |_| Arc::new(Tally::new(plan.concurrency, start));
        Stage {
            start,
            tallies: (0..driver_count).map(tally).collect(),
            calls: Arc::new(Calls::new(plan.concurrency)),
        }
    }

    /// Nobody calls the clients any more.
    fn end(self) -> Vec<Arc<Tally>> {
        self.tallies
    }

    /// A fault happens now. All clients that are idle ask at once, so that the first success tells
    /// of drivers and nodes, and not of how long it was until a client would have asked anyway.
    fn fault(&self, fault: Fault, node: usize) {
        let at = Instant::now();
        let counts = self.tallies.iter().map(|tally| tally.fault(fault, node, at));
        if let Some(count) = counts.max() {
            self.calls.wave(count);
        }
    }

    /// All nodes are ready again.
    fn healed(&self) {
        self.tallies.iter().for_each(|tally| tally.healed());
    }

    /// Does to the nodes what the script says, until the time is over and a round is.
    fn perform(
        &self,
        cluster: &mut Cassandra,
        nodes: &[SocketAddr],
        plan: &Plan,
        times: Times,
        script: &mut Script,
        calms: &mut Vec<Calm>,
    ) -> Result<()> {
        while self.start.elapsed() < plan.duration || !script.is_round_over() {
            let (fault, node) = script.next();
            match fault {
                Fault::Kill => {
                    // A process takes up to a tenth of a second to die, and says only then that it
                    // does. One that is stopped answers nobody from an instant that is known.
                    cluster.pause(node)?;
                    self.fault(fault, node);
                    cluster.kill(node)?;
                    sleep(times.hold);
                    cluster.restart(node)?;
                }
                Fault::Pause => {
                    cluster.pause(node)?;
                    self.fault(fault, node);
                    sleep(times.hold);
                    cluster.resume(node)?;
                    cluster.wait_until_ready()?;
                }
                Fault::DisableBinary => {
                    let address = *nodes.get(node).context("no such node")?;
                    std::thread::scope(|scope| {
                        let closed = scope.spawn(move || until_closed(address));
                        let disabled = scope.spawn(|| cluster.nodetool(node, &["disablebinary"]));
                        join(closed)??;
                        self.fault(fault, node);
                        join(disabled)?
                    })?;
                    sleep(times.hold);
                    cluster.nodetool(node, &["enablebinary"])?;
                    cluster.wait_until_ready()?;
                }
                Fault::Restart => {
                    for step in 0..NODE_COUNT {
                        let node = (node + step) % NODE_COUNT;
                        self.fault(fault, node);
                        cluster.restart(node)?;
                        if step + 1 < NODE_COUNT {
                            self.healed();
                        }
                    }
                }
            }
            self.healed();
            let from = self.start.elapsed();
            sleep(times.calm);
            // Its second half, as of the time before the first fault: hints are replayed first.
            calms.push((from + times.calm / 2, self.start.elapsed()));
        }
        Ok(())
    }

    /// A line a second on the standard error, until what it returns is dropped.
    fn show_progress(&self, sides: &[Box<dyn Side>], plan: &Plan) -> Beside {
        let start = self.start;
        let names = sides.iter().map(|side| side.name());
        let tallies: Vec<_> = names.zip(self.tallies.iter().map(Arc::clone)).collect();
        let duration = plan.duration.as_secs();
        let second = Duration::from_secs(1);
        Beside::start(Instant::now() + second, move || {
            let rates: Vec<_> = tallies.iter().map(|(name, tally)| pace(name, tally)).collect();
            let last = tallies.first().and_then(|(_, tally)| tally.noticed().pop());
            let fault = last.map_or("no fault yet".to_owned(), |noticed| {
                let state = if noticed.healed_seconds.is_some() { "healed" } else { "on" };
                format!("{} of node {} ({state})", noticed.fault.name(), noticed.node)
            });
            let passed = start.elapsed().as_secs_f64();
            eprintln!("{passed:.0} of {duration} s, {}, {fault}", rates.join(", "));
            Instant::now() + second
        })
    }
}

/// What one driver did in the last second.
fn pace(name: &str, tally: &Tally) -> String {
    let spans = tally.spans();
    let last = spans.get(spans.len().saturating_sub(10)..).unwrap_or_default();
    let sum = |of: fn(&(u32, u32)) -> u32| last.iter().map(of).sum::<u32>();
    format!("{name} {} req/s and {} failed", sum(|span| span.0), sum(|span| span.1))
}

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> Result<T> {
    thread.join().ok().context("a thread panicked")
}

/// Returns when nobody listens there any more.
fn until_closed(address: SocketAddr) -> Result<()> {
    let start = Instant::now();
    loop {
        match TcpStream::connect_timeout(&address, DISABLE_DEADLINE) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(()),
            _ if start.elapsed() > DISABLE_DEADLINE => bail!("{address} still listens"),
            _ => sleep(PORT_POLL),
        }
    }
}
