//! One module per subcommand.

pub(crate) mod approvals;
pub(crate) mod check;
pub(crate) mod eval;
pub(crate) mod generations;
pub(crate) mod inspect;
pub(crate) mod ledger;
pub(crate) mod pins;
pub(crate) mod plugin;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod wrap;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use crate::cli::{Log, Where};
use crate::config::{Config, Place};
use crate::remote::{Running, Server};

/// The server that runs on the data folder, asked as the command line's operator in a tenant. `decides` is whether the
/// question is a decision.
pub(crate) fn server(log: &Log, decides: bool) -> Result<Server> {
    let data = Settings::read(&log.place)?.data()?;
    let running = Running::on(&data)?;
    anyhow::ensure!(
        running.decides || !decides,
        "{}: its `wrap` was started without --decide, so nobody decides there",
        data.display()
    );
    Ok(running.server(Some(running.token(&log.tenant))))
}

/// A string of an answer; empty where there is none.
fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The configuration and data folder that a command line names.
#[derive(Clone)]
pub(crate) struct Settings {
    pub config: Config,
    pub place: Option<Place>,
    /// Whether the ledger is taken as it is; see [`portcullis_ledger::LedgerConfig::adopt`].
    pub adopt: bool,
}

impl Settings {
    pub(crate) fn read(place: &Where) -> Result<Self> {
        let (mut config, file) = match &place.config {
            Some(path) => Config::read(path).map(|(config, place)| (config, Some(place)))?,
            None => (Config::default(), None),
        };
        if let Some(data) = &place.data {
            config.data.clone_from(data);
        }
        Ok(Self { config, place: file, adopt: false })
    }

    /// The data folder, absolute, so that messages name it whole.
    pub(crate) fn data(&self) -> Result<PathBuf> {
        Ok(std::path::absolute(&self.config.data)?)
    }

    /// The configuration file, if there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.place.as_ref().map(Place::file)
    }
}
