//! The interfaces a plugin can import, as the host offers them.

use portcullis_model::Digest;
use wasmtime::component::{HasSelf, Linker};

use crate::answers::Hex;
use crate::bindings::portcullis::plugin::{
    clock, files, http, judge, labels, log, payload, routing, secrets, state, types,
};
use crate::call::CallState;
use crate::store::Scope;
use crate::{Grants, HttpRequest, Question, answers};

/// Bytes of a log line that are kept.
const MAX_LINE: usize = 4096;

/// Links what is always there and what is granted; everything else is absent.
pub(crate) fn link(linker: &mut Linker<CallState>, grants: &Grants) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    routing::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    payload::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    if grants.clock {
        clock::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    }
    if grants.state {
        state::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    }
    if grants.labels {
        labels::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    }
    if !grants.files.is_empty() {
        files::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    }
    if !grants.judge.is_empty() {
        judge::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    }
    if !grants.http.is_empty() {
        http::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    }
    if !grants.secrets.is_empty() {
        secrets::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    }
    if grants.locked_wasi {
        crate::wasi::link(linker)?;
    }
    Ok(())
}

impl types::Host for CallState {}

impl routing::Host for CallState {}

impl payload::Host for CallState {
    fn raw(&mut self) -> wasmtime::Result<String> {
        self.enter()?;
        Ok(self.subject("the payload")?.payload.raw().to_owned())
    }

    fn texts(&mut self) -> wasmtime::Result<Vec<payload::Text>> {
        self.enter()?;
        let texts = self.subject("the payload")?.payload.texts();
        Ok(texts
            .iter()
            .map(|text| payload::Text { pointer: text.pointer.clone(), value: text.value.clone() })
            .collect())
    }

    fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        self.enter()?;
        Ok(self.subject("the payload")?.payload.names().to_vec())
    }

    fn get(&mut self, pointer: String) -> wasmtime::Result<Option<String>> {
        self.enter()?;
        let value = self.subject("the payload")?.payload.pointer(&pointer);
        Ok(value.map(|value| value.raw().to_owned()))
    }

    fn text_at(&mut self, pointer: String) -> wasmtime::Result<Option<payload::Located>> {
        self.enter()?;
        let texts = self.subject("the payload")?.payload.texts();
        let found = texts.iter().zip(0..).find(|(text, _)| text.pointer == pointer);
        Ok(found.map(|(text, index)| payload::Located { index, value: text.value.clone() }))
    }
}

impl log::Host for CallState {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.enter()?;
        let line = printable(&message);
        let (plugin, tenant) = (&*self.shared.name, &*self.shared.tenant);
        let call = self.subject.as_ref().map(|subject| tracing::field::display(subject.id));
        match level {
            log::Level::Trace => tracing::trace!(target: "plugin", plugin, tenant, call, "{line}"),
            log::Level::Debug => tracing::debug!(target: "plugin", plugin, tenant, call, "{line}"),
            log::Level::Info => tracing::info!(target: "plugin", plugin, tenant, call, "{line}"),
            log::Level::Warn => tracing::warn!(target: "plugin", plugin, tenant, call, "{line}"),
            log::Level::Error => tracing::error!(target: "plugin", plugin, tenant, call, "{line}"),
        }
        Ok(())
    }
}

/// At most 4 KiB, and no character that could fake another line.
pub(crate) fn printable(message: &str) -> String {
    let end = message.floor_char_boundary(MAX_LINE);
    let kept = message.get(..end).unwrap_or_default();
    kept.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

impl clock::Host for CallState {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.enter()?;
        Ok(self.subject("the clock")?.time_ms)
    }
}

impl state::Host for CallState {
    fn increment(&mut self, key: String, by: u64, window_seconds: u32) -> wasmtime::Result<Result<u64, String>> {
        self.enter()?;
        let now = self.subject("the state")?.time_ms;
        let answer = self.shared.state.increment(self.scope(), &key, by, window_seconds, now);
        let answer = answer.map_err(|error| error.to_string());
        self.answers.kept("state", "increment", &(&key, by, window_seconds), told(&answer, |count| *count));
        Ok(answer)
    }

    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, String>> {
        self.enter()?;
        let now = self.subject("the state")?.time_ms;
        let answer = self.shared.state.get(self.scope(), &key, now).map_err(|error| error.to_string());
        let value = told(&answer, |value| value.as_deref().map(Hex));
        self.answers.kept("state", "get", &[&key], value);
        Ok(answer)
    }

    fn replace(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        ttl_seconds: u32,
    ) -> wasmtime::Result<Result<bool, String>> {
        self.enter()?;
        let now = self.subject("the state")?.time_ms;
        let (expected, value) = (expected.as_deref(), value.as_deref());
        let answer = self.shared.state.replace(self.scope(), &key, expected, value, ttl_seconds, now);
        let answer = answer.map_err(|error| error.to_string());
        let asked = (&key, expected.map(Hex), value.map(Hex), ttl_seconds);
        self.answers.kept("state", "replace", &asked, told(&answer, |done| *done));
        Ok(answer)
    }
}

/// An answer as it is put down.
fn told<'a, T, A>(answer: &'a Result<T, String>, ok: impl FnOnce(&'a T) -> A) -> Result<A, &'a str> {
    answer.as_ref().map(ok).map_err(String::as_str)
}

impl CallState {
    fn scope(&self) -> Scope<'_> {
        Scope { tenant: &self.shared.tenant, plugin: &self.shared.name }
    }
}

impl labels::Host for CallState {
    fn add(&mut self, label: String, value: String) -> wasmtime::Result<Result<(), String>> {
        self.enter()?;
        let subject = self.subject("the session")?;
        let Some(session) = &subject.session else { return Ok(Err("the call belongs to no session".to_owned())) };
        let answer = self.shared.labels.add(&self.shared.tenant, session, &label, &value, subject.time_ms);
        let answer = answer.map_err(|error| error.to_string());
        self.answers.kept("labels", "add", &[&label, &value], told(&answer, |()| ()));
        Ok(answer)
    }

    fn all(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        self.enter()?;
        let subject = self.subject("the session")?;
        let Some(session) = &subject.session else { return Ok(Vec::new()) };
        let all = self.shared.labels.all(&self.shared.tenant, session, subject.time_ms);
        self.answers.kept("labels", "all", &[(); 0], Ok(&all));
        Ok(all)
    }
}

impl files::Host for CallState {
    fn read(&mut self, path: String) -> wasmtime::Result<Result<Vec<u8>, String>> {
        self.enter()?;
        let answer = self.shared.folders.read(&path);
        self.saw("read", &path, &answer, Vec::as_slice);
        Ok(answer)
    }

    fn entries(&mut self, path: String) -> wasmtime::Result<Result<Vec<String>, String>> {
        self.enter()?;
        let answer = self.shared.folders.entries(&path);
        let said = answer.as_ref().map(|names| names.join("/\0")).map_err(Clone::clone);
        self.saw("entries", &path, &said, String::as_bytes);
        Ok(answer)
    }
}

impl http::Host for CallState {
    fn send(&mut self, request: http::Request) -> wasmtime::Result<Result<http::Response, http::HttpError>> {
        self.enter()?;
        let (reach, request) = (self.reach("`http`")?, HttpRequest::from(request));
        let known_by = answers::of_request(&request);
        let answer = match self.heard() {
            Some(heard) => {
                let time = self.answers.before(known_by);
                reach.may_send(&request).and_then(|()| heard.send(known_by, time))
            }
            None => reach.send(request, self.left()),
        };
        self.answers.sent(known_by, &answer);
        Ok(answer.map(Into::into).map_err(Into::into))
    }
}

impl secrets::Host for CallState {
    fn placeholder(&mut self, name: String) -> wasmtime::Result<Result<String, String>> {
        self.enter()?;
        let answer = self.reach("`secrets`")?.placeholder(&name);
        let answer =
            answer.map(|own| self.heard().and_then(|heard| heard.placeholder(answers::of_name(&name))).unwrap_or(own));
        self.answers.stood_for(&name, &answer);
        Ok(answer)
    }
}

impl judge::Host for CallState {
    fn ask(&mut self, question: judge::Question) -> wasmtime::Result<Result<String, judge::JudgeError>> {
        self.enter()?;
        let (reach, question) = (self.reach("`judge`")?, Question::from(question));
        let known_by = answers::of_question(&question);
        let answer = match self.heard() {
            Some(heard) => {
                let time = self.answers.before(known_by);
                reach.may_ask(&question).and_then(|()| heard.ask(known_by, time))
            }
            None => reach.ask(question, self.left()),
        };
        self.answers.asked(known_by, &answer);
        Ok(answer.map_err(Into::into))
    }
}

impl CallState {
    /// Remembers what a folder gave, by hash. What it gave while the plugin is configured is apart: all its later answers depend
    /// on it.
    fn saw<T>(&mut self, function: &str, path: &str, answer: &Result<T, String>, bytes: fn(&T) -> &[u8]) {
        if self.subject.is_none() {
            let before = self.inputs.unwrap_or_default();
            let content = answer.as_ref().map_or_else(String::as_bytes, bytes);
            self.inputs = Some(Digest::of_parts([&before.0[..], path.as_bytes(), content]));
        } else {
            let content = told(answer, |content| Digest::of(bytes(content)));
            self.answers.kept("files", function, &[path], content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_cut_between_characters_and_stays_one_line() {
        let line = printable(&"é".repeat(3_000));
        assert_eq!(line.len(), MAX_LINE);
        assert_eq!(printable("a\nlevel=error b\u{1b}[31m"), "a level=error b [31m");
    }
}
