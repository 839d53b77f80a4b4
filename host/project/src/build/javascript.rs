//! TypeScript and JavaScript: checked by `tsc`, made one file by `esbuild`, put on QuickJS by `componentize-qjs`. The tools
//! are npm packages, in `node_modules` of the project or of a folder above it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use portcullis_model::Digest;
use serde::Deserialize;

use crate::build::{BuildError, Development, Job, development, npm, read};
use crate::component::{ABI_VERSION, ComponentError, Output};
use crate::manifest::Ask;
use crate::tool;

const QJS: npm::Package = npm::Package { tool: "componentize-qjs", pinned: "componentize-qjs@0.4.5" };
const ESBUILD: npm::Package = npm::Package { tool: "esbuild", pinned: "esbuild@0.28.2" };
const TSC: npm::Package = npm::Package { tool: "tsc", pinned: "typescript@7.0.2" };

/// Takes the bundle with the configuration.
const LOADER: &str = include_str!("development/loader.js");

pub(super) fn build(job: &Job<'_>, typed: bool) -> Result<Output, BuildError> {
    let bundle = bundle(job, typed, "esm", &job.made("js/plugin.js")?)?;
    componentize(job, &bundle, &job.made("js/plugin.wasm")?)
}

/// The bundle for the loader.
pub(super) fn develop(job: &Job<'_>, typed: bool) -> Result<Development, BuildError> {
    let bundle = bundle(job, typed, "cjs", &job.made(&format!("{}/plugin.cjs", development::FOLDER))?)?;
    let source = String::from_utf8_lossy(&read(&bundle)?).into_owned();
    let loader = Digest::of_parts([loader_text(job).as_bytes(), QJS.pinned.as_bytes(), &job.contract.digest().0]);
    Ok(Development { loader, source: serde_json::Value::from(source).to_string() })
}

/// The loader as a component.
pub(super) fn loader(job: &Job<'_>) -> Result<Output, BuildError> {
    (job.progress)("making the development loader, once");
    let text = ("loader.js".to_owned(), loader_text(job).into_bytes());
    let source = job.generated(development::FOLDER, [text])?.join("loader.js");
    componentize(job, &source, &job.made(&format!("{}/made.component", development::FOLDER))?)
}

/// The loader with what it imports and exports: the plugin contract, trimmed to what is asked for.
fn loader_text(job: &Job<'_>) -> String {
    let asked = job.manifest().asks.iter().filter(|ask| **ask != Ask::LockedWasi).map(|ask| ask.as_str());
    let names: Vec<String> = ["payload", "log"]
        .into_iter()
        .chain(asked)
        .map(|name| format!("portcullis:plugin/{name}@{ABI_VERSION}"))
        .collect();
    let imports = names.iter().enumerate().map(|(number, name)| format!("import * as have{number} from {name:?};\n"));
    let have: Vec<String> = names.iter().enumerate().map(|(number, name)| format!("{name:?}: have{number}")).collect();
    let main = main(job);
    format!(
        "{}{LOADER}\nexport const configure = load({{ {} }});\nexport const {main} = ask({main:?});\n",
        imports.collect::<String>(),
        have.join(", ")
    )
}

/// The author's code and all that it imports as one file.
fn bundle(job: &Job<'_>, typed: bool, format: &str, bundle: &Path) -> Result<PathBuf, BuildError> {
    let tools = npm::Tools::new(job.root())?;
    let source = source(job.root(), typed);
    if typed {
        (job.progress)("tsc");
        tool::run(tools.command(&TSC)?.args(["--noEmit", "--pretty", "false", "--project", "tsconfig.json"]))?;
    }
    let entry = job.generated("js", [("entry.js".to_owned(), entry(job, source).into_bytes())])?.join("entry.js");
    let facts = job.made("js/meta.json")?;
    (job.progress)("esbuild");
    let mut command = tools.command(&ESBUILD)?;
    command.arg(npm::absolute(&entry)).args(["--bundle", "--platform=neutral", "--target=es2022"]);
    command.arg(format!("--format={format}"));
    command.args(["--main-fields=module,main", "--charset=utf8", "--log-level=warning", "--legal-comments=none"]);
    command.args(["--external:portcullis:*", "--external:wasi:*"]);
    tool::run(command.arg(option("--outfile=", bundle)).arg(option("--metafile=", &facts)))?;
    check_imports(&read(&facts)?, job)?;
    Ok(bundle.to_owned())
}

fn componentize(job: &Job<'_>, bundle: &Path, component: &Path) -> Result<Output, BuildError> {
    (job.progress)("componentize-qjs");
    let tools = npm::Tools::new(job.root())?;
    let mut command = tools.command(&QJS)?;
    command.arg("--wit").arg(npm::absolute(&job.wit()?)).args(["--world", job.contract.world(), "--sync"]);
    if !job.wasi() {
        command.arg("--stub-wasi");
    }
    tool::run(command.arg("--js").arg(npm::absolute(bundle)).arg("--output").arg(npm::absolute(component)))?;
    Ok(Output::Component(read(component)?))
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
    let (role, main) = (job.contract.world(), main(job));
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

/// Name of the role's function.
fn main(job: &Job<'_>) -> &'static str {
    match job.contract.world() {
        "detector" => "inspect",
        "rule" => "decide",
        _ => "route",
    }
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
