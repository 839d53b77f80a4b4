//! The value that belongs to a name: `API_KEY="…"`, `"token": "…"`, `<password>…</password>`, `--token …`, "password is …".

use std::ops::Range;

/// A value and how it stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// Where.
    pub(crate) range: Range<usize>,
    /// Whether quotes enclose it.
    pub(crate) quoted: bool,
}

/// Furthest an assignment's sign may stand from the keyword.
const REACH: usize = 48;
/// Longest value.
const MAX_VALUE: usize = 4096;
/// Words that name the kind of credential in front of it.
const SCHEMES: &[&[u8]] = &[
    b"bearer ",
    b"basic ",
    b"token ",
    b"bot ",
    b"apikey ",
    b"ssws ",
    b"key ",
    b"splunk ",
    b"genie_key ",
    b"genieKey ",
];

/// The value assigned to the name whose keyword stands at `keyword`. `loose`: a comma or `>` is a sign wherever it stands, as
/// in tables of names and values; then the value must speak for itself. `plain`: bytes that were found to end no value when
/// names before were read, so that names in a row are not read again and again.
pub(crate) fn after(bytes: &[u8], keyword: &Range<usize>, loose: bool, plain: &mut Range<usize>) -> Option<Value> {
    let sign = sign(bytes, keyword, loose)?;
    let mut at = sign;
    let mut quote = None;
    // What may stand between the sign and the value.
    for byte in bytes.get(at..)?.iter().take(12) {
        match byte {
            b'"' | b'\'' | b'`' if quote.is_none_or(|quote| quote == *byte) => quote = Some(*byte),
            // Whatever follows a quote belongs to the value.
            _ if quote.is_some() => break,
            b' ' | b'\t' | b'=' | b'>' | b':' | b'\\' | b'(' | b'\n' | b'\r' => {}
            _ => break,
        }
        at += 1;
    }
    at = skip_scheme(bytes, at);
    let rest = bytes.get(at..)?;
    let rest = rest.get(..rest.len().min(MAX_VALUE + 1))?;
    // A quote that is not closed on its line is no quote.
    let closed = quote.and_then(|quote| {
        let end = rest.iter().position(|byte| *byte == quote || matches!(byte, b'\n' | b'\r'))?;
        (rest.get(end) == Some(&quote)).then_some(end)
    });
    #[cfg(test)]
    crate::tests::looked_at(closed.unwrap_or_default() + at - keyword.start);
    let quote = quote.filter(|_| closed.is_some());
    let mut length = closed.unwrap_or_else(|| bare(rest, at, plain));
    if length > MAX_VALUE {
        return None;
    }
    // An escaped quote, and the punctuation of a sentence or a list.
    let trailing: &[u8] = if quote.is_some() { b"\\" } else { b"\\.:?]}" };
    while length > 0 && rest.get(length - 1).is_some_and(|byte| trailing.contains(byte)) {
        length -= 1;
    }
    // An escaped line end is none of the value.
    if rest.get(..length).is_some_and(|value| value.ends_with(b"\\n") || value.ends_with(b"\\r")) {
        length -= 2;
    }
    // After `--password` an option may follow instead of a value.
    let spaced = sign.checked_sub(1).and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_whitespace);
    let option = quote.is_none() && spaced && rest.first() == Some(&b'-');
    (length > 0 && !option).then(|| Value { range: at..at + length, quoted: quote.is_some() })
}

/// Length of a value without quotes that begins at `at`.
fn bare(rest: &[u8], at: usize, plain: &mut Range<usize>) -> usize {
    if !plain.contains(&at) {
        *plain = at..at;
    }
    let known = (plain.end - at).min(rest.len());
    let unread = rest.get(known..).unwrap_or_default();
    let length = known + unread.iter().position(|byte| ends_bare(*byte)).unwrap_or(unread.len());
    #[cfg(test)]
    crate::tests::looked_at(length - known);
    plain.end = plain.end.max(at + length);
    length
}

/// Whether a value without quotes ends here.
fn ends_bare(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"\"'`,;<>)&|".contains(&byte)
}

/// Steps over `Bearer ` and its like.
pub(crate) fn skip_scheme(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let scheme = |scheme: &&&[u8]| rest.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    at + SCHEMES.iter().find(scheme).map_or(0, |scheme| scheme.len())
}

/// One past the sign that assigns: `=`, `:`, `=>`, `>`, `,` after a quote, a space after `--name`, or the word "is".
fn sign(bytes: &[u8], keyword: &Range<usize>, loose: bool) -> Option<usize> {
    let option = is_option(bytes, keyword.start);
    let mut blanks = 0;
    let mut quoted = false;
    for (offset, byte) in bytes.get(keyword.end..)?.iter().take(REACH).enumerate() {
        let at = keyword.end + offset;
        match byte {
            b'=' => return Some(at + 1),
            b':' => return (!bytes.get(at + 1..)?.starts_with(b"//")).then_some(at + 1),
            b'>' if quoted || blanks == 0 || loose || bytes.get(at.wrapping_sub(1)) == Some(&b'-') => {
                return Some(at + 1);
            }
            b',' if quoted || loose => return Some(at + 1),
            b'|' if bytes.get(at + 1) == Some(&b'|') => return Some(at + 2),
            b'?' if bytes.get(at + 1) == Some(&b'=') => return Some(at + 2),
            b' ' | b'\t' if option => return Some(at + 1),
            b' ' | b'\t' => {
                blanks += 1;
                let rest = bytes.get(at + 1..).unwrap_or_default();
                let says = |word: &[u8]| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
                if says(b"is ") || says(b"is: ") {
                    return Some(at + 4);
                }
                if says(b"was ") {
                    return Some(at + 5);
                }
                if blanks > 4 {
                    return None;
                }
            }
            b'"' | b'\'' | b'`' => quoted = true,
            b'\\' | b']' | b'[' | b')' | b'(' | b'_' | b'-' | b'.' | b'/' | b'*' | b'+' => {}
            // A quote ends the name: `"bad password" id=…` says nothing of the password; `name="password" value="…"` does.
            _ if quoted && bytes.get(at.wrapping_sub(1)).is_some_and(u8::is_ascii_whitespace) => {
                let value = bytes.get(at..at + 5).is_some_and(|word| word.eq_ignore_ascii_case(b"value"));
                if !value {
                    return None;
                }
            }
            _ if byte.is_ascii_alphanumeric() => {}
            _ => return None,
        }
    }
    None
}

/// Whether the name is a command-line option: `--db-password`, `-token`.
fn is_option(bytes: &[u8], keyword: usize) -> bool {
    let before = bytes.get(..keyword).unwrap_or_default();
    let name = before.iter().rev().take(32).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    let start = keyword - name;
    before.get(start) == Some(&b'-') && (start == 0 || before.get(start - 1).is_some_and(u8::is_ascii_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, keyword: &str) -> Option<String> {
        let start = text.find(keyword).unwrap();
        after(text.as_bytes(), &(start..start + keyword.len()), false, &mut (0..0))
            .map(|value| text[value.range].to_owned())
    }

    #[test]
    fn values_are_found_in_many_notations() {
        for text in [
            "password=v4lue",
            "password = v4lue",
            "password: v4lue",
            "password: 'v4lue'",
            r#"{"password":"v4lue"}"#,
            r#"{\"password\": \"v4lue\"}"#,
            "password => 'v4lue',",
            "password: 'v4lue and more",
            "password ?= v4lue",
            "password || 'v4lue'",
            "<password>v4lue</password>",
            "set(\"password\", \"v4lue\")",
            "--password v4lue",
            "--db-password=v4lue --x",
            "your password is v4lue.",
            "The password for the database is: v4lue",
            "password_for_db := `v4lue`",
            "https://h/?password=v4lue&x=1",
            "password: Bearer v4lue",
            "config['password'] = v4lue;",
            "<input name=\"password\" value=\"v4lue\">",
            "password='v4lue\\r'",
        ] {
            assert_eq!(value(text, "password").as_deref(), Some("v4lue"), "{text}");
        }
    }

    #[test]
    fn names_without_a_value_have_none() {
        for text in [
            "password",
            "password reset",
            "password://x",
            "the password\nx=1",
            "password;x=1",
            "password =",
            "--password --next",
            "msg=\"bad password\" id=v4lue",
            "password,v4lue",
        ] {
            assert_eq!(value(text, "password"), None, "{text}");
        }
    }
}
