//! The form of a source file: it says what it is, its lines fit, and nothing unfinished is left in
//! it.

use shardwire_tidy::source::{code_only, words};
use shardwire_tidy::tree;

use crate::check;

/// Columns of a line; rustfmt keeps code within it, but neither comments nor strings.
const LINE_COLUMNS_MAX: usize = 100;

#[test]
fn files_open_with_their_purpose() {
    let files = tree::files(&[".rs"]).into_iter();
    let silent = files.filter(|file| !file.text.starts_with("//! "));
    let faults: Vec<_> = silent.map(|file| file.path).collect();
    check("a file that does not open with `//! ` and what it is", &faults);
}

#[test]
fn lines_fit() {
    let mut faults = Vec::new();
    for file in tree::files(&[".rs"]) {
        let code = code_only(&file.text);
        for (index, (line, code)) in file.text.lines().zip(code.lines()).enumerate() {
            let comment = line.trim_start().trim_start_matches(['/', '!']).trim_start();
            let columns = match line.trim_start().starts_with("//") {
                // Neither a link nor a row of a table can be wrapped.
                true if comment.contains("https://") || comment.starts_with('|') => 0,
                true => line.chars().count(),
                // A literal is as long as it is: expected output, names of Java classes.
                false => columns_without_literals(code),
            };
            if columns > LINE_COLUMNS_MAX {
                faults.push(format!("{}:{} has {columns} columns", file.path, index + 1));
            }
        }
    }
    check("a line past 100 columns", &faults);
}

/// `code_only` has put spaces for each literal.
fn columns_without_literals(code: &str) -> usize {
    let indent = code.len() - code.trim_start().len();
    let words: Vec<&str> = code.split_whitespace().collect();
    indent.min(LINE_COLUMNS_MAX / 2) + words.join(" ").chars().count()
}

#[test]
fn nothing_is_left_unfinished() {
    let mut faults = Vec::new();
    for file in tree::files(&[".rs"]) {
        for (index, line) in code_only(&file.text).lines().enumerate() {
            let is_left = ["dbg!", "todo!", "unimplemented!", "#[ignore"]
                .into_iter()
                .find(|left| line.contains(left));
            if let Some(left) = is_left {
                faults.push(format!("{}:{} `{left}`", file.path, index + 1));
            }
        }
    }
    check("something unfinished", &faults);
}

#[test]
fn lints_are_expected_with_a_reason() {
    let mut faults = Vec::new();
    for file in tree::files(&[".rs"]) {
        let code = code_only(&file.text);
        for (offset, _) in code.match_indices("[expect(").chain(code.match_indices("[allow(")) {
            let tail = code.get(offset..).unwrap_or("");
            let attribute = tail.get(..tail.find(")]").unwrap_or(tail.len())).unwrap_or(tail);
            if !words(attribute).any(|word| word == "reason") {
                let line = 1 + code.get(..offset).map_or(0, |head| head.matches('\n').count());
                faults.push(format!("{}:{line}", file.path));
            }
        }
    }
    check("a lint that is silenced without a reason", &faults);
}
