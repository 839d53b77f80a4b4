//! The policies that operators edit: they take the place of those in the configuration, and survive restarts.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use portcullis_gateway::ports::{PolicyError, PolicyView};
use portcullis_ledger::{Ledger, Record};
use portcullis_model::{Digest, Document};
use portcullis_pipeline::PluginSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::assemble::Pipeline;
use crate::config;

/// The plugin that takes policies, and the key of its configuration that they are.
const PLUGIN: &str = "rule-arguments";
const KEY: &str = "policies";
/// Keys of all records start with this; the number is the version of their form.
const RECORDS: &str = "policies/1/";

/// What operators edited, by tenant and name of the plugin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edited(HashMap<(Arc<str>, Arc<str>), Edit>);

/// The policies of one plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Edit {
    pub tenant: Arc<str>,
    pub plugin: Arc<str>,
    pub by: Arc<str>,
    pub at_ms: u64,
    pub policies: Value,
}

/// Whether a plugin of a pipeline takes policies.
pub(crate) fn editable(plugin: &config::Plugin) -> bool {
    plugin.plugin.as_deref().unwrap_or(&plugin.name) == PLUGIN
}

impl Edited {
    /// What is on record. Blocking.
    pub(crate) fn load(ledger: &Ledger) -> Result<Self> {
        let mut edited = Self::default();
        for (key, value) in ledger.records(RECORDS.as_bytes())? {
            let edit: Edit = serde_json::from_slice(&value).map_err(|error| {
                anyhow::anyhow!("the policies on record as {} cannot be read: {error}", key.escape_ascii())
            })?;
            edited.put(edit);
        }
        Ok(edited)
    }

    pub(crate) fn put(&mut self, edit: Edit) {
        self.0.insert((Arc::clone(&edit.tenant), Arc::clone(&edit.plugin)), edit);
    }

    pub(crate) fn remove(&mut self, tenant: &Arc<str>, plugin: &Arc<str>) {
        self.0.remove(&(Arc::clone(tenant), Arc::clone(plugin)));
    }

    /// Puts what was edited into a pipeline that was read from the configuration.
    pub(crate) fn apply(&self, pipeline: &mut Pipeline) {
        let Pipeline { spec, editable, .. } = pipeline;
        for plugin in spec.plugins.iter_mut().filter(|plugin| editable.contains(&plugin.name)) {
            let Some(edit) = self.0.get(&(Arc::clone(&spec.tenant), Arc::clone(&plugin.name))) else { continue };
            if let Some(config) = plugin.config.as_object_mut() {
                config.insert(KEY.to_owned(), edit.policies.clone());
            }
        }
    }

    /// The policies of a pipeline's plugins, this already applied.
    pub(crate) fn views(&self, pipeline: &Pipeline) -> Result<Vec<PolicyView>, PolicyError> {
        let plugins = pipeline.spec.plugins.iter().filter(|plugin| pipeline.editable.contains(&plugin.name));
        plugins.map(|plugin| self.view(&pipeline.spec.tenant, plugin)).collect()
    }

    fn view(&self, tenant: &Arc<str>, plugin: &PluginSpec) -> Result<PolicyView, PolicyError> {
        let edit = self.0.get(&(Arc::clone(tenant), Arc::clone(&plugin.name)));
        let policies = plugin.config.get(KEY).cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        let text = policies.to_string();
        let unavailable = |what: String| PolicyError::Unavailable(what);
        let digest = Document::parse(text.clone()).map_err(|error| unavailable(error.to_string()))?.digest();
        Ok(PolicyView {
            plugin: Arc::clone(&plugin.name),
            digest,
            by: edit.map(|edit| Arc::clone(&edit.by)),
            at_ms: edit.map(|edit| edit.at_ms),
            policies: RawValue::from_string(text).map_err(|error| unavailable(error.to_string()))?,
        })
    }
}

/// What becomes durable with the entry about a replacement. Without an edit the record goes.
pub(crate) fn record(tenant: &str, plugin: &str, edit: Option<&Edit>) -> Result<Record> {
    let value = edit.map(serde_json::to_vec).transpose()?;
    Ok(Record { key: format!("{RECORDS}{tenant}/{plugin}").into_bytes(), value })
}

/// One line of the ledger about a replacement.
pub(crate) fn note(view: &PolicyView, old: Option<Digest>) -> String {
    let what = if view.by.is_some() { "replaced by" } else { "those of the configuration again," };
    let from = old.map_or_else(|| "none".to_owned(), |old| old.to_string());
    format!("policies of {} {what} {}; from {from}", view.plugin, view.digest)
}
