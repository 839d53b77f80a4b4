//! What was seen in one text.

use std::ops::Range;

pub(crate) const DESTRUCTIVE: &str = "command.destructive";
pub(crate) const EXFILTRATION: &str = "command.exfiltration";
pub(crate) const CREDENTIALS: &str = "command.credentials";
pub(crate) const PERSISTENCE: &str = "command.persistence";
pub(crate) const OBFUSCATED: &str = "command.obfuscated";
pub(crate) const SUSPICIOUS: &str = "command.suspicious";
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
    SUSPICIOUS,
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
    /// Whether a bound kept something from being read. That must be told: padding would hide anything.
    pub(crate) cut: bool,
    /// Texts within the text that were read as commands.
    nested: usize,
}

const MOST: usize = 256;
/// Most texts within one text that are read as commands: a row of shells would multiply them at each level.
const MOST_NESTED: usize = 64;

impl Report {
    /// Whether another text within this one may be read; counts it.
    pub(crate) fn nest(&mut self) -> bool {
        self.nested += 1;
        self.cut |= self.nested > MOST_NESTED;
        self.nested <= MOST_NESTED
    }

    pub(crate) fn add(&mut self, category: &'static str, score: f32, message: &'static str, range: &Range<usize>) {
        if score > 0.0 {
            keep_strongest(&mut self.seen, Seen { category, score, message, range: range.clone() }, MOST);
        }
    }
}

/// Adds `new`, in the place of the weakest if there are `most` already.
pub(crate) fn keep_strongest(list: &mut Vec<Seen>, new: Seen, most: usize) {
    if list.len() < most {
        return list.push(new);
    }
    let weakest = list.iter_mut().min_by(|a, b| a.score.total_cmp(&b.score));
    if let Some(weakest) = weakest.filter(|weakest| weakest.score < new.score) {
        *weakest = new;
    }
}
