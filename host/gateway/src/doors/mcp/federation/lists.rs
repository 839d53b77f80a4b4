//! Lists: all pages of all members, as one page.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use portcullis_model::{Document, Edit, Kind, Value};
use serde_json::{Map, json};
use uuid::Uuid;

use super::super::answers;
use super::super::envelope::{Frame, INVALID_PARAMS, Id, METHOD_NOT_FOUND, Shape};
use super::super::front::{Checked, json_reply};
use super::super::stateless;
use super::session::{Joined, MAX_KEPT, TOO_LONG};
use super::{Absent, Era, Round, gather, names};
use crate::http::Reply;
use crate::upstream::Upstream;

/// Where an answer names the members that are missing in it.
pub(super) const UNAVAILABLE: &str = "portcullis/unavailable";
/// Where a list says how much of which member was left out.
const LEFT_OUT: &str = "portcullis/left-out";
/// Where a list names tools of different members that are easily taken for each other.
const LOOK_ALIKES: &str = "portcullis/look-alikes";
/// Most look-alikes that are named.
const MAX_LOOK_ALIKES: usize = 64;
/// Most pages of one member's list.
const MAX_PAGES: usize = 100;
/// Most items of a list, shared out equally among the members.
const MAX_ITEMS: usize = 16_384;
/// The bytes of a list, as a multiple of the longest message, shared out equally among the members.
const MAX_MESSAGES: usize = 4;
/// Longest cursor of a member.
const MAX_CURSOR: usize = 16 * 1024;

/// A kind of list.
#[derive(Debug)]
pub(super) struct List {
    method: &'static str,
    /// The capability of those that have one.
    capability: &'static str,
    /// Where the items stand in the result.
    items: &'static str,
    /// What names an item.
    key: &'static str,
    naming: Naming,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Tool,
    Prompt,
    Uri,
}

const LISTS: &[List] = &[
    List { method: "tools/list", capability: "tools", items: "tools", key: "name", naming: Naming::Tool },
    List { method: "prompts/list", capability: "prompts", items: "prompts", key: "name", naming: Naming::Prompt },
    List { method: "resources/list", capability: "resources", items: "resources", key: "uri", naming: Naming::Uri },
    List {
        method: "resources/templates/list",
        capability: "resources",
        items: "resourceTemplates",
        key: "uriTemplate",
        naming: Naming::Uri,
    },
];

/// The list that a method asks for.
pub(super) fn of(method: &str) -> Option<&'static List> {
    LISTS.iter().find(|list| list.method == method)
}

/// What one member contributes.
#[derive(Default)]
struct Share {
    pages: Vec<Document>,
    /// Whether there was more than there is room for.
    cut: bool,
}

impl Round {
    /// One list of what all members have.
    pub(super) async fn list(
        &self,
        era: Era<'_>,
        headers: &HeaderMap,
        frame: &Frame,
        id: &Id,
        list: &'static List,
    ) -> Checked<Reply> {
        if frame.params().is_some_and(|params| params.get("cursor").is_some()) {
            let error = answers::error(Some(id), INVALID_PARAMS, "invalid cursor: this list has one page", None);
            let status = if matches!(era, Era::Stateless) { stateless::status(&error) } else { StatusCode::OK };
            return Ok(json_reply(status, error));
        }
        let asking = (0..self.members().len()).map(|index| {
            let asked = self.share(era, headers, frame, index, list);
            async move {
                let asked = tokio::time::timeout(self.inner.limits.fan_out_wait, asked).await;
                asked.unwrap_or(Err(Absent::TooSlow))
            }
        });
        let shares = futures_util::future::join_all(asking).await;
        let merged = self.merged(list, &shares);
        let Merged { items, meta } = merged;
        let mut rest = Map::new();
        if matches!(era, Era::Stateless) {
            let pages = shares.iter().flatten().flat_map(|share| &share.pages).map(Document::root);
            keeping(&mut rest, pages, shares.iter().all(Result::is_ok));
        }
        if !meta.is_empty() {
            rest.insert("_meta".to_owned(), meta.into());
        }
        let mut result = format!(r#"{{"{}":[{}]"#, list.items, items.join(","));
        for (name, value) in rest {
            result.push_str(&format!(",{}:{value}", json!(name)));
        }
        result.push('}');
        Ok(json_reply(StatusCode::OK, answers::result(id, &result)))
    }

    /// All pages of one member's list.
    async fn share(
        &self,
        era: Era<'_>,
        headers: &HeaderMap,
        frame: &Frame,
        index: usize,
        list: &List,
    ) -> Result<Share, Absent> {
        let upstream = self.member(index)?;
        let members = self.members().len().max(1);
        let most = self.inner.limits.message.saturating_mul(MAX_MESSAGES) / members;
        let (mut items_left, mut bytes_left) = (MAX_ITEMS / members, most);
        let mut share = Share::default();
        let mut cursor = None;
        for _page in 0..MAX_PAGES {
            if let Era::Sessions(in_use) = era
                && let Some(joined) = in_use.0.joined(index)
                && !offers(&joined, list)
            {
                return Ok(share);
            }
            let body = page(frame, list, cursor.as_deref());
            let (reply, joined) = self.ask(era, index, headers, &body, None, None).await?;
            let answer = gather::answer(reply, self.inner.limits.message, |message| {
                self.leave(era, index, joined.as_ref(), message);
            });
            let answer = answer.await?;
            match code(&answer) {
                None => {}
                // It has no such lists, or it came back without them.
                Some(METHOD_NOT_FOUND) => return Ok(share),
                Some(code) => {
                    tracing::warn!(upstream = %upstream.name, method = list.method, code, "a member's list is missing");
                    return Err(Absent::Failed);
                }
            }
            let result = answer.body().ok_or(Absent::Failed)?;
            let items = result.get(list.items).filter(|items| items.kind() == Kind::Array).ok_or(Absent::Failed)?;
            let (count, size) = (items.items().count(), result.raw().len());
            if count > items_left || size > bytes_left {
                share.cut = true;
                return Ok(share);
            }
            (items_left, bytes_left) = (items_left - count, bytes_left - size);
            let next = result.get("nextCursor").and_then(Value::as_str);
            let next = next.filter(|next| next.len() <= MAX_CURSOR).map(str::to_owned);
            share.pages.push(result.to_document());
            if next.is_none() || next == cursor {
                return Ok(share);
            }
            cursor = next;
        }
        share.cut = true;
        Ok(share)
    }

    /// Sees to what a member said beside its answer to a request of ours.
    fn leave(&self, era: Era<'_>, index: usize, joined: Option<&Arc<Joined>>, message: Vec<u8>) {
        let Era::Sessions(in_use) = era else { return };
        // It is about a request that the client did not make like this.
        let progress = Frame::parse(&*message).is_ok_and(
            |frame| matches!(frame.shape(), Shape::Notification { method } if &**method == "notifications/progress"),
        );
        let translator = self.translator(index, Some((in_use, joined.cloned()))).ok().filter(|_| !progress);
        if let Some(message) = translator.and_then(|translator| translator.message(message)) {
            self.inner.counters.undelivered.inc_by(in_use.0.leave(message));
        }
    }

    fn merged(&self, list: &List, shares: &[Result<Share, Absent>]) -> Merged {
        let mut items = Vec::new();
        let mut missing = Vec::new();
        let mut left_out: BTreeMap<&str, u64> = BTreeMap::new();
        let mut likenesses: HashMap<String, (usize, String)> = HashMap::new();
        let mut bare: HashMap<String, (usize, String)> = HashMap::new();
        let mut look_alikes = Vec::new();
        for (index, (upstream, share)) in self.members().iter().zip(shares).enumerate() {
            let Ok(share) = share else {
                missing.push(&*upstream.name);
                continue;
            };
            let mut seen = HashSet::new();
            let mut lost = u64::from(share.cut);
            for page in &share.pages {
                for item in page.root().get(list.items).into_iter().flat_map(Value::items) {
                    let named = item.get(list.key).and_then(|name| Some((name, name.as_str()?)));
                    let Some((target, name)) = named.filter(|(_, name)| seen.insert(*name)) else {
                        lost += 1;
                        continue;
                    };
                    let Some(ours) = exposed(list.naming, upstream, name) else {
                        lost += 1;
                        continue;
                    };
                    if list.naming == Naming::Tool {
                        let first = likenesses.entry(names::likeness(&ours)).or_insert_with(|| (index, ours.clone()));
                        if first.0 != index {
                            lost += 1;
                            continue;
                        }
                        let other = bare.entry(names::likeness(name)).or_insert_with(|| (index, name.to_owned()));
                        if other.0 != index && other.1 != name && look_alikes.len() < MAX_LOOK_ALIKES {
                            look_alikes.push(ours.clone());
                        }
                    }
                    items.push(spliced(item, target, &ours));
                }
            }
            if lost > 0 {
                tracing::warn!(upstream = %upstream.name, method = list.method, lost, "items of a list were left out");
                left_out.insert(&upstream.name, lost);
            }
        }
        let mut meta = Map::new();
        if !missing.is_empty() {
            meta.insert(UNAVAILABLE.to_owned(), missing.into());
        }
        if !left_out.is_empty() {
            meta.insert(LEFT_OUT.to_owned(), json!(left_out));
        }
        if !look_alikes.is_empty() {
            meta.insert(LOOK_ALIKES.to_owned(), look_alikes.into());
        }
        Merged { items, meta }
    }

    /// `logging/setLevel` for all members that have logs.
    pub(super) async fn set_level(&self, era: Era<'_>, headers: &HeaderMap, frame: &Frame, id: &Id) -> Checked<Reply> {
        let Era::Sessions(in_use) = era else { return Ok(json_reply(StatusCode::OK, answers::result(id, "{}"))) };
        if let Some(params) = frame.params() {
            if params.raw().len() > MAX_KEPT {
                let error = answers::error(Some(id), INVALID_PARAMS, TOO_LONG, None);
                return Ok(json_reply(StatusCode::OK, error));
            }
            in_use.0.set_level(params.raw());
        }
        let asking = (0..self.members().len()).map(|index| async move {
            let joined = in_use.0.joined(index)?;
            joined.result.root().get("capabilities")?.get("logging")?;
            let body = with_id(frame, &fresh());
            let asked = async {
                let (reply, joined) = self.ask(era, index, headers, &body, None, None).await?;
                gather::answer(reply, self.inner.limits.message, |message| {
                    self.leave(era, index, joined.as_ref(), message);
                })
                .await
            };
            let asked = tokio::time::timeout(self.inner.limits.fan_out_wait, asked).await;
            Some(asked.unwrap_or(Err(Absent::TooSlow)))
        });
        let answers: Vec<_> = futures_util::future::join_all(asking).await.into_iter().flatten().collect();
        let well = |answer: &Result<Frame, Absent>| answer.as_ref().is_ok_and(|frame| code(frame).is_none());
        // An error of theirs, if none of them took it.
        let refused = answers.iter().flatten().next().filter(|_| !answers.iter().any(well));
        let body: Bytes = match refused.and_then(|frame| Some((frame, frame.root().get("id")?))) {
            Some((frame, own)) => frame.splice(own, &id.to_string()).into(),
            None => answers::result(id, "{}"),
        };
        Ok(json_reply(StatusCode::OK, body))
    }
}

struct Merged {
    items: Vec<String>,
    meta: Map<String, serde_json::Value>,
}

/// Whether the member has such lists at all.
fn offers(joined: &Joined, list: &List) -> bool {
    joined.result.root().get("capabilities").is_some_and(|offered| offered.get(list.capability).is_some())
}

/// The code of an answer that is an error.
pub(super) fn code(answer: &Frame) -> Option<i32> {
    let failed = matches!(answer.shape(), Shape::Response { failed: true, .. });
    let code = answer.body().and_then(|body| body.get("code")?.raw().parse().ok());
    failed.then(|| code.unwrap_or_default())
}

fn exposed(naming: Naming, upstream: &Upstream, name: &str) -> Option<String> {
    match naming {
        Naming::Tool => Some(names::exposed(upstream, name)).filter(|name| names::fits_tool(name)),
        Naming::Prompt => Some(names::exposed(upstream, name)).filter(|name| names::fits_prompt(name)),
        Naming::Uri => Some(names::wrapped(upstream, name)),
    }
}

/// The item with another name; every other byte stays.
fn spliced(item: Value<'_>, target: Value<'_>, name: &str) -> String {
    let (raw, offset) = (item.raw(), item.range().start);
    let before = raw.get(..target.range().start.saturating_sub(offset)).unwrap_or_default();
    let after = raw.get(target.range().end.saturating_sub(offset)..).unwrap_or_default();
    [before, &json!(name).to_string(), after].concat()
}

/// An id for a request of ours: nobody can guess it and use it at the same time.
pub(super) fn fresh() -> String {
    Uuid::new_v4().simple().to_string()
}

fn with_id(frame: &Frame, id: &str) -> String {
    let target = frame.root().get("id");
    target.map_or_else(String::new, |target| frame.edited(&[Edit { target, value: id.to_owned() }]))
}

/// The client's request for a list, as a request of ours for one page of it.
fn page(frame: &Frame, list: &List, cursor: Option<&str>) -> String {
    let Some(cursor) = cursor else { return with_id(frame, &fresh()) };
    let members = frame.params().into_iter().flat_map(Value::members);
    let kept = members.filter_map(|member| Some(format!("{}:{}", json!(member.name()?), member.raw())));
    let params: Vec<String> = kept.chain([format!(r#""cursor":{}"#, json!(cursor))]).collect();
    let (id, method) = (fresh(), list.method);
    format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"{method}","params":{{{}}}}}"#, params.join(","))
}

/// How long an answer made of these may be kept, and by whom: no longer than any of them, and not if one is missing.
pub(super) fn keeping<'f>(
    result: &mut Map<String, serde_json::Value>,
    parts: impl Iterator<Item = Value<'f>>,
    complete: bool,
) {
    let (mut ttl, mut public, mut none) = (u64::MAX, true, true);
    for part in parts {
        none = false;
        ttl = ttl.min(part.get("ttlMs").and_then(Value::as_u64).unwrap_or(0));
        public &= part.get("cacheScope").and_then(Value::as_str) == Some("public");
    }
    let ttl = if complete && !none { ttl } else { 0 };
    result.insert("resultType".to_owned(), "complete".into());
    result.insert("ttlMs".to_owned(), ttl.into());
    result.insert("cacheScope".to_owned(), (if public && !none { "public" } else { "private" }).into());
}
