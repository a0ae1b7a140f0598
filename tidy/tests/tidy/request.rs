//! `docs/REQUEST.md` and the module docs of the request path lead through the same files in the
//! same order.

use shardwire_tidy::source::module_doc;
use shardwire_tidy::tree;

use crate::check;

const DOCUMENT: &str = "docs/REQUEST.md";

#[test]
fn the_chain_is_whole() {
    let document = tree::file(DOCUMENT).expect("the document exists");
    let steps = steps(&document.text);
    let count = steps.len();
    let mut faults = Vec::new();
    for (index, path) in steps.iter().enumerate() {
        let Some(file) = tree::file(path) else {
            faults.push(format!("{path} does not exist"));
            continue;
        };
        let doc = module_doc(&file.text).replace('`', "");
        let step = format!("Step {} of {count} ", index + 1);
        if !doc.contains(&step) {
            faults.push(format!("{path}: its module doc lacks \"{step}in {DOCUMENT}\""));
        }
        let next = steps.get(index + 1).map(|next| format!("Next: {next}"));
        if let Some(next) = next.filter(|next| !doc.contains(next.as_str())) {
            faults.push(format!("{path}: its module doc lacks \"{next}\""));
        }
    }
    check("the chain of docs/REQUEST.md is broken", &faults);
}

#[test]
fn every_step_is_listed() {
    let document = tree::file(DOCUMENT).expect("the document exists");
    let steps = steps(&document.text);
    let mut faults = Vec::new();
    for file in tree::files(&[".rs"]) {
        let doc = module_doc(&file.text).replace('`', "");
        let says_step = doc.contains("Step ") && doc.contains(&format!("in {DOCUMENT}"));
        // With no list yet there is nothing to agree with.
        if says_step && !steps.is_empty() && !steps.contains(&file.path.as_str()) {
            faults.push(file.path);
        }
    }
    check("a file that says it is a step, but docs/REQUEST.md does not list it", &faults);
}

/// Paths of the list: lines like ``3. `driver/src/pool.rs` - …``, numbered from 1 without a gap.
fn steps(document: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in document.lines() {
        let Some((number, rest)) = line.split_once(". `") else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        let path = rest.split('`').next().unwrap_or(rest);
        assert_eq!(number, found.len() + 1, "{DOCUMENT}: steps are numbered in order");
        found.push(path);
    }
    found
}

#[test]
fn reads_steps() {
    let text = "Text\n1. `a.rs` - one `x`\n   more\n2. `b/c.rs` - two\n";
    assert_eq!(steps(text), ["a.rs", "b/c.rs"]);
}
