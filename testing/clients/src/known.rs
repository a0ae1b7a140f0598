//! The list of cases that are known to fail, and why.

/// One case a line, `client persona case: part of what is said | why`. Empty lines and those that
/// begin with `#` don't count.
const LIST: &str = include_str!("../known.txt");

/// A line of the list; `*` is any.
struct Entry<'a> {
    client: &'a str,
    persona: &'a str,
    case: &'a str,
    failure: Failure,
}

/// How a case is known to fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    /// Part of what the program says, so that nothing else is excused.
    pub(crate) said: &'static str,
    pub(crate) why: &'static str,
}

/// A case of a client, as one persona runs it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) client: &'a str,
    pub(crate) persona: &'a str,
    pub(crate) case: &'a str,
}

/// How the case is known to fail, if it is.
pub(crate) fn failure(place: Place<'_>) -> Option<Failure> {
    let fits = |listed: &str, name: &str| listed == "*" || listed == name;
    let mut entries = entries();
    let entry = entries.find(|entry| {
        fits(entry.client, place.client)
            && fits(entry.persona, place.persona)
            && entry.case == place.case
    });
    entry.map(|entry| entry.failure)
}

fn entries() -> impl Iterator<Item = Entry<'static>> {
    let lines = LIST.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| {
        let (place, failure) = line.split_once(": ")?;
        let (said, why) = failure.split_once(" | ")?;
        let mut words = place.split(' ');
        let (client, persona, case) = (words.next()?, words.next()?, words.next()?);
        Some(Entry { client, persona, case, failure: Failure { said, why } })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::{CLIENTS, Persona};

    #[test]
    fn each_line_names_a_case_and_a_reason() {
        let lines = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(lines.count(), entries().count());
        for Entry { client, persona, case, failure: Failure { said, why } } in entries() {
            assert!(!said.is_empty() && !why.is_empty(), "{client} {persona} {case}");
            let is_named = |name: &str| client == "*" || client == name;
            let clients = CLIENTS.iter().filter(|client| is_named(client.name));
            assert!(clients.map(|client| client.cases()).any(|cases| cases.contains(&case)));
            assert!(persona == "*" || Persona::ALL.iter().any(|known| known.name() == persona));
        }
    }

    #[test]
    fn what_is_not_listed_is_not_known() {
        assert_eq!(failure(Place { client: "cqlsh", persona: "scylla", case: "copy" }), None);
    }
}
