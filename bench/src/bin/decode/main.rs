//! Counts the instructions of decoding a row, with Shardwire's codec and with the official one, on
//! the same bytes.
//!
//! `examples/decode.rs` goes N and 2N times over the rows of each case, under callgrind; the
//! difference, over N and the rows, is what a row costs from the reply's body to a number made of
//! all its values. Both codecs must come to the same number. Nothing else runs in between, so the
//! counts are the same in every run of one program.
//!
//! Reading order: this file, `counting.rs`, `times.rs`, `report.rs`.

mod counting;
mod report;
mod times;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Parser;
use shardwire_bench::{callgrind, programs};

use crate::counting::Counting;

/// Instructions per row of decoding, beside the official codec's, counted by callgrind.
#[derive(Debug, Parser)]
struct Options {
    /// Only cases whose name contains this.
    #[arg(long, default_value = "")]
    cases: String,
    /// Rows of each reply.
    #[arg(long, default_value_t = 1_000)]
    rows: u32,
    /// How often the shorter count goes over the reply.
    #[arg(long, default_value_t = 10)]
    iterations: u32,
    /// Goes over each reply once and twice: for CI.
    #[arg(long)]
    quick: bool,
    /// Where the results go as JSON, besides the table.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fails if Shardwire takes more than the official codec for a type, or more than half of it
    /// for rows of several columns.
    #[arg(long)]
    gate: bool,
    /// Puts the wall times beside the counts: runs criterion's benchmark of the same cases.
    #[arg(long)]
    times: bool,
    /// Prints, for each case and codec, so many functions that take most of a row.
    #[arg(long, default_value_t = 0)]
    functions: usize,
}

fn main() -> anyhow::Result<()> {
    let mut options = Options::parse();
    if options.quick {
        options.iterations = 1;
    }
    let valgrind = callgrind::version()?;
    let [program] =
        programs::build(&["--package", "shardwire-bench", "--example", "decode"], ["decode"])?;
    let counting = Counting {
        program,
        cases: options.cases.clone(),
        rows: options.rows,
        iterations: options.iterations,
        functions: options.functions,
    };
    let mut results = counting.run()?;
    if options.times {
        times::fill_in(&mut results, options.rows)?;
    }
    print!("{}", report::table(&results, options.rows, &valgrind));
    if let Some(path) = &options.json {
        let text = report::json(&results, options.rows, &valgrind);
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    let above = report::above(&results);
    if options.gate && !above.is_empty() {
        bail!("more than the limit of the official codec's instructions: {}", above.join(", "));
    }
    Ok(())
}
