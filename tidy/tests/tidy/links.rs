//! Relative links in Markdown lead to a file and, where they name one, to a heading.

use std::path::Path;

use shardwire_tidy::tree;

use crate::check;

#[test]
fn links_lead_somewhere() {
    let mut faults = Vec::new();
    for file in tree::files(&[".md"]) {
        for target in targets(&file.text) {
            if let Some(fault) = fault(&file.path, &file.text, target) {
                faults.push(format!("{}: ({target}) {fault}", file.path));
            }
        }
    }
    check("a dead link", &faults);
}

/// What stands in the brackets of `](…)`, outside of code blocks.
fn targets(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        let mut rest = line;
        while let Some(start) = rest.find("](").filter(|_| !is_code) {
            rest = rest.get(start + 2..).unwrap_or("");
            let end = rest.find(')').unwrap_or(rest.len());
            found.extend(rest.get(..end));
        }
    }
    found
}

fn fault(path: &str, text: &str, target: &str) -> Option<&'static str> {
    if ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme)) {
        return None;
    }
    let (name, heading) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let full = tree::root().join(folder).join(name);
    if !name.is_empty() && !full.exists() {
        return Some("there is no such file");
    }
    if heading.is_empty() {
        return None;
    }
    let text = if name.is_empty() {
        text.to_owned()
    } else {
        std::fs::read_to_string(full).unwrap_or_default()
    };
    let has_heading = text.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
    if has_heading { None } else { Some("the file has no such heading") }
}

/// The anchor that hosts give a heading: lower case, spaces to hyphens, punctuation dropped.
fn anchor(line: &str) -> String {
    let title = line.trim_start_matches('#').trim().to_lowercase();
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn anchors_follow_headings() {
    assert_eq!(anchor("## The life of one request"), "the-life-of-one-request");
    assert_eq!(anchor("# `unsafe`, and why"), "unsafe-and-why");
}
