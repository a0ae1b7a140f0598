//! Scripts of CQL: whatever Apache Cassandra 5.0 answers, embedded nodes answer too. One real node
//! is enough: what a statement gives does not depend on how many there are.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::case::{Case, case};
use crate::context::Context;
use crate::script::{SCRIPTS, compare, play};

pub(super) const CASES: &[Case] = &[
    case!(scripts::batches).cassandra().one_node(),
    case!(scripts::collections).cassandra().one_node(),
    case!(scripts::conditions).cassandra().one_node(),
    case!(scripts::describe).cassandra().one_node(),
    case!(scripts::functions).cassandra().one_node(),
    case!(scripts::options).cassandra().one_node(),
    case!(scripts::select).cassandra().one_node(),
    case!(scripts::of_statics).cassandra().one_node(),
    case!(scripts::syntax).cassandra().one_node(),
    case!(scripts::tables).cassandra().one_node(),
    case!(scripts::times).cassandra().one_node(),
    case!(scripts::types).cassandra().one_node(),
    case!(scripts::udts).cassandra().one_node(),
    case!(scripts::unusual).cassandra().one_node(),
];

/// Three nodes that compile a function at once, on a busy machine, take half a minute.
const PATIENCE: Duration = Duration::from_secs(90);

async fn run(context: &Context, name: &str) -> Result<()> {
    let script = SCRIPTS.iter().find(|script| script.name == name).context("no such script")?;
    context.session().await?;
    let builder =
        context.builder().use_keyspace(context.keyspace()).request_timeout(Some(PATIENCE));
    let session = builder.build().await?;
    compare(script, &play(&session, context.keyspace(), script.text).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_has_a_case() {
        assert_eq!(CASES.len(), SCRIPTS.len());
    }
}

macro_rules! run {
    ($($case:ident $name:literal),* $(,)?) => {
        $(async fn $case(context: &Context) -> Result<()> {
            run(context, $name).await
        })*
    };
}

run! {
    batches "batches",
    collections "collections",
    conditions "conditions",
    describe "describe",
    functions "functions",
    options "options",
    select "select",
    of_statics "static",
    syntax "syntax",
    tables "tables",
    times "times",
    types "types",
    udts "udts",
    unusual "unusual",
}
