//! Takes secrets out of answers: as they are, in Base64 at any alignment, in hexadecimal, percent-encoded and escaped for JSON.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Finds secrets in whatever comes back.
pub(super) struct Scrubber {
    finder: AhoCorasick,
    /// What is put in the place of each pattern.
    instead: Vec<String>,
}

impl Scrubber {
    /// Finds these: what stands for a secret, and the secret. None if that cannot be built.
    pub(super) fn new<'s>(secrets: impl IntoIterator<Item = (&'s str, &'s str)>) -> Option<Self> {
        let (mut patterns, mut instead) = (Vec::new(), Vec::new());
        for (placeholder, secret) in secrets {
            for form in forms(secret) {
                patterns.push(form);
                instead.push(placeholder.to_owned());
            }
        }
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            // Hexadecimal digits, and names of headers, come in either case.
            .ascii_case_insensitive(true)
            .build(&patterns)
            .ok()?;
        Some(Self { finder, instead })
    }

    pub(super) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.finder.replace_all_bytes(bytes, &self.instead)
    }

    pub(super) fn text(&self, text: &str) -> String {
        self.finder.replace_all(text, &self.instead)
    }
}

/// How a secret may come back.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    for alignment in 0..3_usize {
        let padded: Vec<u8> = std::iter::repeat_n(0, alignment).chain(secret.bytes()).collect();
        // Characters that depend on nothing but the secret.
        let (first, end) = ((alignment * 8).div_ceil(6), padded.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            forms.extend(encoded.as_bytes().get(first..end).map(<[u8]>::to_vec));
        }
    }
    forms.push(secret.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
    let percent = |keep: fn(u8) -> bool| {
        let encode = move |byte: u8| if keep(byte) { vec![byte] } else { format!("%{byte:02x}").into_bytes() };
        secret.bytes().flat_map(encode).collect::<Vec<u8>>()
    };
    forms.push(percent(|_| false));
    forms.push(percent(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
    forms.push(percent(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte)));
    forms.push(form_urlencoded::byte_serialize(secret.as_bytes()).flat_map(str::bytes).collect());
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_matches('"');
    forms.push(json.as_bytes().to_vec());
    forms.push(json.replace('/', "\\/").into_bytes());
    forms.sort_unstable();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = r#"sk-live/"a+b=c 100%"#;
        let scrubber = Scrubber::new([("{{S}}", secret)]).unwrap();
        let hex: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
        let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for text in [
            format!("x{secret}y"),
            secret.to_uppercase(),
            hex,
            percent,
            serde_json::json!({ "echo": secret }).to_string(),
            serde_json::json!({ "echo": secret }).to_string().replace('/', "\\/"),
            form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            "sk-live%2F%22a%2Bb%3Dc%20100%25".to_owned(),
            "sk-live/%22a+b=c%20100%25".to_owned(),
        ] {
            let clean = scrubber.text(&text);
            assert!(clean.contains("{{S}}") && !clean.contains("live"), "{text} became {clean}");
        }
    }

    #[test]
    fn base64_is_found_at_every_alignment() {
        let secret = "correct-horse-battery";
        let scrubber = Scrubber::new([("{{S}}", secret)]).unwrap();
        for before in ["", "a", "ab", "abc", "user:", "Basic 12:"] {
            for after in ["", "z", "zz", "zzz"] {
                let plain = format!("{before}{secret}{after}");
                for encoded in [STANDARD_NO_PAD.encode(&plain), URL_SAFE_NO_PAD.encode(&plain)] {
                    let clean = scrubber.text(&encoded);
                    assert!(clean.contains("{{S}}"), "{plain}: {encoded} became {clean}");
                    // What is left at the edges cannot be more than a character's bits.
                    assert!(clean.len() < encoded.len().max(40), "{clean}");
                }
            }
        }
        assert_eq!(scrubber.bytes(b"\xff\xfe nothing here"), b"\xff\xfe nothing here");
    }
}
