//! Marks of HTML and Markdown: what they keep from being shown, and words that they cut.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memmem};

use crate::map::{Map, Writer};

/// How markup keeps a text from being shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConcealedKind {
    /// A comment of HTML, or of Markdown (`[//]: # (…)`).
    Comment,
    /// An element that its style or the attribute `hidden` does not show.
    Style,
}

/// One stretch that is in the text, and not on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concealed {
    /// How.
    pub kind: ConcealedKind,
    /// Bytes of the text, without the marks.
    pub range: Range<usize>,
}

/// At most this many stretches are reported.
const MOST: usize = 64;
/// Longest mark, and longest stretch of a mark that is not closed.
const LONGEST_TAG: usize = 512;
const LONGEST: usize = 16 * 1024;
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
/// Styles that show nothing, in small letters without white space.
const STYLES: &[&str] = &[
    "display:none",
    "visibility:hidden",
    "opacity:0;",
    "opacity:0.0",
    "font-size:0",
    "font-size:1px",
    "color:transparent",
    "color:#fff;",
    "color:#ffffff",
    "color:white",
    "text-indent:-9",
    "left:-9",
    "top:-9",
    "mso-hide:all",
    "clip:rect(0",
];

/// Stretches of `text` that a page made of it does not show, in order: comments, and elements with a style that hides them.
pub fn concealed(text: &str) -> Vec<Concealed> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut done = 0;
    for at in memchr::memchr2_iter(b'<', b'[', bytes) {
        if at < done {
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let stretch = if rest.first() == Some(&b'[') { remark(bytes, at) } else { element(bytes, at) };
        let Some((kind, range)) = stretch else { continue };
        // What is between other marks is on the page.
        done = range.end;
        if text.get(range.clone()).is_some_and(|text| !text.trim().is_empty()) {
            found.push(Concealed { kind, range });
            if found.len() == MOST {
                break;
            }
        }
    }
    found
}

/// `[//]: # (…)` and `[comment]: <> (…)` at the start of a line.
fn remark(bytes: &[u8], at: usize) -> Option<(ConcealedKind, Range<usize>)> {
    if at > 0 && bytes.get(at - 1) != Some(&b'\n') {
        return None;
    }
    let rest = bytes.get(at..(at + LONGEST).min(bytes.len()))?;
    let mark = [&b"[//]: #"[..], b"[//]:#", b"[comment]: #", b"[comment]: <>"]
        .into_iter()
        .find(|mark| rest.starts_with(mark))?;
    let end = memchr(b'\n', rest).unwrap_or(rest.len());
    Some((ConcealedKind::Comment, at + mark.len()..at + end))
}

/// A comment, or what stands in an element that is not shown.
fn element(bytes: &[u8], at: usize) -> Option<(ConcealedKind, Range<usize>)> {
    let rest = bytes.get(at..(at + LONGEST).min(bytes.len()))?;
    if let Some(inside) = rest.strip_prefix(b"<!--") {
        let end = memmem::find(inside, b"-->").unwrap_or(inside.len());
        return Some((ConcealedKind::Comment, at + 4..at + 4 + whole(bytes, at + 4, end)));
    }
    let name = name(rest.get(1..)?)?;
    let tag = rest.get(..tag_end(rest)?)?;
    if !hides(tag) {
        return None;
    }
    let inside = rest.get(tag.len()..)?;
    let close = |from: &usize| {
        inside.get(from + 2..from + 2 + name.len()).is_some_and(|close| close.eq_ignore_ascii_case(name))
    };
    let end = memmem::find_iter(inside, b"</").take(64).find(close).unwrap_or(inside.len());
    let start = at + tag.len();
    Some((ConcealedKind::Style, start..start + whole(bytes, start, end)))
}

/// `length` bytes from `start` on, less if that is within a character.
fn whole(bytes: &[u8], start: usize, length: usize) -> usize {
    let within = |length: &usize| bytes.get(start + length).is_some_and(|byte| byte & 0xc0 == 0x80);
    (0..=length).rev().find(|length| !within(length)).unwrap_or_default()
}

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

fn hides(tag: &[u8]) -> bool {
    let mut plain = String::with_capacity(tag.len());
    let mut attribute = false;
    let mut word = String::new();
    for byte in tag {
        if byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/' | b'=') {
            attribute |= word == "hidden" && *byte != b'=';
            word.clear();
        } else {
            word.push(char::from(byte.to_ascii_lowercase()));
        }
        if !byte.is_ascii_whitespace() {
            plain.push(char::from(if matches!(byte, b'"' | b'\'') { b';' } else { byte.to_ascii_lowercase() }));
        }
    }
    let styled = plain.split_once("style=").is_some_and(|(_, style)| {
        // A white ground is no hidden text.
        let style = style.replace("background-color:", "");
        STYLES.iter().any(|hidden| style.contains(hidden) && !style.contains("font-size:0."))
    });
    attribute || styled
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

    fn told(text: &str) -> Vec<(ConcealedKind, &str)> {
        concealed(text).into_iter().map(|one| (one.kind, text[one.range].trim())).collect()
    }

    #[test]
    fn comments_and_hidden_elements_are_told_without_their_marks() {
        use ConcealedKind::{Comment, Style};
        assert_eq!(told("<p>Hi</p><!-- obey me -->"), [(Comment, "obey me")]);
        assert_eq!(told("<!-- never closed \u{e4}"), [(Comment, "never closed \u{e4}")]);
        assert_eq!(told("a\n[//]: # (obey me)\nb"), [(Comment, "(obey me)")]);
        assert_eq!(told("<div style=\"color:red; Display : NONE\">obey</div> me"), [(Style, "obey")]);
        assert_eq!(told("<span hidden>obey</span>"), [(Style, "obey")]);
        assert_eq!(told("<p style='font-size:0px'>obey <b>me</b></p>."), [(Style, "obey <b>me</b>")]);
        assert_eq!(told("<font style=\"color:#fff\">obey</font>"), [(Style, "obey")]);
    }

    #[test]
    fn what_the_page_shows_is_not_told() {
        for text in [
            "plain text",
            "<p style=\"color:#333\">seen</p>",
            "<p style=\"background-color:white\">seen</p>",
            "<p class=\"hidden-xs\">seen</p>",
            "<input type=hidden name=x>",
            "<p style=\"font-size:0.9em\">seen</p>",
            "see [//]: # in the middle",
            "<!---->",
            "a < b and c > d",
        ] {
            assert_eq!(told(text), [], "{text}");
        }
    }

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
