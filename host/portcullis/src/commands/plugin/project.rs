//! `plugin new`, `plugin build`: a plugin author's project.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use portcullis_engine::{Engine, EngineConfig, Snapshotting};
use portcullis_model::{Digest, Role};
use portcullis_project::{Built, Language, NewProject, Project, create};
use serde_json::json;

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
    writeln!(out, "  cd {} && portcullis plugin test", folder.display())?;
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
    let asks: Vec<&str> = built.asks.iter().map(String::as_str).collect();
    let snapshot = match &about.snapshot {
        Snapshotting::Possible => "possible".to_owned(),
        Snapshotting::Impossible(reason) => format!("not possible: {reason}"),
    };
    let millis = u64::try_from(built.took.as_millis()).unwrap_or(u64::MAX);
    let digest = Digest::of(&built.component);
    let mut out = io::stdout().lock();
    if as_json {
        let value = json!({
            "component": built.path, "digest": digest, "bytes": built.component.len(), "role": about.role,
            "abi": about.abi, "imports": about.imports, "asks": asks, "tier": about.tier.as_str(), "snapshot": snapshot,
            "millis": millis,
        });
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let list = |items: &[&str]| if items.is_empty() { "nothing".to_owned() } else { items.join(", ") };
    let imports: Vec<&str> = about.imports.iter().map(String::as_str).collect();
    let manifest = project.manifest();
    writeln!(out, "{} {} {}, {}", about.role.as_str(), manifest.name, manifest.version, manifest.language)?;
    writeln!(out, "component {}", built.path.display())?;
    writeln!(out, "digest    {digest}")?;
    writeln!(out, "size      {} bytes", built.component.len())?;
    writeln!(out, "abi       {}", about.abi)?;
    writeln!(out, "tier      {}", about.tier.as_str())?;
    writeln!(out, "imports   {}", list(&imports))?;
    writeln!(out, "asks      {}", list(&asks))?;
    writeln!(out, "snapshot  {snapshot}")?;
    writeln!(out, "built in  {:.1} s", built.took.as_secs_f32())?;
    Ok(())
}
