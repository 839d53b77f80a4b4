use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_engine::{
    Asker, GrantError, HttpError, HttpRequest, HttpResponse, JudgeError, Outside, Question, Reach,
};
use portcullis_plugin::testing::{Answers, Case};
use portcullis_plugin::{http, judge};

/// Answers what leads outside with what the case at hand says; no network, no model, no secret is behind it.
#[derive(Default)]
pub struct Answering(Arc<OfCase>);

#[derive(Default)]
struct OfCase(Mutex<Answers>);

impl Answering {
    /// From here on this case answers.
    pub fn reset(&self, case: &Case) {
        *self.0.lock() = Answers::of(case);
    }

    /// What was asked in vain, and the answers that nobody asked for.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.0.lock().problems()
    }
}

impl OfCase {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outside for Answering {
    /// Every grant is good: the case says which templates, hosts and secrets there are.
    fn open(&self, _: &Asker<'_>) -> Result<Arc<dyn Reach>, GrantError> {
        Ok(Arc::<OfCase>::clone(&self.0))
    }
}

impl Reach for OfCase {
    fn send(&self, request: HttpRequest, _: Duration) -> Result<HttpResponse, HttpError> {
        let HttpRequest { method, url, headers, body } = request;
        let answer = self.lock().send(&http::Request { method, url, headers, body });
        match answer {
            Ok(http::Response { status, headers, body }) => Ok(HttpResponse { status, headers, body }),
            Err(http::Error::Forbidden(why)) => Err(HttpError::Forbidden(why)),
            Err(http::Error::Unreachable(why)) => Err(HttpError::Unreachable(why)),
            Err(http::Error::TimedOut) => Err(HttpError::TimedOut),
            Err(http::Error::TooLarge) => Err(HttpError::TooLarge),
        }
    }

    fn placeholder(&self, name: &str) -> Result<String, String> {
        self.lock().placeholder(name)
    }

    fn ask(&self, question: Question, _: Duration) -> Result<String, JudgeError> {
        match self.lock().ask(&question.template, &question.variables) {
            Ok(answer) => Ok(answer),
            Err(judge::Error::Unavailable(why)) => Err(JudgeError::Unavailable(why)),
            Err(judge::Error::BudgetSpent) => Err(JudgeError::BudgetSpent),
            Err(judge::Error::TimedOut) => Err(JudgeError::TimedOut),
            Err(judge::Error::BadAnswer(why)) => Err(JudgeError::BadAnswer(why)),
        }
    }
}
