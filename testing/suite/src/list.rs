//! The list of cases that embedded nodes can't serve yet.

/// One case a line, `name: why`. Empty lines and lines that begin with `#` don't count.
const LIST: &str = include_str!("../cassandra-only.txt");

/// Names of the cases, and why.
pub(crate) fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = LIST.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    // The first colon of two in `module::case` doesn't end the name.
    lines.map(|line| line.split_once(": ").unwrap_or((line, "")))
}

/// Whether the case is on the list.
pub(crate) fn has(name: &str) -> bool {
    entries().any(|(listed, _)| listed == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    #[test]
    fn each_line_names_a_case_and_a_reason() {
        for (name, why) in entries() {
            assert!(!why.trim().is_empty(), "{name} has no reason");
            assert!(cases::all().any(|case| case.name == name), "there is no case {name}");
        }
    }

    #[test]
    fn names_are_listed_once() {
        let mut names: Vec<_> = entries().map(|(name, _)| name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
