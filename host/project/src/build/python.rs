use std::process::Command;

use crate::build::{BuildError, Job, read};
use crate::component::Output;
use crate::tool::{self, ToolError};

const TOOL: &str = "componentize-py";
/// The version whose components are tested; also in the template's `requirements.txt`.
const VERSION: &str = "0.25.1";
/// The module that the host calls; it imports the author's `plugin`.
const ENTRY: &str = "portcullis_entry";

/// CPython with the plugin already imported, as one component.
pub(super) fn build(job: &Job<'_>) -> Result<Output, BuildError> {
    let own = tool::upward(job.root(), ".venv/bin");
    let program = tool::find(&[TOOL], &own).ok_or_else(|| ToolError::Missing {
        tool: TOOL.to_owned(),
        install: format!(
            "run `python3 -m venv .venv && .venv/bin/pip install {TOOL}=={VERSION}` in the project's folder"
        ),
    })?;
    let wit = job.wit()?;
    let sealed = if job.wasi() { "False" } else { "True" };
    let about = format!("\"\"\"Whether the plugin is sealed: made from plugin.toml.\"\"\"\n\nSEALED = {sealed}\n");
    let generated = job.generated("python", [("portcullis_build.py".to_owned(), about.into_bytes())])?;
    let made = job.made("python.wasm")?;

    let mut command = Command::new(&program);
    command.arg("--wit-path").arg(wit).args(["--world", job.contract.world(), "componentize", ENTRY]);
    for place in [job.root().join("src"), job.root().join("sdk"), generated] {
        command.arg("--python-path").arg(place);
    }
    if !job.wasi() {
        command.arg("--stub-wasi");
    }
    command.arg("--output").arg(&made);
    // Packages that lie beside the tool can be imported, whether or not the environment is activated.
    if let Some(environment) =
        program.parent().filter(|place| own.iter().any(|own| own == place)).and_then(|bin| bin.parent())
    {
        command.env("VIRTUAL_ENV", environment);
    }
    (job.progress)("componentize-py: putting Python and the plugin together");
    tool::run(&mut command)?;
    Ok(Output::Component(read(&made)?))
}
