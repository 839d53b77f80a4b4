//! From configuration to what plugins reach outside: the gateway's requests as the engine's [`Outside`].

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use portcullis_engine::{
    Asker, GrantError, HttpError, HttpRequest, HttpResponse, JudgeError, Outside, Question, Reach,
};
use portcullis_gateway::gate::Waiting;
use portcullis_gateway::metrics::Metrics;
use portcullis_gateway::outside::{
    Courier, CourierLimits, PlaceholderKey, PluginRequest, PluginResponse, RequestError, Requests, RequestsSpec,
    SecretSpec, Secrets,
};
use portcullis_gateway::upstream::ClientSecret;

use crate::assemble::Pipeline;
use crate::config::{self, Config, Place};

/// Most bytes that are read of a file of authorities: all public ones are about a quarter of it.
const MAX_CA: u64 = 1024 * 1024;

/// What stays the same when a configuration is read again.
#[derive(Clone)]
pub(crate) struct Ways {
    courier: Arc<Courier>,
    key: PlaceholderKey,
}

/// What a configuration lets plugins reach.
struct Configured {
    ways: Ways,
    secrets: Secrets,
    authorities: Option<Vec<u8>>,
}

/// What one plugin reaches.
struct Reached {
    requests: Requests,
}

/// Places for calls whose plugins may wait for others.
pub(crate) fn waiting(config: &config::Outbound) -> Waiting {
    Waiting { places: config.calls, per_tenant: config.calls_per_tenant, ..Waiting::default() }
}

impl Ways {
    /// `key` makes placeholders, secret to the data folder.
    pub(crate) fn new(config: &config::Outbound, key: [u8; 32], metrics: Arc<Metrics>) -> Self {
        let limits = CourierLimits { requests: config.calls, per_tenant: config.calls_per_tenant };
        Self { courier: Courier::new(limits, metrics), key: PlaceholderKey::new(key) }
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
        Ok(Arc::new(Configured { ways: self.clone(), secrets, authorities }))
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
    warnings
}

fn secret(config: &config::Secret) -> Result<SecretSpec> {
    let value = match (&config.file, &config.env) {
        (Some(path), None) => ClientSecret::File(path.clone()),
        (None, Some(name)) => {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            ClientSecret::text(value.with_context(|| format!("the environment variable {name} of `env` is not set"))?)
        }
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
        let requests = Requests::new(Arc::clone(&self.ways.courier), &self.secrets, &self.ways.key, &spec);
        if !asker.grants.judge.is_empty() {
            return Err(refuse(("judge", "no language model is configured".to_owned())));
        }
        Ok(Arc::new(Reached { requests: requests.map_err(refuse)? }))
    }
}

impl Reach for Reached {
    fn send(&self, request: HttpRequest, within: Duration) -> Result<HttpResponse, HttpError> {
        let HttpRequest { method, url, headers, body } = request;
        let answer = self.requests.send(PluginRequest { method, url, headers, body }, within);
        match answer {
            Ok(PluginResponse { status, headers, body }) => Ok(HttpResponse { status, headers, body }),
            Err(RequestError::Forbidden(why)) => Err(HttpError::Forbidden(why)),
            Err(RequestError::Unreachable(why)) => Err(HttpError::Unreachable(why)),
            Err(RequestError::TimedOut) => Err(HttpError::TimedOut),
            Err(RequestError::TooLarge) => Err(HttpError::TooLarge),
        }
    }

    fn placeholder(&self, name: &str) -> Result<String, String> {
        self.requests.placeholder(name)
    }

    fn ask(&self, _question: Question, _within: Duration) -> Result<String, JudgeError> {
        Err(JudgeError::Unavailable("no language model is configured".to_owned()))
    }
}
