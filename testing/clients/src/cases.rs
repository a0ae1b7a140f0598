//! The cases that programs run, and the lines in which they say how it went.
//!
//! A program prints, for each of its cases once and in any order,
//! `passed NAME`, `failed NAME: why` or, where the client has no such thing, `absent NAME: why`. It
//! ends with an error if one has failed.

/// Cases of a driver.
///
/// | case | what it does |
/// |---|---|
/// | `connect` | chooses the version, finds three nodes |
/// | `schema` | creates and alters keyspaces, tables and an index, and reads them back as metadata |
/// | `scalars` | writes and reads all scalar types, with bounds |
/// | `collections`, `tuples`, `udts`, `vectors` | the same, nested and frozen; changes parts |
/// | `pages` | reads 1,000 rows in pages of 37, also from a paging state that was kept |
/// | `batches`, `counters` | logged, unlogged and counter batches |
/// | `conditions`, `conditional_batches` | statements and batches, applied and not |
/// | `prepared` | values by position and by name; a table that changes meanwhile |
/// | `nulls` | null, unset and empty values |
/// | `routing` | the nodes' counters: nothing goes to a wrong node, nor to a wrong shard |
/// | `restart` | a node is stopped and started; no request fails, and it is used again |
pub(crate) const DRIVER: &[&str] = &[
    "connect",
    "schema",
    "scalars",
    "collections",
    "tuples",
    "udts",
    "vectors",
    "pages",
    "batches",
    "counters",
    "conditions",
    "conditional_batches",
    "prepared",
    "nulls",
    "routing",
    "restart",
];

/// Cases of a shell: what people type, and what it prints.
pub(crate) const SHELL: &[&str] = &[
    "connect",
    "statements",
    "types",
    "pages",
    "copy",
    "tracing",
    "describe_keyspaces",
    "describe_table",
    "describe_schema",
];

/// How a case went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    /// The client has no such thing.
    Absent(String),
}

/// The case and how it went; `None` if the line says something else, as clients' logs do.
pub(crate) fn parse(line: &str) -> Option<(&str, Verdict)> {
    let (word, rest) = line.split_once(' ')?;
    let (name, why) = rest.split_once(": ").unwrap_or((rest, ""));
    let verdict = match word {
        "passed" if why.is_empty() => Verdict::Passed,
        "failed" => Verdict::Failed(why.to_owned()),
        "absent" => Verdict::Absent(why.to_owned()),
        _ => return None,
    };
    Some((name, verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        assert_eq!(parse("passed connect"), Some(("connect", Verdict::Passed)));
        let failed = Verdict::Failed("a: b".to_owned());
        assert_eq!(parse("failed pages: a: b"), Some(("pages", failed)));
        let absent = Verdict::Absent("no vectors".to_owned());
        assert_eq!(parse("absent vectors: no vectors"), Some(("vectors", absent)));
        assert_eq!(parse("2026/11/27 gocql: unable to dial"), None);
        assert_eq!(parse(""), None);
    }
}
