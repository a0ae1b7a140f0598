//! Counts a client's instructions per request, under callgrind, against a node outside of it.
//!
//! One run makes N requests, another 2N; their difference over N is what a request costs, start-up
//! apart. Counted is the user mode of the whole client process: driver, runtime and harness. The
//! number does not depend on the machine's load, so it shows changes that wall time hides.
//!
//! Reading order: this file, `programs.rs`, `node.rs`, `client.rs`, `report.rs`.

mod client;
mod node;
mod programs;
mod report;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Parser;
use shardwire_bench::callgrind;

use crate::client::Counting;
use crate::node::Node;
use crate::programs::Programs;
use crate::report::{Baseline, Measured};

/// Instructions per request of a whole client process, counted by callgrind.
#[derive(Debug, Parser)]
struct Options {
    /// Drivers, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "floor,shardwire,scylla")]
    drivers: Vec<String>,
    /// Workloads, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "insert,select-1,select-10,select-100,batch-10"
    )]
    workloads: Vec<String>,
    /// Requests in flight, each by a task that is used again and again.
    #[arg(long, default_value_t = 128)]
    concurrency: u32,
    /// Requests of the shorter run; 0: as many as the workload needs, 5,000 to 20,000.
    #[arg(long, default_value_t = 0)]
    requests: u64,
    /// Only inserts, few requests: shows that it works.
    #[arg(long)]
    quick: bool,
    /// Where the results go as JSON, besides the table.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fails if a count is more than so many per cent above `bench/baseline.csv`.
    #[arg(long)]
    gate: Option<f64>,
    /// Where callgrind's profiles are kept, for `callgrind_annotate`; by default they are not.
    #[arg(long)]
    profiles: Option<PathBuf>,
    /// Prints, for each measurement, so many functions that take most of a request.
    #[arg(long, default_value_t = 0)]
    functions: usize,
    /// Prints rows for `bench/baseline.csv` instead of the table.
    #[arg(long)]
    csv: bool,
}

fn main() -> anyhow::Result<()> {
    let mut options = Options::parse();
    if options.quick {
        options.workloads = vec!["insert".to_owned()];
        options.requests = 1_000;
    }
    let valgrind = callgrind::version()?;
    let programs = Programs::build()?;
    let node = Node::start(&programs)?;
    programs.create_tables(&node)?;
    let baseline = Baseline::read(&programs.repository)?;

    let mut results = Vec::new();
    for workload in &options.workloads {
        for driver in &options.drivers {
            let measured = measure(&options, &programs, &node, driver, workload)
                .with_context(|| format!("{driver}, {workload}"))?;
            eprintln!("{driver:>10} {workload:<10} {:>9}", measured.per_request.round());
            results.push(measured);
        }
    }
    if options.csv {
        print!("{}", report::csv(&results));
    } else {
        print!("{}", report::table(&results, &baseline, &valgrind));
    }
    if let Some(path) = &options.json {
        let text = report::json(&results, &baseline, &valgrind);
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    let above = options.gate.map(|percent| report::above(&results, &baseline, percent));
    if let Some(above) = above.filter(|above| !above.is_empty()) {
        bail!("more instructions than bench/baseline.csv allows: {}", above.join(", "));
    }
    Ok(())
}

fn measure(
    options: &Options,
    programs: &Programs,
    node: &Node,
    driver: &str,
    workload: &str,
) -> anyhow::Result<Measured> {
    let requests = match options.requests {
        0 => client::requests_for(workload),
        requests => requests,
    };
    let counting = Counting { driver, workload, concurrency: options.concurrency, requests };
    let short = counting.run(programs, node, options.profiles.as_deref())?;
    let twice = Counting { requests: 2 * requests, ..counting };
    let long = twice.run(programs, node, options.profiles.as_deref())?;
    for (instructions, name) in short.per_unit(&long, requests).iter().take(options.functions) {
        eprintln!("{instructions:>10.1} {name}");
    }
    let (short, long) = (short.total as f64, long.total as f64);
    Ok(Measured {
        driver: driver.to_owned(),
        workload: workload.to_owned(),
        concurrency: options.concurrency,
        requests,
        per_request: (long - short) / requests as f64,
        start_up: short - (long - short),
    })
}
