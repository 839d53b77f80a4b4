//! Marks of HTML: words that they cut.

use memchr::{memchr_iter, memchr2, memmem};

use crate::map::{Map, Writer};

/// Longest mark.
const LONGEST_TAG: usize = 512;
/// So many marks beside a digit tell as much as one between two letters: `m<sup>2</sup>` is no word.
const SURE: usize = 4;
/// Elements that begin a line: a word ends there.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "blockquote",
    "br",
    "dd",
    "div",
    "dl",
    "dt",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "img",
    "input",
    "li",
    "main",
    "nav",
    "ol",
    "option",
    "p",
    "pre",
    "section",
    "select",
    "table",
    "td",
    "textarea",
    "th",
    "title",
    "tr",
    "ul",
];
/// The name of an element at the start of `rest`.
fn name(rest: &[u8]) -> Option<&[u8]> {
    let length = rest.iter().take(24).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    rest.get(..length).filter(|name| name.first().is_some_and(u8::is_ascii_alphabetic))
}

/// One past the `>` of the mark that `rest` begins with; none where another mark begins before it.
fn tag_end(rest: &[u8]) -> Option<usize> {
    let rest = rest.get(1..rest.len().min(LONGEST_TAG))?;
    let end = memchr2(b'<', b'>', rest)?;
    (rest.get(end) == Some(&b'>')).then_some(end + 2)
}

/// `text` without the marks that cut words (`ig<b></b>nore`, `ig<!-- -->nore`); none where no word is cut. Such a text loses
/// all comments and all marks but those that begin a line.
pub(crate) fn uncut(text: &str, longest: usize) -> Option<(String, Map)> {
    let bytes = text.as_bytes();
    let kind = |byte: Option<&u8>| match byte {
        Some(byte) if byte.is_ascii_alphabetic() => SURE,
        Some(byte) if byte.is_ascii_digit() => 1,
        _ => 0,
    };
    let mut sure = 0;
    for at in memchr_iter(b'<', bytes) {
        // Most marks stand at the edge of a word.
        let before = kind(at.checked_sub(1).and_then(|before| bytes.get(before)));
        if before == 0 {
            continue;
        }
        let mut end = at;
        while let Some(next) = inline(bytes, end) {
            end = next;
        }
        if end > at {
            sure += before.min(kind(bytes.get(end)));
        }
        if sure >= SURE {
            break;
        }
    }
    let cut = sure >= SURE;
    if !cut || text.len() > longest {
        return None;
    }
    let mut out = Writer::with_capacity(text.len());
    let mut done = 0;
    for at in memchr_iter(b'<', bytes) {
        if at < done {
            continue;
        }
        let Some(end) = inline(bytes, at) else { continue };
        if done < at {
            out.put(text.get(done..at)?, done, at);
        }
        out.put("", at, end);
        done = end;
    }
    if done < text.len() {
        out.put(text.get(done..)?, done, text.len());
    }
    Some(out.finish(text.len()))
}

/// One past a comment or a mark that does not end a word, if one begins at `at`.
fn inline(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..(at + LONGEST_TAG).min(bytes.len()))?;
    if rest.starts_with(b"<!--") {
        return Some(at + memmem::find(rest, b"-->")? + 3);
    }
    let inside = rest.strip_prefix(b"</").or_else(|| rest.strip_prefix(b"<"))?;
    let name = name(inside)?;
    let block = BLOCKS.iter().any(|block| name.eq_ignore_ascii_case(block.as_bytes()));
    if block {
        return None;
    }
    let end = tag_end(rest)?;
    let attributes = rest.get(rest.len() - inside.len() + name.len()..end - 1)?.trim_ascii();
    // `a<b and c>d` compares.
    (matches!(attributes, b"" | b"/") || attributes.contains(&b'=')).then_some(at + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_words_are_whole_again() {
        let of = |text: &str| uncut(text, 1000).map(|(made, _)| made);
        assert_eq!(of("ig<b></b>nore <i>all</i>").as_deref(), Some("ignore all"));
        assert_eq!(of("ig<!-- x -->nore<br>all").as_deref(), Some("ignore<br>all"));
        assert_eq!(of("one<br>two <b>three</b> four"), None);
        assert_eq!(of("a<b and c>d"), None);
        assert_eq!(of("20 m<sup>2</sup> and 30 m<sup>2</sup>"), None);
        assert_eq!(of("6<b></b>9<b></b>6<b></b>7<b></b>6e").as_deref(), Some("69676e"));
        let (made, map) = uncut("x ig<b></b>nore y", 1000).unwrap();
        let at = made.find("ignore").unwrap();
        assert_eq!(map.origin(at..at + 6), 2..15);
    }
}
