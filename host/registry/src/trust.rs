//! Whose plugins a tenant runs.

use crate::keys::PublicKey;

/// Whose plugins a tenant runs.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Any of them is enough.
    pub keys: Vec<PublicKey>,
    /// What needs no signature.
    pub unsigned: Unsigned,
}

/// What needs no signature, besides plugins that are part of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsigned {
    /// Nothing.
    #[default]
    Refuse,
    /// Local files.
    Files,
    /// Anything.
    Allow,
}

impl Trust {
    /// The trusted keys, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<String> = self.keys.iter().map(|key| format!("{} ({})", key.name(), short(&key.id()))).collect();
        names.join(", ")
    }
}

/// Enough of an id to find it.
fn short(id: &portcullis_model::Digest) -> String {
    id.to_string().chars().take("sha256:".len() + 12).collect()
}
