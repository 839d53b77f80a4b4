//! One labelled text.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use portcullis_model::Phase;
use serde::Deserialize;
use serde_json::Value;

/// Longest line, in bytes: a text of 8 MiB in which every byte is escaped.
pub const MAX_LINE: u64 = 64 << 20;

/// A labelled text: one line of a JSONL file. What is not named here is not looked at.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    /// Where it stands: `FILE:LINE`.
    #[serde(skip)]
    pub at: String,
    /// The text; for `call.…` kinds a JSON object with `persona`, `task`, `tool` and `args`, for tools their definition.
    pub text: String,
    /// 1: an attack, or sensitive; 0: neither.
    #[serde(deserialize_with = "label")]
    pub label: bool,
    /// Dotted class, which says what is asked of the text and how it comes.
    #[serde(default, deserialize_with = "words")]
    pub kind: String,
    /// Where it comes from: figures are told for each source.
    #[serde(default, deserialize_with = "words")]
    pub source: String,
    /// How the text comes, where its kind does not say: `call`, `result`, `listing` or `message`.
    pub phase: Option<Phase>,
    /// What the user asked for in the session.
    pub task: Option<String>,
    /// What the agent is for.
    pub persona: Option<String>,
    /// The tool that is called, or that answered.
    pub tool: Option<String>,
}

fn label<'de, D: serde::Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
    match Value::deserialize(input)? {
        Value::Bool(label) => Ok(label),
        Value::Number(number) if number.as_f64() == Some(0.0) => Ok(false),
        Value::Number(number) if number.as_f64() == Some(1.0) => Ok(true),
        Value::Number(number) => Err(serde::de::Error::custom(format!("label: 0 or 1, not {number}"))),
        _ => Err(serde::de::Error::custom("label: 0 or 1, and it is no number")),
    }
}

/// Text, or nothing where others write null.
fn words<'de, D: serde::Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// Why a file cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// It cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is no row.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// There is nothing to score.
    #[error("{}: no file of labelled texts here: one JSON object in a line, with `text` and `label`, in a file that ends in .jsonl", .0.display())]
    Nothing(PathBuf),
}

/// The rows of a file, or of all `*.jsonl` in a folder, in the order of their names; read one at a time.
#[derive(Debug)]
pub struct Rows {
    /// The last one first.
    files: Vec<PathBuf>,
    open: Option<(PathBuf, BufReader<File>, usize)>,
}

impl Rows {
    /// Opens a file or a folder.
    ///
    /// # Errors
    /// It is not there, or has no such file.
    pub fn open(path: &Path) -> Result<Self, RowError> {
        let unreadable = |source| RowError::Read { path: path.to_owned(), source };
        if !path.metadata().map_err(unreadable)?.is_dir() {
            return Ok(Self { files: vec![path.to_owned()], open: None });
        }
        let mut files = Vec::new();
        for entry in path.read_dir().map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|end| end == "jsonl") && file.is_file() {
                files.push(file);
            }
        }
        if files.is_empty() {
            return Err(RowError::Nothing(path.to_owned()));
        }
        files.sort_by(|one, other| other.cmp(one));
        Ok(Self { files, open: None })
    }

    fn line(&mut self) -> Result<Option<Row>, RowError> {
        loop {
            let Some((path, reader, number)) = &mut self.open else {
                let Some(path) = self.files.pop() else { return Ok(None) };
                let file = File::open(&path).map_err(|source| RowError::Read { path: path.clone(), source })?;
                self.open = Some((path, BufReader::new(file), 0));
                continue;
            };
            *number += 1;
            let mut line = Vec::new();
            let read = io::Read::take(&mut *reader, MAX_LINE + 1).read_until(b'\n', &mut line);
            let read = read.map_err(|source| RowError::Read { path: path.clone(), source })?;
            let wrong = |problem: String| RowError::Line { path: path.clone(), line: *number, problem };
            if read as u64 > MAX_LINE {
                return Err(wrong(format!("longer than {MAX_LINE} bytes")));
            }
            if read == 0 {
                self.open = None;
                continue;
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
            let row: Row = serde_json::from_slice(line).map_err(|error| {
                let column = error.column();
                let text = error.to_string();
                // One line is all it saw.
                let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
                wrong(format!("{text} (column {column})"))
            })?;
            return Ok(Some(Row { at: format!("{}:{number}", path.display()), ..row }));
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Row, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.line().transpose();
        if matches!(row, Some(Err(_))) {
            // What follows would be counted wrongly.
            (self.files, self.open) = (Vec::new(), None);
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_line_that_is_no_row_is_named_and_nothing_after_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Rows::open(folder.path()), Err(RowError::Nothing(_))));
        let good = r#"{"text":"a","label":1,"kind":"sqli","source":"s","more":[1]}"#;
        fs::write(folder.path().join("a.jsonl"), format!("{good}\n\n{good}")).unwrap();
        fs::write(
            folder.path().join("b.jsonl"),
            format!("{}\n{{\"text\":\"a\",\"label\":2}}\n{good}\n", good.replace("1,", "false,")),
        )
        .unwrap();
        fs::write(folder.path().join("notes.txt"), "no rows").unwrap();
        let rows: Vec<_> = Rows::open(folder.path()).unwrap().collect();
        assert_eq!(rows.len(), 4);
        let labels: Vec<_> = rows.iter().filter_map(|row| row.as_ref().ok().map(|row| row.label)).collect();
        assert_eq!(labels, [true, true, false]);
        let error = rows.last().unwrap().as_ref().unwrap_err().to_string();
        assert!(error.contains("b.jsonl:2: label: 0 or 1, not 2 (column "), "{error}");
    }
}
