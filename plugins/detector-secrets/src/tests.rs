use std::collections::BTreeSet;

use portcullis_plugin::Text;

use super::*;
use crate::rule::Rule;
use crate::table::RULES;

/// Small deterministic generator (xorshift), so that every run makes the same samples.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = text.bytes().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let value = |bits: &[u8]| (0..6).fold(0, |sum, at| sum << 1 | bits.get(at).copied().unwrap_or(0));
    bits.chunks(6).map(|bits| char::from(DIGITS[usize::from(value(bits))])).collect()
}

fn detector(config: &str) -> Result<Secrets, String> {
    Secrets::configure(serde_json::from_str(config).unwrap())
}

fn plain() -> Secrets {
    detector("{}").unwrap()
}

fn texts(pairs: &[(&str, &str)]) -> Vec<Text> {
    pairs.iter().map(|(pointer, value)| Text { pointer: (*pointer).to_owned(), value: (*value).to_owned() }).collect()
}

/// Rule id and secret of every hit in one text.
fn found(secrets: &Secrets, text: &str) -> Vec<(String, String)> {
    found_at(secrets, &[("/content", text)])
}

fn found_at(secrets: &Secrets, pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let texts = texts(pairs);
    let hit = |(text, hit): (usize, scanner::Hit)| {
        (secrets.scanner.rules()[hit.rule].id.clone(), texts[text].value[hit.range].to_owned())
    };
    secrets.scanner.payload(&texts).into_iter().map(hit).collect()
}

/// A member of the format that passes the rule's check and is no placeholder by accident.
fn sample(rule: &Rule, form: &Form, longest: bool, dice: &mut Dice) -> String {
    for _ in 0..10_000 {
        let mut text = form.example(longest, |limit| dice.below(limit));
        if rule.check == Check::UserPassword {
            text = "Y2k6cDRzc3cwcmQtMTk3Ng==".to_owned();
        }
        if rule.check == Check::WebToken {
            text =
                base64("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IiLCJuIjo3fQ.k7Jd0sLq2XvB9mZr4TnYw8PcHf6GaE1uQi3oRxKbVtM");
        }
        if rule.check == Check::Discord {
            let tail = &text[text.find('.').unwrap()..];
            let ids =
                (1..=9).flat_map(|digit| [format!("{digit}98622483471925248"), format!("{digit}986224834719252481")]);
            text = ids
                .map(|id| format!("{}{tail}", base64(&id)))
                .find(|text| form.match_at(text.as_bytes(), 0).is_some())
                .unwrap();
        }
        let bytes = text.as_bytes();
        let (_, secret) = form.match_at(bytes, 0).unwrap_or_else(|| panic!("{} does not match {text}", rule.id));
        let secret = &bytes[secret];
        let mixed = secret.iter().any(u8::is_ascii_digit) && secret.iter().any(u8::is_ascii_alphabetic);
        let random =
            secret.len() < 20 || generic::entropy(secret) >= if rule.check == Check::HighEntropy { 4.2 } else { 2.5 };
        let mixed = mixed || !matches!(rule.check, Check::Mixed | Check::HighEntropy);
        let irregular = generic::is_irregular(secret) || rule.near.is_empty();
        if mixed && random && irregular && !placeholder::is_placeholder(secret) {
            return text;
        }
    }
    panic!("no sample for {} {form:?}", rule.id);
}

#[test]
fn more_than_120_providers_are_known_and_ids_are_unique() {
    let providers: BTreeSet<_> = RULES.iter().map(|rule| rule.provider).collect();
    assert!(providers.len() >= 120, "{}", providers.len());
    let ids: BTreeSet<_> = catalogue().map(|(id, _, _)| id).collect();
    assert_eq!(ids.len(), catalogue().count());
    for rule in RULES {
        assert!(rule.near.iter().all(|word| *word == word.to_ascii_lowercase()), "{}", rule.id);
    }
}

#[test]
fn more_values_than_an_answer_takes_are_covered_all_the_same() {
    use portcullis_plugin::testing::JsonPayload;
    let text: String = (1000..13_000).map(|number| format!("password=hunter{number}x\n")).collect();
    let payload = JsonPayload::new(&serde_json::json!([text]).to_string()).unwrap();
    let findings = plain().inspect(&Call::default(), &payload).unwrap();
    let spans: Vec<Span> = findings.iter().flat_map(|finding| finding.spans.clone()).collect();
    assert!((1..=10_000).contains(&spans.len()), "{}", spans.len());
    let joined = portcullis_plugin::join_spans(spans);
    let covered = |at: usize| joined.iter().any(|span| span.range().contains(&at));
    assert!(text.match_indices("hunter").step_by(97).all(|(at, _)| covered(at)));
}

#[test]
fn names_in_a_row_are_read_in_proportion_to_their_length() {
    for piece in ["api_key=", "password:", "token=x", "secret=password="] {
        let read = |count: usize| {
            let before = LOOKED_AT.get();
            found(&plain(), &piece.repeat(count));
            LOOKED_AT.get() - before
        };
        let (one, ten) = (read(2_000), read(20_000));
        assert!(ten <= 11 * one + 1000, "{piece:?}: {one} {ten}");
    }
    let long = format!("{}x=1;password=Tr0ub4dor&3x", "api_key=".repeat(2_000));
    assert!(found(&plain(), &long).iter().any(|(_, value)| value.contains("Tr0ub4dor")), "what follows is still found");
}

#[test]
fn every_form_matches_its_own_examples() {
    let mut dice = Dice(0x1234_5678_9ABC_DEF1);
    let mut wrong = Vec::new();
    for (rule, text) in RULES.iter().flat_map(|rule| rule.forms.iter().map(move |form| (rule, form))) {
        let form = Form::parse(text).unwrap();
        for longest in [false, true] {
            let example = form.example(longest, |limit| dice.below(limit));
            if form.match_whole(example.as_bytes()).is_none() {
                wrong.push(format!("{} {text}: {example}", rule.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_form_of_every_rule_finds_its_generated_members() {
    let secrets = plain();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut missed = Vec::new();
    for rule in RULES {
        // Alone, so that a neighbour with a similar format does not take the hit.
        let only = detector(&format!(r#"{{"enable": ["{}"]}}"#, rule.id)).unwrap();
        for text in rule.forms {
            let form = Form::parse(text).unwrap();
            for longest in [false, true] {
                let token = sample(rule, &form, longest, &mut dice);
                let (_, secret) =
                    form.match_at(token.as_bytes(), 0).unwrap_or_else(|| panic!("{text} does not match {token}"));
                let secret = token[secret].to_owned();
                let line = match rule.near.first() {
                    Some(word) => format!("# settings\n{}_X = \"{token}\"\n", word.trim_matches(['"', '\''])),
                    None => format!("use {token} here"),
                };
                // A word with quotes of its own wants exactly those.
                let line = match rule.near.first() {
                    Some(word) if word.contains('"') => format!("{{{word}: \"{token}\"}}"),
                    Some(word) if word.ends_with('/') => continue,
                    _ => line,
                };
                if !found(&only, &line).contains(&(rule.id.to_owned(), secret.clone())) {
                    missed.push(format!("{} {text}: {line}", rule.id));
                }
                // Among all rules something must cover it, whoever it is.
                if !found(&secrets, &line).iter().any(|(_, hit)| hit.contains(secret.trim_end_matches('='))) {
                    missed.push(format!("{} {text} (all rules): {line}", rule.id));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn near_rules_read_the_name_from_the_pointer() {
    let secrets = plain();
    let uuid = "8c6f2b1a-93d4-4e7a-b5c0-17fd24a96e3b";
    assert_eq!(found_at(&secrets, &[("/env/HEROKU_API_KEY", uuid)]), [("heroku_key".to_owned(), uuid.to_owned())]);
    assert_eq!(found_at(&secrets, &[("/heroku/credentials/0", uuid)]).len(), 1);
    assert_eq!(found_at(&secrets, &[("/env/0/name", "SNYK_TOKEN"), ("/env/0/value", uuid)])[0].0, "snyk_token");
    assert_eq!(found_at(&secrets, &[("/request/id", uuid)]), []);
    assert_eq!(found_at(&secrets, &[("/db/password", "hunter2!")])[0].0, "password");
    assert_eq!(found_at(&secrets, &[("/password/reset/count", "abc123def")]), []);
}

#[test]
fn a_right_checksum_is_surer_than_a_wrong_one() {
    let secrets = plain();
    let random = "mX7Qw2ZpLr9TtVbN4sKcJhGd6FyRe1";
    let sum = String::from_utf8(checksum::base62(checksum::crc32(random.as_bytes())).to_vec()).unwrap();
    let score = |token: &str| secrets.scanner.alone(token)[0].score;
    let right = score(&format!("ghp_{random}{sum}"));
    let wrong = score(&format!("ghp_{random}000000"));
    assert!(right > 0.98 && (0.5..0.8).contains(&wrong), "{right} {wrong}");
}

#[test]
fn structures_are_found_and_spans_cover_the_secret_only() {
    let secrets = plain();
    let body = "MIIEpAIBAAKCAQEA7bq3Zk1vQ9sJx0Yt5LhGd6FyRe1mX7Qw2ZpLr9TtVbN4sKcJ";
    let key = format!("-----BEGIN RSA {} KEY-----\n{body}\n{body}\n-----END RSA {0} KEY-----", "PRIVATE");
    let jwt = [
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
        "eyJzdWIiOiJib2IiLCJleHAiOjE5OTk5OTk5OTl9",
        "k7Jd0sLq2XvB9mZr4TnYw8PcHf6GaE1uQi3oRxKbVtM",
    ]
    .join(".");
    for (text, rule, secret) in [
        (format!("before {key} after"), "private_key", key.as_str()),
        (
            format!("cut: -----BEGIN {} KEY-----\n{body}{body}", "OPENSSH PRIVATE"),
            "private_key",
            &*format!("-----BEGIN {} KEY-----\n{body}{body}", "OPENSSH PRIVATE"),
        ),
        ("DATABASE_URL=postgres://app:s3cr3t-pw@db.internal:5432/app".into(), "connection_string", "s3cr3t-pw"),
        ("mongodb+srv://u:p%40ss9@cluster0.mongodb.net".into(), "connection_string", "p%40ss9"),
        ("redis://:Zk1vQ9sJx0@cache:6379/0".into(), "connection_string", "Zk1vQ9sJx0"),
        ("git clone https://bob:Zk1vQ9sJ@git.acme.io/x.git".into(), "url_password", "Zk1vQ9sJ"),
        (format!("Authorization: Bearer {jwt}"), "jwt", &jwt),
        ("-H 'Authorization: Basic Ym9iOlprMXZROXNK'".into(), "basic_auth", "Ym9iOlprMXZROXNK"),
        ("Authorization: Bearer 7f3a9c1e5b8d2046aa31cc09".into(), "bearer_token", "7f3a9c1e5b8d2046aa31cc09"),
        ("curl -s -u bob:Zk1vQ9sJ https://api.acme.io".into(), "curl_user", "Zk1vQ9sJ"),
        ("machine api.acme.io login bob password Zk1vQ9sJ\n".into(), "netrc", "Zk1vQ9sJ"),
        (
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  pw: Y29ycmVjdA==\n".into(),
            "kubernetes_secret",
            "Y29ycmVjdA==",
        ),
        ("Server=db;Database=app;User Id=app;Password=Zk1v!Q9sJ;Encrypt=true".into(), "password", "Zk1v!Q9sJ"),
        ("export SERVICE_TOKEN=q8Zk1vQ9sJx0Yt5LhGd6FyRe".into(), "entropy", "q8Zk1vQ9sJx0Yt5LhGd6FyRe"),
    ] {
        let hits = found(&secrets, &text);
        assert!(hits.contains(&(rule.to_owned(), secret.to_owned())), "{text}\n{hits:?}");
    }
    let object = [("/kind", "Secret"), ("/metadata/name", "db"), ("/data/pw", "Y29ycmVjdA==")];
    assert_eq!(found_at(&secrets, &object), [("kubernetes_secret".to_owned(), "Y29ycmVjdA==".to_owned())]);
}

#[test]
fn an_aws_pair_is_found_together() {
    let secrets = plain();
    let id = ["AK", "IA3Q7ZTUVW2XYN4RKM"].concat();
    let key = "q8Zk1vQ9sJx0Yt5LhGd6FyRe1mX7/w2ZpLr9+tVb";
    let hits = found(&secrets, &format!("first {id}\nthen {key}\n"));
    assert_eq!(hits, [("aws_access_key_id".to_owned(), id), ("aws_secret_access_key".to_owned(), key.to_owned())]);
}

#[test]
fn look_alikes_are_let_through() {
    let secrets = plain();
    for text in [
        "commit 3f786850e387550fdab836ed7e6dc881de23001b fixes it",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "request id 550e8400-e29b-41d4-a716-446655440000",
        "AKIAIOSFODNN7EXAMPLE and wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "password: ${DB_PASSWORD}",
        "password = os.environ['DB_PASSWORD_1']",
        "const token = process.env.API_TOKEN_V2;",
        "api_key: <your-api-key-123456>",
        "api_key: {{ vault.api_key_2024 }}",
        "token: 00000000-0000-0000-0000-000000000000",
        "postgres://user:password@localhost/db",
        "postgres://user:${PW}@localhost/db and https://user:***@host/",
        "the password must have 8 characters and the token 16",
        "max_tokens: 4096, next_page_token: 7f3a9c1e5b8d2046aa31cc09",
        "public_key: 7f3a9c1e5b8d2046aa31cc097f3a9c1e5b8d2046",
        "primary_key=order_2024_0001_9f8e",
        "a basic understanding of bearer tokens and of the authorization server",
        "import secrets; secrets.token_hex(16)",
        "see https://docs.acme.io/auth/api-keys#rotate-2024",
        "eyJust a word",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA7bq3Zk1vQ9sJx0Yt5LhG\n-----END PUBLIC KEY-----",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "cache-key-d41d8cd98f00b204e9800998ecf8427e",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "machine learning: login first, then set a password reminder",
        "kind: Secret agents are in the film",
        "curl -u user:password https://example.com",
        "curl [options]\n -T, --upload-file <file>   Transfer it\n -u, --user <user:password> Server user and password",
        "def check_password(password: str) -> bool: return verify(password, user.password_hash)",
        "version v2.0.1-a1b2c3d4e5f6a7b8c9d0e1f2 was built",
    ] {
        assert_eq!(found(&secrets, text), [], "{text}");
    }
}

#[test]
fn an_encoded_file_holds_no_tokens_by_chance() {
    let secrets = plain();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let bytes: String = (0..1_000_000).map(|_| char::from(u8::try_from(dice.below(128)).unwrap())).collect();
    let file = base64(&bytes);
    // Beginnings of tokens as real files have them: `AAA` are zeros.
    let file: String =
        file.as_bytes().chunks(2_000).map(|part| format!("{}/EAAA7fnAE+fnAE", str::from_utf8(part).unwrap())).collect();
    let lines: Vec<&str> = file.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap()).collect();
    for text in [file.clone(), lines.join("\n"), lines.join("\r\n"), format!("data:image/png;base64,{file}")] {
        assert_eq!(found(&secrets, &text), Vec::new());
    }
    // In an address, in a list, beside a file.
    let token = "EAAAl7Qw2ZxRk9TbVn4YcHs8MdPf3JgLa6Ue";
    for text in [
        format!("https://api.example.com/v2/accounts/{token}/payments/of/this/month/and/the/one/before/it"),
        format!("{token}\n").repeat(3),
        format!("{}\n{token}\n{}", lines[1], lines[2]),
        format!("{file} {token}"),
    ] {
        assert!(found(&secrets, &text).iter().any(|(_, secret)| secret == token), "{text:.200}");
    }
}

#[test]
fn overlapping_hits_become_one_with_the_surest_name() {
    let secrets = plain();
    let token = ["glpat-", "q8Zk1vQ9sJx0Yt5LhGd6"].concat();
    for text in
        [format!("GITLAB_TOKEN={token}"), format!("https://oauth2:{token}@gitlab.com/x.git"), format!("token: {token}")]
    {
        assert_eq!(found(&secrets, &text), [("gitlab_personal_token".to_owned(), token.clone())], "{text}");
    }
}

#[test]
fn tokens_are_found_behind_escapes_and_in_json_text() {
    let secrets = plain();
    let token = ["ghp_", "mX7Qw2ZpLr9TtVbN4sKcJhGd6FyRe1000000"].concat();
    for text in [
        format!("token%3D{token}"),
        format!("line\\n{token}\\nline"),
        format!(r#"{{\"a\": \"{token}\"}}"#),
        format!("ключ {token}ключ"),
        format!("({token})."),
    ] {
        assert_eq!(found(&secrets, &text), [("github_token".to_owned(), token.clone())], "{text}");
    }
    assert_eq!(found(&secrets, &format!("x{token}")), []);
}

#[test]
fn configuration_errors_name_the_key() {
    for (config, expected) in [
        (r#"{"entropy": 9}"#, "entropy:"),
        (r#"{"disable": ["nope"]}"#, "disable: there is no rule `nope`"),
        (r#"{"enable": ["nope"]}"#, "enable: there is no rule `nope`"),
        (r#"{"rules": [{"id": "A b", "form": "ab_{hex:3}"}]}"#, "rules[0]: id:"),
        (r#"{"rules": [{"id": "jwt", "form": "ab_{hex:3}"}]}"#, "already a rule `jwt`"),
        (r#"{"rules": [{"id": "a"}]}"#, "rules[0]: write either"),
        (r#"{"rules": [{"id": "a", "prefix": "ab_"}]}"#, "rules[0]: length:"),
        (r#"{"rules": [{"id": "a", "form": "{hex:3}"}]}"#, "two literal bytes"),
        (r#"{"rules": [{"id": "a", "regex": "("}]}"#, "rules[0]: regex:"),
        (r#"{"rules": [{"id": "a", "regex": "x", "score": 2}]}"#, "rules[0]: score:"),
        (r#"{"allow": ["a*b"]}"#, "allow: `a*b`"),
        (r#"{"allow": ["*"]}"#, "allow: `*`"),
    ] {
        let error = detector(config).err().unwrap();
        assert!(error.contains(expected), "{config}: {error}");
    }
    assert!(serde_json::from_str::<Config>(r#"{"unknown": 1}"#).is_err());
}

#[test]
fn extra_rules_and_the_allow_list_work() {
    let secrets = detector(
        r#"{"rules": [
            {"id": "acme", "prefix": "acme-", "alphabet": "hex", "length": "8-12"},
            {"id": "acme_pin", "form": "{digit:6}", "near": ["acme pin"]},
            {"id": "acme_ticket", "regex": "(?i)ticket\\s+(T-\\d{4})"}
        ], "allow": ["acme-0badcafe", "ghp_mX*"]}"#,
    );
    let secrets = secrets.unwrap();
    assert_eq!(found(&secrets, "x acme-12ab34cd y"), [("acme".to_owned(), "acme-12ab34cd".to_owned())]);
    assert_eq!(found(&secrets, "see TICKET  T-1234"), [("acme_ticket".to_owned(), "T-1234".to_owned())]);
    assert_eq!(found(&secrets, "x acme-0badcafe y ghp_mX7Qw2ZpLr9TtVbN4sKcJhGd6FyRe1000000"), []);
}

#[test]
fn a_disabled_rule_is_silent() {
    let text = "postgres://app:s3cr3t-pw@db/app";
    assert_eq!(found(&detector(r#"{"disable": ["connection_string"]}"#).unwrap(), text), []);
    assert_eq!(found(&detector(r#"{"enable": ["jwt"]}"#).unwrap(), text), []);
}

#[test]
fn messages_and_categories_never_hold_the_secret() {
    let token = ["ghp_", "mX7Qw2ZpLr9TtVbN4sKcJhGd6FyRe1000000"].concat();
    let payload = format!(r#"{{"{token}": "{token} {token}"}}"#);
    let payload = portcullis_plugin::testing::JsonPayload::new(&payload).unwrap();
    let findings = plain().inspect(&Call::default(), &payload).unwrap();
    let seen: Vec<_> = findings.iter().map(|finding| (finding.category.as_str(), finding.spans.len())).collect();
    assert_eq!(seen, [("secret.github_token", 2), ("secret.github_token", 0)]);
    assert!(findings.iter().all(|finding| !finding.message.contains("mX7") && !finding.category.contains("mX7")));
}

std::thread_local! {
    /// Bytes that this thread has looked at in candidates.
    static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts bytes of a candidate, for tests of how work grows.
pub(crate) fn looked_at(bytes: usize) {
    LOOKED_AT.set(LOOKED_AT.get() + bytes + 1);
}

#[test]
fn work_grows_with_the_text_and_no_faster() {
    let secrets = plain();
    for piece in [
        "://a:",
        "eyJ",
        "password",
        "password=",
        "token=",
        "api_key: \"",
        "-----BEGIN ",
        "ghp_",
        "kind: Secret\ndata:\n",
        "curl ",
        "machine login ",
        "AKIA",
        "basic ",
        "PuTTY-User-Key-File-2: ",
    ] {
        let work = |bytes: usize| {
            let before = LOOKED_AT.get();
            secrets.scanner.alone(&piece.repeat(bytes / piece.len()));
            LOOKED_AT.get() - before
        };
        let (one, ten) = (work(30_000), work(300_000));
        // Values and blocks have a greatest length; texts longer than that look the same to the scanner.
        assert!(ten <= 12 * one + 100_000, "{piece}: {one} {ten}");
    }
}

#[test]
fn many_kubernetes_objects_come_to_an_end() {
    let object = r#"{"kind":"Secret","data":{"a":"Zk1vUTlzSi14MFl0"}},"#;
    let payload = format!("[{}0]", object.repeat(20_000));
    let payload = portcullis_plugin::testing::JsonPayload::new(&payload).unwrap();
    let findings = plain().inspect(&Call::default(), &payload).unwrap();
    assert_eq!(findings.iter().map(|finding| finding.spans.len()).max(), Some(20_000));
}

#[test]
fn tokens_are_found_in_every_form_a_reader_may_undo() {
    use std::fmt::Write as _;
    let token = ["ghp_", "mX7Qw2ZpLr9TtVbN4sKcJhGd6FyRe1000000"].concat();
    let hex =
        |text: &str| text.bytes().fold(String::new(), |mut out, byte| write!(out, "{byte:02x}").map(|()| out).unwrap());
    let base64 = |text: &str| {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: String = text.bytes().map(|byte| format!("{byte:08b}")).collect();
        let letter = |at: usize| {
            let six = format!("{:0<6}", &bits[at..bits.len().min(at + 6)]);
            char::from(LETTERS[usize::from_str_radix(&six, 2).unwrap()])
        };
        let mut out: String = (0..bits.len()).step_by(6).map(letter).collect();
        while !out.len().is_multiple_of(4) {
            out.push('=');
        }
        out
    };
    let file = format!("user = svc\ngithub = {token}\nmode = rw\n");
    let wide: String = token.chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap()).collect();
    let entities = token.bytes().fold(String::new(), |mut out, byte| write!(out, "&#{byte};").map(|()| out).unwrap());
    let percent = token.bytes().fold(String::new(), |mut out, byte| write!(out, "%{byte:02x}").map(|()| out).unwrap());
    let escaped = token.replacen('g', "\\u0067", 1);
    let invisible = format!("{}\u{200b}{}\u{ad}{}", &token[..6], &token[6..20], &token[20..]);
    for run in [
        base64(&token),
        base64(&file),
        base64(&base64(&file)),
        hex(&token),
        wide,
        entities,
        percent,
        escaped,
        invisible,
    ] {
        let text = format!("so: {run} it is");
        let hits = found(&plain(), &text);
        assert!(
            hits.iter().any(|(rule, place)| rule.starts_with("github")
                && (*place == run || run.contains(&**place) && place.len() * 2 > run.len())),
            "{text}: {hits:?}"
        );
    }
}

#[test]
fn a_token_with_a_right_checksum_is_found_between_letters() {
    let random = "mX7Qw2ZpLr9TtVbN4sKcJhGd6FyRe1";
    let sum = String::from_utf8(checksum::base62(checksum::crc32(random.as_bytes())).to_vec()).unwrap();
    let token = format!("ghp_{random}{sum}");
    for text in [format!("a{token}"), format!("xxxx{token}"), format!("{token}EXAMPLE"), format!("key={token}x")] {
        let hits = found(&plain(), &text);
        assert!(hits.iter().any(|(_, place)| place.contains(random)), "{text}: {hits:?}");
    }
}

#[test]
fn cases() {
    portcullis_plugin::testing::run_cases::<Secrets>("cases");
}
