//! Programs that languages bring: finding them, running them, and saying which one is missing and how to get it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Lines of a failed tool's output that are shown.
const SHOWN: usize = 60;

/// A tool cannot be run, or failed.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not installed.
    #[error("{tool} is not installed; {install}")]
    Missing {
        /// What is missing.
        tool: String,
        /// The command that installs it, with a few words around it.
        install: String,
    },
    /// It ran and failed; what it printed is part of the text.
    #[error("{tool} failed ({status}):\n{output}")]
    Failed {
        /// Which.
        tool: String,
        /// Its exit status.
        status: String,
        /// The last lines of what it printed.
        output: String,
    },
    /// It could not be started.
    #[error("{tool} cannot be started")]
    Start {
        /// Which.
        tool: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The first of these programs that exists: a name is looked for in these folders, then in `PATH`.
#[must_use]
pub fn find(names: &[&str], folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = folders.iter().cloned().chain(std::env::split_paths(&path)).collect();
    names.iter().flat_map(|name| places.iter().map(move |place| place.join(name))).find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// Folders in which a project's own tools may lie: `folder` in the project's folder and in each one above it.
#[must_use]
pub fn upward(project: &Path, folder: &str) -> Vec<PathBuf> {
    let from = project.canonicalize().unwrap_or_else(|_| project.to_owned());
    from.ancestors().map(|above| above.join(folder)).collect()
}

/// Runs a command to its end and returns what it printed on standard output.
///
/// # Errors
/// It cannot be started, or it fails; then with the last lines it printed.
pub fn run(command: &mut Command) -> Result<Vec<u8>, ToolError> {
    run_noted(command, &|_| {})
}

/// The same, passing on what a command that succeeds printed on standard error: a compiler's warnings.
///
/// # Errors
/// As for [`run`].
pub fn run_noted(command: &mut Command, note: &dyn Fn(&str)) -> Result<Vec<u8>, ToolError> {
    let tool = name(command.get_program());
    let done =
        command.stdin(Stdio::null()).output().map_err(|source| ToolError::Start { tool: tool.clone(), source })?;
    if done.status.success() {
        String::from_utf8_lossy(&done.stderr).lines().take(SHOWN).for_each(note);
        return Ok(done.stdout);
    }
    let printed = [done.stdout, done.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let lines: Vec<&str> = printed.lines().collect();
    let last = lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default();
    Err(ToolError::Failed { tool, status: done.status.to_string(), output: last.join("\n") })
}

fn name(program: &OsStr) -> String {
    let file = Path::new(program).file_name().map_or_else(|| OsString::from(program), OsStr::to_owned);
    file.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_tool_shows_what_it_printed() {
        let error = run(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh failed") && error.contains("one") && error.contains("two"), "{error}");
        assert!(
            run(&mut Command::new("no-such-program-at-all")).unwrap_err().to_string().contains("cannot be started")
        );
        assert_eq!(run(Command::new("sh").args(["-c", "printf fine"])).unwrap(), b"fine");
    }

    #[test]
    fn programs_are_found_in_the_project_first() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(find(&["no-such-program", "sh"], &[]).unwrap().file_name().unwrap(), "sh");
        let own = folder.path().join("sh");
        std::fs::write(&own, "").unwrap();
        assert_ne!(find(&["sh"], &[folder.path().to_owned()]).unwrap(), own, "it cannot be run");
        std::os::unix::fs::symlink("/bin/sh", folder.path().join("own-sh")).unwrap();
        assert_eq!(find(&["own-sh"], &[folder.path().to_owned()]).unwrap(), folder.path().join("own-sh"));
    }
}
