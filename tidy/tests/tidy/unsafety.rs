//! `unsafe` stands in two folders only, and each use says why it is sound.

use shardwire_tidy::packages;
use shardwire_tidy::source::{code_only, words};
use shardwire_tidy::tree;

use crate::check;

/// `sync` for the shared memory of the request path, `meter` for its allocator.
const MAY_BE_UNSAFE: &[&str] = &["sync/", "meter/"];

#[test]
fn unsafe_stands_where_it_may() {
    let mut faults = Vec::new();
    for file in tree::files(&[".rs"]) {
        if MAY_BE_UNSAFE.iter().any(|folder| file.path.starts_with(folder)) {
            continue;
        }
        for (index, line) in code_only(&file.text).lines().enumerate() {
            if words(line).any(|word| word == "unsafe") {
                faults.push(format!("{}:{}", file.path, index + 1));
            }
        }
    }
    check("`unsafe` outside of `sync` and `meter`", &faults);
}

#[test]
fn crates_forbid_it() {
    let mut faults = Vec::new();
    for package in packages::members() {
        if MAY_BE_UNSAFE.contains(&format!("{}/", package.folder).as_str()) {
            continue;
        }
        let manifest = tree::file(&format!("{}/Cargo.toml", package.folder));
        if manifest.is_some_and(|file| file.text.contains("unsafe_code = \"forbid\"")) {
            continue;
        }
        for path in package.crate_roots {
            let text = tree::file(&path).map(|file| file.text).unwrap_or_default();
            let code = code_only(&text);
            // A root without code has nothing to forbid yet.
            if !code.trim().is_empty() && !code.contains("#![forbid(unsafe_code)]") {
                faults.push(path);
            }
        }
    }
    check("a crate without `#![forbid(unsafe_code)]`", &faults);
}

#[test]
fn unsafe_crates_deny_the_careless_forms() {
    let lints =
        ["multiple_unsafe_ops_per_block", "undocumented_unsafe_blocks", "unsafe_op_in_unsafe_fn"];
    let mut faults = Vec::new();
    for folder in MAY_BE_UNSAFE {
        let read =
            |name| tree::file(&format!("{folder}{name}")).map(|f| f.text).unwrap_or_default();
        let (manifest, lib) = (read("Cargo.toml"), read("src/lib.rs"));
        // A crate without code has nothing to deny yet.
        let has_code = !code_only(&lib).trim().is_empty();
        let missing =
            lints.iter().filter(|lint| !manifest.contains(**lint) && !lib.contains(**lint));
        faults.extend(missing.filter(|_| has_code).map(|lint| format!("{folder} lacks {lint}")));
    }
    check("a crate with `unsafe` but without its lints", &faults);
}

#[test]
fn each_use_has_a_safety_note() {
    let mut faults = Vec::new();
    for file in tree::files(&[".rs"]) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, code) in code_only(&file.text).lines().enumerate() {
            let is_use = code.contains("unsafe {") || code.contains("unsafe impl");
            if is_use && !has_note_above(lines.get(..=index).unwrap_or(&lines)) {
                faults.push(format!("{}:{}", file.path, index + 1));
            }
        }
    }
    check("`unsafe` without a `SAFETY:` note above", &faults);
}

/// The note ends on the line of the use or above the statement that the use is part of.
fn has_note_above(lines: &[&str]) -> bool {
    let statement_lines_max = 8;
    let mut above = lines.iter().rev();
    above.by_ref().take(statement_lines_max).any(|line| line.contains("SAFETY:"))
        || above
            .take_while(|line| line.trim_start().starts_with("//"))
            .any(|line| line.contains("SAFETY:"))
}
