//! Secrets that have a structure rather than a format: key blocks, addresses with passwords, signed tokens, headers.

use std::ops::Range;

use crate::checksum;
use crate::placeholder::{is_placeholder, is_trivial_password};

/// Longest key block.
const MAX_BLOCK: usize = 64 * 1024;
/// Longest part of a JSON Web Token.
const MAX_PART: usize = 16 * 1024;
/// How far a line is read after `curl` or `machine`.
const MAX_LINE: usize = 1024;

/// A private key block that begins (`-----BEGIN`) at `start`: the block with its frame. Without an end, as far as its
/// base64 goes.
pub(crate) fn key_block(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let block = bytes.get(start..)?;
    let block = block.get(..block.len().min(MAX_BLOCK))?;
    let label_end = find(block.get(..100.min(block.len()))?, b"-----", 10)?;
    let label = block.get(10..label_end)?;
    if find(label, b"PRIVATE KEY", 0).is_none() && find(label, b"OpenVPN Static key", 0).is_none() {
        return None;
    }
    let body = label_end + 5;
    let end = match find(block, b"-----END", body) {
        Some(end) => find(block, b"-----", end + 8).map_or(end, |close| close + 5),
        // Cut off: `\` for escaped line ends, `:` and `,` for the headers of old PEM files.
        None => block.iter().skip(body).position(|byte| !is_pem(*byte)).map_or(block.len(), |length| body + length),
    };
    let letters = block.get(body..end)?.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    (letters >= 40 && !is_placeholder(block.get(body..end)?)).then_some(start..start + end)
}

fn is_pem(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=\\:,-".contains(&byte)
}

/// The private part of a PuTTY key file whose first line begins at `start`.
pub(crate) fn putty(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let bytes = bytes.get(..bytes.len().min(start + MAX_BLOCK))?;
    // No further than the next file, so that many of them are read once.
    let bytes = bytes.get(..find(bytes, b"PuTTY-User-Key-File-", start + 1).unwrap_or(bytes.len()))?;
    let private = find(bytes, b"Private-Lines:", start)?;
    let end = find(bytes, b"Private-MAC:", private).unwrap_or(bytes.len());
    (end - private > 40 && end - start < MAX_BLOCK).then_some(private..end)
}

/// The password in an address whose `://` stands at `start`, and whether it belongs to a data store.
pub(crate) fn address(bytes: &[u8], start: usize) -> Option<(Range<usize>, bool)> {
    let before = bytes.get(..start)?;
    let length =
        before.iter().rev().take(24).take_while(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(byte)).count();
    let scheme = before.get(start - length..)?;
    let from = start + 3;
    let rest = bytes.get(from..)?;
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"/\"'`<>\\,;|".contains(byte);
    let authority = rest.get(..rest.iter().take(512).position(ends).unwrap_or(rest.len().min(512)))?;
    #[cfg(test)]
    crate::tests::looked_at(authority.len());
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    let user = authority.get(..at)?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let (name, password) = (user.get(..colon)?, user.get(colon + 1..)?);
    let masked = password.iter().all(|byte| b"*x.X#".contains(byte));
    if scheme.is_empty() || password.is_empty() || masked || password == b":" {
        return None;
    }
    if is_trivial_password(password) || is_placeholder(password) || (password == name && password.len() < 12) {
        return None;
    }
    const WEB: [&[u8]; 8] = [b"http", b"https", b"ftp", b"ftps", b"ssh", b"sftp", b"git", b"socks5"];
    let store = !WEB.iter().any(|web| scheme.eq_ignore_ascii_case(web));
    Some((from + colon + 1..from + at, store))
}

/// A JSON Web Token (three parts, or five if encrypted) that begins at `start`.
pub(crate) fn web_token(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?;
    let mut lengths = Vec::with_capacity(5);
    let mut at = 0;
    loop {
        let part = rest.get(at..)?;
        let length =
            part.iter().take(MAX_PART).take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).count();
        lengths.push(length);
        at += length;
        if lengths.len() == 5
            || rest.get(at) != Some(&b'.')
            || !rest.get(at + 1).is_some_and(|next| next.is_ascii_alphanumeric() || b"-_".contains(next))
        {
            break;
        }
        at += 1;
    }
    let at_least =
        |least: &[usize]| lengths.len() == least.len() && lengths.iter().zip(least).all(|(is, least)| is >= least);
    #[cfg(test)]
    crate::tests::looked_at(at);
    let signed = at_least(&[10, 4, 16]) && rest.get(lengths.first()? + 1..)?.starts_with(b"e");
    let encrypted = at_least(&[10, 0, 8, 10, 10]);
    let header = rest.get(..*lengths.first()?)?;
    ((signed || encrypted) && checksum::jose_header(header) && !is_placeholder(rest.get(..at)?))
        .then_some(start..start + at)
}

/// The `user:password` in base64 after `Basic ` that ends at `start`.
pub(crate) fn basic(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?;
    let length =
        rest.iter().take(1024).take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)).count();
    #[cfg(test)]
    crate::tests::looked_at(length);
    let text = rest.get(..length)?;
    if length < 8 || length % 4 == 1 {
        return None;
    }
    let decoded = checksum::base64(text).filter(|decoded| checksum::user_password(decoded))?;
    let password = decoded.splitn(2, |byte| *byte == b':').nth(1)?;
    (!is_trivial_password(password) && !is_placeholder(&decoded)).then_some(start..start + length)
}

/// The token after `Bearer ` that ends at `start`.
pub(crate) fn bearer(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?;
    let length =
        rest.iter().take(MAX_PART).take_while(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte)).count();
    #[cfg(test)]
    crate::tests::looked_at(length);
    let token = rest.get(..length)?;
    let mixed = token.iter().any(u8::is_ascii_digit) && token.iter().any(u8::is_ascii_alphabetic);
    (length >= 16 && mixed && crate::generic::entropy(token) >= 3.0 && !is_placeholder(token))
        .then_some(start..start + length)
}

/// The password in `curl -u user:password` (or `--user`), for a `curl ` that ends at `start`.
pub(crate) fn curl_user(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?;
    let line = rest.get(..rest.len().min(MAX_LINE))?;
    let mut at = 0;
    let mut flagged = false;
    for word in line.split(|byte| byte.is_ascii_whitespace()) {
        #[cfg(test)]
        crate::tests::looked_at(word.len());
        let begin = at;
        at += word.len() + 1;
        // The next command has its own turn.
        if word == b"curl" || b";|".iter().any(|end| word.contains(end)) {
            return None;
        }
        let pair = match word {
            _ if flagged => word,
            [b'-', b'u', pair @ ..] if !pair.is_empty() => pair,
            _ => word.strip_prefix(b"--user=").unwrap_or_default(),
        };
        flagged = matches!(word, b"-u" | b"--user" | b"--proxy-user");
        let Some(colon) = pair.iter().position(|byte| *byte == b':') else { continue };
        let closed = pair.iter().rev().take_while(|byte| b"\"'".contains(byte)).count();
        let password = pair.get(colon + 1..pair.len() - closed)?;
        // In a manual all of it is one gap: `<user:password>`.
        if is_trivial_password(password) || is_placeholder(password) || matches!(pair, [b'<', .., b'>']) {
            return None;
        }
        let from = start + begin + (word.len() - pair.len()) + colon + 1;
        return Some(from..from + password.len());
    }
    None
}

/// The password of a netrc entry (`machine … login … password …`), for a `machine ` that ends at `start`.
pub(crate) fn netrc(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?;
    let line = rest.get(..rest.len().min(MAX_LINE))?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let _host = words.next()?;
    let (login, _user, password) = (words.next()?, words.next()?, words.next()?);
    let value = words.next()?;
    if login != b"login" || password != b"password" || is_trivial_password(value) || is_placeholder(value) {
        return None;
    }
    let at = find(line, b"password", 0).and_then(|at| find(line, value, at + 8))?;
    Some(start + at..start + at + value.len())
}

/// The values under `data:` and `stringData:` of the Kubernetes secrets in a YAML text.
pub(crate) fn kubernetes(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    // Of the document at hand: the values so far, and whether it is a secret.
    let (mut values, mut secret, mut inside) = (Vec::new(), false, false);
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        #[cfg(test)]
        crate::tests::looked_at(line.len());
        let text = line.trim_ascii_end();
        if text.starts_with(b"---") {
            out.extend(values.drain(..).filter(|_| secret));
            (secret, inside) = (false, false);
        } else if text == b"kind: Secret" || text == b"kind: \"Secret\"" {
            (secret, inside) = (true, false);
        } else if text == b"data:" || text == b"stringData:" {
            inside = true;
        } else if !text.is_empty() && !text.starts_with(b" ") {
            inside = false;
        } else if inside {
            values.extend(yaml_value(text).map(|range| at + range.start..at + range.end));
        }
        at += line.len();
    }
    out.extend(values.into_iter().filter(|_| secret));
    out
}

/// The value of an indented `name: value`, without quotes; also a line of a block.
fn yaml_value(line: &[u8]) -> Option<Range<usize>> {
    let mut from = find(line, b": ", 0).map_or_else(|| line.len() - line.trim_ascii_start().len(), |colon| colon + 2);
    let mut to = line.len();
    from += line.get(from..)?.iter().take_while(|byte| b" \"'".contains(byte)).count();
    to -= line.get(from..)?.iter().rev().take_while(|byte| b"\"'".contains(byte)).count();
    let value = line.get(from..to)?;
    (value.len() >= 4 && !value.ends_with(b":") && !is_placeholder(value)).then_some(from..to)
}

/// A 40-character key close to an AWS access key id: its secret half.
pub(crate) fn aws_secret_near(bytes: &[u8], id: &Range<usize>) -> Option<Range<usize>> {
    let from = id.start.saturating_sub(240);
    let to = (id.end + 240).min(bytes.len());
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    let mut at = from;
    while at < to {
        let length = bytes.get(at..)?.iter().take(to + 64 - at).take_while(|byte| is_key(byte)).count();
        let run = bytes.get(at..at + length)?;
        let kinds = [u8::is_ascii_digit, u8::is_ascii_lowercase, u8::is_ascii_uppercase];
        if length == 40
            && kinds.iter().all(|kind| run.iter().any(kind))
            && crate::generic::entropy(run) >= 4.2
            && !is_placeholder(run)
        {
            return Some(at..at + length);
        }
        at += length.max(1);
    }
    None
}

fn find(hay: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let found = hay.get(from..)?.windows(needle.len()).position(|window| window == needle).map(|at| from + at);
    #[cfg(test)]
    crate::tests::looked_at(found.unwrap_or(hay.len()) - from);
    found
}
