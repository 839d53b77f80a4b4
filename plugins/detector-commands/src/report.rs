//! What was seen in one text.

use std::ops::Range;

pub(crate) const DESTRUCTIVE: &str = "command.destructive";
pub(crate) const EXFILTRATION: &str = "command.exfiltration";
pub(crate) const CREDENTIALS: &str = "command.credentials";
pub(crate) const PERSISTENCE: &str = "command.persistence";
pub(crate) const OBFUSCATED: &str = "command.obfuscated";
pub(crate) const SQL_DESTRUCTIVE: &str = "sql.destructive";
pub(crate) const SQL_INJECTION: &str = "sql.injection";
pub(crate) const CODE_EXECUTION: &str = "code.execution";
pub(crate) const CODE_OBFUSCATED: &str = "code.obfuscated";
pub(crate) const CODE_EXFILTRATION: &str = "code.exfiltration";
pub(crate) const METADATA: &str = "http.metadata_service";
pub(crate) const HTTP_EXFILTRATION: &str = "http.exfiltration";
pub(crate) const HTTP_PRIVATE: &str = "http.private_address";
pub(crate) const HTTP_SCHEME: &str = "http.dangerous_scheme";

/// Every category, for the configuration.
pub(crate) const CATEGORIES: &[&str] = &[
    DESTRUCTIVE,
    EXFILTRATION,
    CREDENTIALS,
    PERSISTENCE,
    OBFUSCATED,
    SQL_DESTRUCTIVE,
    SQL_INJECTION,
    CODE_EXECUTION,
    CODE_OBFUSCATED,
    CODE_EXFILTRATION,
    METADATA,
    HTTP_EXFILTRATION,
    HTTP_PRIVATE,
    HTTP_SCHEME,
];

/// One thing seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) category: &'static str,
    pub(crate) score: f32,
    pub(crate) message: &'static str,
    pub(crate) range: Range<usize>,
}

/// Everything seen in one text, bounded.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) seen: Vec<Seen>,
}

const MOST: usize = 256;

impl Report {
    pub(crate) fn add(&mut self, category: &'static str, score: f32, message: &'static str, range: &Range<usize>) {
        if score > 0.0 && self.seen.len() < MOST {
            self.seen.push(Seen { category, score, message, range: range.clone() });
        }
    }
}
