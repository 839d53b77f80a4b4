//! Runs WebAssembly plugins: compile, snapshot, pool, limits, capabilities.
//!
//! [`Engine::load`] turns a plugin file and its configuration into a [`Plugin`]: the file is checked, `configure` runs
//! once, the configured memory is kept as a snapshot, and the snapshot is compiled. After that every call starts a
//! *fresh instance* of the snapshot under its own [`Limits`] and throws it away: nothing a call writes outlives it, and
//! a call can take neither more time, memory nor host work than it was granted. Whatever a plugin does, the caller gets
//! a value back: an answer or a [`Fault`].
//!
//! This is the only crate that names wasmtime.

mod answer;
mod answers;
mod bindings;
mod cache;
mod call;
mod capabilities;
mod compiled;
mod configure;
mod engine;
mod files;
mod heard;
mod labels;
mod limits;
mod load;
mod once;
mod outside;
mod package;
mod plugin;
mod pool;
mod ready;
mod source;
mod state;
mod store;
mod wasi;

pub use engine::{Engine, EngineConfig, EngineError, EngineNotes};
pub use files::FolderError;
pub use heard::Heard;
pub use labels::{LabelStore, MemoryLabels};
pub use limits::{Limits, LimitsError};
pub use load::LoadError;
pub use outside::{Asker, GrantError, HttpError, HttpRequest, HttpResponse, JudgeError, Outside, Question, Reach};
pub use package::{
    ABI_SECTION, ABI_VERSIONS, Description, MANIFEST_SECTION, MAX_PLUGIN_BYTES, PackageError, Snapshotting, Tier,
};
pub use plugin::{Fault, Plugin, Prepared, Run};
pub use ready::{Instances, MAX_AHEAD, MAX_REUSE};
pub use source::{Folder, Grants, PluginFile, Source};
pub use state::{MemoryState, StateStore};
pub use store::{Persist, Scope, StoreError, Stores};
