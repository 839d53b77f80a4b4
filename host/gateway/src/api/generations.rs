use hyper::StatusCode;
use portcullis_model::{Digest, Mode};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::SemaphorePermit;

use super::{Api, Context, json_value, query};
use crate::http::{ApiError, Reply};
use crate::ports::{
    Activations, DifferenceView, GenerationView, PastView, PluginView, PreparingView, ReloadError, Step, StepError,
    TrialStep, Who,
};

#[derive(Serialize)]
struct Generations {
    generations: Vec<GenerationView>,
    /// What is being prepared to take their place.
    preparing: Option<PreparingView>,
}

#[derive(Serialize)]
struct History {
    history: Vec<PastView>,
}

#[derive(Serialize)]
struct Dropped {
    dropped: Digest,
}

#[derive(Serialize)]
struct Plugins {
    generation: Option<Digest>,
    mode: Option<Mode>,
    plugins: Vec<PluginView>,
}

impl Api {
    pub(super) fn generations(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let tenant = context.own_tenant()?;
        let generations = self.gate.judge().generations(Some(tenant));
        // What others run is not told.
        let preparing = self.reload.preparing().map(|view| match &view.tenant {
            Some(whose) if whose != tenant => PreparingView { tenant: None, plugin: None, ..view },
            _ => view,
        });
        Ok(json_value(StatusCode::OK, &Generations { generations, preparing }))
    }

    pub(super) fn plugins(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let live = self.gate.judge().generations(Some(context.own_tenant()?)).into_iter().next();
        let plugins = match live {
            Some(GenerationView { generation, mode, plugins, .. }) => {
                Plugins { generation: Some(generation), mode: Some(mode), plugins }
            }
            None => Plugins { generation: None, mode: None, plugins: Vec::new() },
        };
        Ok(json_value(StatusCode::OK, &plugins))
    }

    /// Validates the configuration on disk and activates it for all tenants, or changes nothing.
    pub(super) async fn activate(&self, context: &Context, body: &[u8]) -> Result<Reply, ApiError> {
        let by = changer(context)?;
        if !matches!(body.trim_ascii(), b"" | b"{}") {
            let hint = "change the configuration file, then send no body or {}";
            return Err(ApiError::malformed("the configuration is not taken from a request", hint));
        }
        let _turn = self.changing()?;
        let generations = self.reload.reload(by).await.map_err(|error| match error {
            ReloadError::Invalid(text) => ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_configuration",
                text,
                "nothing was changed; correct the place that is named and try again",
            ),
            ReloadError::Failed(text) => ApiError::unavailable("reload_failed", text),
        })?;
        let tenant = context.own_tenant()?;
        let generations = generations.into_iter().filter(|view| view.tenant == *tenant).collect();
        Ok(json_value(StatusCode::OK, &Generations { generations, preparing: None }))
    }

    pub(super) fn history(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let tenant = onlooker(context)?;
        Ok(json_value(StatusCode::OK, &History { history: self.activations()?.history(tenant) }))
    }

    pub(super) fn generation(
        &self,
        context: &Context,
        query: &str,
        parameter: Option<String>,
    ) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let tenant = onlooker(context)?;
        let digest = digest(parameter.as_deref().unwrap_or_default())?;
        let found = self.activations()?.show(tenant, digest).ok_or_else(|| refused(&StepError::Unknown))?;
        Ok(json_value(StatusCode::OK, &found))
    }

    /// What differs between two kept generations; without names, between the one before and the present one.
    pub(super) fn difference(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let [from, to] = query::read(query, ["from", "to"])?;
        let tenant = onlooker(context)?;
        let activations = self.activations()?;
        let history = activations.history(tenant);
        let place = |text: Option<&str>, place: usize| match text {
            Some(text) => digest(text),
            None => history.get(place).map(|past| past.generation).ok_or_else(|| refused(&StepError::Nothing)),
        };
        let (from, to) = (place(from, 1)?, place(to, 0)?);
        let found: DifferenceView =
            activations.difference(tenant, from, to).ok_or_else(|| refused(&StepError::Unknown))?;
        let found = if changer(context).is_ok() { found } else { found.without_values() };
        Ok(json_value(StatusCode::OK, &found))
    }

    /// Puts a kept generation in force: the one that is named, or the one before the present one.
    pub(super) async fn step(&self, by: Who, to: Option<String>, body: &[u8]) -> Result<Reply, ApiError> {
        let to = to.as_deref().map(digest).transpose()?;
        let from = named(&members(body, &["from"])?, "from")?;
        let activations = self.activations()?;
        let done = activations.step(Step { by, to, from }).await.map_err(|error| refused(&error))?;
        Ok(json_value(StatusCode::OK, &done))
    }

    pub(super) fn trial(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let tenant = onlooker(context)?;
        let trial = self.activations()?.trial(tenant);
        let trial = trial.ok_or_else(|| {
            let hint = if self.reload.preparing().is_some() {
                "a change of the configuration is being prepared: ask again once it is in force"
            } else {
                "give the tenant a table `candidate` in the configuration"
            };
            ApiError::new(StatusCode::NOT_FOUND, "not_found", "no generation is tried beside the one in force", hint)
        })?;
        Ok(json_value(StatusCode::OK, &trial))
    }

    /// Puts the candidate in force, or ends it.
    pub(super) async fn candidate(&self, by: Who, promote: bool, body: &[u8]) -> Result<Reply, ApiError> {
        let members = members(body, if promote { &["candidate", "withdrawn"] } else { &["candidate"] })?;
        let candidate = named(&members, "candidate")?;
        let withdrawn = members.get("withdrawn").is_some_and(|also| *also == Value::Bool(true));
        let activations = self.activations()?;
        let step = TrialStep { by, candidate, withdrawn };
        if promote {
            let done = activations.promote(step).await.map_err(|error| refused(&error))?;
            return Ok(json_value(StatusCode::OK, &done));
        }
        let dropped = activations.drop_candidate(step).await.map_err(|error| refused(&error))?;
        Ok(json_value(StatusCode::OK, &Dropped { dropped }))
    }

    /// One change at a time; others are told so at once.
    fn changing(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.reloading.try_acquire().map_err(|_| ApiError {
            retry_after_s: Some(1),
            ..ApiError::unavailable("busy", "another change of the pipelines is running")
        })
    }

    fn activations(&self) -> Result<&dyn Activations, ApiError> {
        self.reload.activations().ok_or_else(|| ApiError::not_found("no generations are kept here"))
    }
}

/// Who may change pipelines: administrators, or anybody in open mode.
pub(super) fn changer(context: &Context) -> Result<Who, ApiError> {
    let operator = context.caller.operator.as_ref().filter(|operator| operator.admin);
    if let Some(operator) = operator {
        return Ok(Who { tenant: operator.tenant.clone(), name: operator.name.clone() });
    }
    match &context.caller.agent {
        Some(agent) if context.caller.open => Ok(Who { tenant: agent.tenant.clone(), name: agent.name.clone() }),
        _ => {
            let hint = "send the token of an operator with the role admin";
            Err(ApiError::forbidden("only administrators change pipelines", hint))
        }
    }
}

/// Who may see how pipelines changed: operators, or anybody in open mode.
fn onlooker(context: &Context) -> Result<&str, ApiError> {
    if context.caller.operator.is_none() && !context.caller.open {
        let hint = "send the token of an operator";
        return Err(ApiError::forbidden("only operators see earlier generations", hint));
    }
    Ok(context.own_tenant()?)
}

fn digest(text: &str) -> Result<Digest, ApiError> {
    text.parse().map_err(|_| ApiError::malformed("this is no name of a generation", "send sha256: and 64 digits"))
}

/// Nothing, or an object with no other members than these.
fn members(body: &[u8], known: &[&str]) -> Result<Map<String, Value>, ApiError> {
    const FORM: &str = "send no body, or an object with the members that /v1/openapi.json names";
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| ApiError::malformed("the body is no JSON", FORM))?;
    let Value::Object(members) = value else { return Err(ApiError::malformed("the body must be an object", FORM)) };
    if members.keys().any(|name| !known.contains(&name.as_str())) {
        return Err(ApiError::malformed("unknown field", FORM));
    }
    Ok(members)
}

/// The name of a generation: only if that is the one.
fn named(members: &Map<String, Value>, member: &str) -> Result<Option<Digest>, ApiError> {
    members.get(member).map(|name| digest(name.as_str().unwrap_or_default())).transpose()
}

fn refused(error: &StepError) -> ApiError {
    let text = error.to_string();
    match error {
        StepError::Unknown => ApiError::not_found(text),
        StepError::Nothing | StepError::Current | StepError::Changed(_) => {
            let code = match error {
                StepError::Nothing => "nothing_before",
                StepError::Current => "in_force",
                _ => "other_generation",
            };
            ApiError::new(StatusCode::CONFLICT, code, text, "read /v1/generations/history and decide again")
        }
        StepError::Withdrawn => {
            let hint = "read /v1/generations/shadow; to put it in force all the same, send \"withdrawn\": true";
            ApiError::new(StatusCode::CONFLICT, "withdrawn", text, hint)
        }
        StepError::NoCandidate => {
            ApiError::new(StatusCode::CONFLICT, "other_candidate", text, "read /v1/generations/shadow and decide again")
        }
        StepError::Unavailable(_) => ApiError::unavailable("not_recorded", text),
    }
}
