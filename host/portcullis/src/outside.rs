//! From configuration to what plugins reach outside: the gateway's requests and questions as the engine's [`Outside`].

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use portcullis_engine::{
    Asker, GrantError, HttpError, HttpRequest, HttpResponse, JudgeError, Outside, Question, Reach, Scope, StateStore,
};
use portcullis_gateway::gate::{Keeping, Waiting, now_ms};
use portcullis_gateway::metrics::Metrics;
use portcullis_gateway::outside::{
    AskError, Asking, Courier, CourierLimits, JudgeApi, JudgeBudget, JudgeCache, JudgeSpec, Judges, Meter,
    PlaceholderKey, PluginRequest, PluginResponse, RequestError, Requests, RequestsSpec, SecretSpec, Secrets,
    TemplateSpec,
};
use portcullis_gateway::upstream::ClientSecret;
use portcullis_model::Digest;

use crate::assemble::Pipeline;
use crate::config::{self, Config, Place};

/// Where questions go that name no address.
const ANTHROPIC: &str = "https://api.anthropic.com/v1/messages";
const OPENAI: &str = "https://api.openai.com/v1/chat/completions";
/// Most bytes of the answers that are kept of one plugin.
const CACHE_BYTES: usize = 1024 * 1024;
/// Most bytes that are read of a file of authorities: all public ones are about a quarter of it.
const MAX_CA: u64 = 1024 * 1024;

/// What stays the same when a configuration is read again.
#[derive(Clone)]
pub(crate) struct Ways {
    courier: Arc<Courier>,
    meter: Arc<dyn Meter>,
    key: PlaceholderKey,
}

/// What tenants spend, in the state of a plugin that there cannot be: the host's name is none for plugins.
struct Spent(Arc<dyn StateStore>);

/// What a configuration lets plugins reach.
struct Configured {
    ways: Ways,
    secrets: Secrets,
    judges: Judges,
    authorities: Option<Vec<u8>>,
}

/// What one plugin reaches.
struct Reached {
    requests: Requests,
    asking: Asking,
}

/// Places for calls whose plugins may wait for others.
pub(crate) fn waiting(config: &config::Outbound) -> Waiting {
    Waiting { places: config.calls, per_tenant: config.calls_per_tenant, ..Waiting::default() }
}

/// What tenants keep of what their plugins were told.
pub(crate) fn keeping(config: &Config) -> HashMap<Arc<str>, Keeping> {
    let tenants = config.tenant.iter().filter_map(|tenant| Some((tenant, tenant.answers?)));
    tenants
        .map(|(tenant, answers)| {
            let keep = Duration::from_secs(u64::from(answers.keep_hours) * 3600);
            (tenant.name.as_str().into(), Keeping { keep, most: answers.most, bytes: answers.most_kib << 10 })
        })
        .collect()
}

impl Ways {
    /// What tenants spend, over restarts.
    pub(crate) fn meter(&self) -> Arc<dyn Meter> {
        Arc::clone(&self.meter)
    }

    /// `key` makes placeholders, secret to the data folder.
    pub(crate) fn new(
        config: &config::Outbound,
        key: [u8; 32],
        metrics: Arc<Metrics>,
        state: Arc<dyn StateStore>,
    ) -> Self {
        let limits = CourierLimits { requests: config.calls, per_tenant: config.calls_per_tenant };
        let courier = Courier::new(limits, metrics);
        Self { courier, meter: Arc::new(Spent(state)), key: PlaceholderKey::new(key) }
    }

    /// What a configuration lets plugins reach. Blocking: reads secrets.
    ///
    /// # Errors
    /// What is wrong, with file, line and key.
    pub(crate) fn configure(&self, config: &Config, place: Option<&Place>) -> Result<Arc<dyn Outside>> {
        let at = |key: String, error: anyhow::Error| match place {
            Some(place) => anyhow::Error::from(place.error(&key, format!("{error:#}"))),
            None => error,
        };
        let mut specs = Vec::new();
        for (index, one) in config.secret.iter().enumerate() {
            specs.push(secret(one).map_err(|error| at(format!("secret[{index}]"), error))?);
        }
        let secrets =
            Secrets::new(specs).map_err(|(index, error)| at(format!("secret[{index}]"), anyhow::Error::new(error)))?;
        let authorities = config.outbound.ca.as_deref().map(authorities).transpose();
        let authorities = authorities.map_err(|error| at("outbound.ca".to_owned(), error))?;
        let mut models = Vec::new();
        for (index, one) in config.judge.iter().enumerate() {
            models.push(judge(one).map_err(|error| at(format!("judge[{index}]"), error))?);
        }
        let judges = Judges::new(models).map_err(|error| {
            let key = format!("judge[{}]{}", error.index, error.key);
            at(key, anyhow::Error::new(error))
        })?;
        Ok(Arc::new(Configured { ways: self.clone(), secrets, judges, authorities }))
    }
}

/// What is amiss, but not so that the rest could not be served.
pub(crate) fn warnings(config: &Config, pipelines: &[Pipeline]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, secret) in config.secret.iter().enumerate() {
        for name in secret.tenants.iter().filter(|name| config.tenant.iter().all(|tenant| tenant.name != **name)) {
            warnings.push(format!("secret[{index}].tenants: there is no tenant {name:?}"));
        }
        let granted = |pipeline: &Pipeline| {
            let plugins = pipeline.spec.plugins.iter().chain(&pipeline.spec.router);
            plugins.flat_map(|plugin| &plugin.grants.secrets).any(|name| *name == secret.name)
        };
        if !pipelines.iter().any(granted) {
            warnings.push(format!("secret[{index}]: no plugin is granted {:?}", secret.name));
        }
    }
    for (index, judge) in config.judge.iter().enumerate() {
        for name in judge.tenants.iter().filter(|name| config.tenant.iter().all(|tenant| tenant.name != **name)) {
            warnings.push(format!("judge[{index}].tenants: there is no tenant {name:?}"));
        }
        for (position, template) in judge.template.iter().enumerate() {
            let granted = |pipeline: &Pipeline| {
                let plugins = pipeline.spec.plugins.iter().chain(&pipeline.spec.router);
                plugins.flat_map(|plugin| &plugin.grants.judge).any(|id| *id == template.id)
            };
            if !pipelines.iter().any(granted) {
                warnings.push(format!("judge[{index}].template[{position}]: no plugin is granted {:?}", template.id));
            }
        }
    }
    warnings
}

fn judge(config: &config::Judge) -> Result<JudgeSpec> {
    let key = match (&config.key_file, &config.key_env) {
        (Some(path), _) => Some(ClientSecret::File(path.clone())),
        (None, Some(name)) => Some(from_environment(name, "key_env")?),
        (None, None) => None,
    };
    let (api, url) = match config.api {
        config::JudgeApi::Anthropic => (JudgeApi::Anthropic, ANTHROPIC),
        config::JudgeApi::OpenAi => (JudgeApi::OpenAi, OPENAI),
    };
    let template = |template: &config::JudgeTemplate| {
        let (id, system, prompt) = (template.id.clone(), template.system.clone(), template.prompt.clone());
        let schema = serde_json::to_value(&template.schema).with_context(|| format!("the schema of {id}"))?;
        Ok(TemplateSpec { id, system, prompt, schema })
    };
    Ok(JudgeSpec {
        name: config.name.clone(),
        api,
        url: config.url.clone().unwrap_or_else(|| url.to_owned()),
        model: config.model.clone(),
        key,
        max_tokens: config.max_tokens,
        timeout: Duration::from_millis(config.timeout_ms),
        networks: config.networks.clone(),
        authorities: config.ca.as_deref().map(authorities).transpose().context("ca")?,
        tenants: config.tenants.clone(),
        budget: JudgeBudget { calls_per_minute: config.calls_per_minute, tokens_per_day: config.tokens_per_day },
        cache: JudgeCache {
            keep: Duration::from_secs(config.cache_seconds),
            entries: config.cache_entries,
            bytes: CACHE_BYTES,
        },
        templates: config.template.iter().map(template).collect::<Result<_>>()?,
    })
}

fn from_environment(name: &str, key: &str) -> Result<ClientSecret> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    Ok(ClientSecret::text(value.with_context(|| format!("the environment variable {name} of `{key}` is not set"))?))
}

fn secret(config: &config::Secret) -> Result<SecretSpec> {
    let value = match (&config.file, &config.env) {
        (Some(path), None) => ClientSecret::File(path.clone()),
        (None, Some(name)) => from_environment(name, "env")?,
        _ => anyhow::bail!("give exactly one of `file` and `env`"),
    };
    let (tenants, hosts) = (config.tenants.clone(), config.hosts.clone());
    Ok(SecretSpec { name: config.name.clone(), value, tenants, hosts })
}

fn authorities(path: &std::path::Path) -> Result<Vec<u8>> {
    let mut pem = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_CA).read_to_end(&mut pem));
    read.with_context(|| path.display().to_string())?;
    Ok(pem)
}

impl Outside for Configured {
    fn open(&self, asker: &Asker<'_>) -> Result<Arc<dyn Reach>, GrantError> {
        let spec = RequestsSpec {
            tenant: asker.scope.tenant,
            plugin: asker.scope.plugin,
            digest: asker.digest,
            hosts: &asker.grants.http,
            networks: &asker.grants.http_networks,
            secrets: &asker.grants.secrets,
            authorities: self.authorities.as_deref(),
            most: asker.most,
        };
        let refuse = |(grant, message)| GrantError { grant, message };
        let Ways { courier, meter, key } = &self.ways;
        let requests = Requests::new(Arc::clone(courier), &self.secrets, key, &spec).map_err(refuse)?;
        let who = (asker.scope.tenant, asker.scope.plugin);
        let templates = &asker.grants.judge;
        let asking = self.judges.open(Arc::clone(courier), Arc::clone(meter), who, templates, asker.most);
        Ok(Arc::new(Reached { requests, asking: asking.map_err(|message| refuse(("judge", message)))? }))
    }
}

impl Reach for Reached {
    fn send(&self, request: HttpRequest, within: Duration) -> Result<HttpResponse, HttpError> {
        let HttpRequest { method, url, headers, body } = request;
        let answer = self.requests.send(PluginRequest { method, url, headers, body }, within);
        match answer {
            Ok(PluginResponse { status, headers, body }) => Ok(HttpResponse { status, headers, body }),
            Err(error) => Err(http_error(error)),
        }
    }

    fn may_send(&self, request: &HttpRequest) -> Result<(), HttpError> {
        self.requests.allows(&request.url).map_err(http_error)
    }

    fn may_ask(&self, question: &Question) -> Result<(), JudgeError> {
        self.asking.allows(&question.template).map_err(judge_error)
    }

    fn placeholder(&self, name: &str) -> Result<String, String> {
        self.requests.placeholder(name)
    }

    fn ask(&self, question: Question, within: Duration) -> Result<String, JudgeError> {
        let Question { template, variables } = question;
        self.asking.ask(&template, &variables, within).map_err(judge_error)
    }

    fn configuration(&self) -> Option<Digest> {
        self.asking.configuration()
    }
}

fn http_error(error: RequestError) -> HttpError {
    match error {
        RequestError::Forbidden(why) => HttpError::Forbidden(why),
        RequestError::Unreachable(why) => HttpError::Unreachable(why),
        RequestError::TimedOut => HttpError::TimedOut,
        RequestError::TooLarge => HttpError::TooLarge,
    }
}

fn judge_error(error: AskError) -> JudgeError {
    match error {
        AskError::Unavailable(why) => JudgeError::Unavailable(why),
        AskError::BudgetSpent => JudgeError::BudgetSpent,
        AskError::TimedOut => JudgeError::TimedOut,
        AskError::BadAnswer(why) => JudgeError::BadAnswer(why),
    }
}

impl Meter for Spent {
    fn add(&self, tenant: &str, what: &str, by: u64, window_seconds: u32) -> Result<u64, String> {
        let scope = Scope { tenant, plugin: "portcullis" };
        self.0.increment(scope, what, by, window_seconds, now_ms()).map_err(|error| error.to_string())
    }
}
