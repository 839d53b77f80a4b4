//! From configuration to channels.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use portcullis_approvals::Backoff;
use portcullis_gateway::channels::{ChannelError, ChannelSet, ChannelSpec, MailSpec, MailTls, Via};
use portcullis_gateway::outbound::Targets;
use portcullis_gateway::upstream::ClientSecret;
use serde_json::Value;

use crate::assemble::Pipeline;
use crate::config::{Channel, ChannelKind, Config, Place, Smtp, SmtpTls, Tenant};

/// Most bytes that are read of a file of authorities: all public ones are about a quarter of it.
const MAX_CA: u64 = 1024 * 1024;

/// The channels of a configuration.
///
/// # Errors
/// What is wrong, with file, line and key.
pub(crate) fn channels(config: &Config, place: Option<&Place>) -> Result<ChannelSet> {
    let at = |index: usize, error: anyhow::Error| match place {
        Some(place) => anyhow::Error::from(place.error(&format!("channel[{index}]"), format!("{error:#}"))),
        None => error,
    };
    let mut specs = Vec::new();
    for (index, one) in config.channel.iter().enumerate() {
        specs.push(channel(one).map_err(|error| at(index, error))?);
    }
    ChannelSet::new(specs).map_err(|(index, error): (usize, ChannelError)| at(index, error.into()))
}

/// What is amiss with them, but not so that the rest could not be served.
pub(crate) fn warnings(config: &Config, pipelines: &[Pipeline]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, channel) in config.channel.iter().enumerate() {
        let key = format!("channel[{index}]");
        let serves = |name: &str| channel.tenants.is_empty() || channel.tenants.iter().any(|one| one == name);
        for name in channel.tenants.iter().filter(|name| config.tenant.iter().all(|tenant| tenant.name != **name)) {
            warnings.push(format!("{key}.tenants: there is no tenant {name:?}"));
        }
        for operator in channel.operator.iter().chain(channel.operators.values()) {
            let served = config.tenant.iter().filter(|tenant| serves(&tenant.name));
            let having = |tenant: &&Tenant| tenant.operator.iter().any(|known| known.name == *operator);
            let having: Vec<&str> = served.filter(having).map(|tenant| tenant.name.as_str()).collect();
            match having.as_slice() {
                [] => warnings.push(format!("{key}: no tenant that it serves has an operator {operator:?}")),
                [_] => {}
                several => warnings.push(format!(
                    "{key}: its {operator:?} decides in several tenants ({}): give `tenants` if that is not one person",
                    several.join(", ")
                )),
            }
        }
        let answers =
            channel.operator.is_some() || (channel.kind == ChannelKind::Mail && !channel.operators.is_empty());
        if answers && config.server.public_url.is_none() {
            warnings.push(format!("{key}: without `server.public_url` its messages have no decision links"));
        }
    }
    // What a router answers is known when it is asked; what its configuration names, before.
    for pipeline in pipelines {
        let mut named = Vec::new();
        if let Some(router) = &pipeline.spec.router {
            collect(&router.config, &mut named);
        }
        named.sort_unstable();
        named.dedup();
        let tenant = &*pipeline.spec.tenant;
        let served = |name: &str| {
            let fits = |one: &Channel| one.tenants.is_empty() || one.tenants.iter().any(|own| own == tenant);
            config.channel.iter().any(|one| one.name == name && fits(one))
        };
        for name in named.into_iter().filter(|name| !served(name)) {
            warnings
                .push(format!("tenant {tenant}: its router names the channel {name:?}, and no [[channel]] is that"));
        }
    }
    warnings
}

/// Every text in a list called `channels`.
fn collect<'v>(value: &'v Value, out: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_array().filter(|_| name == "channels") {
                    Some(list) => out.extend(list.iter().filter_map(Value::as_str)),
                    None => collect(member, out),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|member| collect(member, out)),
        _ => {}
    }
}

fn channel(config: &Channel) -> Result<ChannelSpec> {
    let via = match config.kind {
        ChannelKind::Webhook => Via::Webhook {
            url: address(config)?,
            key: secret(config)?.context("give `secret_env` or `secret_file`")?,
            operator: config.operator.clone(),
        },
        ChannelKind::Slack => {
            Via::Slack { url: address(config)?, signing: secret(config)?, operators: config.operators.clone() }
        }
        ChannelKind::Chat => Via::Chat {
            url: address(config)?,
            field: config.field.clone().unwrap_or_else(|| "text".to_owned()),
            operator: config.operator.clone(),
        },
        ChannelKind::Mail => Via::Mail(mail(config, config.smtp.as_ref().context("give `smtp`")?)?),
    };
    Ok(ChannelSpec {
        name: config.name.clone(),
        tenants: config.tenants.clone(),
        via,
        targets: targets(config)?,
        backoff: Backoff { attempts: config.attempts, ..Backoff::default() },
    })
}

fn targets(config: &Channel) -> Result<Targets> {
    let timeout = Duration::from_secs(config.timeout_seconds);
    let targets = Targets::new(&config.hosts, &config.networks, timeout)?;
    let Some(path) = &config.ca else { return Ok(targets) };
    let mut pem = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_CA).read_to_end(&mut pem));
    read.with_context(|| format!("ca: {}", path.display()))?;
    targets.with_authorities(&pem).with_context(|| format!("ca: {}", path.display()))
}

fn mail(config: &Channel, smtp: &Smtp) -> Result<MailSpec> {
    let login = match (&smtp.username, secret(config)?) {
        (Some(user), Some(password)) => Some((user.clone(), password)),
        _ => None,
    };
    Ok(MailSpec {
        host: smtp.host.clone(),
        port: smtp.port,
        tls: match smtp.tls {
            SmtpTls::Wrapped => MailTls::Wrapped,
            SmtpTls::StartTls => MailTls::StartTls,
            SmtpTls::None => MailTls::Plain,
        },
        login,
        from: smtp.from.clone(),
        to: smtp.to.iter().map(|to| (to.clone(), config.operators.get(to).cloned())).collect(),
    })
}

fn address(config: &Channel) -> Result<ClientSecret> {
    match (&config.url, &config.url_env, &config.url_file) {
        (Some(url), ..) => Ok(ClientSecret::text(url.clone())),
        (None, Some(name), _) => from_environment(name, "url_env"),
        (None, None, Some(path)) => Ok(ClientSecret::File(path.clone())),
        (None, None, None) => anyhow::bail!("give exactly one of `url`, `url_env`, `url_file`"),
    }
}

fn secret(config: &Channel) -> Result<Option<ClientSecret>> {
    match (&config.secret_env, &config.secret_file) {
        (Some(name), _) => from_environment(name, "secret_env").map(Some),
        (None, Some(path)) => Ok(Some(ClientSecret::File(path.clone()))),
        (None, None) => Ok(None),
    }
}

fn from_environment(name: &str, key: &str) -> Result<ClientSecret> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    Ok(ClientSecret::text(value.with_context(|| format!("the environment variable {name} of {key} is not set"))?))
}
