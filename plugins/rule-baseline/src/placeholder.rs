//! What is put in place of a redacted value.

use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit as _, Mac as _};
use portcullis_plugin::{Call, Finding, Payload, Replacement, Span, Text};
use serde::Deserialize;
use sha2::Sha256;

/// What a rule that redacts puts in place of a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placeholder {
    /// `[redacted:pii.email]`.
    #[default]
    Category,
    /// `[EMAIL-1]`: findings are counted within the payload.
    Numbered,
    /// `[EMAIL-kqzvtm]`: the same for the same value within a session. Needs a key.
    Session,
}

/// Shortest key, in bytes.
pub(crate) const SHORTEST_KEY: usize = 32;
/// Letters of a session's placeholder.
const LETTERS: usize = 6;

/// Findings that are redacted with a placeholder of their own, by their place in the list of findings.
#[derive(Default)]
pub(crate) struct Marked<'a>(BTreeMap<usize, (&'a Finding, Placeholder)>);

impl<'a> Marked<'a> {
    /// Marks a finding; the first rule that does decides on the form.
    pub(crate) fn add(&mut self, index: usize, finding: &'a Finding, placeholder: Placeholder) {
        self.0.entry(index).or_insert((finding, placeholder));
    }

    /// The replacements. Numbers follow the places in the payload, whatever the order of the findings.
    pub(crate) fn replacements(self, call: &Call, payload: &dyn Payload, key: Option<&[u8]>) -> Vec<Replacement> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let texts = payload.texts();
        let mut findings: Vec<(&Finding, Placeholder)> = self.0.into_values().collect();
        findings.sort_by_key(|(finding, _)| finding.spans.iter().min().copied());
        let labels: BTreeSet<String> = findings.iter().map(|(finding, _)| label(finding)).collect();
        let mut counts: BTreeMap<String, u32> =
            labels.into_iter().map(|label| (label.clone(), highest(&texts, &label))).collect();
        let mut out = Vec::new();
        for (finding, placeholder) in findings {
            let label = label(finding);
            let tag = match (placeholder, key) {
                (Placeholder::Session, Some(key)) => tag(call, finding, &texts, key),
                _ => None,
            };
            let tag = tag.unwrap_or_else(|| {
                let count = counts.entry(label.clone()).or_default();
                *count += 1;
                count.to_string()
            });
            let value = format!("[{label}-{tag}]");
            out.extend(finding.spans.iter().map(|span| Replacement { span: *span, value: value.clone() }));
        }
        out
    }
}

/// `EMAIL` of `pii.email`.
fn label(finding: &Finding) -> String {
    let last = finding.category.rsplit('.').next().unwrap_or_default();
    last.to_ascii_uppercase()
}

/// The highest number that a placeholder with this label has in the payload already: from another payload, or made up.
fn highest(texts: &[Text], label: &str) -> u32 {
    let start = format!("[{label}-");
    let numbers = texts.iter().flat_map(|text| {
        text.value.match_indices(&start).filter_map(|(at, _)| {
            let rest = text.value.get(at + start.len()..)?;
            let digits = rest.bytes().take(7).take_while(u8::is_ascii_digit).count();
            rest.get(digits..)?.starts_with(']').then(|| rest.get(..digits)?.parse().ok())?
        })
    });
    numbers.max().unwrap_or_default()
}

/// Letters that only the key's holder can make of the value: a keyed digest over tenant, session, category and value.
fn tag(call: &Call, finding: &Finding, texts: &[Text], key: &[u8]) -> Option<String> {
    let session = call.session.as_deref()?;
    let first: &Span = finding.spans.iter().min()?;
    let value = plain(first.slice(texts)?);
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in [&call.tenant, session, &finding.category, &value] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    let digest = mac.finalize().into_bytes();
    let mut number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let mut out = String::with_capacity(LETTERS);
    for _ in 0..LETTERS {
        out.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    Some(out)
}

/// A value without the signs that it may be grouped with, in small letters.
fn plain(value: &str) -> String {
    let kept = |c: &char| value.contains('@') || !(c.is_whitespace() || "-()/".contains(*c));
    value.chars().filter(kept).flat_map(char::to_lowercase).collect()
}
