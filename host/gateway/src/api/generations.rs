use hyper::StatusCode;
use portcullis_model::{Digest, Mode};
use serde::Serialize;

use super::{Api, Context, json_value, query};
use crate::http::{ApiError, Reply};
use crate::ports::{GenerationView, PluginView, ReloadError};

#[derive(Serialize)]
struct Generations {
    generations: Vec<GenerationView>,
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
        let generations = self.gate.judge().generations(Some(context.own_tenant()?));
        Ok(json_value(StatusCode::OK, &Generations { generations }))
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
        let admin = context.caller.operator.as_ref().is_some_and(|operator| operator.admin);
        if !admin && !context.caller.open {
            let hint = "send the token of an operator with the role admin";
            return Err(ApiError::forbidden("only administrators change pipelines", hint));
        }
        if !matches!(body.trim_ascii(), b"" | b"{}") {
            let hint = "change the configuration file, then send no body or {}";
            return Err(ApiError::malformed("the configuration is not taken from a request", hint));
        }
        let Ok(_turn) = self.reloading.try_acquire() else {
            return Err(ApiError { retry_after_s: Some(1), ..ApiError::unavailable("busy", "a reload is running") });
        };
        let generations = self.reload.reload().await.map_err(|error| match error {
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
        Ok(json_value(StatusCode::OK, &Generations { generations }))
    }
}
