//! AssemblyScript: its compiler is an npm package. The canonical ABI is written by hand in the SDK, so that the types are
//! embedded here.

use crate::build::{BuildError, Job, npm, read};
use crate::component::Output;

const ASC: npm::Package = npm::Package { tool: "asc", pinned: "assemblyscript@0.28.20" };

pub(super) fn build(job: &Job<'_>) -> Result<Output, BuildError> {
    let module = job.made("as/plugin.wasm")?;
    (job.progress)("asc");
    let mut command = npm::Tools::new(job.root())?.command(&ASC)?;
    command.arg(format!("sdk/entry/{}.ts", job.contract.world()));
    command.args(["-O3", "--runtime", "incremental", "--noColors"]);
    // What the compiler would import from its host is in the SDK, too.
    for name in ["abort=sdk/failure/abort", "seed=sdk/failure/seed", "console=sdk/log/console"] {
        command.args(["--use", name]);
    }
    crate::tool::run(command.arg("--outFile").arg(npm::absolute(&module)))?;
    Ok(Output::Bare(read(&module)?))
}
