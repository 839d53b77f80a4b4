//! Answers that others got already, in the place of asking again: for a plugin that is tried on the copy of a call and must
//! reach nobody.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_model::Digest;
use serde_json::Value;

use crate::{HttpError, HttpResponse, JudgeError};

/// What the plugin is told where there is no answer.
const NOT_SENT: &str = "not sent in shadow";

/// What the plugins of another generation were answered from outside on the same call. A plugin that is given it gets the same
/// answer to the same question; whatever nobody asked, or nobody got to hear, it is refused. Nothing is sent.
#[derive(Debug, Default)]
pub struct Heard {
    http: Answered<Result<HttpResponse, HttpError>>,
    judge: Answered<Result<String, JudgeError>>,
    placeholders: Answered<String>,
    unsent: AtomicU32,
}

/// Answers by the digest of what was asked, in the order in which they came.
type Answered<T> = HashMap<Digest, Vec<T>>;

impl Heard {
    /// What was heard, from the texts that plugins' runs carry ([`portcullis_model::PluginRun::told`]). Lines that are none
    /// are left out.
    pub fn of<'t>(told: impl IntoIterator<Item = &'t str>) -> Self {
        let mut heard = Self::default();
        for line in told.into_iter().flat_map(str::lines) {
            // A line that cannot be read answers nothing: its question is refused.
            let Ok((interface, _, request, answer)) = serde_json::from_str::<(String, String, Digest, Value)>(line)
            else {
                continue;
            };
            heard.add(&interface, request, &answer);
        }
        heard
    }

    /// Questions that were refused.
    pub fn unsent(&self) -> u32 {
        self.unsent.load(Ordering::Relaxed)
    }

    /// What was answered to this request, the `time`th time that it was asked; the last answer stands for later ones.
    ///
    /// # Errors
    /// The one that was answered; [`HttpError::Unreachable`] if there was no answer.
    pub fn send(&self, request: Digest, time: usize) -> Result<HttpResponse, HttpError> {
        let heard = nth(&self.http, request, time).cloned();
        heard.unwrap_or_else(|| self.refused(HttpError::Unreachable(NOT_SENT.to_owned())))
    }

    /// What was answered to this question.
    ///
    /// # Errors
    /// The one that was answered; [`JudgeError::Unavailable`] if there was no answer.
    pub fn ask(&self, question: Digest, time: usize) -> Result<String, JudgeError> {
        let heard = nth(&self.judge, question, time).cloned();
        heard.unwrap_or_else(|| self.refused(JudgeError::Unavailable(NOT_SENT.to_owned())))
    }

    /// What stood for this secret where the answers come from: requests that name it are the same only with that.
    pub(crate) fn placeholder(&self, name: Digest) -> Option<String> {
        nth(&self.placeholders, name, 0).cloned()
    }

    fn refused<T, E>(&self, error: E) -> Result<T, E> {
        self.unsent.fetch_add(1, Ordering::Relaxed);
        Err(error)
    }

    fn add(&mut self, interface: &str, request: Digest, answer: &Value) {
        match interface {
            "http" => self.http.entry(request).or_default().extend(sent(answer)),
            "judge" => self.judge.entry(request).or_default().extend(asked(answer)),
            "secrets" => {
                let ok = answer.get("ok").and_then(Value::as_str).map(str::to_owned);
                self.placeholders.entry(request).or_default().extend(ok);
            }
            _ => {}
        }
    }
}

fn nth<T>(answered: &Answered<T>, request: Digest, time: usize) -> Option<&T> {
    let all = answered.get(&request)?;
    all.get(time).or(all.last())
}

fn sent(answer: &Value) -> Option<Result<HttpResponse, HttpError>> {
    if let Some(ok) = answer.get("ok") {
        let headers = serde_json::from_value(ok.get("headers")?.clone()).ok()?;
        let status = u16::try_from(ok.get("status")?.as_u64()?).ok()?;
        return Some(Ok(HttpResponse { status, headers, body: unhex(ok.get("body")?.as_str()?)? }));
    }
    let (word, why) = error(answer)?;
    Some(Err(match word {
        "forbidden" => HttpError::Forbidden(why),
        "unreachable" => HttpError::Unreachable(why),
        "timed-out" => HttpError::TimedOut,
        "too-large" => HttpError::TooLarge,
        _ => return None,
    }))
}

fn asked(answer: &Value) -> Option<Result<String, JudgeError>> {
    if let Some(ok) = answer.get("ok") {
        return Some(Ok(ok.as_str()?.to_owned()));
    }
    let (word, why) = error(answer)?;
    Some(Err(match word {
        "unavailable" => JudgeError::Unavailable(why),
        "budget-spent" => JudgeError::BudgetSpent,
        "timed-out" => JudgeError::TimedOut,
        "bad-answer" => JudgeError::BadAnswer(why),
        _ => return None,
    }))
}

fn error(answer: &Value) -> Option<(&str, String)> {
    let parts = answer.get("error")?;
    Some((parts.get(0)?.as_str()?, parts.get(1).and_then(Value::as_str).unwrap_or_default().to_owned()))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Answers;

    #[test]
    fn what_was_told_is_heard_again() {
        let (http, judge, name) = (Digest::of(b"request"), Digest::of(b"question"), Digest::of(b"\"key\""));
        let response =
            HttpResponse { status: 200, headers: vec![("a".into(), "b".into())], body: b"\x00\xffok".to_vec() };
        let requests =
            [Ok(response), Err(HttpError::Forbidden("no".into())), Err(HttpError::TimedOut), Err(HttpError::TooLarge)];
        let questions = [
            Ok("{}".to_owned()),
            Err(JudgeError::Unavailable("off".into())),
            Err(JudgeError::BudgetSpent),
            Err(JudgeError::TimedOut),
            Err(JudgeError::BadAnswer("odd".into())),
        ];
        let mut answers = Answers::new(true);
        requests.iter().for_each(|answer| answers.sent(http, answer));
        questions.iter().for_each(|answer| answers.asked(judge, answer));
        answers.stood_for("key", &Ok("{{secret:key:1}}".to_owned()));
        answers.stood_for("other", &Err("no".to_owned()));
        let told = answers.told().unwrap();
        let heard = Heard::of([&*told]);
        for (time, answer) in requests.iter().enumerate() {
            assert_eq!(heard.send(http, time), *answer);
        }
        for (time, answer) in questions.iter().enumerate() {
            assert_eq!(heard.ask(judge, time), *answer);
        }
        assert_eq!(heard.send(http, 9), Err(HttpError::TooLarge), "the last one stands for later ones");
        assert_eq!(heard.placeholder(name).as_deref(), Some("{{secret:key:1}}"));
        assert_eq!(heard.placeholder(Digest::of(b"\"other\"")), None);
        assert_eq!(heard.unsent(), 0);
        // A question to one is no question to the other.
        assert_eq!(heard.send(judge, 0), Err(HttpError::Unreachable(NOT_SENT.to_owned())));
        assert_eq!(heard.ask(http, 0), Err(JudgeError::Unavailable(NOT_SENT.to_owned())));
        assert_eq!(heard.unsent(), 2);
    }

    #[test]
    fn lines_that_are_none_answer_nothing() {
        let digest = Digest::of(b"request");
        let good = format!("[\"http\",\"send\",\"{digest}\",{{\"error\":[\"timed-out\"]}}]");
        for bad in [
            good.replace("timed-out", "tired"),
            good.replace("error", "ok"),
            good.replace("[\"timed-out\"]", "[]"),
            good.replace("sha256:", ""),
            format!("[\"http\",\"send\",\"{digest}\",{{\"ok\":{{\"status\":200,\"headers\":[],\"body\":\"é0\"}}}}]"),
            format!("[\"http\",\"send\",\"{digest}\",{{\"ok\":{{\"status\":70000,\"headers\":[],\"body\":\"\"}}}}]"),
            "\u{0}".to_owned(),
        ] {
            let heard = Heard::of([bad.as_str()]);
            assert_eq!((heard.send(digest, 0).is_err(), heard.unsent()), (true, 1), "{bad}");
        }
        assert_eq!(Heard::of([good.as_str()]).send(digest, 0), Err(HttpError::TimedOut));
    }
}
