//! What agents' models used and what it cost: sums by day, agent, side, session and model.
//!
//! Every report is added to one row, whose record is written in the order of the reports. What it cost is fixed when it is
//! reported: other prices count from then on.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::civil::Date;
use portcullis_ledger::Record;
use portcullis_model::{Digest, Document, Kind, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::gone;
use super::request::{self, Environment};
use crate::http::ApiError;
use crate::ports::{AgentIdentity, JournalError, Records};

/// Keys of all records start with this; the number is the version of their form.
const RECORDS: &str = "arden/usage/1/";
/// Rows of a tenant; beyond that the oldest one of the agent with the most rows makes room.
const MAX_ROWS: usize = 20_000;
/// Rows of one agent on one day; beyond that new sessions and models are counted together.
const MAX_OF_DAY: usize = 1_000;
/// The name of those.
const MORE: &str = "(more)";
/// Bytes of a model's name.
const MAX_MODEL: usize = 256;
/// Tokens of one report.
const MAX_TOKENS: u64 = 1_000_000_000_000;
/// Most US dollars that a million tokens may cost.
const MAX_PRICE: f64 = 1_000_000.0;
/// Groups of one answer.
const MAX_GROUPS: usize = 1_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What the tokens of a model cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The model's name, or what it begins with.
    name: String,
    prefix: bool,
    /// Trillionths of a US dollar for a token.
    prompt: u64,
    completion: u64,
}

/// Why a price cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// A name that no model has.
    #[error("write a model's name, or what it begins with and `*`")]
    Model,
    /// Not an amount.
    #[error("a million tokens cost 0 to 1000000 US dollars")]
    Amount,
}

/// One report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    model: Arc<str>,
    prompt: u64,
    completion: u64,
    session: Option<Arc<str>>,
}

/// The answer to a report.
#[derive(Debug, Serialize)]
pub(super) struct Counted {
    usage_id: Uuid,
    total_tokens: u64,
    total_cost_usd: f64,
    rate_found: bool,
}

/// What is counted apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Row {
    /// Days since the Unix epoch.
    day: i32,
    agent: Arc<str>,
    environment: Environment,
    session: Option<Arc<str>>,
    model: Arc<str>,
}

/// Sums of reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    calls: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    /// Billionths of a US dollar.
    cost_nano_usd: u64,
    /// Reports of models without a price.
    unknown_model_calls: u64,
}

/// What is on record.
#[derive(Serialize, Deserialize)]
struct Kept {
    row: Row,
    sums: Sums,
}

#[derive(Default)]
struct Tenant {
    rows: BTreeMap<Row, Sums>,
    agents: HashMap<Arc<str>, usize>,
}

/// The sums of all tenants.
pub(super) struct Usage {
    records: Arc<dyn Records>,
    tenants: Mutex<HashMap<Arc<str>, Tenant>>,
}

/// By what sums are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum By {
    Model,
    Day,
    Session,
    Agent,
}

/// Which sums are asked for.
#[derive(Debug)]
pub(super) struct Question {
    by: By,
    from: Option<i32>,
    to: Option<i32>,
    agent: Option<String>,
    environment: Option<Environment>,
}

/// The sums that were asked for.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    by: By,
    groups: Vec<Group>,
    /// Of all groups, those that did not fit as well.
    total: Shown,
    /// Whether there are more groups than are shown: those of the highest cost.
    more: bool,
}

#[derive(Debug, Serialize)]
struct Group {
    /// None is the group of those that name no session.
    key: Option<String>,
    #[serde(flatten)]
    sums: Shown,
}

#[derive(Debug, Serialize)]
struct Shown {
    calls: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    total_cost_usd: f64,
    /// Reports that cost nothing because their model has no price.
    unknown_model_calls: u64,
}

impl Price {
    /// The price of a million tokens in US dollars. A name that ends in `*` stands for all that begin so.
    ///
    /// # Errors
    /// The name is empty, or an amount is out of range.
    pub fn new(model: &str, prompt_usd: f64, completion_usd: f64) -> Result<Self, PriceError> {
        let prefix = model.strip_suffix('*');
        let name = prefix.unwrap_or(model);
        if model.is_empty() || model.len() > MAX_MODEL || name.contains('*') {
            return Err(PriceError::Model);
        }
        let amount = |usd: f64| {
            let fits = (0.0..=MAX_PRICE).contains(&usd);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
            fits.then_some((usd * 1e6).round() as u64).ok_or(PriceError::Amount)
        };
        let (prompt, completion) = (amount(prompt_usd)?, amount(completion_usd)?);
        Ok(Self { name: name.to_owned(), prefix: prefix.is_some(), prompt, completion })
    }

    fn fits(&self, model: &str) -> bool {
        if self.prefix { model.starts_with(&self.name) } else { model == self.name }
    }

    /// Billionths of a US dollar.
    fn of(&self, spent: &Spent) -> u64 {
        let trillionths = u128::from(self.prompt) * u128::from(spent.prompt)
            + u128::from(self.completion) * u128::from(spent.completion);
        u64::try_from((trillionths + 500) / 1000).unwrap_or(u64::MAX)
    }
}

/// Reads a report.
pub(super) fn read(body: Vec<u8>) -> Result<Spent, String> {
    let body = Document::parse(body).map_err(|error| format!("the body is not acceptable JSON: {error}"))?;
    let root = body.root();
    if root.kind() != Kind::Object {
        return Err("the body must be an object".to_owned());
    }
    let tokens = |name: &str| {
        let count = root.get(name).and_then(Value::as_u64).filter(|count| *count <= MAX_TOKENS);
        count.ok_or_else(|| format!("{name} must be a whole number from 0 to {MAX_TOKENS}"))
    };
    let model = root.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
    let model = model.ok_or("model must be a string with something in it")?;
    let end = model.floor_char_boundary(MAX_MODEL);
    Ok(Spent {
        model: model.get(..end).unwrap_or_default().into(),
        prompt: tokens("prompt_tokens")?,
        completion: tokens("completion_tokens")?,
        session: root.get("session_id").and_then(request::session),
    })
}

impl Usage {
    /// The sums on record. Blocking.
    pub(super) fn load(records: &Arc<dyn Records>) -> Result<Self, JournalError> {
        let mut tenants: HashMap<Arc<str>, Tenant> = HashMap::new();
        for (key, value) in records.read(RECORDS.as_bytes())? {
            let tenant = std::str::from_utf8(&key).ok().and_then(|key| key.strip_prefix(RECORDS)?.split('/').next());
            match (tenant, serde_json::from_slice::<Kept>(&value)) {
                (Some(tenant), Ok(kept)) if record_key(tenant, &kept.row) == key => {
                    tenants.entry(tenant.into()).or_default().put(kept.row, kept.sums);
                }
                _ => tracing::warn!(key = %key.escape_ascii(), "a record of token usage is not in a known form"),
            }
        }
        Ok(Self { records: Arc::clone(records), tenants: Mutex::new(tenants) })
    }

    /// Counts a report. It is on the disk with one of the next groups of the ledger.
    pub(super) fn add(
        &self,
        agent: &AgentIdentity,
        environment: Environment,
        spent: &Spent,
        prices: &[Price],
        now_ms: u64,
    ) -> Result<Counted, JournalError> {
        let price = prices.iter().find(|price| price.fits(&spent.model));
        let cost = price.map_or(0, |price| price.of(spent));
        let day = i32::try_from(now_ms / DAY_MS).unwrap_or(i32::MAX);
        let (session, model) = (spent.session.clone(), Arc::clone(&spent.model));
        let mut row = Row { day, agent: Arc::clone(&agent.name), environment, session, model };
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = tenants.entry(Arc::clone(&agent.tenant)).or_default();
        if !tenant.rows.contains_key(&row) && tenant.of_day(day, &agent.name) >= MAX_OF_DAY {
            (row.session, row.model) = (Some(MORE.into()), MORE.into());
        }
        let mut sums = tenant.rows.get(&row).copied().unwrap_or_default();
        sums.add(&Sums {
            calls: 1,
            prompt_tokens: spent.prompt,
            completion_tokens: spent.completion,
            cost_nano_usd: cost,
            unknown_model_calls: u64::from(price.is_none()),
        });
        let key = |row: &Row| record_key(&agent.tenant, row);
        let mut records = Vec::with_capacity(2);
        let evicted = (!tenant.rows.contains_key(&row) && tenant.rows.len() >= MAX_ROWS).then(|| tenant.oldest());
        let evicted = evicted.flatten();
        records.extend(evicted.as_ref().map(|row| gone(key(row))));
        // Plain strings and numbers: nothing in them that JSON cannot hold.
        let value = serde_json::to_vec(&Kept { row: row.clone(), sums }).unwrap_or_default();
        records.push(Record { key: key(&row), value: Some(value) });
        // Before it counts, and under the lock: a later report is written later.
        self.records.put_later(&records)?;
        if let Some(evicted) = evicted {
            tenant.remove(&evicted);
        }
        tenant.put(row, sums);
        Ok(Counted {
            usage_id: Uuid::now_v7(),
            total_tokens: spent.prompt + spent.completion,
            total_cost_usd: dollars(cost),
            rate_found: price.is_some(),
        })
    }

    /// The sums of a tenant, or of one agent's side.
    pub(super) fn sums(&self, tenant: &str, only: Option<(&str, Environment)>, asked: &Question) -> Answer {
        let mut groups: BTreeMap<Option<String>, Sums> = BTreeMap::new();
        let mut total = Sums::default();
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        for (row, sums) in tenants.get(tenant).into_iter().flat_map(|tenant| &tenant.rows) {
            let own = only.is_none_or(|(agent, environment)| *row.agent == *agent && row.environment == environment);
            if own && asked.wants(row) {
                groups.entry(asked.by.key(row)).or_default().add(sums);
                total.add(sums);
            }
        }
        drop(tenants);
        let mut groups: Vec<_> = groups.into_iter().collect();
        let more = groups.len() > MAX_GROUPS;
        if more {
            groups.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.cost_nano_usd));
            groups.truncate(MAX_GROUPS);
        }
        let groups = groups.into_iter().map(|(key, sums)| Group { key, sums: sums.shown() }).collect();
        Answer { by: asked.by, groups, total: total.shown(), more }
    }
}

impl Tenant {
    fn put(&mut self, row: Row, sums: Sums) {
        let agent = Arc::clone(&row.agent);
        if self.rows.insert(row, sums).is_none() {
            *self.agents.entry(agent).or_default() += 1;
        }
    }

    fn remove(&mut self, row: &Row) {
        if self.rows.remove(row).is_some()
            && let Some(count) = self.agents.get_mut(&row.agent)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.agents.remove(&row.agent);
            }
        }
    }

    fn of_day(&self, day: i32, agent: &Arc<str>) -> usize {
        let first =
            Row { day, agent: Arc::clone(agent), environment: Environment::Live, session: None, model: "".into() };
        self.rows.range(first..).take_while(|(row, _)| row.day == day && row.agent == *agent).count()
    }

    /// The oldest row of the agent that has the most.
    fn oldest(&self) -> Option<Row> {
        let (greedy, _) = self.agents.iter().max_by_key(|(_, count)| **count)?;
        self.rows.keys().find(|row| row.agent == *greedy).cloned()
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        let sum = |own: &mut u64, other: u64| *own = own.saturating_add(other);
        sum(&mut self.calls, other.calls);
        sum(&mut self.prompt_tokens, other.prompt_tokens);
        sum(&mut self.completion_tokens, other.completion_tokens);
        sum(&mut self.cost_nano_usd, other.cost_nano_usd);
        sum(&mut self.unknown_model_calls, other.unknown_model_calls);
    }

    fn shown(&self) -> Shown {
        let Self { calls, prompt_tokens, completion_tokens, cost_nano_usd, unknown_model_calls } = *self;
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        let total_cost_usd = dollars(cost_nano_usd);
        Shown { calls, prompt_tokens, completion_tokens, total_tokens, total_cost_usd, unknown_model_calls }
    }
}

impl Question {
    /// `by=model|day|session|agent&from=DATE&to=DATE&agent=NAME&environment=live|test`
    pub(super) fn read(query: &str) -> Result<Self, ApiError> {
        let (mut by, mut from, mut to, mut agent, mut environment) = (By::Model, None, None, None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("by", "model") => by = By::Model,
                ("by", "day") => by = By::Day,
                ("by", "session") => by = By::Session,
                ("by", "agent") => by = By::Agent,
                ("from", date) => from = Some(day(date)?),
                ("to", date) => to = Some(day(date)?),
                ("agent", name) => agent = Some(name.to_owned()),
                ("environment", "live") => environment = Some(Environment::Live),
                ("environment", "test") => environment = Some(Environment::Test),
                _ => {
                    let hint = "by=model|day|session|agent, from and to as YYYY-MM-DD, agent, environment=live|test";
                    return Err(ApiError::malformed("a query parameter is unknown or has no such value", hint));
                }
            }
        }
        Ok(Self { by, from, to, agent, environment })
    }

    fn wants(&self, row: &Row) -> bool {
        self.from.is_none_or(|from| row.day >= from)
            && self.to.is_none_or(|to| row.day <= to)
            && self.agent.as_ref().is_none_or(|agent| *row.agent == **agent)
            && self.environment.is_none_or(|environment| row.environment == environment)
    }
}

impl By {
    fn key(self, row: &Row) -> Option<String> {
        match self {
            Self::Model => Some(row.model.to_string()),
            Self::Day => {
                let date = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().try_days(row.day).ok()?);
                date.ok().map(|date| date.to_string())
            }
            Self::Session => row.session.as_ref().map(ToString::to_string),
            Self::Agent => Some(row.agent.to_string()),
        }
    }
}

/// Days since the Unix epoch.
fn day(text: &str) -> Result<i32, ApiError> {
    let date: Option<Date> = text.parse().ok();
    let days = date.and_then(|date| (date - Date::constant(1970, 1, 1)).get_days().into());
    days.ok_or_else(|| ApiError::malformed("from and to are dates", "write YYYY-MM-DD"))
}

fn dollars(nano: u64) -> f64 {
    // Exact up to nine million dollars.
    #[allow(clippy::cast_precision_loss, reason = "shown to people; the sums are whole numbers")]
    let dollars = nano as f64 / 1e9;
    dollars
}

fn record_key(tenant: &str, row: &Row) -> Vec<u8> {
    let environment = row.environment.as_str();
    let session = row.session.as_deref().map_or_else(String::new, |session| format!("+{session}"));
    let digest =
        Digest::of_parts([row.agent.as_bytes(), environment.as_bytes(), session.as_bytes(), row.model.as_bytes()]);
    format!("{RECORDS}{tenant}/{}/{digest}", row.day).into_bytes()
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;
    use portcullis_ledger::KeyValue;

    use super::*;

    /// Records in memory.
    #[derive(Default)]
    struct Kept(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

    impl Records for Kept {
        fn put(&self, records: Vec<Record>) -> BoxFuture<'_, Result<(), JournalError>> {
            Box::pin(async move { self.put_later(&records) })
        }

        fn put_later(&self, records: &[Record]) -> Result<(), JournalError> {
            let mut all = self.0.lock().unwrap();
            for record in records {
                match &record.value {
                    Some(value) => drop(all.insert(record.key.clone(), value.clone())),
                    None => drop(all.remove(&record.key)),
                }
            }
            Ok(())
        }

        fn read(&self, prefix: &[u8]) -> Result<Vec<KeyValue>, JournalError> {
            let all = self.0.lock().unwrap();
            Ok(all.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect())
        }
    }

    fn agent(name: &str) -> AgentIdentity {
        AgentIdentity { tenant: "t".into(), name: name.into(), persona: None, may_explain: false }
    }

    fn spent(model: &str, session: &str) -> Spent {
        let body =
            format!(r#"{{"model":"{model}","prompt_tokens":1210,"completion_tokens":88,"session_id":"{session}"}}"#);
        read(body.into_bytes()).unwrap()
    }

    fn prices() -> Vec<Price> {
        vec![Price::new("claude-sonnet-4-6", 3.0, 15.0).unwrap(), Price::new("gpt-*", 0.0375, 0.0).unwrap()]
    }

    #[test]
    fn a_report_costs_what_its_model_costs() {
        let usage = Usage::load(&(Arc::new(Kept::default()) as Arc<dyn Records>)).unwrap();
        let add =
            |model: &str| usage.add(&agent("a"), Environment::Live, &spent(model, "s"), &prices(), DAY_MS).unwrap();
        let known = add("claude-sonnet-4-6");
        assert_eq!((known.total_tokens, known.total_cost_usd, known.rate_found), (1298, 0.00495, true));
        assert_eq!(add("gpt-9").total_cost_usd, 0.000_045_375);
        let unknown = add("claude-sonnet-4-6-next");
        assert_eq!((unknown.total_cost_usd, unknown.rate_found), (0.0, false));
        let sums = usage.sums("t", None, &Question::read("by=model").unwrap());
        assert_eq!(sums.groups.len(), 3);
        assert_eq!((sums.total.calls, sums.total.unknown_model_calls), (3, 1));
        assert_eq!(sums.total.total_cost_usd, 0.004_995_375);
    }

    #[test]
    fn sums_are_read_back_by_day_session_and_agent() {
        let records: Arc<dyn Records> = Arc::new(Kept::default());
        let usage = Usage::load(&records).unwrap();
        for (name, session, day) in [("a", "s1", 0), ("a", "s2", 1), ("b", "s1", 20_000)] {
            usage.add(&agent(name), Environment::Live, &spent("gpt-9", session), &prices(), day * DAY_MS + 5).unwrap();
        }
        usage.add(&agent("a"), Environment::Test, &spent("gpt-9", "s1"), &prices(), 5).unwrap();
        let usage = Usage::load(&records).unwrap();
        let groups = |query: &str, only: Option<(&str, Environment)>| {
            let answer = usage.sums("t", only, &Question::read(query).unwrap());
            let groups = answer.groups.into_iter().map(|group| (group.key.unwrap_or_default(), group.sums.calls));
            groups.collect::<Vec<_>>()
        };
        let named =
            |groups: &[(&str, u64)]| groups.iter().map(|(key, calls)| ((*key).to_owned(), *calls)).collect::<Vec<_>>();
        assert_eq!(groups("by=day", None), named(&[("1970-01-01", 2), ("1970-01-02", 1), ("2024-10-04", 1)]));
        assert_eq!(groups("by=session&environment=live", None), named(&[("s1", 2), ("s2", 1)]));
        assert_eq!(groups("by=agent", None), named(&[("a", 3), ("b", 1)]));
        assert_eq!(groups("by=agent&from=1970-01-02&to=2024-10-04", None), named(&[("a", 1), ("b", 1)]));
        assert_eq!(groups("by=session", Some(("a", Environment::Live))), named(&[("s1", 1), ("s2", 1)]));
        assert_eq!(groups("by=session", Some(("c", Environment::Live))), []);
        assert!(usage.sums("other", None, &Question::read("").unwrap()).groups.is_empty());
    }

    #[test]
    fn what_an_agent_makes_up_is_bounded() {
        let kept = Arc::new(Kept::default());
        let usage = Usage::load(&(Arc::clone(&kept) as Arc<dyn Records>)).unwrap();
        for index in 0..MAX_OF_DAY + 50 {
            usage.add(&agent("a"), Environment::Live, &spent("m", &index.to_string()), &[], 5).unwrap();
        }
        let sums = usage.sums("t", None, &Question::read("by=session").unwrap());
        assert_eq!((sums.total.calls as usize, sums.more), (MAX_OF_DAY + 50, true));
        assert_eq!(kept.0.lock().unwrap().len(), MAX_OF_DAY + 1);
        // The agent with the most rows makes room for others.
        usage.add(&agent("b"), Environment::Live, &spent("m", "s"), &[], 5).unwrap();
        for day in 1..=MAX_ROWS / MAX_OF_DAY {
            for index in 0..MAX_OF_DAY {
                let now_ms = day as u64 * DAY_MS;
                usage.add(&agent("a"), Environment::Live, &spent("m", &index.to_string()), &[], now_ms).unwrap();
            }
        }
        assert_eq!(kept.0.lock().unwrap().len(), MAX_ROWS);
        let of_b = usage.sums("t", Some(("b", Environment::Live)), &Question::read("").unwrap());
        assert_eq!(of_b.total.calls, 1);
    }

    #[test]
    fn wrong_reports_and_prices_are_told_apart() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"model":"m","prompt_tokens":1}"#,
            r#"{"model":"m","prompt_tokens":-1,"completion_tokens":1}"#,
            r#"{"model":"m","prompt_tokens":1.5,"completion_tokens":1}"#,
            r#"{"model":"","prompt_tokens":1,"completion_tokens":1}"#,
        ] {
            assert!(read(body.as_bytes().to_vec()).is_err(), "{body}");
        }
        let long =
            read(format!(r#"{{"model":"{}","prompt_tokens":1,"completion_tokens":0}}"#, "ü".repeat(300)).into_bytes());
        assert!(long.unwrap().model.len() <= MAX_MODEL);
        assert_eq!(Price::new("", 1.0, 1.0), Err(PriceError::Model));
        assert_eq!(Price::new("a*b", 1.0, 1.0), Err(PriceError::Model));
        for amount in [-1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(Price::new("m", amount, 1.0), Err(PriceError::Amount));
        }
        for query in ["by=cost", "from=yesterday", "to=2024-13-01", "environment=both", "x=1"] {
            assert!(Question::read(query).is_err(), "{query}");
        }
    }
}
