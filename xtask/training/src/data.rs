//! Labelled texts, and what is made of them.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// One line of a file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    pub(crate) text: String,
    label: u8,
    pub(crate) kind: String,
    pub(crate) source: String,
    /// The piece inside an attack that attacks.
    #[serde(default)]
    pub(crate) span: Option<String>,
}

impl Row {
    pub(crate) fn made(text: String, attack: bool) -> Self {
        let (kind, source) = ("generated".to_owned(), "generated".to_owned());
        Self { text, label: u8::from(attack), kind, source, span: None }
    }

    pub(crate) fn is_attack(&self) -> bool {
        self.label == 1
    }
}

/// The rows of a file, in its order.
pub(crate) fn read(folder: &Path, name: &str) -> Result<Vec<Row>> {
    read_as(folder, name)
}

/// As above, of whatever the rows hold.
pub(crate) fn read_as<R: DeserializeOwned>(folder: &Path, name: &str) -> Result<Vec<R>> {
    let path = folder.join(name);
    let file = File::open(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let mut rows = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("{}: cannot be read", path.display()))?;
        rows.push(serde_json::from_str(&line).with_context(|| format!("{}:{}", path.display(), number + 1))?);
    }
    Ok(rows)
}
