//! Prints the largest files and functions; nothing fails on them, people look at them.

#![forbid(unsafe_code)]

use shardwire_tidy::source::{code_only, functions, without_tests};
use shardwire_tidy::tree;

/// How many of each are printed.
const SHOWN: usize = 12;
/// Lines of a file, tests apart, past which it should be split.
const FILE_LINES: usize = 600;
/// Lines of a function past which it deserves a second thought.
const FUNCTION_LINES: usize = 70;

fn main() {
    let mut files = Vec::new();
    let mut all = Vec::new();
    for file in tree::files(&[".rs"]) {
        if file.path.contains("/tests/") || file.path.ends_with("tests.rs") {
            continue;
        }
        let code = code_only(&file.text);
        let code = without_tests(&code);
        files.push((code.lines().count(), file.path.clone()));
        let of_file = functions(code).into_iter();
        all.extend(of_file.map(|f| (f.line_count, format!("{}:{} {}", file.path, f.line, f.name))));
    }
    print("files", FILE_LINES, files);
    print("functions", FUNCTION_LINES, all);
}

fn print(what: &str, hint: usize, mut sizes: Vec<(usize, String)>) {
    sizes.sort_by(|a, b| b.cmp(a));
    let over = sizes.iter().filter(|(lines, _)| *lines > hint).count();
    println!("{} {what} without tests, {over} past {hint} lines; the largest:", sizes.len());
    for (lines, name) in sizes.iter().take(SHOWN) {
        println!("  {lines:5}  {name}");
    }
}
