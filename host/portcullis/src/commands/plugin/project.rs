//! `plugin new`, `plugin build`: a plugin author's project.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use portcullis_engine::{Engine, EngineConfig};
use portcullis_model::Role;
use portcullis_project::{Built, Language, NewProject, Project, create};
use serde_json::{Value, json};

use super::{facts, print};

/// Makes a project.
pub(super) fn new(name: &str, language: Language, role: Role, path: Option<&Path>) -> Result<()> {
    let folder = path.unwrap_or(Path::new(name));
    let files = create(&NewProject { name, language, role, folder })?;
    let mut out = io::stdout().lock();
    for file in files.iter().filter(|file| !file.starts_with("sdk")) {
        writeln!(out, "  {}", folder.join(file).display())?;
    }
    writeln!(out, "  {} (the SDK)", folder.join("sdk").display())?;
    writeln!(out, "a {} in {language}; next:", role.as_str())?;
    let install = language.install().map(|command| format!("{command} && ")).unwrap_or_default();
    writeln!(out, "  cd {} && {install}portcullis plugin test", folder.display())?;
    Ok(())
}

/// Builds a project; says what is being done on standard error.
pub(super) fn make(project: &Project) -> Result<Built> {
    let built = project.build(&|step| {
        let _ = writeln!(io::stderr().lock(), "{step}");
    });
    built.with_context(|| project.folder().display().to_string())
}

/// Builds a project and says what came out.
pub(super) fn build(folder: &Path, as_json: bool) -> Result<()> {
    let project = Project::open(folder)?;
    let built = make(&project)?;
    let engine = Engine::new(EngineConfig { slots: 4, ..EngineConfig::default() })?;
    let about = engine.describe(&built.component)?;
    let mut out = io::stdout().lock();
    if as_json {
        let mut value = facts(&about);
        let millis = u64::try_from(built.took.as_millis()).unwrap_or(u64::MAX);
        value.extend([("component".to_owned(), json!(built.path)), ("millis".to_owned(), json!(millis))]);
        writeln!(out, "{}", Value::from(value))?;
        return Ok(());
    }
    let manifest = project.manifest();
    writeln!(out, "{} {} {}, {}", about.role.as_str(), manifest.name, manifest.version, manifest.language)?;
    writeln!(out, "component {}", built.path.display())?;
    writeln!(out, "digest    {}", about.digest)?;
    writeln!(out, "size      {} bytes", about.size)?;
    print(&mut out, &about)?;
    writeln!(out, "built in  {:.1} s", built.took.as_secs_f32())?;
    Ok(())
}
