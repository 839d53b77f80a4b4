use std::path::{Path, PathBuf};

use crate::build::{self, BuildError, Built, Development};
use crate::manifest::{Manifest, ManifestError};

/// Folder of everything that a build makes.
const BUILD: &str = "build";

/// A project on disk.
#[derive(Clone, Debug)]
pub struct Project {
    folder: PathBuf,
    manifest: Manifest,
}

/// A project that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// There is none.
    #[error("{}: there is no plugin.toml here; `portcullis plugin new NAME` makes a project", .0.display())]
    None(PathBuf),
    /// Its manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Project {
    /// Reads the project in a folder.
    ///
    /// # Errors
    /// There is none, or its manifest cannot be used.
    pub fn open(folder: &Path) -> Result<Self, ProjectError> {
        if !folder.join(crate::manifest::FILE).exists() {
            return Err(ProjectError::None(folder.to_owned()));
        }
        Ok(Self { folder: folder.to_owned(), manifest: Manifest::read(folder)? })
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it is.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The folder of its cases.
    #[must_use]
    pub fn cases(&self) -> PathBuf {
        self.folder.join("cases")
    }

    /// The folder of everything that a build makes.
    pub(crate) fn made(&self) -> PathBuf {
        self.folder.join(BUILD)
    }

    /// Where the component is put.
    #[must_use]
    pub fn component(&self) -> PathBuf {
        self.made().join(format!("{}.wasm", self.manifest.name))
    }

    /// Builds the component. Blocking; runs the language's tool. `progress` is told what is being done, in a few words.
    ///
    /// # Errors
    /// A tool is missing or fails, or what it makes is not what the manifest says. An older component stays as it was.
    pub fn build(&self, progress: &dyn Fn(&str)) -> Result<Built, BuildError> {
        build::build(self, progress)
    }

    /// The source as a loader takes it; none if only [`build`](Self::build) does for this project. The loader
    /// saves its author the tool that makes the component; it is for edits, never for use.
    ///
    /// # Errors
    /// A tool is missing or fails.
    pub fn develop(&self, progress: &dyn Fn(&str)) -> Result<Option<Development>, BuildError> {
        build::develop(self, progress)
    }

    /// The loader for a source, kept from an earlier time or made now.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub fn loader(&self, development: &Development, progress: &dyn Fn(&str)) -> Result<Vec<u8>, BuildError> {
        build::loader(self, development, progress)
    }

    /// Has modules that the source imports put into the loader; false if it was asked for all of them before.
    ///
    /// # Errors
    /// The list cannot be written.
    pub fn add_modules(&self, names: &[String]) -> Result<bool, BuildError> {
        build::add_modules(self, names)
    }
}
