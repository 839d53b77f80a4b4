//! Errors of a configuration file that name file, line and key.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

/// What is wrong and where. Shown as `FILE:LINE:COLUMN: KEY: what is wrong`.
#[derive(Debug)]
pub(crate) struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Line and column, from 1, if the place is known.
    pub at: Option<(usize, usize)>,
    /// Dotted key, if known.
    pub key: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        match &self.key {
            Some(key) => write!(f, ": {key}: {}", self.message),
            None => write!(f, ": {}", self.message),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A configuration text and the file it came from: turns keys into lines.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    file: PathBuf,
    text: String,
}

impl Place {
    /// Reads a file of at most 4 MiB.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        const MOST: u64 = 4 << 20;
        let fail = |message: String| ConfigError { file: path.to_owned(), at: None, key: None, message };
        let length = std::fs::metadata(path).map_err(|error| fail(format!("cannot be read: {error}")))?.len();
        if length > MOST {
            return Err(fail(format!("is larger than {MOST} bytes; this is not a configuration file")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
        Ok(Self { file: path.to_owned(), text })
    }

    /// A text that is part of the program, under a name of its own.
    pub(crate) fn embedded(name: &str, text: &str) -> Self {
        Self { file: PathBuf::from(name), text: text.to_owned() }
    }

    /// The file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The text as a type.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(&self.text).map_err(|error| ConfigError {
            file: self.file.clone(),
            at: error.span().map(|span| self.position(span.start)),
            key: None,
            message: error.message().to_owned(),
        })
    }

    /// A path of the file, made absolute against its folder.
    pub(crate) fn relative(&self, path: &Path) -> PathBuf {
        self.file.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    /// An error at a dotted key such as `tenant[0].plugins[2].config.fuel`. A key that is not written in the file
    /// (a default) is placed at its nearest written parent.
    pub(crate) fn error(&self, key: &str, message: impl Into<String>) -> ConfigError {
        let at = self.find(key).map(|offset| self.position(offset));
        ConfigError { file: self.file.clone(), at, key: Some(key.to_owned()), message: message.into() }
    }

    fn find(&self, key: &str) -> Option<usize> {
        let table = DeTable::parse(&self.text).ok()?;
        let mut found = None;
        let mut at: Option<&DeValue<'_>> = None;
        let mut first = true;
        for step in key.replace('[', ".[").split('.') {
            let next = match (step.strip_prefix('['), at) {
                (Some(index), Some(DeValue::Array(items))) => items
                    .get(index.trim_end_matches(']').parse::<usize>().ok()?)
                    .map(|item| (item.span().start, item.get_ref())),
                (None, Some(DeValue::Table(table))) => entry(table, step),
                (None, None) if first => entry(table.get_ref(), step),
                _ => None,
            };
            let Some((offset, value)) = next else { break };
            (found, at, first) = (Some(offset), Some(value), false);
        }
        found
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

fn entry<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<(usize, &'t DeValue<'i>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((key.span().start, value.get_ref()))
}
