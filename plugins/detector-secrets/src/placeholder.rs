//! Values that look like secrets and are none: gaps to fill in, documented examples, references to a value elsewhere.

/// Words that no random value of realistic length holds. Lower case.
const WORDS: &[&str] = &[
    "example",
    "placeholder",
    "changeme",
    "change_me",
    "change-me",
    "change_this",
    "changethis",
    "your_",
    "your-",
    "yourapi",
    "yourkey",
    "yoursecret",
    "yourtoken",
    "yourpass",
    "my_secret",
    "my-secret",
    "mysecret",
    "my_api",
    "my-api",
    "myapikey",
    "my_token",
    "my-token",
    "mytoken",
    "my_password",
    "mypassword",
    "insert_",
    "insert-",
    "replace_",
    "replace-",
    "replaceme",
    "redacted",
    "dummy",
    "xxxx",
    "****",
    "....",
    "____",
    "<your",
    "sample_",
    "sample-",
    "fake_",
    "fake-",
    "fakekey",
    "faketoken",
    "test_key",
    "test-key",
    "testkey",
    "test_token",
    "test-token",
    "testtoken",
    "test_secret",
    "test-secret",
    "_here",
    "-here",
    "goes-here",
    "abcdefghij1234",
    "notasecret",
    "not_a_secret",
    "not-a-secret",
    "topsecret",
    "removed",
    "hidden",
    "undefined",
];

/// Values that documentation prints. In pieces for the sake of scanners.
const DOCUMENTED: &[&str] = &[
    concat!("4eC39HqLyjWD", "arjtT1zdp7dc"),
    concat!("BQokikJOvBiI2", "HlWgH4olfQ2"),
    concat!("SflKxwRJSMeKKF2QT4fw", "pMeJf36POk6yJV_adQssw5c"),
    concat!("eyJzdWIiOiIxMjM0NTY3ODkw", "IiwibmFtZSI6IkpvaG4gRG9"),
    concat!("TJVA95OrM7E2cBab30RM", "HrHDcEfxjoYZgeFONFh7HgQ"),
    concat!("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzF", "T50uSRZ6IFsuFq2UVErCz4I6tq"),
    concat!("C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mG", "GyPMbIZnqyMsEcaGQy67XIw/Jw=="),
];

/// What a reference to a value elsewhere starts with. Lower case.
const REFERENCES: &[&str] = &[
    "process.env",
    "os.environ",
    "os.getenv",
    "getenv",
    "env.",
    "env(",
    "env:",
    "secrets.",
    "vars.",
    "vault:",
    "ref:",
    "ref+",
    "ssm:",
    "arn:",
    "projects/",
    "op://",
    "vault://",
    "keyring:",
    "file:",
    "config.",
    "self.",
    "this.",
    "settings.",
    "http://",
    "https://",
    "data:image",
    "import.meta",
    "system.getenv",
    "context.",
    "params.",
    "args.",
    "req.",
    "request.",
    "options.",
    "props.",
    "str(",
];

/// Whether the value is a gap, an example or a reference rather than a secret.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    let Ok(lower) = std::str::from_utf8(&lower) else { return false };
    let refers = REFERENCES.iter().any(|start| lower.starts_with(start));
    let templated = ["${", "{{", "$(", "<%", "%{", "#{", "{%"].iter().any(|open| lower.contains(open));
    let bracketed =
        matches!(value.first(), Some(b'$' | b'<' | b'[' | b'{' | b'%')) && !lower.starts_with("$2") && !hashed(lower);
    refers
        || templated
        || bracketed
        || WORDS.iter().any(|word| lower.contains(word))
        || std::str::from_utf8(value).is_ok_and(|value| DOCUMENTED.iter().any(|known| value.contains(known)))
        || monotonous(value)
}

/// The words people write where a password would stand.
pub(crate) fn is_trivial_password(value: &[u8]) -> bool {
    const TRIVIAL: &[&str] = &[
        "password",
        "passwd",
        "pass",
        "pwd",
        "pw",
        "secret",
        "token",
        "null",
        "none",
        "nil",
        "true",
        "false",
        "string",
        "required",
        "optional",
        "user",
        "username",
        "postgres",
        "root",
        "guest",
        "mysql",
        "redis",
        "admin",
        "foo",
        "bar",
        "baz",
        "test",
        "abc",
        "abc123",
        "123456",
        "12345678",
        "123456789",
        "1234567890",
        "hunter",
        "the",
        "not",
        "incorrect",
        "invalid",
        "wrong",
        "correct",
        "expired",
        "missing",
    ];
    value.len() < 3 || TRIVIAL.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

fn hashed(lower: &str) -> bool {
    ["$argon2", "$5$", "$6$", "$y$", "$ansible_vault"].iter().any(|start| lower.starts_with(start))
}

/// Few different characters for its length, after the prefix: `aaaaaaaa`, `0000-0000`, `1212121212`.
fn monotonous(value: &[u8]) -> bool {
    let body = value.get(value.len().min(8) / 2..).unwrap_or_default();
    if body.len() < 6 {
        return false;
    }
    let mut seen = [false; 256];
    for byte in body {
        if let Some(seen) = seen.get_mut(usize::from(*byte)) {
            *seen = true;
        }
    }
    let different = seen.iter().filter(|seen| **seen).count();
    different <= 2 || (body.len() >= 20 && different <= 4) || counted(value)
}

/// Mostly characters that follow each other: `0123456789abcdef`, `abcdefghijklmnop`.
fn counted(value: &[u8]) -> bool {
    let next = |pair: &[u8]| matches!(pair, [a, b] if *b == a.wrapping_add(1) || (*a == b'9' && *b == b'a'));
    value.len() >= 10 && value.windows(2).filter(|pair| next(pair)).count() * 3 >= value.len() * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_examples_and_references_are_let_through() {
        for value in [
            "AKIAIOSFODNN7EXAMPLE",
            "0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz123456",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "sk-your-api-key-goes-here-0000",
            "changeme123",
            "${DB_PASSWORD}",
            "{{ secrets.token }}",
            "<api-key>",
            "process.env.SECRET1",
            "os.environ['K3Y']",
            "00000000-0000-0000-0000-000000000000",
            "aaaaaaaaaaaaaaaaaaaa",
            "$GITHUB_TOKEN",
            "%SECRET%",
        ] {
            assert!(is_placeholder(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn real_looking_values_are_not() {
        for value in ["ghp_zQWBuTSOoRi4A9", "hunter2!", "Tr0ub4dor&3", "d41d8cd98f00b204e9800998ecf8427e", "$2b$12$abc"]
        {
            assert!(!is_placeholder(value.as_bytes()), "{value}");
        }
    }
}
