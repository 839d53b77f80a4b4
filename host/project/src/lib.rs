//! A plugin author's project, in any language: a folder with a manifest (`plugin.toml`), sources, cases, and what the build
//! makes of them in `build/`.
//!
//! [`create`] makes one from the templates of `sdk-guest`, [`Project::open`] reads one, and [`Project::build`] runs the tool of
//! its language, makes a component of what comes out, and stamps it with the version of the plugin contract and with the
//! manifest. No WebAssembly tool has to be installed: bindings for C and Go, the embedding of types, and the making of the
//! component happen in this process.
//!
//! Nothing here runs a plugin.

mod build;
mod component;
mod contract;
mod embedded;
mod language;
mod manifest;
mod project;
mod template;
pub mod tool;
pub mod toolchain;

pub use build::{BuildError, Built, Development, Unloaded};
pub use component::{ABI_SECTION, ABI_VERSION, ComponentError, Facts, MANIFEST_SECTION, facts, wrap};
pub use contract::Contract;
pub use language::{Language, UnknownLanguage};
pub use manifest::{Ask, Limits, Manifest, ManifestError};
pub use project::{Project, ProjectError};
pub use template::{NewError, NewProject, create};
