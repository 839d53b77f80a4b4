//! Whose plugins a tenant runs.

use portcullis_model::Digest;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Whether all that another admits is admitted here, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let knows = |key: &PublicKey| self.keys.iter().any(|own| own.id() == key.id());
        self.unsigned == Unsigned::Allow || (self.unsigned >= other.unsigned && other.keys.iter().all(knows))
    }

    /// What the key of this id is called; nothing if it is not trusted.
    #[must_use]
    pub fn name(&self, id: Digest) -> &str {
        self.keys.iter().find(|key| key.id() == id).map_or("", PublicKey::name)
    }

    /// The trusted keys, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<String> = self.keys.iter().map(|key| format!("{} ({})", key.name(), short(&key.id()))).collect();
        names.join(", ")
    }
}

/// Enough of an id to find it.
fn short(id: &Digest) -> String {
    id.to_string().chars().take("sha256:".len() + 12).collect()
}
