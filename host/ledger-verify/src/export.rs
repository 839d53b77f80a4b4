use std::io::{self, BufRead};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use portcullis_model::{Digest, MAX_ENTRY};
use serde::{Deserialize, Serialize};

use crate::{Head, Report, Verifier};

/// First word of an export.
pub const FORMAT: &str = "portcullis ledger export";
/// Version of the export's form.
pub const FORMAT_VERSION: u32 = 1;
/// Longest line: an entry in base64 and its braces.
const MAX_LINE: u64 = (MAX_ENTRY as u64).div_ceil(3) * 4 + 256;
/// Entries checked together.
const CHUNK: usize = 8192;

/// First line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// Owner of the log.
    pub tenant: Arc<str>,
    /// Number of the first entry.
    pub from: u64,
    /// Leaf hash of the entry before it; zeros if there is none.
    pub prev: Digest,
}

/// A line that holds one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The canonical bytes of the entry in base64.
    pub entry: String,
}

impl Row {
    /// Wraps the canonical bytes of an entry.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self { entry: BASE64_STANDARD.encode(bytes) }
    }
}

/// A line after the first: entries, and the head as the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// One entry.
    Row(Row),
    /// The end.
    End(End),
}

/// The last line: the end of the log as its writer knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The last entry; null if the log is empty. It must be there: a line without it is no end.
    #[serde(deserialize_with = "Option::deserialize")]
    pub head: Option<Head>,
}

/// Why an export could not be checked at all. A log that is wrong is not an error but a [`Report`] with a fault.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Reading failed.
    #[error("the export could not be read")]
    Read(#[from] io::Error),
    /// The first line is not the header of an export.
    #[error("line 1 is not the header of a ledger export: {0}")]
    Header(String),
    /// The export was written in a form that this build does not know.
    #[error("the export has version {0}, this build reads version {FORMAT_VERSION}: use a newer verifier")]
    Version(u32),
    /// A line is neither an entry nor a head.
    #[error("line {line}: {reason}")]
    Line {
        /// Line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The last line is not a head: the file was cut, and how much is missing cannot be told.
    #[error("the export ends without a head line: the file was cut")]
    Cut,
}

/// Verifies an exported log: one JSON object in a line; header first, head last.
///
/// `known` is a head that the reader has from elsewhere; without it the export is compared with the head it brings.
///
/// # Errors
/// The file cannot be read, or is not an export.
pub fn read_export(mut input: impl BufRead, known: Option<&Head>) -> Result<Report, ExportError> {
    let mut line = Vec::new();
    read_line(&mut input, &mut line, 1)?;
    let header: Header = serde_json::from_slice(&line).map_err(|error| ExportError::Header(error.to_string()))?;
    if header.format != FORMAT {
        return Err(ExportError::Header(format!("its format is {:?}", header.format)));
    }
    if header.version != FORMAT_VERSION {
        return Err(ExportError::Version(header.version));
    }
    let mut verifier = Verifier::from(Some(&header.tenant), header.from, header.prev);
    let mut rows: Vec<Vec<u8>> = Vec::with_capacity(CHUNK);
    let mut number = 1;
    loop {
        number += 1;
        if !read_line(&mut input, &mut line, number)? {
            return Err(ExportError::Cut);
        }
        let at = |reason: String| ExportError::Line { line: number, reason };
        match serde_json::from_slice(&line).map_err(|error| at(format!("neither an entry nor the head ({error})")))? {
            Line::Row(row) => rows.push(
                BASE64_STANDARD.decode(row.entry).map_err(|error| at(format!("its entry is no base64: {error}")))?,
            ),
            Line::End(End { head }) => {
                verifier.push_all(&rows);
                if read_line(&mut input, &mut line, number + 1)? {
                    return Err(ExportError::Line { line: number + 1, reason: "nothing may follow the head".into() });
                }
                if head.is_none() {
                    verifier.expect_nothing();
                }
                for head in [head.as_ref(), known].into_iter().flatten() {
                    verifier.expect_head(head);
                }
                return Ok(verifier.finish());
            }
        }
        if rows.len() == CHUNK {
            verifier.push_all(&rows);
            rows.clear();
        }
    }
}

/// Reads one line without its end; false at the end of the file.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, number: u64) -> Result<bool, ExportError> {
    line.clear();
    io::Read::take(&mut *input, MAX_LINE).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(true);
    }
    if line.len() as u64 == MAX_LINE {
        return Err(ExportError::Line { line: number, reason: format!("longer than {MAX_LINE} bytes") });
    }
    Ok(!line.is_empty())
}
