//! Language models that plugins ask, with prompts that are the operator's, within a budget.
//!
//! A plugin names a template and gives values for its variables. Values are data: they are put in as JSON strings between
//! marks that they cannot contain, and nothing in them is read as a template. What the model answers must fit the template's
//! JSON Schema. Every plugin has a cache and a circuit breaker of its own, so that none is served, or kept waiting, by another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Uri;
use portcullis_model::Digest;
use serde_json::Value;

use super::{Courier, NotDone};
use crate::outbound::{TargetError, Targets, host_of};
use crate::upstream::ClientSecret;

mod breaker;
mod cache;
mod template;
mod wire;

use breaker::{Breaker, Entrance};
use cache::Cache;
use template::Template;
use wire::{Said, WireError};

/// Most bytes of a model's answer, with everything around it.
const MAX_ANSWER: usize = 1024 * 1024;
/// Tokens of one question that are believed, whatever the model's server says.
const MOST_TOKENS: u64 = 10_000_000;
/// Statuses that say something about the question, not about the model.
const ABOUT_THE_QUESTION: [u16; 3] = [400, 413, 422];

/// Which wire form a model is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgeApi {
    /// The Messages API of Anthropic.
    Anthropic,
    /// Chat completions, as `OpenAI` and many servers speak it.
    OpenAi,
}

/// What a tenant may spend on one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgeBudget {
    /// Questions in a minute.
    pub calls_per_minute: u64,
    /// Tokens of questions and answers in a day.
    pub tokens_per_day: u64,
}

/// How long one plugin is given answers that it got before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgeCache {
    /// How long; zero: never.
    pub keep: Duration,
    /// Most answers.
    pub entries: usize,
    /// Most bytes of them.
    pub bytes: usize,
}

/// A prompt of the operator.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateSpec {
    /// Its id: letters, digits, `.`, `_`, `-`; at most 63.
    pub id: String,
    /// What the model is told before anything else.
    pub system: Option<String>,
    /// The question, with `{{name}}` for each variable.
    pub prompt: String,
    /// JSON Schema of the answer, of type `object`.
    pub schema: Value,
}

/// A model and how it is asked.
#[derive(Debug)]
pub struct JudgeSpec {
    /// Its name in metrics and budgets: letters, digits, `.`, `_`, `-`; at most 63.
    pub name: String,
    /// How it is spoken to.
    pub api: JudgeApi,
    /// The whole address that questions are posted to.
    pub url: String,
    /// The model, as its server names it.
    pub model: String,
    /// The key for its server; none: it wants none.
    pub key: Option<ClientSecret>,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// How long one question may take.
    pub timeout: Duration,
    /// Networks that its server may be in although they are not public.
    pub networks: Vec<String>,
    /// Authorities (PEM) that its certificate must come from; none: the public ones.
    pub authorities: Option<Vec<u8>>,
    /// Tenants whose plugins may ask it; empty: all.
    pub tenants: Vec<String>,
    /// What each of them may spend.
    pub budget: JudgeBudget,
    /// How long answers are kept.
    pub cache: JudgeCache,
    /// What it may be asked.
    pub templates: Vec<TemplateSpec>,
}

/// Why a model cannot be configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct JudgeConfigError {
    /// Which of the models, from 0.
    pub index: usize,
    /// The key below it, for instance `.template[1].schema`.
    pub key: String,
    /// What is wrong.
    pub problem: String,
}

/// Counts what tenants spend; what was counted survives a restart.
pub trait Meter: Send + Sync {
    /// Adds to what a tenant spent of something in a sliding window and gives the sum with it. Adding 0 reads.
    ///
    /// # Errors
    /// It cannot be counted.
    fn add(&self, tenant: &str, what: &str, by: u64, window_seconds: u32) -> Result<u64, String>;
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The model could not be reached, or not asked this.
    #[error("{0}")]
    Unavailable(String),
    /// The tenant's budget is spent.
    #[error("the budget is spent")]
    BudgetSpent,
    /// Not in time.
    #[error("no answer in time")]
    TimedOut,
    /// The answer does not fit.
    #[error("{0}")]
    BadAnswer(String),
}

/// All models of a configuration.
#[derive(Clone, Default)]
pub struct Judges(Arc<[Arc<Model>]>);

/// One of them.
struct Model {
    name: Arc<str>,
    api: JudgeApi,
    url: Uri,
    model: String,
    key: Option<ClientSecret>,
    max_tokens: u32,
    targets: Targets,
    tenants: Vec<String>,
    budget: JudgeBudget,
    cache: JudgeCache,
    templates: Vec<Template>,
}

/// What one plugin may ask.
pub struct Asking {
    courier: Arc<Courier>,
    meter: Arc<dyn Meter>,
    tenant: Arc<str>,
    plugin: Arc<str>,
    /// Each model with the ids of its templates that are granted.
    granted: Vec<Granted>,
    most: usize,
}

struct Granted {
    model: Arc<Model>,
    templates: Vec<String>,
    breaker: Breaker,
    cache: Cache,
}

impl std::fmt::Debug for Judges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|model| &model.name)).finish()
    }
}

impl Judges {
    /// Checks them all. Reads no keys yet.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn new(specs: Vec<JudgeSpec>) -> Result<Self, JudgeConfigError> {
        let mut all: Vec<Arc<Model>> = Vec::new();
        for (index, spec) in specs.into_iter().enumerate() {
            let wrong = |key: String, problem: String| JudgeConfigError { index, key, problem };
            let model = Model::new(spec).map_err(|(key, problem)| wrong(key, problem))?;
            if all.iter().any(|other| other.name == model.name) {
                return Err(wrong(".name".to_owned(), "the name is taken by another model".to_owned()));
            }
            for (position, template) in model.templates.iter().enumerate() {
                let earlier = model.templates.iter().take(position);
                let others = all.iter().flat_map(|other| &other.templates);
                if earlier.chain(others).any(|other| other.id == template.id) {
                    let problem = "the id is taken by another template".to_owned();
                    return Err(wrong(format!(".template[{position}].id"), problem));
                }
            }
            all.push(Arc::new(model));
        }
        Ok(Self(all.into()))
    }

    /// What a plugin of a tenant may ask with these templates; an answer has at most `most` bytes.
    ///
    /// # Errors
    /// A template that there is not, or that the tenant may not use.
    pub fn open(
        &self,
        courier: Arc<Courier>,
        meter: Arc<dyn Meter>,
        (tenant, plugin): (&str, &str),
        templates: &[String],
        most: usize,
    ) -> Result<Asking, String> {
        let mut granted: Vec<Granted> = Vec::new();
        for id in templates {
            let model = self.0.iter().find(|model| model.serves(tenant) && model.template(id).is_some());
            let model = model.ok_or_else(|| format!("there is no template {id:?} that tenant {tenant} may use"))?;
            match granted.iter_mut().find(|known| known.model.name == model.name) {
                Some(known) => known.templates.push(id.clone()),
                None => granted.push(Granted {
                    model: Arc::clone(model),
                    templates: vec![id.clone()],
                    breaker: Breaker::default(),
                    cache: Cache::new(model.cache),
                }),
            }
        }
        Ok(Asking { courier, meter, tenant: tenant.into(), plugin: plugin.into(), granted, most })
    }
}

impl Model {
    fn new(spec: JudgeSpec) -> Result<Self, (String, String)> {
        let at = |key: &str, problem: &str| (key.to_owned(), problem.to_owned());
        if !is_label(&spec.name) {
            return Err(at(".name", "use 1 to 63 letters, digits, `.`, `_` or `-`"));
        }
        let url: Uri =
            spec.url.parse().map_err(|_| at(".url", "give an address such as https://api.example.com/v1/messages"))?;
        let host = host_of(&url).to_owned();
        let targets = Targets::new(&[host], &spec.networks, spec.timeout);
        let mut targets = targets.map_err(|error| (".networks".to_owned(), error.to_string()))?;
        if let Some(pem) = &spec.authorities {
            targets = targets.with_authorities(pem).map_err(|error| (".ca".to_owned(), error.to_string()))?;
        }
        targets.check(&url).map_err(|error| (".url".to_owned(), error.to_string()))?;
        let templates = spec.templates.into_iter().enumerate().map(|(position, template)| {
            Template::new(template).map_err(|error| (format!(".template[{position}].{}", error.key), error.problem))
        });
        let templates = templates.collect::<Result<Vec<_>, _>>()?;
        if templates.is_empty() {
            return Err(at(".template", "give at least one: without it nothing can be asked"));
        }
        Ok(Self {
            name: spec.name.into(),
            api: spec.api,
            url,
            model: spec.model,
            key: spec.key,
            max_tokens: spec.max_tokens,
            targets,
            tenants: spec.tenants,
            budget: spec.budget,
            cache: spec.cache,
            templates,
        })
    }

    fn serves(&self, tenant: &str) -> bool {
        self.tenants.is_empty() || self.tenants.iter().any(|one| one == tenant)
    }

    fn template(&self, id: &str) -> Option<&Template> {
        self.templates.iter().find(|template| template.id == id)
    }
}

impl Asking {
    /// What its answers depend on, by hash: models and prompts, not keys. None if it may ask nothing.
    #[must_use]
    pub fn configuration(&self) -> Option<Digest> {
        let of_one = |granted: &Granted| {
            let Model { name, api, url, model, max_tokens, .. } = &*granted.model;
            let mut parts =
                vec![name.as_bytes().to_vec(), format!("{api:?} {max_tokens} {url}").into(), model.clone().into()];
            let templates = granted.templates.iter().filter_map(|id| granted.model.template(id));
            parts.extend(templates.map(|template| template.digest.0.to_vec()));
            Digest::of_parts(parts.iter().map(Vec::as_slice)).0
        };
        let all: Vec<_> = self.granted.iter().map(of_one).collect();
        (!all.is_empty()).then(|| Digest::of_parts(all.iter().map(|one| &one[..])))
    }

    /// Whether a template is granted. Asks nobody.
    ///
    /// # Errors
    /// [`AskError::Unavailable`] if not.
    pub fn allows(&self, template: &str) -> Result<(), AskError> {
        self.granted(template).map(|_| ())
    }

    fn granted(&self, template: &str) -> Result<&Granted, AskError> {
        let granted = self.granted.iter().find(|granted| granted.templates.iter().any(|id| id == template));
        granted.ok_or_else(|| AskError::Unavailable("the template is not granted".to_owned()))
    }

    /// Asks, and blocks until there is an answer, at most `within`. The answer is JSON text that fits the template's schema.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn ask(&self, template: &str, variables: &[(String, String)], within: Duration) -> Result<String, AskError> {
        let started = Instant::now();
        let granted = self.granted(template).inspect_err(|_| {
            self.courier.metrics.plugin_asked(&self.plugin, "none", "unavailable");
        })?;
        let (answer, outcome) = self.ask_model(granted, template, variables, within);
        self.courier.metrics.plugin_asked(&self.plugin, &granted.model.name, outcome);
        let (plugin, tenant, judge) = (&*self.plugin, &*self.tenant, &*granted.model.name);
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(target: "plugin", plugin, tenant, judge, template, outcome, ms, "question");
        answer
    }

    /// The answer, and the word for it in metrics.
    fn ask_model(
        &self,
        granted: &Granted,
        template: &str,
        variables: &[(String, String)],
        within: Duration,
    ) -> (Result<String, AskError>, &'static str) {
        let unavailable = |why: &str| (Err(AskError::Unavailable(why.to_owned())), "unavailable");
        let model = &granted.model;
        let Some(template) = model.template(template) else { return unavailable("the template is not there") };
        let prompt = match template.fill(variables) {
            Ok(prompt) => prompt,
            Err(why) => return unavailable(&why),
        };
        let question = Digest::of_parts([model.model.as_bytes(), &template.digest.0, prompt.as_bytes()]);
        if let Some(kept) = granted.cache.get(question) {
            return (Ok(kept), "cached");
        }
        let entrance = match granted.breaker.enter() {
            Some(entrance) => entrance,
            None => return unavailable("the language model keeps failing; it is asked again in a while"),
        };
        match self.within_budget(model) {
            Ok(true) => {}
            Ok(false) => return (Err(AskError::BudgetSpent), "budget_spent"),
            Err(why) => return unavailable(&why),
        }
        let said = self.say(model, template, &prompt, within, entrance);
        match said {
            Ok(answer) => {
                granted.cache.put(question, &answer);
                (Ok(answer), "answered")
            }
            Err(error) => {
                let word = match &error {
                    AskError::Unavailable(_) => "unavailable",
                    AskError::BudgetSpent => "budget_spent",
                    AskError::TimedOut => "timed_out",
                    AskError::BadAnswer(_) => "bad_answer",
                };
                (Err(error), word)
            }
        }
    }

    /// Takes one question out of the tenant's budget. Tokens are counted when they are known: what is under way at the same
    /// time can go over by as much.
    fn within_budget(&self, model: &Model) -> Result<bool, String> {
        let JudgeBudget { calls_per_minute, tokens_per_day } = model.budget;
        let calls = format!("judge/{}/calls", model.name);
        // A question that is refused is not counted, or a plugin that goes on asking would never be answered again.
        let spent = self.meter.add(&self.tenant, &tokens(model), 0, DAY)? >= tokens_per_day
            || self.meter.add(&self.tenant, &calls, 0, MINUTE)? >= calls_per_minute
            || self.meter.add(&self.tenant, &calls, 1, MINUTE)? > calls_per_minute;
        Ok(!spent)
    }

    fn say(
        &self,
        model: &Arc<Model>,
        template: &Template,
        prompt: &str,
        within: Duration,
        entrance: Entrance<'_>,
    ) -> Result<String, AskError> {
        let unavailable = |why: String| AskError::Unavailable(why);
        let key = model.key.as_ref().map(ClientSecret::look).transpose().map_err(|error| {
            tracing::warn!(target: "plugin", judge = &*model.name, error, "the key of a language model cannot be read");
            unavailable("the key of the language model cannot be read".to_owned())
        })?;
        let outgoing = wire::question(model, template, prompt, key.as_deref().map(String::as_str));
        let outgoing = outgoing.ok_or_else(|| unavailable("the question cannot be put into a request".to_owned()))?;
        let asked = Arc::clone(model);
        let work = async move { asked.targets.fetch(outgoing, MAX_ANSWER).await };
        // What a question costs if nobody says it.
        let guess = prompt.len() as u64 / 4 + u64::from(model.max_tokens);
        let fetched = match self.courier.run(&self.tenant, within, work) {
            Ok(Ok(fetched)) => fetched,
            Ok(Err(TargetError::TooSlow(_))) | Err(NotDone::TimedOut) => {
                entrance.failed();
                // It may have thought about it all the same.
                self.spend(model, guess);
                return Err(AskError::TimedOut);
            }
            Ok(Err(TargetError::TooLarge(_))) => {
                entrance.failed();
                self.spend(model, guess);
                return Err(AskError::BadAnswer("the answer of the language model is too large".to_owned()));
            }
            Ok(Err(error)) => {
                entrance.failed();
                return Err(unavailable(error.to_string()));
            }
            // Nobody was asked: it costs nothing and says nothing of the server.
            Err(NotDone::NoPlace) => return Err(AskError::TimedOut),
            Err(NotDone::NoThreads) => return Err(unavailable("there are no threads for it".to_owned())),
        };
        if !(200..300).contains(&fetched.status) {
            if !ABOUT_THE_QUESTION.contains(&fetched.status) {
                entrance.failed();
            }
            return Err(unavailable(format!("the server of the language model answered {}", fetched.status)));
        }
        let Said { answer, tokens } = wire::answer(model.api, &fetched.body);
        self.spend(model, tokens.map_or(guess, |tokens| tokens.min(MOST_TOKENS)));
        let answer = answer.inspect_err(|error| {
            if *error == WireError::NotTheirs {
                entrance.failed();
            }
        });
        let bad = |why: &str| AskError::BadAnswer(why.to_owned());
        let answer = answer.map_err(|error| bad(error.why()))?;
        // It did answer; whether that fits is another question.
        entrance.worked();
        template.check(&answer).map_err(AskError::BadAnswer)?;
        let answer = answer.to_string();
        if answer.len() > self.most {
            return Err(bad("the answer of the language model is too large"));
        }
        if key.is_some_and(|key| answer.contains(key.as_str())) {
            return Err(bad("the answer of the language model holds its key"));
        }
        Ok(answer)
    }

    fn spend(&self, model: &Model, used: u64) {
        self.courier.metrics.tokens_spent(&self.tenant, &model.name, used);
        if let Err(why) = self.meter.add(&self.tenant, &tokens(model), used, DAY) {
            tracing::warn!(target: "plugin", tenant = &*self.tenant, judge = &*model.name, why, "tokens were not counted");
        }
    }
}

const MINUTE: u32 = 60;
const DAY: u32 = 24 * 60 * 60;

fn tokens(model: &Model) -> String {
    format!("judge/{}/tokens", model.name)
}

fn is_label(name: &str) -> bool {
    let label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=63).contains(&name.len()) && name.bytes().all(label)
}

#[cfg(test)]
mod tests;
