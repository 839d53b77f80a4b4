//! TypeScript and JavaScript: checked by `tsc`, made one file by `esbuild`, put on QuickJS by `componentize-qjs`. The tools
//! are npm packages, in `node_modules` of the project or of a folder above it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize;

use crate::build::{BuildError, Job, npm, read};
use crate::component::{ComponentError, Output};
use crate::manifest::Ask;
use crate::tool;

const QJS: npm::Package = npm::Package { tool: "componentize-qjs", pinned: "componentize-qjs@0.4.5" };
const ESBUILD: npm::Package = npm::Package { tool: "esbuild", pinned: "esbuild@0.28.2" };
const TSC: npm::Package = npm::Package { tool: "tsc", pinned: "typescript@7.0.2" };

pub(super) fn build(job: &Job<'_>, typed: bool) -> Result<Output, BuildError> {
    let tools = npm::Tools::new(job.root())?;
    let source = source(job.root(), typed);
    if typed {
        (job.progress)("tsc");
        tool::run(tools.command(&TSC)?.args(["--noEmit", "--pretty", "false", "--project", "tsconfig.json"]))?;
    }
    let entry = job.generated("js", [("entry.js".to_owned(), entry(job, source).into_bytes())])?.join("entry.js");
    let (bundle, facts) = (job.made("js/plugin.js")?, job.made("js/meta.json")?);
    (job.progress)("esbuild");
    let mut command = tools.command(&ESBUILD)?;
    command.arg(npm::absolute(&entry)).args(["--bundle", "--format=esm", "--platform=neutral", "--target=es2022"]);
    command.args(["--main-fields=module,main", "--charset=utf8", "--log-level=warning", "--legal-comments=none"]);
    command.args(["--external:portcullis:*", "--external:wasi:*"]);
    tool::run(command.arg(option("--outfile=", &bundle)).arg(option("--metafile=", &facts)))?;
    check_imports(&read(&facts)?, job)?;

    (job.progress)("componentize-qjs");
    let component = job.made("js/plugin.wasm")?;
    let mut command = tools.command(&QJS)?;
    command.arg("--wit").arg(npm::absolute(&job.wit()?)).args(["--world", job.contract.world(), "--sync"]);
    if !job.wasi() {
        command.arg("--stub-wasi");
    }
    tool::run(command.arg("--js").arg(npm::absolute(&bundle)).arg("--output").arg(npm::absolute(&component)))?;
    Ok(Output::Component(read(&component)?))
}

/// The author's file, from the project's folder.
fn source(root: &Path, typed: bool) -> &'static str {
    match typed {
        true => "src/plugin.ts",
        false if root.join("src/plugin.mjs").exists() => "src/plugin.mjs",
        false => "src/plugin.js",
    }
}

/// The module from which everything is bundled: what must be there before the author's code, that code, and its functions
/// under the names of the contract.
fn entry(job: &Job<'_>, source: &str) -> String {
    let role = job.contract.world();
    let main = match role {
        "detector" => "inspect",
        "rule" => "decide",
        _ => "route",
    };
    let date = match (job.wasi(), job.manifest().asks.contains(&Ask::Clock)) {
        (_, true) => "import \"../../sdk/prelude/clock.js\";\n",
        (true, false) => "",
        (false, false) => "import \"../../sdk/prelude/no-clock.js\";\n",
    };
    format!(
        "import \"../../sdk/prelude/console.js\";\n{date}import plugin from \"../../{source}\";\n\n\
         if (plugin?.role !== \"{role}\") {{\n  \
         throw new Error(\"plugin.toml says {role}; make the default export of {source} with {role}(...)\");\n}}\n\
         export const {{ configure, {main} }} = plugin;\n"
    )
}

fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(npm::absolute(path));
    option
}

/// What esbuild says about what it made.
#[derive(Deserialize)]
struct Meta {
    outputs: BTreeMap<String, Made>,
}

#[derive(Deserialize)]
struct Made {
    imports: Vec<Import>,
}

#[derive(Deserialize)]
struct Import {
    path: String,
}

/// Whether the bundle uses only what the manifest asks for. The next tool would say so less clearly.
fn check_imports(meta: &[u8], job: &Job<'_>) -> Result<(), BuildError> {
    let meta: Meta = serde_json::from_slice(meta)
        .map_err(|error| ComponentError::Malformed(format!("esbuild's list of imports: {error}")))?;
    for import in meta.outputs.into_values().flat_map(|made| made.imports) {
        let ours = import.path.strip_prefix("portcullis:plugin/").and_then(|rest| rest.split('@').next());
        match ours {
            Some("payload" | "log") => {}
            Some(name) if job.manifest().asks.iter().any(|ask| ask.as_str() == name) => {}
            Some(name) => return Err(ComponentError::NotAsked { ask: name.to_owned(), import: import.path }.into()),
            None if job.wasi() && import.path.starts_with("wasi:") => {}
            None => return Err(ComponentError::Foreign(import.path).into()),
        }
    }
    Ok(())
}
