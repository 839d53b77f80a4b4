//! Tools that are npm packages: they lie in `node_modules` of the project or of a folder above it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool::{self, ToolError};

/// A tool, and the npm package that brings it.
pub(super) struct Package {
    pub(super) tool: &'static str,
    pub(super) pinned: &'static str,
}

/// Where the tools of a project are.
pub(super) struct Tools {
    root: PathBuf,
    folders: Vec<PathBuf>,
}

impl Tools {
    pub(super) fn new(root: &Path) -> Result<Self, ToolError> {
        // All of them are started by it.
        if tool::find(&["node"], &[]).is_none() {
            let install = "install Node.js 20 or newer, and see that `node` is in PATH".to_owned();
            return Err(ToolError::Missing { tool: "node".to_owned(), install });
        }
        Ok(Self { root: root.to_owned(), folders: tool::upward(root, "node_modules/.bin") })
    }

    pub(super) fn command(&self, package: &Package) -> Result<Command, ToolError> {
        let missing = || ToolError::Missing {
            tool: package.tool.to_owned(),
            install: format!(
                "run `npm install` in {}, or `npm install --save-dev {}`",
                self.root.display(),
                package.pinned
            ),
        };
        let mut command = Command::new(tool::find(&[package.tool], &self.folders).ok_or_else(missing)?);
        command.current_dir(&self.root);
        Ok(command)
    }
}

/// The whole path of a place: the tools run in the project's folder.
pub(super) fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_not_installed_is_named_with_its_command() {
        let project = tempfile::tempdir().unwrap();
        let tools =
            Tools { root: project.path().to_owned(), folders: tool::upward(project.path(), "node_modules/.bin") };
        let package = Package { tool: "no-such-tool", pinned: "no-such-package@1.2.3" };
        let error = tools.command(&package).unwrap_err().to_string();
        assert!(error.contains("no-such-tool is not installed; run `npm install` in"), "{error}");
        assert!(error.contains("npm install --save-dev no-such-package@1.2.3"), "{error}");
    }
}
