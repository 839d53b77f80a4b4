//! Projects of plugin authors, with the tools of their languages as the set-up installs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};

use crate::{binary, root};

/// A folder for projects.
#[derive(Clone, Debug)]
pub struct Projects(PathBuf);

impl Projects {
    /// A folder of this name, as an author's whose tools are installed in it, above the projects.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let folder = root().join("target/tmp").join(name);
        fs::create_dir_all(&folder)?;
        let tools = root().join("target/tools").canonicalize().context("run `cargo xtask setup`")?;
        for (link, tool) in [("node_modules", "guest-node/node_modules"), (".venv", "guest-python")] {
            // Tests run beside each other, each making the same links.
            let _ = std::os::unix::fs::symlink(tools.join(tool), folder.join(link));
        }
        Ok(Self(folder.canonicalize()?))
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Runs `portcullis` in one of the projects, or in another folder.
    ///
    /// # Errors
    /// The binary is not built, or does not start.
    pub fn portcullis(&self, folder: &Path, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(binary()?);
        // One standard library for all projects in Rust.
        command.args(arguments).current_dir(folder).env("CARGO_TARGET_DIR", self.0.join("cargo"));
        Ok(command.output()?)
    }

    /// Makes a project from its template, in place of the one of that name.
    ///
    /// # Errors
    /// What the command says.
    pub fn make(&self, language: &str, role: &str, name: &str) -> Result<PathBuf> {
        let folder = self.0.join(name);
        let _ = fs::remove_dir_all(&folder);
        let made = self.portcullis(&self.0, &["plugin", "new", name, "--lang", language, "--role", role])?;
        ensure!(made.status.success(), "{}", printed(&made));
        Ok(folder)
    }

    /// The author's file in a project of this language.
    #[must_use]
    pub fn source(language: &str) -> &'static str {
        match language {
            "rust" => "src/lib.rs",
            "go" => "plugin.go",
            "c" => "src/plugin.c",
            "zig" => "src/plugin.zig",
            "python" => "src/plugin.py",
            "js" => "src/plugin.js",
            _ => "src/plugin.ts",
        }
    }

    /// Whether the tool of this language is there, of those that the set-up may leave out.
    #[must_use]
    pub fn can(&self, language: &str) -> bool {
        match language {
            "zig" => {
                let packages = fs::read_dir(self.0.join(".venv/lib")).into_iter().flatten().flatten();
                packages.into_iter().any(|python| python.path().join("site-packages/ziglang/zig").exists())
                    || Command::new("zig").arg("version").output().is_ok_and(|output| output.status.success())
            }
            "assemblyscript" => self.0.join("node_modules/.bin/asc").exists(),
            _ => true,
        }
    }
}

/// Everything that a program printed.
#[must_use]
pub fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
