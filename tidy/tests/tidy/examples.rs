//! Examples in documentation: each public item has one, and each is run.
//!
//! Not a check of what rustdoc sees: macros and the methods of traits escape it, and who is public
//! is told by the word `pub`. The nightly lint of `.ci/run docs` sees more of `protocol`, but
//! nothing of modules that are private while their items are not, as all of the driver's.

use std::collections::HashSet;

use shardwire_tidy::source::{code_only, without_tests, words};
use shardwire_tidy::tree;

use crate::check;

/// The folders whose public items users meet.
const FOLDERS: [&str; 2] = ["driver/src/", "protocol/src/"];

#[test]
fn public_items_have_an_example() {
    let mut faults = Vec::new();
    for file in tree::files(&[".rs"]) {
        if FOLDERS.iter().any(|folder| file.path.starts_with(folder)) {
            let without = items_without_example(&file.text).into_iter();
            faults.extend(without.map(|(line, name)| format!("{}:{line} {name}", file.path)));
        }
    }
    check("a public item without an example", &faults);
}

#[test]
fn examples_are_run() {
    let mut faults = Vec::new();
    for file in tree::files(&[".rs"]) {
        for (index, line) in file.text.lines().enumerate() {
            if fence(line).is_some_and(|info| words(info).any(|word| word == "ignore")) {
                faults.push(format!("{}:{}", file.path, index + 1));
            }
        }
    }
    check("an example that is never run", &faults);
}

/// Line and name of each public type, trait and function that no example shows: a function may be
/// part of another item's in the same file, such as its type's.
fn items_without_example(text: &str) -> Vec<(usize, String)> {
    let code = code_only(text);
    let examples = lines_of_examples(text);
    let shown: HashSet<&str> = examples.iter().flat_map(|line| words(line)).collect();
    let mut without = Vec::new();
    let mut has_example = false;
    let lines = without_tests(&code).lines().zip(text.lines()).zip(&examples);
    for (index, ((code, line), example)) in lines.enumerate() {
        // Between a documentation and what it is for stand attributes, but no empty line.
        has_example = !line.trim().is_empty() && (has_example || !example.is_empty());
        let Some((kind, name)) = public_item(code) else { continue };
        let is_shown = has_example || (kind == "fn" && shown.contains(name));
        if !is_shown {
            without.push((index + 1, name.to_owned()));
        }
        has_example = false;
    }
    without
}

/// Kind and name of the public item that is declared in this line.
fn public_item(code: &str) -> Option<(&str, &str)> {
    let declaration = code.trim_start().strip_prefix("pub ")?;
    if declaration.contains('$') {
        return None; // a macro's, which knows the name
    }
    let mut words = words(declaration).skip_while(|word| ["async", "const"].contains(word));
    let kind = words.next().filter(|kind| ["enum", "fn", "struct", "trait"].contains(kind))?;
    Some((kind, words.next()?))
}

/// What each line of a file has of an example: nothing, mostly.
fn lines_of_examples(text: &str) -> Vec<&str> {
    let mut is_inside = false;
    let mut is_example = false;
    let line = |line| {
        let doc = doc_line(line);
        if let Some(info) = fence(line) {
            is_inside = !is_inside;
            is_example = is_inside && is_rust(info);
        } else if is_example && let Some(content) = doc {
            return content;
        }
        is_inside &= doc.is_some();
        is_example &= doc.is_some();
        ""
    };
    text.lines().map(line).collect()
}

/// What stands after the three backticks that open or close a block in documentation.
fn fence(line: &str) -> Option<&str> {
    doc_line(line)?.trim_start().strip_prefix("```")
}

fn doc_line(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))
}

/// Whether rustdoc takes a block with this after its backticks for an example.
fn is_rust(info: &str) -> bool {
    const MARKS: [&str; 5] = ["compile_fail", "edition2024", "no_run", "rust", "should_panic"];
    words(info).all(|word| MARKS.contains(&word))
}

#[test]
fn finds_what_has_no_example() {
    let text = "\
        /// ```\n\
        /// A::shown();\n\
        /// ```\n\
        #[derive(Debug)]\n\
        pub struct A;\n\
        \n\
        /// ```text\n\
        /// drawn\n\
        /// ```\n\
        pub enum B {}\n\
        \n\
        impl A {\n\
            /// Shown above.\n\
            pub async fn shown() {}\n\
            /// Not at all.\n\
            pub const fn drawn() {}\n\
            /// Nobody's business.\n\
            pub(crate) fn hidden() {}\n\
        }\n\
        #[cfg(test)]\n\
        mod tests {\n\
            pub fn of_tests() {}\n\
        }\n";
    let found = items_without_example(text);
    assert_eq!(found, [(10, "B".to_owned()), (16, "drawn".to_owned())]);
}
