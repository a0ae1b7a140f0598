//! Words that stand nowhere in the repository, and what to write instead.

use shardwire_tidy::tree;

use crate::check;

/// This file and the lock files, which quote what they ban or are written by cargo.
const EXEMPT: &[&str] = &["tidy/tests/tidy/words.rs", "Cargo.lock", "fuzz/Cargo.lock"];

/// The word and the way out.
const BANNED: &[(&str, &str)] = &[
    ("unbounded", "every queue has a written limit, in docs/LIMITS.md"),
    ("/home/", "a path of one machine"),
    ("../shared", "readers do not have it"),
];

#[test]
fn banned_words_are_absent() {
    let suffixes =
        [".rs", ".toml", ".md", ".ci/run", ".yml", ".yaml", ".sh", ".py", ".json", ".html", ".csv"];
    let mut faults = Vec::new();
    for file in tree::files(&suffixes) {
        if EXEMPT.contains(&file.path.as_str()) {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            let found = BANNED.iter().filter(|(word, _)| line.contains(word));
            faults.extend(
                found.map(|(word, instead)| {
                    format!("{}:{} `{word}`: {instead}", file.path, index + 1)
                }),
            );
        }
    }
    check("a banned word", &faults);
}
