//! One process that decodes everything, and the counts that callgrind wrote meanwhile.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use shardwire_bench::{Profile, callgrind};

/// A name that callgrind finds whichever way the compiler spells it. It writes down what it has
/// counted when this function returns, and begins anew.
const DUMP_AFTER: &str = "--dump-after=*end_of_measurement*";
/// Of each case and codec: after warming up, after N times, after 2N times.
const DUMPS: usize = 3;

/// What is to be decoded how often.
#[derive(Debug)]
pub(crate) struct Counting {
    pub(crate) program: PathBuf,
    pub(crate) cases: String,
    pub(crate) rows: u32,
    pub(crate) iterations: u32,
    pub(crate) functions: usize,
}

/// A case, by both codecs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) case: String,
    /// How much Shardwire may take of what the official codec takes.
    pub(crate) limit: f64,
    pub(crate) shardwire: Costs,
    pub(crate) scylla: Costs,
}

/// Of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Costs {
    pub(crate) instructions: f64,
    /// Wall time, where it was asked for.
    pub(crate) nanoseconds: Option<f64>,
}

impl Counting {
    /// Counts all cases.
    ///
    /// # Errors
    ///
    /// If the program fails, or the codecs do not agree in what they read.
    pub(crate) fn run(&self) -> anyhow::Result<Vec<Measured>> {
        let folder = std::env::temp_dir().join(format!("shardwire-decode.{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let results = self.run_in(&folder);
        std::fs::remove_dir_all(&folder)?;
        results
    }

    fn run_in(&self, folder: &Path) -> anyhow::Result<Vec<Measured>> {
        let profile = folder.join("profile");
        let output = callgrind::command(&profile, &[DUMP_AFTER], &self.program)
            .args([self.rows.to_string(), self.iterations.to_string(), self.cases.clone()])
            .stderr(Stdio::inherit())
            .output()
            .context("starting valgrind")?;
        ensure!(output.status.success(), "decoding ended with {}", output.status);
        let text = String::from_utf8(output.stdout).context("reading what was decoded")?;
        let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        ensure!(!lines.is_empty(), "no case has {:?} in its name", self.cases);

        let mut results = Vec::new();
        for (index, pair) in lines.chunks(2).enumerate() {
            let [ours, theirs] = pair else { bail!("a case was decoded by one codec") };
            let case = ours["case"].as_str().context("a case has a name")?.to_owned();
            let order = (&ours["codec"], &theirs["codec"], &theirs["case"]);
            ensure!(order == (&"shardwire".into(), &"scylla".into(), &ours["case"]), "{order:?}");
            let sums = [&ours["checksum"], &theirs["checksum"]];
            ensure!(
                sums[0].is_u64() && sums[0] == sums[1],
                "{case}: the codecs do not agree in what they read: {sums:?}"
            );
            let costs = |codec: &str, place: usize| {
                let instructions = self
                    .per_row(&profile, 2 * index + place, &format!("{case}, {codec}"))
                    .with_context(|| format!("{case}, {codec}"))?;
                anyhow::Ok(Costs { instructions, nanoseconds: None })
            };
            let (shardwire, scylla) = (costs("shardwire", 0)?, costs("scylla", 1)?);
            let limit = if ours["is_half"] == true { 0.5 } else { 1.0 };
            results.push(Measured { case, limit, shardwire, scylla });
        }
        Ok(results)
    }

    /// Instructions per row of the measurement that is the `place`th of all, from 0.
    fn per_row(&self, profile: &Path, place: usize, title: &str) -> anyhow::Result<f64> {
        let dump = |number: usize| {
            // They are numbered from 1, the number behind the name.
            let path = profile.with_extension((place * DUMPS + number).to_string());
            let text = std::fs::read_to_string(path).context("reading callgrind's profile")?;
            Profile::parse(&text)
        };
        let (short, long) = (dump(2)?, dump(3)?);
        let rows = u64::from(self.iterations) * u64::from(self.rows);
        if self.functions > 0 {
            eprintln!("{title}:");
            for (instructions, name) in short.per_unit(&long, rows).iter().take(self.functions) {
                eprintln!("{instructions:>10.1} {name}");
            }
        }
        ensure!(long.total > short.total, "decoding twice as much took no more instructions");
        Ok((long.total - short.total) as f64 / rows as f64)
    }
}
