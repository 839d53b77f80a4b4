//! Runs the tool of the project's language and makes a stamped component of what it leaves.

mod assemblyscript;
mod c;
mod development;
mod go;
mod javascript;
mod npm;
mod python;
mod rust;
mod zig;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Project;
use crate::component::{self, ComponentError};
use crate::contract::Contract;
use crate::language::Language;
use crate::manifest::{Ask, Manifest, ManifestError};
use crate::tool::ToolError;

pub(crate) use development::add_modules;
pub use development::{Development, Unloaded};

/// What a build made.
#[derive(Clone, Debug)]
pub struct Built {
    /// Where the component is.
    pub path: PathBuf,
    /// Its bytes.
    pub component: Vec<u8>,
    /// Capabilities that it imports.
    pub asks: BTreeSet<String>,
    /// What the language's tool and the making of the component took.
    pub took: Duration,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A tool is missing or failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// What the tool made cannot be used.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The manifest or schema cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file cannot be read or written.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Bindings cannot be generated.
    #[error("the bindings for {language} cannot be generated: {problem}")]
    Bindings {
        /// For which language.
        language: Language,
        /// Why.
        problem: String,
    },
}

/// What a language's builder works with.
pub(crate) struct Job<'a> {
    pub(crate) project: &'a Project,
    pub(crate) contract: Contract,
    pub(crate) progress: &'a dyn Fn(&str),
}

impl<'a> Job<'a> {
    /// What a project's language works on.
    ///
    /// # Errors
    /// A link stands where it would write.
    fn new(project: &'a Project, progress: &'a dyn Fn(&str)) -> Result<Self, BuildError> {
        no_links(&project.made(), 2)?;
        let manifest = project.manifest();
        Ok(Self { project, contract: Contract::new(manifest.role, &manifest.asks), progress })
    }

    /// The project's folder.
    pub(crate) fn root(&self) -> &Path {
        self.project.folder()
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        self.project.manifest()
    }

    /// A place in the folder of everything that is made; its parent is there.
    pub(crate) fn made(&self, name: &str) -> Result<PathBuf, BuildError> {
        let path = self.project.made().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| BuildError::File { path: parent.to_owned(), source })?;
        }
        Ok(path)
    }

    /// Whether WASI is asked for: then language runtimes keep their imports of it.
    pub(crate) fn wasi(&self) -> bool {
        self.manifest().asks.contains(&Ask::LockedWasi)
    }

    /// The trimmed contract as a folder, for tools that read it from there.
    pub(crate) fn wit(&self) -> Result<PathBuf, BuildError> {
        self.generated("wit", self.contract.files())
    }

    /// Writes generated files below a folder of what is made; those that are the same are left alone, so that compilers do
    /// not compile them again.
    pub(crate) fn generated(
        &self,
        folder: &str,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<PathBuf, BuildError> {
        let root = self.made(folder)?;
        for (name, content) in files {
            let path = root.join(name);
            let write = || {
                fs::create_dir_all(path.parent().unwrap_or(&root))?;
                if fs::read(&path).is_ok_and(|old| old == content) { Ok(()) } else { fs::write(&path, &content) }
            };
            write().map_err(|source| BuildError::File { path: path.clone(), source })?;
        }
        Ok(root)
    }
}

/// Reads what a tool left.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|source| BuildError::File { path: path.to_owned(), source })
}

pub(crate) fn build(project: &Project, progress: &dyn Fn(&str)) -> Result<Built, BuildError> {
    let started = Instant::now();
    let job = Job::new(project, progress)?;
    let manifest = project.manifest();
    let stamp = manifest.stamp(manifest.schema(project.folder())?).map_err(ComponentError::from)?;
    let output = match manifest.language {
        Language::Rust => rust::build(&job)?,
        Language::Ts => javascript::build(&job, true)?,
        Language::Js => javascript::build(&job, false)?,
        Language::Python => python::build(&job)?,
        Language::Go => go::build(&job)?,
        Language::C => c::build(&job)?,
        Language::Zig => zig::build(&job)?,
        Language::AssemblyScript => assemblyscript::build(&job)?,
    };
    let (component, asks) = component::finish(output, manifest, &stamp)?;
    let path = project.component();
    replace(&path, &component).map_err(|source| BuildError::File { path: path.clone(), source })?;
    Ok(Built { path, component, asks, took: started.elapsed() })
}

/// The source for a loader, where the language has one and the project can do with it.
pub(crate) fn develop(project: &Project, progress: &dyn Fn(&str)) -> Result<Option<Development>, BuildError> {
    let manifest = project.manifest();
    let job = Job::new(project, progress)?;
    match manifest.language {
        Language::Ts => javascript::develop(&job, true).map(Some),
        Language::Js => javascript::develop(&job, false).map(Some),
        Language::Python => python::develop(&job),
        _ => Ok(None),
    }
}

/// The loader itself, made now if there is none.
pub(crate) fn loader(
    project: &Project,
    development: &Development,
    progress: &dyn Fn(&str),
) -> Result<Vec<u8>, BuildError> {
    let manifest = project.manifest();
    let job = Job::new(project, progress)?;
    if let Some(kept) = development::kept(&job, development)? {
        return Ok(kept);
    }
    let output = match manifest.language {
        Language::Python => python::loader(&job)?,
        _ => javascript::loader(&job)?,
    };
    let mut manifest = manifest.clone();
    // Of a plugin in Python the loader sees files that are not there.
    manifest.asks.push(Ask::LockedWasi);
    let stamp = manifest.stamp(None).map_err(ComponentError::from)?;
    let (component, _) = component::finish(output, &manifest, &stamp)?;
    development::keep(&job, development, &component)?;
    Ok(component)
}

/// Whether a folder of what is made can be written to: a link in it could lead out of the project. Looked at so many folders
/// deep; below, only the languages' own tools write.
fn no_links(folder: &Path, depth: usize) -> Result<(), BuildError> {
    let refuse = |path: &Path, why: &str| {
        let source = io::Error::new(io::ErrorKind::InvalidInput, why);
        Err(BuildError::File { path: path.to_owned(), source })
    };
    match fs::symlink_metadata(folder) {
        Ok(about) if about.is_symlink() => return refuse(folder, "is a symbolic link; remove it and build again"),
        Ok(about) if about.is_dir() => {}
        _ => return Ok(()),
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_symlink() => {
                return refuse(&entry.path(), "is a symbolic link; remove it and build again");
            }
            Ok(kind) if kind.is_dir() && depth > 0 => no_links(&entry.path(), depth - 1)?,
            _ => {}
        }
    }
    Ok(())
}

/// The same place, also from another folder.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, BuildError> {
    std::path::absolute(path).map_err(|source| BuildError::File { path: path.to_owned(), source })
}

/// Puts a file in place of another, whole or not at all.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let beside = path.with_extension("new");
    // What lies there may be a link that leads elsewhere.
    let _ = fs::remove_file(&beside);
    let write = || {
        let mut file = fs::File::options().write(true).create_new(true).open(&beside)?;
        file.write_all(content)?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}
