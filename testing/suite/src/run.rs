//! The tests: each case, with each variant, against each cluster that it suits.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use crate::case::{Case, Manner};
use crate::configuration::{Configuration, Server, Variant};
use crate::context::Context;
use crate::stage::Stage;
use crate::{cases, list};

/// Time that a case may take. The longest waits for nodes that are killed and started again.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs the suite against these clusters, one after the other, with the arguments of the process.
pub fn main(configurations: &[Configuration]) -> ExitCode {
    let arguments = Arguments::from_args();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let stage = Arc::new(Stage::default());
    let mut trials = Vec::new();
    for configuration in configurations {
        add_trials(*configuration, &stage, &runtime, &mut trials);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Not by dropping it: `Arc`s of it may be left in tests that were filtered out.
    stage.clear();
    conclusion.exit_code()
}

/// The tests of one cluster, those that run alone last.
fn add_trials(
    configuration: Configuration,
    stage: &Arc<Stage>,
    runtime: &Arc<Runtime>,
    trials: &mut Vec<Trial>,
) {
    let is_embedded = matches!(configuration.server, Server::Embedded(_));
    let suits = |case: &&'static Case| case.suits(&configuration);
    let (listed, cases): (Vec<_>, Vec<_>) =
        cases::all().filter(suits).partition(|case| is_embedded && list::has(case.name));
    let is_shared = |case: &&&Case| case.manner == Manner::Shared;
    let mut add = |case: &'static Case, variants: &'static [Variant], expect: Expect| {
        let names: Vec<_> = variants.iter().map(|variant| variant.name).collect();
        let mut name = format!("{configuration}, {}: {}", names.join(" + "), case.name);
        if expect == Expect::Failure {
            name += " (is refused)";
        }
        // Short, as keyspaces have to be, and another one for each test.
        let keyspace = format!("suite_{}", trials.len());
        let (stage, runtime) = (Arc::clone(stage), Arc::clone(runtime));
        let run = move || {
            let place = stage.enter(configuration, case.manner, &runtime)?;
            let context = Context::new(Arc::clone(&place.target), variants, keyspace.clone());
            let outcome = runtime.block_on(run(case, &context));
            match (outcome, expect) {
                (Ok(()), Expect::Success) | (Err(_), Expect::Failure) => Ok(()),
                (Err(error), Expect::Success) => Err(Failed::from(told(&error))),
                (Ok(()), Expect::Failure) => Err(Failed::from(
                    "embedded nodes serve it: take it off testing/suite/cassandra-only.txt",
                )),
            }
        };
        trials.push(Trial::test(name, run));
    };
    let variants = Variant::all(configuration.server);
    for variant in variants {
        for case in cases.iter().filter(is_shared) {
            add(case, std::slice::from_ref(variant), Expect::Success);
        }
    }
    for case in cases.iter().filter(|case| !is_shared(case)) {
        add(case, variants, Expect::Success);
    }
    // What is listed fails, or it need not be listed.
    for case in listed {
        add(case, variants, Expect::Failure);
    }
}

/// The error, and where in the cases it came up if backtraces are on.
fn told(error: &anyhow::Error) -> String {
    let backtrace = error.backtrace().to_string();
    let places = backtrace.lines().map(str::trim).filter(|line| line.contains("src/cases/"));
    places.fold(format!("{error:#}"), |text, place| text + "\n  " + place)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expect {
    Success,
    Failure,
}

async fn run(case: &Case, context: &Context) -> Result<()> {
    let outcome = match tokio::time::timeout(DEADLINE, (case.run)(context)).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("it has not ended after {DEADLINE:?}"),
    };
    if case.manner == Manner::Alone {
        context.target().heal().await.context("after the case")?;
    }
    outcome?;
    context.clear().await.context("after the case")
}
