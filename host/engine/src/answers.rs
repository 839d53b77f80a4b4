//! What a plugin was told during a call, by hash and in words: what others answered, and what the host answered from what it
//! keeps. With these answers the call can be run again and must come to the same, and whoever kept them can prove that they
//! are the ones.
//!
//! The words are what is hashed, written straight into the hash; they are held only where somebody may want them.
//!
//! `docs/ledger-format.md` describes the form for people with another JSON library.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use portcullis_model::Digest;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::{HttpError, HttpRequest, HttpResponse, JudgeError, Question};

/// Most bytes of the answers to one call that are held in words; of more there is the hash.
const MAX_TOLD: usize = 1024 * 1024;

/// The answers to one call so far.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    words: Option<Words>,
    holds: bool,
    /// What was asked with answers at hand that stand for others.
    again: Vec<Digest>,
}

/// What was hashed, and the hash.
#[derive(Clone)]
struct Words {
    hasher: Sha256,
    /// None if it is not held, or does not fit.
    told: Option<Vec<u8>>,
}

/// An answer as it is put down.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Said<'a, T> {
    Ok(T),
    Error(&'a [&'a str]),
}

#[derive(Serialize)]
struct Response<'a> {
    status: u16,
    headers: &'a [(String, String)],
    body: Hex<'a>,
}

/// Bytes as hexadecimal digits.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl Answers {
    /// None so far; whether their words are held.
    pub(crate) fn new(holds: bool) -> Self {
        Self { holds, ..Self::default() }
    }

    /// The hash of all of them in order; none if there were none.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.words.as_ref().map(|words| Digest(words.hasher.clone().finalize().into()))
    }

    /// What has this hash; none if there were no answers, too many to hold, or none were to be held.
    pub(crate) fn told(&mut self) -> Option<Arc<str>> {
        let told = self.words.as_mut()?.told.take()?;
        // It is JSON.
        String::from_utf8(told).ok().map(Into::into)
    }

    /// How often this was asked before during the call.
    pub(crate) fn before(&mut self, request: Digest) -> usize {
        let before = self.again.iter().filter(|asked| **asked == request).count();
        self.again.push(request);
        before
    }

    pub(crate) fn sent(&mut self, request: Digest, answer: &Result<HttpResponse, HttpError>) {
        let said = match answer {
            Ok(HttpResponse { status, headers, body }) => {
                Said::Ok(Response { status: *status, headers, body: Hex(body) })
            }
            Err(HttpError::Forbidden(why)) => Said::Error(&["forbidden", why]),
            Err(HttpError::Unreachable(why)) => Said::Error(&["unreachable", why]),
            Err(HttpError::TimedOut) => Said::Error(&["timed-out"]),
            Err(HttpError::TooLarge) => Said::Error(&["too-large"]),
        };
        self.add("http", "send", request, &said);
    }

    pub(crate) fn asked(&mut self, question: Digest, answer: &Result<String, JudgeError>) {
        let said = match answer {
            Ok(answer) => Said::Ok(answer),
            Err(JudgeError::Unavailable(why)) => Said::Error(&["unavailable", why]),
            Err(JudgeError::BudgetSpent) => Said::Error(&["budget-spent"]),
            Err(JudgeError::TimedOut) => Said::Error(&["timed-out"]),
            Err(JudgeError::BadAnswer(why)) => Said::Error(&["bad-answer", why]),
        };
        self.add("judge", "ask", question, &said);
    }

    pub(crate) fn stood_for(&mut self, name: &str, answer: &Result<String, String>) {
        let said = answer.as_ref().map_err(String::as_str);
        self.put_down("secrets", "placeholder", of_name(name), said);
    }

    /// What the host answered from what it keeps itself.
    pub(crate) fn kept(
        &mut self,
        interface: &str,
        function: &str,
        request: &impl Serialize,
        answer: Result<impl Serialize, &str>,
    ) {
        self.put_down(interface, function, of_json(request), answer);
    }

    fn put_down(&mut self, interface: &str, function: &str, request: Digest, answer: Result<impl Serialize, &str>) {
        match answer {
            Ok(answer) => self.add(interface, function, request, &Said::Ok(answer)),
            Err(why) => self.add(interface, function, request, &Said::<()>::Error(&[why])),
        }
    }

    /// One line for each answer, in the order of the calls.
    fn add<T: Serialize>(&mut self, interface: &str, function: &str, request: Digest, answer: &Said<'_, T>) {
        let holds = self.holds;
        let new = || Words { hasher: Sha256::new(), told: holds.then(Vec::new) };
        let words = self.words.get_or_insert_with(new);
        // Neither can fail: nothing in it that JSON cannot hold, and memory to write to.
        let _written = serde_json::to_writer(&mut *words, &(interface, function, request, answer));
        let _ended = words.write_all(b"\n");
    }
}

impl Write for Words {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.told = self.told.take().filter(|told| told.len().saturating_add(bytes.len()) <= MAX_TOLD);
        if let Some(told) = &mut self.told {
            told.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        let mut digits = [0; 128];
        for part in self.0.chunks(digits.len() / 2) {
            for (pair, byte) in digits.chunks_mut(2).zip(part) {
                pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
            let written = digits.get(..part.len() * 2).unwrap_or_default();
            f.write_str(std::str::from_utf8(written).unwrap_or_default())?;
        }
        Ok(())
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a request is known by.
pub(crate) fn of_request(request: &HttpRequest) -> Digest {
    #[derive(Serialize)]
    struct Request<'a> {
        method: &'a str,
        url: &'a str,
        headers: &'a [(String, String)],
        body: Hex<'a>,
    }
    let HttpRequest { method, url, headers, body } = request;
    of_json(&Request { method, url, headers, body: Hex(body) })
}

/// What a question is known by.
pub(crate) fn of_question(question: &Question) -> Digest {
    #[derive(Serialize)]
    struct Asked<'a> {
        template: &'a str,
        variables: &'a [(String, String)],
    }
    let Question { template, variables } = question;
    of_json(&Asked { template, variables })
}

/// What the name of a secret is known by.
pub(crate) fn of_name(name: &str) -> Digest {
    of_json(&name)
}

/// SHA-256 of something as JSON without spaces.
fn of_json(what: &impl Serialize) -> Digest {
    let mut words = Words { hasher: Sha256::new(), told: None };
    // It cannot fail, as above.
    let _written = serde_json::to_writer(&mut words, what);
    Digest(words.hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_documented_lines() {
        let mut answers = Answers::new(true);
        assert_eq!(answers.digest(), None);
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: "https://api.example.com/".to_owned(),
            headers: vec![("a".to_owned(), "b\"c".to_owned())],
            body: b"\x00\xff".to_vec(),
        };
        let text = r#"{"method":"POST","url":"https://api.example.com/","headers":[["a","b\"c"]],"body":"00ff"}"#;
        assert_eq!(of_request(&request), Digest::of(text.as_bytes()));
        let response = HttpResponse { status: 200, headers: Vec::new(), body: b"ok".to_vec() };
        answers.sent(of_request(&request), &Ok(response));
        answers.sent(Digest::of(b""), &Err(HttpError::TimedOut));
        let question = Question { template: "risk".to_owned(), variables: vec![("tool".to_owned(), "rm".to_owned())] };
        let asked = r#"{"template":"risk","variables":[["tool","rm"]]}"#;
        answers.asked(of_question(&question), &Ok(r#"{"risk":7}"#.to_owned()));
        answers.asked(Digest::of(b""), &Err(JudgeError::BadAnswer("odd".to_owned())));
        answers.stood_for("key", &Ok("{{secret:key:1}}".to_owned()));
        answers.stood_for("other", &Err("no".to_owned()));
        let lines = [
            format!(
                r#"["http","send","{}",{{"ok":{{"status":200,"headers":[],"body":"6f6b"}}}}]"#,
                Digest::of(text.as_bytes())
            ),
            format!(r#"["http","send","{}",{{"error":["timed-out"]}}]"#, Digest::of(b"")),
            format!(r#"["judge","ask","{}",{{"ok":"{{\"risk\":7}}"}}]"#, Digest::of(asked.as_bytes())),
            format!(r#"["judge","ask","{}",{{"error":["bad-answer","odd"]}}]"#, Digest::of(b"")),
            format!(r#"["secrets","placeholder","{}",{{"ok":"{{{{secret:key:1}}}}"}}]"#, Digest::of(b"\"key\"")),
            format!(r#"["secrets","placeholder","{}",{{"error":["no"]}}]"#, Digest::of(b"\"other\"")),
        ];
        let text = lines.join("\n") + "\n";
        assert_eq!(answers.digest(), Some(Digest::of(text.as_bytes())));
        assert_eq!(answers.told().as_deref(), Some(text.as_str()));
    }

    #[test]
    fn answers_without_end_are_hashed_and_not_held() {
        let (mut answers, mut same) = (Answers::new(true), Sha256::new());
        assert_eq!(answers.told(), None);
        for number in 0..40 {
            let answer = format!("{number} {}", "x".repeat(64 * 1024));
            answers.asked(Digest::of(b"q"), &Ok(answer.clone()));
            same.update(format!("[\"judge\",\"ask\",\"{}\",{{\"ok\":\"{answer}\"}}]\n", Digest::of(b"q")));
            let held = answers.words.as_ref().and_then(|words| words.told.as_ref());
            assert!(held.is_none_or(|told| told.len() <= MAX_TOLD));
        }
        assert_eq!(answers.told(), None);
        assert_eq!(answers.digest(), Some(Digest(same.finalize().into())));
    }

    #[test]
    fn what_the_host_keeps_is_put_down_as_documented() {
        let mut answers = Answers::new(true);
        let value: Vec<u8> = (0..=255).collect();
        answers.kept("state", "increment", &("k\n", 1_u64, 60_u32), Ok(7_u64));
        answers.kept("state", "get", &["k"], Ok(Some(Hex(&value))));
        answers.kept("state", "replace", &("k", None::<Hex<'_>>, Some(Hex(b"\x0a")), 0_u32), Err::<bool, _>("full"));
        answers.kept("labels", "add", &["a", "b"], Ok(()));
        answers.kept("labels", "all", &[(); 0], Ok([("a".to_owned(), "b".to_owned())]));
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        let lines = [
            ("state", "increment", r#"["k\n",1,60]"#, r#"{"ok":7}"#.to_owned()),
            ("state", "get", r#"["k"]"#, format!(r#"{{"ok":"{hex}"}}"#)),
            ("state", "replace", r#"["k",null,"0a",0]"#, r#"{"error":["full"]}"#.to_owned()),
            ("labels", "add", r#"["a","b"]"#, r#"{"ok":null}"#.to_owned()),
            ("labels", "all", "[]", r#"{"ok":[["a","b"]]}"#.to_owned()),
        ];
        let text: String = lines
            .iter()
            .map(|(interface, function, request, answer)| {
                format!("[\"{interface}\",\"{function}\",\"{}\",{answer}]\n", Digest::of(request.as_bytes()))
            })
            .collect();
        assert_eq!(answers.digest(), Some(Digest::of(text.as_bytes())));
        assert_eq!(answers.told().as_deref(), Some(text.as_str()));
    }

    #[test]
    fn words_that_nobody_keeps_are_hashed_and_not_held() {
        let (mut held, mut not) = (Answers::new(true), Answers::new(false));
        for answers in [&mut held, &mut not] {
            answers.kept("state", "get", &["k"], Ok(Some(Hex(b"value"))));
        }
        assert!(held.digest().is_some() && held.digest() == not.digest());
        assert!(held.told().is_some() && not.words.as_ref().unwrap().told.is_none() && not.told().is_none());
    }
}
