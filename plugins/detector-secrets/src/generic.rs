//! Values that are secret because of their name: passwords, and keys and tokens without a format of their own.

use crate::checksum;
use crate::placeholder::{is_placeholder, is_trivial_password};

/// What a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Chosen by a person: may be short.
    Password,
    /// Made by a machine: long and random.
    Token,
}

/// A word in a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyword {
    /// In lower case.
    pub(crate) word: &'static str,
    /// What it promises.
    pub(crate) kind: Kind,
    /// Whether it must be a whole word.
    pub(crate) whole: bool,
}

/// Words in names whose values are secret.
pub(crate) static KEYWORDS: &[Keyword] = &[
    password("passw"),
    password("passphrase"),
    password("_pass"),
    password("-pass"),
    Keyword { word: "pass", kind: Kind::Password, whole: true },
    Keyword { word: "pwd", kind: Kind::Password, whole: true },
    password("_pwd"),
    token("secret"),
    token("token"),
    token("apikey"),
    token("api_key"),
    token("api-key"),
    token("api key"),
    token("accesskey"),
    token("access_key"),
    token("access-key"),
    token("access key"),
    token("privatekey"),
    token("private_key"),
    token("authkey"),
    token("encryptionkey"),
    token("signingkey"),
    token("masterkey"),
    token("credential"),
    token("authorization"),
    token("_key"),
    token("-key"),
    token("_auth"),
    token("session_id"),
    token("sessionid"),
];

/// Words in a name that say its value is about a secret, not one.
const ABOUT: &[&str] = &[
    "public",
    "pub",
    "next",
    "page",
    "continuation",
    "cursor",
    "count",
    "limit",
    "max",
    "min",
    "num",
    "type",
    "length",
    "len",
    "size",
    "usage",
    "expires",
    "expiry",
    "expiration",
    "ttl",
    "id",
    "ids",
    "name",
    "arn",
    "url",
    "uri",
    "path",
    "file",
    "hash",
    "digest",
    "fingerprint",
    "checksum",
    "algorithm",
    "policy",
    "hint",
    "reset",
    "field",
    "label",
    "column",
    "primary",
    "foreign",
    "cache",
    "partition",
    "sort",
    "idempotency",
    "index",
    "foreignkey",
    "format",
    "version",
    "endpoint",
    "ref",
    "secretsmanager",
    "secretmanager",
    "selector",
    "regex",
    "pattern",
    "schema",
    "sha",
    "sha1",
    "sha256",
    "md5",
    "etag",
    "commit",
    "tokenizer",
    "tokens",
    "prompt",
    "completion",
    "sync",
    "nonce",
    "csrf",
    "xsrf",
];

const fn password(word: &'static str) -> Keyword {
    Keyword { word, kind: Kind::Password, whole: false }
}

const fn token(word: &'static str) -> Keyword {
    Keyword { word, kind: Kind::Token, whole: false }
}

/// Shannon entropy in bits per byte.
pub(crate) fn entropy(bytes: &[u8]) -> f32 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let total = bytes.len() as f32;
    let bits = |count: &u32| {
        let share = *count as f32 / total;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(bits).sum()
}

/// Whether a value without a prefix of its own is as irregular as a key: letters and digits, and not the same few.
pub(crate) fn is_irregular(value: &[u8]) -> bool {
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let least = match value.len() {
        0..20 => 2.5,
        20..40 => 3.0,
        _ => 3.2,
    };
    digits > 0 && (letters > 0 || digits >= 14) && entropy(value) >= least
}

/// The score of a value under this name, or none if it is no secret. `name` is the whole name the keyword stands in.
pub(crate) fn judge(kind: Kind, name: &[u8], value: &[u8], quoted: bool, threshold: f32) -> Option<f32> {
    let score = match kind {
        Kind::Password => password_score(value, quoted),
        Kind::Token => token_score(value, threshold),
    }?;
    // Last, since it takes longest: most values are too short, too long or too plain.
    if is_about(name) || is_placeholder(value) || is_trivial_password(value) || is_path(value) {
        return None;
    }
    // `Authorization: Basic …` of a manual.
    let pair = checksum::base64(value).filter(|pair| checksum::user_password(pair));
    if pair.and_then(|pair| pair.splitn(2, |byte| *byte == b':').nth(1).map(is_trivial_password)) == Some(true) {
        return None;
    }
    let code = value.iter().any(|byte| b"()[]{}".contains(byte));
    (quoted || !(code || is_reference(value))).then_some(score)
}

fn password_score(value: &[u8], quoted: bool) -> Option<f32> {
    if !(6..=256).contains(&value.len()) {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let signs = value.iter().filter(|byte| b"!@#$%^&*+?~=|".contains(byte)).count();
    let letters = text.chars().filter(|letter| letter.is_alphabetic()).count();
    let fits = !text.chars().any(char::is_whitespace);
    let chosen = (digits > 0 && letters > 0) || (quoted && signs > 0 && letters > 4) || (quoted && digits >= 6);
    (fits && chosen && entropy(value) >= 2.0).then_some(if quoted || (digits > 0 && signs > 0) { 0.75 } else { 0.65 })
}

fn token_score(value: &[u8], threshold: f32) -> Option<f32> {
    let plain = value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-.~!@#$%^&*:".contains(byte));
    if !plain || !(16..=4096).contains(&value.len()) || !is_irregular(value) {
        return None;
    }
    let hex = value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let bits = entropy(value);
    let least = if hex { threshold.min(3.0) } else { threshold };
    // Words and numbers joined by signs are a name; a key has a long piece that is neither.
    let piece = value.split(|byte| b"-_./:".contains(byte)).max_by_key(|piece| piece.len())?;
    let dense = piece.len() >= 12
        && (piece.iter().any(u8::is_ascii_digit)
            || (piece.len() >= 24 && entropy(piece) >= 4.0)
            || turns(piece) * 3 >= piece.len());
    (bits >= least && dense).then_some(if bits >= least + 0.5 { 0.8 } else { 0.65 })
}

/// How often letters turn from small to capital or back: in random ones half the time, in names at most at each word.
fn turns(piece: &[u8]) -> usize {
    let kind = |byte: &u8| (byte.is_ascii_uppercase(), byte.is_ascii_lowercase());
    piece.windows(2).filter(|pair| matches!(pair, [a, b] if kind(a) != kind(b))).count()
}

/// Whether one of the name's words says that the value is about a secret.
fn is_about(name: &[u8]) -> bool {
    let mut word: Vec<u8> = Vec::with_capacity(16);
    let mut last_small = false;
    let about = |word: &[u8]| ABOUT.iter().any(|about| about.as_bytes() == word);
    for byte in name {
        let starts = byte.is_ascii_uppercase() && last_small;
        if starts || !byte.is_ascii_alphanumeric() {
            if about(&word) {
                return true;
            }
            word.clear();
        }
        if byte.is_ascii_alphanumeric() {
            word.push(byte.to_ascii_lowercase());
        }
        last_small = byte.is_ascii_lowercase();
    }
    about(&word)
}

fn is_path(value: &[u8]) -> bool {
    let absolute = matches!(value, [b'/' | b'~', ..] | [b'.', b'/' | b'.', ..] | [_, b':', b'\\' | b'/', ..]);
    absolute && value.iter().filter(|byte| **byte == b'/' || **byte == b'\\').count() >= 1 && !value.ends_with(b"=")
}

/// `user.password1`, `dbPassword2`, `PASSWORD_1`: a name, not a value.
fn is_reference(value: &[u8]) -> bool {
    let name = value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte));
    let lower = value.to_ascii_lowercase();
    let speaks = [&b"passw"[..], b"secret", b"token", b"apikey", b"api_key"];
    let dotted =
        value.split(|byte| *byte == b'.').filter(|part| part.first().is_some_and(u8::is_ascii_alphabetic)).count() >= 2
            && value.split(|byte| *byte == b'.').all(|part| part.len() < 16);
    name && (dotted || speaks.iter().any(|word| lower.windows(word.len()).any(|window| window == *word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_in_bits() {
        assert_eq!(entropy(b"aaaa"), 0.0);
        assert_eq!(entropy(b"abab"), 1.0);
        assert!((entropy(b"0123456789abcdef") - 4.0).abs() < 1e-6);
    }

    #[test]
    fn names_about_secrets_are_let_through() {
        for name in
            ["public_key", "nextPageToken", "max_tokens", "token_count", "PASSWORD_HASH", "secret-name", "primaryKey"]
        {
            assert!(is_about(name.as_bytes()), "{name}");
        }
        for name in ["DB_PASSWORD", "clientSecret", "api-key", "x_auth_token"] {
            assert!(!is_about(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn passwords_need_more_than_a_word() {
        let judge = |value: &str, quoted| judge(Kind::Password, b"password", value.as_bytes(), quoted, 3.5).is_some();
        assert!(judge("hunter2", false));
        assert!(judge("Tr0ub4dor&3", false));
        assert!(judge("S3cr3t-Value", true));
        for value in
            ["required", "getpass.getpass()", "user.password1", "self.pw1", "/etc/pass1", "changeme1", "123456"]
        {
            assert!(!judge(value, false), "{value}");
        }
    }

    #[test]
    fn tokens_must_be_random() {
        let judge = |value: &str| judge(Kind::Token, b"token", value.as_bytes(), true, 3.5).is_some();
        assert!(judge("9fK2mQx7Lz0Rt5Wv8Yb3"));
        assert!(judge("550e8400-e29b-41d4-a716-446655440000"));
        assert!(judge("d41d8cd98f00b204e9800998ecf8427e"));
        for value in
            ["my-service-2024-prod-v2", "short1", "1234567890", "application/json; v=2", "com.acme.Service2.Handler"]
        {
            assert!(!judge(value), "{value}");
        }
    }
}
