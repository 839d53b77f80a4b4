//! `plugin test --watch`: the cases again at each save.
//!
//! Components are compiled once and configured anew for each instance, and where the language's tool is slow a loader takes the
//! source in place of a component: see [`Project::develop`].

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use portcullis_engine::{Limits, PluginFile};
use portcullis_model::Digest;
use portcullis_project::{Development, Project, Unloaded};
use portcullis_trial::{Case, Subject, Trial};

use super::{Chosen, cases_of, component, schema, subject_of};
use crate::cli::Tried;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Folders that no source lies in.
const MADE: &[&str] = &["build", "target", "node_modules", ".venv", "__pycache__", ".git", ".zig-cache", "zig-out"];
/// Larger files are told apart by time and size, not by content.
const MAX_READ: u64 = 8 << 20;
/// Most times that modules are added to a loader in one round: what is imported may import more.
const MOST_LOADERS: usize = 4;

/// When a file was last written, and its size.
type Stamp = (SystemTime, u64);

/// Runs the cases, and again whenever the content of a file has changed, until the process is ended.
pub(in super::super) fn watch(tried: &Tried, chosen: &Chosen<'_>) -> Result<ExitCode> {
    let mut rounds = Rounds { tried, chosen, trial: None, loader: None, built: None, quick: false };
    let (mut since, mut what) = (SystemTime::now(), "start");
    loop {
        let began = SystemTime::now();
        // Looked at before the round: what is saved while it runs is another one's.
        let stamps = rounds.stamps();
        let content = contents(&stamps);
        if let Err(error) = rounds.round(&content) {
            writeln!(io::stdout().lock(), "error: {error:#}")?;
        }
        rounds.conclude(since, what)?;
        what = if tried.no_build { "change" } else { "save" };
        since = rounds.wait(stamps, &content, began);
    }
}

/// What lasts from round to round.
struct Rounds<'a> {
    tried: &'a Tried,
    chosen: &'a Chosen<'a>,
    trial: Option<Trial>,
    loader: Option<(Digest, PluginFile)>,
    /// The files that the subject of the trial was made of.
    built: Option<BTreeMap<PathBuf, Digest>>,
    /// Whether that is a loader with the source.
    quick: bool,
}

impl Rounds<'_> {
    fn round(&mut self, content: &BTreeMap<PathBuf, Digest>) -> Result<()> {
        let project = Project::open(&self.tried.folder)?;
        let cases = self.chosen.read(&project)?;
        let folder = self.chosen.folder.map_or_else(|| project.cases(), Path::to_owned);
        let sources = content.iter().filter(|(path, _)| {
            // What plugins may read is no case.
            path.strip_prefix(&folder).map_or(true, |name| name.starts_with("files"))
        });
        let sources = sources.map(|(path, digest)| (path.clone(), *digest)).collect();
        if self.built.as_ref() != Some(&sources) {
            self.built = None;
            self.build(&project, &cases)?;
            self.built = Some(sources);
        }
        let trial = self.trial.as_mut().context("nothing is built")?;
        cases_of(trial, &cases, schema(&project)?.as_ref(), false).map(drop)
    }

    /// Puts what the project is now into the trial.
    fn build(&mut self, project: &Project, cases: &[Case]) -> Result<()> {
        self.quick = false;
        if !self.tried.no_build {
            // A tool that fails here fails in the build, too, which says so.
            if let Ok(Some(development)) = project.develop(&say)
                && self.develop(project, development, cases)?
            {
                self.quick = true;
                return Ok(());
            }
        }
        let subject = subject_of(project, component(project, self.tried)?, self.tried)?;
        self.replace(subject).map(drop)
    }

    /// Puts the loader with the source into the trial; false if only the real build does.
    fn develop(&mut self, project: &Project, mut development: Development, cases: &[Case]) -> Result<bool> {
        let Some(config) = cases.first().map(Case::config_text) else { return Ok(false) };
        for _ in 0..MOST_LOADERS {
            let file = match &self.loader {
                Some((digest, file)) if *digest == development.loader => file.clone(),
                _ => {
                    let file = PluginFile::new(project.loader(&development, &say)?);
                    self.loader = Some((development.loader, file.clone()));
                    file
                }
            };
            let mut subject = subject_of(project, file, self.tried)?;
            subject.source = Some(development.source.as_str().into());
            subject.grants.locked_wasi = true;
            // The source is loaded then, too.
            subject.limits.configure_fuel = subject.limits.configure_fuel.max(Limits::default().configure_fuel);
            let Err(error) = self.replace(subject)?.load(&config) else { return Ok(true) };
            let needs = match Unloaded::parse(&error.text).filter(|_| error.refused) {
                // The plugin's own word on this configuration.
                None if error.refused => return Ok(true),
                None => return Ok(unfit(&error.text)),
                Some(Unloaded::Unfit(why)) => return Ok(unfit(&why)),
                Some(Unloaded::Broken(text)) => {
                    // Where the loader of Python puts the project's `src`.
                    let text = text.replace("File \"/0/", "File \"src/");
                    bail!("{}: the plugin cannot be loaded:\n{text}", project.folder().display())
                }
                Some(Unloaded::Needs(names)) => names,
            };
            say(&format!("the source imports {}", needs.join(", ")));
            if !project.add_modules(&needs)? {
                return Ok(unfit("it imports what the loader does not have"));
            }
            match project.develop(&say)? {
                Some(again) => development = again,
                None => return Ok(false),
            }
        }
        Ok(unfit("it imports what the loader does not have"))
    }

    fn replace(&mut self, subject: Subject) -> Result<&mut Trial> {
        Ok(match &mut self.trial {
            Some(trial) => {
                trial.replace(subject);
                trial
            }
            none @ None => none.insert(Trial::for_edits(subject)?),
        })
    }

    /// The last line of a round.
    fn conclude(&self, since: SystemTime, what: &str) -> Result<()> {
        let (clear, reset) = if io::stdout().is_terminal() { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
        let seconds = since.elapsed().unwrap_or_default().as_secs_f32();
        let quick = if self.quick && self.built.is_some() {
            " with the development loader (`portcullis plugin test` builds the real component)"
        } else {
            ""
        };
        writeln!(
            io::stdout().lock(),
            "{clear}{seconds:.1} s from the {what}{quick}; waiting for a change (Ctrl-C ends){reset}"
        )?;
        Ok(())
    }

    /// Waits until the content of a file is another one than before; when it was saved.
    fn wait(
        &self,
        mut stamps: BTreeMap<PathBuf, Stamp>,
        content: &BTreeMap<PathBuf, Digest>,
        began: SystemTime,
    ) -> SystemTime {
        loop {
            let mut now = self.stamps();
            if now == stamps {
                thread::sleep(LOOK);
                continue;
            }
            let noticed = SystemTime::now();
            // Editors write in several steps.
            loop {
                thread::sleep(LOOK);
                let then = self.stamps();
                if then == now {
                    break;
                }
                now = then;
            }
            let changed = now.iter().filter(|(path, stamp)| stamps.get(*path) != Some(stamp));
            let saved = changed.map(|(_, (written, _))| *written).max();
            if contents(&now) != *content {
                // A file that was moved here has a time of its own.
                return saved.filter(|saved| *saved >= began && *saved <= noticed).unwrap_or(noticed);
            }
            stamps = now;
        }
    }

    /// When each file was last written: of the project, of its cases, and the component if that is taken as it is.
    fn stamps(&self) -> BTreeMap<PathBuf, Stamp> {
        let mut found = BTreeMap::new();
        let mut note = |path: PathBuf, about: &fs::Metadata| {
            found.insert(path, (about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len()));
        };
        let folders = [Some(self.tried.folder.as_path()), self.chosen.folder];
        let mut folders: Vec<PathBuf> = folders.into_iter().flatten().map(Path::to_owned).collect();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name());
                if MADE.iter().any(|made| name == *made) {
                    continue;
                }
                match entry.metadata() {
                    Ok(about) if about.is_dir() => folders.push(path),
                    Ok(about) if about.is_file() => note(path, &about),
                    _ => {}
                }
            }
        }
        if self.tried.no_build
            && let Ok(project) = Project::open(&self.tried.folder)
            && let Ok(about) = project.component().metadata()
        {
            note(project.component(), &about);
        }
        found
    }
}

/// Says why the real build is needed; false.
fn unfit(why: &str) -> bool {
    say(&format!("the development loader cannot take this source, so the component is built: {why}"));
    false
}

fn say(step: &str) {
    let _ = writeln!(io::stderr().lock(), "{step}");
}

/// The content of files, by hash.
fn contents(stamps: &BTreeMap<PathBuf, Stamp>) -> BTreeMap<PathBuf, Digest> {
    let content = |path: &Path, (written, size): &Stamp| {
        let read = if *size > MAX_READ { None } else { fs::read(path).ok() };
        read.map_or_else(
            || {
                let since = written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Digest::of_parts([&since.as_nanos().to_be_bytes()[..], &size.to_be_bytes()])
            },
            |bytes| Digest::of(&bytes),
        )
    };
    stamps.iter().map(|(path, stamp)| (path.clone(), content(path, stamp))).collect()
}
