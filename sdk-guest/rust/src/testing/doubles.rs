use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Component, Path, PathBuf};

use super::Answers;
use crate::log::Level;
use crate::{http, judge};

/// A question to a language model: the template, and the values of its variables.
pub type Question = (String, Vec<(String, String)>);

/// What the capabilities answer natively, one set per thread.
#[derive(Default)]
pub(crate) struct Doubles {
    pub(crate) now_ms: u64,
    pub(crate) log: Vec<(Level, String)>,
    pub(crate) labels: Vec<(String, String)>,
    /// Those of the case at hand.
    pub(crate) answers: Option<Answers>,
    counters: BTreeMap<String, Vec<(u64, u64)>>,
    /// Value and the time it is forgotten at, 0 for never.
    values: BTreeMap<String, (Vec<u8>, u64)>,
    folders: BTreeMap<String, PathBuf>,
    secrets: Vec<String>,
    responses: VecDeque<Result<http::Response, http::Error>>,
    sent: Vec<http::Request>,
    judge_answers: VecDeque<Result<String, judge::Error>>,
    asked: Vec<Question>,
}

thread_local! {
    static DOUBLES: RefCell<Doubles> = RefCell::default();
}

pub(crate) fn doubles<A>(use_them: impl FnOnce(&mut Doubles) -> A) -> A {
    DOUBLES.with_borrow_mut(use_them)
}

/// Forgets everything: time 0, no labels, no state, no folders, no lines.
pub fn reset() {
    doubles(|doubles| *doubles = Doubles::default());
}

/// What [`clock::now_ms`](crate::clock::now_ms) answers on this thread.
pub fn set_now(ms: u64) {
    doubles(|doubles| doubles.now_ms = ms);
}

/// What [`labels::all`](crate::labels::all) answers on this thread.
pub fn set_labels(labels: Vec<(String, String)>) {
    doubles(|doubles| doubles.labels = labels);
}

/// Keys under which [`state`](crate::state) keeps values and counters on this thread.
#[must_use]
pub fn stored() -> Vec<String> {
    doubles(|doubles| doubles.values.keys().chain(doubles.counters.keys()).cloned().collect())
}

/// Grants a folder under a name for [`files`](crate::files) on this thread.
pub fn add_folder(name: &str, path: impl Into<PathBuf>) {
    doubles(|doubles| doubles.folders.insert(name.to_owned(), path.into()));
}

/// Grants a secret on this thread; what stands for it is `{{secret:NAME}}`.
pub fn grant_secret(name: &str) {
    doubles(|doubles| doubles.secrets.push(name.to_owned()));
}

/// What one more [`http::send`](crate::http::send) answers on this thread; without one it is forbidden.
pub fn add_response(response: Result<http::Response, http::Error>) {
    doubles(|doubles| doubles.responses.push_back(response));
}

/// Takes the requests sent on this thread so far.
#[must_use]
pub fn sent() -> Vec<http::Request> {
    doubles(|doubles| std::mem::take(&mut doubles.sent))
}

/// What one more [`judge::ask`](crate::judge::ask) answers on this thread; without one the model is unavailable.
pub fn add_judge_answer(answer: Result<String, judge::Error>) {
    doubles(|doubles| doubles.judge_answers.push_back(answer));
}

/// Takes the questions asked on this thread so far.
#[must_use]
pub fn asked() -> Vec<Question> {
    doubles(|doubles| std::mem::take(&mut doubles.asked))
}

/// Takes the lines written on this thread so far.
#[must_use]
pub fn logged() -> Vec<(Level, String)> {
    doubles(|doubles| std::mem::take(&mut doubles.log))
}

impl Doubles {
    pub(crate) fn increment(&mut self, key: &str, by: u64, window_seconds: u32) -> u64 {
        let now = self.now_ms;
        let window = u64::from(window_seconds) * 1000;
        let events = self.counters.entry(key.to_owned()).or_default();
        events.retain(|(at, _)| window == 0 || at.saturating_add(window) > now);
        events.push((now, by));
        events.iter().fold(0, |sum, (_, by)| sum.saturating_add(*by))
    }

    pub(crate) fn value(&self, key: &str) -> Option<Vec<u8>> {
        let (value, until) = self.values.get(key)?;
        (*until == 0 || *until > self.now_ms).then(|| value.clone())
    }

    pub(crate) fn replace(
        &mut self,
        key: &str,
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        ttl_seconds: u32,
    ) -> bool {
        if self.value(key).as_deref() != expected {
            return false;
        }
        let until = if ttl_seconds == 0 { 0 } else { self.now_ms + u64::from(ttl_seconds) * 1000 };
        match value {
            Some(value) => self.values.insert(key.to_owned(), (value.to_vec(), until)),
            None => self.values.remove(key),
        };
        true
    }

    pub(crate) fn placeholder(&self, name: &str) -> Result<String, String> {
        if let Some(answers) = &self.answers {
            return answers.placeholder(name);
        }
        let granted = self.secrets.iter().any(|secret| secret == name);
        if granted { Ok(format!("{{{{secret:{name}}}}}")) } else { Err("the secret is not granted".to_owned()) }
    }

    pub(crate) fn send(&mut self, request: &http::Request) -> Result<http::Response, http::Error> {
        if let Some(answers) = &mut self.answers {
            return answers.send(request);
        }
        self.sent.push(request.clone());
        let refused = || Err(http::Error::Forbidden(format!("{} is not granted", request.url)));
        self.responses.pop_front().unwrap_or_else(refused)
    }

    pub(crate) fn ask(&mut self, template: &str, variables: Vec<(String, String)>) -> Result<String, judge::Error> {
        if let Some(answers) = &mut self.answers {
            return answers.ask(template, &variables);
        }
        self.asked.push((template.to_owned(), variables));
        let refused = || Err(judge::Error::Unavailable(format!("the template {template} is not granted")));
        self.judge_answers.pop_front().unwrap_or_else(refused)
    }

    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(self.resolve(path)?).map_err(|error| format!("{path}: {error}"))
    }

    pub(crate) fn entries(&self, path: &str) -> Result<Vec<String>, String> {
        let listing = std::fs::read_dir(self.resolve(path)?).map_err(|error| format!("{path}: {error}"))?;
        let mut names = Vec::new();
        for entry in listing {
            let entry = entry.map_err(|error| format!("{path}: {error}"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            names.push(if entry.path().is_dir() { name + "/" } else { name });
        }
        names.sort_unstable();
        Ok(names)
    }

    fn resolve(&self, path: &str) -> Result<PathBuf, String> {
        let (folder, rest) = path.split_once('/').unwrap_or((path, ""));
        let root = self.folders.get(folder).ok_or_else(|| format!("{path}: folder `{folder}` is not granted"))?;
        if !Path::new(rest).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(format!("{path}: leaves its folder"));
        }
        Ok(root.join(rest))
    }
}
