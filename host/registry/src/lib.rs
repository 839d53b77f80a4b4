//! Where plugins come from: references, files, OCI registries, signatures, the cache and the lock file.
//!
//! A plugin is addressed by the SHA-256 of its WebAssembly file; names, tags and paths only point to it. Everything here
//! blocks: it belongs to the build of a generation, never to the path of a call.
#![forbid(unsafe_code)]

mod cache;
mod challenge;
mod credentials;
mod distribution;
mod error;
mod files;
mod keys;
mod lock;
mod manifest;
mod reference;
mod registry;
mod signature;
mod trust;

pub use credentials::{Credentials, HostSettings};
pub use error::Error;
pub use files::read_file;
pub use keys::{KeyError, KeyKind, PrivateKey, PublicKey, generate};
pub use lock::{LOCK_FILE, Locked};
pub use reference::{OciReference, Reference};
pub use registry::{Change, Loaded, Pushed, Registry, RegistryConfig, Signed};
pub use signature::SIGNATURE_SUFFIX;
pub use trust::{Trust, Unsigned};

/// Most bytes of a plugin.
pub const MAX_PLUGIN_BYTES: u64 = 64 << 20;
