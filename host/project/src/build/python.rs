use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use portcullis_model::Digest;

use crate::build::{BuildError, Development, Job, development, read};
use crate::component::Output;
use crate::tool::{self, ToolError};

const TOOL: &str = "componentize-py";
/// The version whose components are tested; also in the template's `requirements.txt`.
const VERSION: &str = "0.25.1";
/// The module that the host calls; it imports the author's `plugin`.
const ENTRY: &str = "portcullis_entry";
/// The module that stands for it in the development loader, and its text.
const LOADER: (&str, &str) = ("portcullis_loader", include_str!("development/loader.py"));
/// Most bytes of source that the loader takes.
const MAX_SOURCE: usize = 4 << 20;
/// Modules of the loader's component whether or not the source imports them: the SDK's, and those that plugins like. More
/// are added when a source imports them.
const MODULES: &[&str] = &[
    "portcullis.clock",
    "portcullis.files",
    "portcullis.http",
    "portcullis.judge",
    "portcullis.labels",
    "portcullis.log",
    "portcullis.secrets",
    "portcullis.state",
    "wit_world.imports.clock",
    "wit_world.imports.files",
    "wit_world.imports.http",
    "wit_world.imports.judge",
    "wit_world.imports.labels",
    "wit_world.imports.log",
    "wit_world.imports.payload",
    "wit_world.imports.routing",
    "wit_world.imports.secrets",
    "wit_world.imports.state",
    "wit_world.imports.types",
    "__future__",
    "abc",
    "base64",
    "binascii",
    "collections",
    "collections.abc",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "enum",
    "fnmatch",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "html",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "logging",
    "math",
    "operator",
    "random",
    "re",
    "string",
    "struct",
    "textwrap",
    "time",
    "types",
    "typing",
    "unicodedata",
    "urllib.parse",
];

/// CPython with the plugin already imported, as one component.
pub(super) fn build(job: &Job<'_>) -> Result<Output, BuildError> {
    let tool = Tool::find(job)?;
    let generated = job.generated("python", [about(job)])?;
    let made = job.made("python.wasm")?;
    let places = [job.root().join("src"), job.root().join("sdk"), generated];
    let mut command = tool.command(job, ENTRY, &places, &made)?;
    if !job.wasi() {
        command.arg("--stub-wasi");
    }
    (job.progress)("componentize-py: putting Python and the plugin together");
    tool::run(&mut command)?;
    Ok(Output::Component(read(&made)?))
}

/// The author's modules as text, for the loader; none if they are not all text in UTF-8, or too large.
pub(super) fn develop(job: &Job<'_>) -> Result<Option<Development>, BuildError> {
    let tool = Tool::find(job)?;
    let Some(sources) = modules_below(&job.root().join("src"))? else { return Ok(None) };
    let mut sdk = BTreeMap::new();
    for (name, text) in modules_below(&job.root().join("sdk"))?.into_iter().flatten() {
        sdk.insert(format!("sdk/{name}"), text);
    }
    let requirements = fs::read_to_string(job.root().join("requirements.txt")).unwrap_or_default();
    let (_, about) = about(job);
    let (modules, packages) = (modules(job), tool.packages());
    let contract = job.contract.digest();
    let parts = [VERSION, LOADER.1, &modules, &requirements, &packages].map(str::as_bytes);
    let sdk = sdk.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
    let loader = Digest::of_parts(parts.into_iter().chain([&about[..], &contract.0]).chain(sdk));
    let source = serde_json::to_string(&sources).unwrap_or_default();
    Ok(Some(Development { loader, source }))
}

/// The loader as a component. It needs WASI: Python looks for the file whenever it meets a syntax error, and would trap.
pub(super) fn loader(job: &Job<'_>) -> Result<Output, BuildError> {
    let tool = Tool::find(job)?;
    // The first of these stands where the author's modules do in a build.
    let text = (format!("{}.py", LOADER.0), LOADER.1.as_bytes().to_vec());
    let own = job.generated(&format!("{}/src", development::FOLDER), [text])?;
    let list = ("portcullis_modules.py".to_owned(), modules(job).into_bytes());
    let generated = job.generated(&format!("{}/made", development::FOLDER), [about(job), list])?;
    let made = job.made(&format!("{}/made.component", development::FOLDER))?;
    let mut command = tool.command(job, LOADER.0, &[own, job.root().join("sdk"), generated], &made)?;
    (job.progress)("componentize-py: making the development loader, once");
    tool::run(&mut command)?;
    Ok(Output::Component(read(&made)?))
}

/// The module that says whether the plugin is sealed.
fn about(job: &Job<'_>) -> (String, Vec<u8>) {
    let sealed = if job.wasi() { "False" } else { "True" };
    let text = format!("\"\"\"Whether the plugin is sealed: made from plugin.toml.\"\"\"\n\nSEALED = {sealed}\n");
    ("portcullis_build.py".to_owned(), text.into_bytes())
}

/// The module that says what the loader imports.
fn modules(job: &Job<'_>) -> String {
    let added = development::modules(job.project);
    let names: BTreeSet<&str> = MODULES.iter().copied().chain(added.iter().map(String::as_str)).collect();
    let lines: Vec<String> = names.into_iter().map(|name| format!("    \"{name}\",\n")).collect();
    format!(
        "\"\"\"What the development loader imports: made from what src imports.\"\"\"\n\nNAMES = [\n{}]\n",
        lines.concat()
    )
}

/// The text of every Python file below a folder, by its path from there.
fn modules_below(root: &Path) -> Result<Option<BTreeMap<String, String>>, BuildError> {
    let (mut found, mut size, mut folders) = (BTreeMap::new(), 0, vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let failed = |source| BuildError::File { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "__pycache__") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "py") {
                let bytes = read(&path)?;
                size += bytes.len();
                let name = path.strip_prefix(root).ok().and_then(Path::to_str).map(str::to_owned);
                let (Some(name), Ok(text)) = (name, String::from_utf8(bytes)) else { return Ok(None) };
                if size > MAX_SOURCE || text.starts_with('\u{feff}') {
                    return Ok(None);
                }
                found.insert(name, text);
            }
        }
    }
    Ok(Some(found))
}

/// The installed tool.
struct Tool {
    program: PathBuf,
    /// The environment that it lies in, if that is the project's.
    environment: Option<PathBuf>,
}

impl Tool {
    fn find(job: &Job<'_>) -> Result<Self, BuildError> {
        let own = tool::upward(job.root(), ".venv/bin");
        let program = tool::find(&[TOOL], &own).ok_or_else(|| ToolError::Missing {
            tool: TOOL.to_owned(),
            install: format!(
                "run `python3 -m venv .venv && .venv/bin/pip install {TOOL}=={VERSION}` in the project's folder"
            ),
        })?;
        let bin = program.parent().filter(|place| own.iter().any(|own| own == place));
        let environment = bin.and_then(Path::parent).map(Path::to_owned);
        Ok(Self { program, environment })
    }

    fn command(&self, job: &Job<'_>, entry: &str, places: &[PathBuf], made: &Path) -> Result<Command, BuildError> {
        let mut command = Command::new(&self.program);
        command.arg("--wit-path").arg(job.wit()?).args(["--world", job.contract.world(), "componentize", entry]);
        for place in places {
            command.arg("--python-path").arg(place);
        }
        command.arg("--output").arg(made);
        // Packages that lie beside the tool can be imported, whether or not the environment is activated.
        if let Some(environment) = &self.environment {
            command.env("VIRTUAL_ENV", environment);
        }
        // The tool's own backtrace would leave no room for what is wrong with the plugin.
        command.env("RUST_BACKTRACE", "0");
        Ok(command)
    }

    /// What changes when packages are installed beside the tool.
    fn packages(&self) -> String {
        let Some(environment) = &self.environment else { return String::new() };
        let pythons = fs::read_dir(environment.join("lib")).into_iter().flatten().flatten();
        let folders = pythons.map(|python| python.path().join("site-packages"));
        let mut stamps: Vec<String> = folders
            .filter_map(|folder| {
                let changed = folder.metadata().ok()?.modified().ok()?;
                let since = changed.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Some(format!("{} {}", folder.display(), since.as_nanos()))
            })
            .collect();
        stamps.sort();
        stamps.join("\n")
    }
}
