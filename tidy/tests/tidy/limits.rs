//! Each limit of `docs/LIMITS.md` exists where the table says.

use shardwire_tidy::tree;

use crate::check;

const DOCUMENT: &str = "docs/LIMITS.md";

#[test]
fn limits_exist() {
    let document = tree::file(DOCUMENT).expect("the document exists");
    let mut faults = Vec::new();
    for (name, path) in rows(&document.text) {
        let Some(file) = tree::file(path) else {
            faults.push(format!("{name}: {path} does not exist"));
            continue;
        };
        if !file.text.contains(name) {
            faults.push(format!("{path} does not name {name}"));
        }
    }
    check("docs/LIMITS.md is out of date", &faults);
}

/// (name, file) of rows like ``| `NAME` | default | `path/to.rs` | … |``.
fn rows(document: &str) -> Vec<(&str, &str)> {
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')));
    cells.filter_map(|mut cells| Some((cells.nth(1)?, cells.nth(1)?))).collect()
}

#[test]
fn reads_rows() {
    let text = "| limit | default | where |\n|--|--|--|\n| `A` | 1 | `b.rs` | why |\n";
    assert_eq!(rows(text), [("A", "b.rs")]);
}
