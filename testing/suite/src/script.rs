//! Scripts of CQL, which have to give the same on Apache Cassandra and on embedded nodes.
//!
//! A script is a file of statements, each ended by a semicolon at the end of a line. Beside it
//! stands what Apache Cassandra 5.0 answers: rows with the names and types of their columns, or the
//! code of an error. `cargo run -p shardwire-testing-suite --example record` asks it again.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use shardwire::value::CqlValue;
use shardwire::{QueryResult, Row, Session};

/// A script and what it has to give.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// The file's name without its ending.
    pub name: &'static str,
    /// The statements.
    pub text: &'static str,
    /// What Apache Cassandra answered.
    pub expected: &'static str,
}

macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        &[$(Script {
            name: $name,
            text: include_str!(concat!("../scripts/", $name, ".cql")),
            expected: include_str!(concat!("../scripts/", $name, ".txt")),
        }),*]
    };
}

/// All scripts.
pub const SCRIPTS: &[Script] = scripts![
    "batches",
    "collections",
    "conditions",
    "describe",
    "functions",
    "options",
    "select",
    "static",
    "syntax",
    "tables",
    "times",
    "types",
    "udts",
    "unusual",
];

/// The statements of a script.
fn statements(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| !line.starts_with("--") && !line.trim().is_empty());
    let mut statement = String::new();
    let mut all = Vec::new();
    for line in lines {
        statement.push_str(line);
        if line.ends_with(';') {
            all.push(std::mem::take(&mut statement));
        } else {
            statement.push('\n');
        }
    }
    all.into_iter()
}

/// Runs a script and writes down what each statement gave; the session uses the keyspace.
///
/// # Errors
///
/// A statement whose answer was none of the server: the node could not be reached, say.
pub async fn play(session: &Session, keyspace: &str, text: &str) -> Result<String> {
    let mut written = String::new();
    for statement in statements(text) {
        writeln!(written, "> {}", statement.replace('\n', "\n  "))?;
        let answer = session.query_unpaged(statement.replace("{ks}", keyspace), ()).await;
        match answer {
            Ok(result) => write_result(result, &mut written)
                .with_context(|| format!("the rows of {statement}"))?,
            Err(error) => {
                let code = error.database_code();
                let code = code.with_context(|| format!("{statement}: {error}"))?;
                writeln!(written, "error {code:#06x}")?;
            }
        }
    }
    Ok(written.replace(keyspace, "{ks}"))
}

fn write_result(result: QueryResult, out: &mut String) -> Result<()> {
    if !result.is_rows() {
        writeln!(out, "done")?;
        return Ok(());
    }
    let rows = result.into_rows_result()?;
    let columns: Vec<_> = rows
        .column_specs()
        .iter()
        .map(|column| format!("{} {}", column.name, column.typ))
        .collect();
    writeln!(out, "({})", columns.join(", "))?;
    for row in rows.rows::<Row>()? {
        let cells: Vec<_> = row?.columns.iter().map(shown).collect();
        writeln!(out, "{}", cells.join(" | "))?;
    }
    Ok(())
}

fn shown(value: &Option<CqlValue>) -> String {
    value.as_ref().map_or_else(|| "null".to_owned(), |value| format!("{value:?}"))
}

/// Compares what a script gave with what it has to give; the error shows the first difference.
pub(crate) fn compare(script: &Script, found: &str) -> Result<()> {
    let mut statement = "";
    let mut expected = script.expected.lines();
    for line in found.lines() {
        let wanted = expected.next().unwrap_or("the end");
        if let Some(text) = line.strip_prefix("> ") {
            statement = text;
        }
        ensure!(
            line == wanted,
            "{}, {statement}\n  gave     {line}\n  expected {wanted}",
            script.name
        );
    }
    ensure!(expected.next().is_none(), "{} ends too early", script.name);
    Ok(())
}
