//! One client against nodes of one persona.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cases::{self, Verdict};
use crate::folder;
use crate::install::Program;
use crate::known::{self, Failure, Place};
use crate::list::{Client, Persona};
use crate::nodes::Nodes;
use crate::process::{self, Event};

/// Time for all cases of a client; most of it is patience with clients that connect again.
const LIMIT: Duration = Duration::from_secs(240);

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) client: &'static Client,
    pub(crate) persona: Persona,
    pub(crate) time: Duration,
    pub(crate) passed: usize,
    /// Cases that the client does not have, and that are known to fail, with the reason.
    pub(crate) excused: Vec<String>,
    /// What should not be.
    pub(crate) faults: Vec<String>,
}

/// Starts nodes, runs the program against them, and judges what it says.
pub(crate) fn run(
    client: &'static Client,
    persona: Persona,
    program: &Program,
    server: &Path,
) -> Result<Outcome> {
    let title = format!("{} {} as {}", client.name, client.version, persona.name());
    let log_path = folder::cache()?.join(format!("{}-{}.log", client.name, persona.name()));
    let log = File::create(&log_path).with_context(|| format!("no {}", log_path.display()))?;
    let nodes = Nodes::start(server, persona)?;
    let mut command = Command::new(&program.file);
    command.args(&program.arguments).args([&nodes.contact_point, persona.name(), &nodes.admin]);
    let start = Instant::now();
    let mut said = Vec::new();
    let status = process::stream(&mut command, log, LIMIT, |event| match event {
        Event::Line(line) => {
            eprintln!("{title}: {line}");
            if let Some((name, verdict)) = cases::parse(line) {
                said.push((name.to_owned(), verdict));
            }
        }
        Event::Passed(time) => eprintln!("{title}: {} s", time.as_secs()),
    });
    let mut outcome = judge(client, persona, said, known::failure);
    outcome.time = start.elapsed();
    let has_failed = outcome.excused.iter().any(|line| line.contains(KNOWN));
    match status {
        Err(error) => outcome.faults.push(format!("{error:#}")),
        // An error that no case has told of.
        Ok(status) if !status.success() && outcome.faults.is_empty() && !has_failed => {
            outcome.faults.push(format!("the program ended with {status}"));
        }
        Ok(_) => {}
    }
    if !outcome.faults.is_empty() {
        let errors = process::last_lines(&log_path);
        if !errors.is_empty() {
            outcome.faults.push(format!("its last lines on standard error:\n{errors}"));
        }
    }
    Ok(outcome)
}

/// How a case begins that is known to fail.
const KNOWN: &str = "known to fail: ";

/// Compares what the program has said with the cases that it should have, and with the list.
fn judge(
    client: &'static Client,
    persona: Persona,
    said: Vec<(String, Verdict)>,
    known: impl Fn(Place<'_>) -> Option<Failure>,
) -> Outcome {
    let (mut passed, mut excused, mut faults) = (0, Vec::new(), Vec::new());
    for case in client.cases() {
        let mut verdicts = said.iter().filter(|(name, _)| name == case).map(|(_, verdict)| verdict);
        let place = Place { client: client.name, persona: persona.name(), case };
        match (verdicts.next(), known(place)) {
            (None, _) => faults.push(format!("{case}: not run")),
            (Some(Verdict::Passed), None) => passed += 1,
            (Some(Verdict::Passed), Some(_)) => {
                faults.push(format!("{case}: passes; take it off testing/clients/known.txt"));
            }
            (Some(Verdict::Failed(text)), Some(known)) if text.contains(known.said) => {
                excused.push(format!("{KNOWN}{case}: {}", known.why));
            }
            (Some(Verdict::Failed(why)), _) => faults.push(format!("{case}: {why}")),
            (Some(Verdict::Absent(why)), _) => excused.push(format!("absent: {case}: {why}")),
        }
        if verdicts.next().is_some() {
            faults.push(format!("{case}: told twice"));
        }
    }
    let strange = said.iter().filter(|(name, _)| !client.cases().contains(&name.as_str()));
    faults.extend(strange.map(|(name, _)| format!("{name}: not a case that is listed")));
    Outcome { client, persona, time: Duration::ZERO, passed, excused, faults }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::CLIENTS;

    fn judged(change: impl Fn(&mut Vec<(String, Verdict)>)) -> Outcome {
        let client = &CLIENTS[2];
        assert_eq!(client.name, "cqlsh");
        let pass = |name: &&str| (name.to_string(), Verdict::Passed);
        let mut said = client.cases().iter().map(pass).collect();
        change(&mut said);
        judge(client, Persona::Scylla, said, |_| None)
    }

    #[test]
    fn cases_are_counted() {
        let outcome = judged(|_| {});
        assert_eq!((outcome.passed, outcome.faults), (CLIENTS[2].cases().len(), Vec::new()));
        let outcome = judged(|said| said[1].1 = Verdict::Absent("why".to_owned()));
        assert_eq!(outcome.excused, ["absent: statements: why"]);
        assert!(outcome.faults.is_empty());
    }

    #[test]
    fn only_what_is_listed_is_excused() {
        let judged = |verdict| {
            let said = vec![("pages".to_owned(), verdict)];
            let listed = Failure { said: "no pages", why: "why" };
            let known = |place: Place<'_>| (place.case == "pages").then_some(listed);
            let outcome = judge(&CLIENTS[0], Persona::Scylla, said, known);
            let is_fault = outcome.faults.iter().any(|line| line.starts_with("pages"));
            (outcome.excused.len(), is_fault)
        };
        assert_eq!(judged(Verdict::Failed("Error: no pages".to_owned())), (1, false));
        assert_eq!(judged(Verdict::Failed("Error: other".to_owned())), (0, true));
        assert_eq!(judged(Verdict::Passed), (0, true));
    }

    #[test]
    fn what_should_not_be_is_a_fault() {
        let outcome = judged(|said| {
            said[0].1 = Verdict::Failed("why".to_owned());
            said.remove(1);
            said.push(("types".to_owned(), Verdict::Passed));
            said.push(("other".to_owned(), Verdict::Passed));
        });
        let expect = [
            "connect: why",
            "statements: not run",
            "types: told twice",
            "other: not a case that is listed",
        ];
        assert_eq!(outcome.faults, expect);
    }
}
