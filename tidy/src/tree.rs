//! The repository's own files: everything that is not built, fetched or reported.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the repository.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// From the repository's root, with `/` between folders.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// The repository's root.
///
/// # Panics
///
/// If this crate does not stand in a folder of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tidy is a folder of the repository").to_path_buf()
}

/// Every text file whose name ends with one of `suffixes`, in the order of their paths.
///
/// # Panics
///
/// If a folder can't be listed.
pub fn files(suffixes: &[&str]) -> Vec<TextFile> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository can be listed") {
            let entry = entry.expect("a folder of the repository can be listed");
            let path = relative(&root, &entry.path());
            let kind = entry.file_type().expect("a listed file has a type");
            if kind.is_dir() {
                if !is_foreign(&path) {
                    folders.push(entry.path());
                }
            } else if kind.is_file() && suffixes.iter().any(|suffix| path.ends_with(suffix)) {
                // A file that is not UTF-8 is not text and has no lines to judge.
                if let Ok(text) = fs::read_to_string(entry.path()) {
                    found.push(TextFile { path, text });
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Reads one file by its path from the root; `None` if there is none.
pub fn file(path: &str) -> Option<TextFile> {
    let text = fs::read_to_string(root().join(path)).ok()?;
    Some(TextFile { path: path.to_owned(), text })
}

fn relative(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}

/// Folders that hold nothing a person wrote.
fn is_foreign(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let generated = ["fuzz/artifacts", "fuzz/corpus", "fuzz/coverage"];
    name == "target" || name == ".git" || name == "compare-report" || generated.contains(&path)
}
