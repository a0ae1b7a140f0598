//! Fetches what a client needs, with its language's own tool, into a folder of the cache.
//!
//! A folder is used only if the file [`COMPLETE`] is in it, which is written last; one that was
//! left half-way is made anew.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::list::{Client, Kind};
use crate::process::prepare;
use crate::{folder, tools};

/// Time for each command; fetching took less than 20 s where the network was good.
const LIMIT: Duration = Duration::from_secs(600);

/// Says that a folder has all; holds what was asked for.
const COMPLETE: &str = "complete";

/// What runs the client's cases; the contact point and so on are added.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) file: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

/// Fetches the client unless the cache has it, and builds its program.
pub(crate) fn install(client: &Client) -> Result<Program> {
    let cache = folder::cache()?;
    let name = format!("{}-{}", client.name, client.version);
    let place = Place { folder: cache.join(&name), log: cache.join(format!("{name}.log")) };
    // Two runs that start together fetch it once.
    let _lock = folder::lock(&cache.join(format!("{name}.lock")))?;
    match client.kind {
        Kind::Python { packages, program, .. } => place.python(client, packages, program),
        Kind::Go { folder } => place.go(client, folder),
        Kind::Java { folder, class } => place.java(client, folder, class),
    }
}

/// Where a client is kept.
struct Place {
    folder: PathBuf,
    log: PathBuf,
}

impl Place {
    fn python(&self, client: &Client, packages: &[&str], program: &str) -> Result<Program> {
        let python = self.folder.join("bin/python");
        let wanted = packages.join(" ");
        if !self.is_complete(&wanted) {
            let what = format!("making an environment for {}", client.name);
            let mut venv = Command::new(tools::python()?);
            venv.args(["-m", "venv", "--clear"]).arg(&self.folder);
            prepare(&what, &mut venv, &self.log, LIMIT)?;
            let what = format!("fetching {} {} with pip", client.name, client.version);
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--disable-pip-version-check"]).args(packages);
            prepare(&what, &mut pip, &self.log, LIMIT)?;
            self.mark(&wanted)?;
        }
        Ok(Program { file: python, arguments: vec![source(program).into()] })
    }

    /// Go's own caches know what is fetched and built.
    fn go(&self, client: &Client, folder: &str) -> Result<Program> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("no folder {}", self.folder.display()))?;
        let file = self.folder.join("program");
        let what = format!("building {} {} with go", client.name, client.version);
        let mut go = Command::new(tools::go()?);
        go.args(["build", "-buildvcs=false", "-o"]).arg(&file).current_dir(source(folder));
        prepare(&what, &mut go, &self.log, LIMIT)?;
        Ok(Program { file, arguments: Vec::new() })
    }

    fn java(&self, client: &Client, folder: &str, class: &str) -> Result<Program> {
        let pom = source(folder).join("pom.xml");
        let wanted = fs::read_to_string(&pom).with_context(|| format!("no {}", pom.display()))?;
        if !self.is_complete(&wanted) {
            let _ = fs::remove_dir_all(&self.folder);
            let what = format!("fetching {} {} with mvn", client.name, client.version);
            let mut mvn = Command::new(tools::maven()?);
            mvn.args(["--batch-mode", "--no-transfer-progress", "--file"])
                .arg(&pom)
                .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
                .arg(format!("-DoutputDirectory={}", self.folder.display()));
            prepare(&what, &mut mvn, &self.log, LIMIT)?;
            self.mark(&wanted)?;
        }
        let path = format!("{}/*", self.folder.display());
        let class = source(folder).join(class);
        let arguments = vec!["-cp".into(), path.into(), class.into()];
        Ok(Program { file: tools::java()?, arguments })
    }

    fn is_complete(&self, wanted: &str) -> bool {
        fs::read_to_string(self.folder.join(COMPLETE)).is_ok_and(|text| text == wanted)
    }

    fn mark(&self, wanted: &str) -> Result<()> {
        let path = self.folder.join(COMPLETE);
        fs::write(&path, wanted).with_context(|| format!("no {}", path.display()))
    }
}

/// A file of this crate's folder: clients run from the repository.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
