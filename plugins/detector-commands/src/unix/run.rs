//! A program with its arguments.

use std::ops::Range;

use crate::shell::Word;

/// A program with its arguments, out of its wrappers.
pub(super) struct Run<'c> {
    pub(super) program: String,
    pub(super) args: Vec<&'c Word>,
    pub(super) range: Range<usize>,
    /// Named by a wrapper that feeds it arguments (`xargs`).
    pub(super) fed: bool,
}

impl Run<'_> {
    /// Whether a short flag (`-r`, also in `-fr`) or one of the long ones is there.
    pub(super) fn flag(&self, short: &str, long: &[&str]) -> bool {
        self.args.iter().any(|word| {
            let text = word.text.as_str();
            match text.strip_prefix("--") {
                Some(name) => {
                    let name = name.split('=').next().unwrap_or_default();
                    // Long options may be cut short.
                    name.len() >= 3 && long.iter().any(|long| long.starts_with(name))
                }
                None => {
                    text.strip_prefix('-').is_some_and(|flags| flags.len() < 8 && flags.contains(|c| short.contains(c)))
                }
            }
        })
    }

    /// Arguments that are no options.
    pub(super) fn operands(&self) -> impl Iterator<Item = &str> {
        self.args.iter().map(|word| word.text.as_str()).filter(|text| !text.starts_with('-') || *text == "-")
    }

    pub(super) fn has(&self, needle: &str) -> bool {
        self.args.iter().any(|word| word.text == needle)
    }

    pub(super) fn any(&self, test: impl Fn(&str) -> bool) -> bool {
        self.args.iter().any(|word| test(&word.text))
    }

    pub(super) fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.program.as_str())
    }

    pub(super) fn first(&self) -> &str {
        self.operands().next().unwrap_or_default()
    }

    pub(super) fn second(&self) -> &str {
        self.operands().nth(1).unwrap_or_default()
    }

    /// What follows a short flag: `-c TEXT`, also `-lc TEXT`.
    pub(super) fn after(&self, short: char) -> Option<&Word> {
        let at = self.args.iter().position(|word| {
            word.text
                .strip_prefix('-')
                .is_some_and(|flags| !flags.starts_with('-') && flags.len() < 6 && flags.ends_with(short))
        })?;
        self.args.get(at + 1).copied()
    }
}
