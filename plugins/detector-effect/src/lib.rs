//! Says what a call can do: write, send, delete or pay. See the README for the configuration.
#![forbid(unsafe_code)]

mod config;
mod memory;

use plugin_effect::{Effect, Effects, of_definition, of_name};
use portcullis_plugin::{Call, Detector, Finding, Payload, Phase};
use serde_json::Value;

pub use config::{Config, OverrideConfig};

use config::Known;

/// The detector.
#[derive(Debug)]
pub struct ToolEffect(Known);

/// Where the effects of a call were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Configured,
    Definition,
    Name,
}

impl Detector for ToolEffect {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Known::new(config).map(Self)
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        let upstream = call.upstream.as_deref().unwrap_or_default();
        match call.phase {
            Phase::Listing => self.listing(upstream, &payload.raw()).map(|()| Vec::new()),
            Phase::Call => Ok(self.call(upstream, &call.tool)?),
            Phase::Result | Phase::Message => Ok(Vec::new()),
        }
    }
}

portcullis_plugin::detector!(ToolEffect);

impl ToolEffect {
    /// Remembers what the definitions add to the names. What is no list of definitions is none of this plugin's business.
    fn listing(&self, upstream: &str, list: &str) -> Result<(), String> {
        let Ok(Value::Array(definitions)) = serde_json::from_str(list) else { return Ok(()) };
        let trust = self.0.trust(&upstream.to_lowercase());
        for definition in &definitions {
            if let Some(name) = definition.get("name").and_then(Value::as_str) {
                memory::keep(upstream, name, of_definition(definition, trust), of_name(name))?;
            }
        }
        Ok(())
    }

    fn call(&self, upstream: &str, tool: &str) -> Result<Vec<Finding>, String> {
        let by_name = of_name(tool);
        let configured = self.0.effects(&upstream.to_lowercase(), &plugin_text::folded(tool).to_lowercase());
        let (effects, source) = match configured {
            Some(effects) => (effects, Source::Configured),
            None => match memory::recall(upstream, tool)? {
                Some(effects) => (effects, Source::Definition),
                None => (by_name, Source::Name),
            },
        };
        if !effects.acts() {
            // Later plugins go by the name where nothing is said: say it where the name would mislead them.
            let misleading = effects.has(Effect::Read) && !of_reading(by_name);
            let score = effects.score(Effect::Read);
            return Ok(misleading.then(|| finding(Effect::Read, score, source)).into_iter().collect());
        }
        let acting = effects.likely().filter(|(effect, _)| *effect != Effect::Read);
        Ok(acting.map(|(effect, score)| finding(effect, score, source)).collect())
    }
}

fn of_reading(effects: Effects) -> bool {
    effects.has(Effect::Read) && !effects.acts()
}

fn finding(effect: Effect, score: f32, source: Source) -> Finding {
    let does = match effect {
        Effect::Read => "only reads",
        Effect::Write => "changes something",
        Effect::Send => "gives something to others",
        Effect::Delete => "takes something away for good",
        Effect::Pay => "moves money",
    };
    let source = match source {
        Source::Configured => "as configured",
        Source::Definition => "by its definition",
        Source::Name => "by its name",
    };
    Finding::new(format!("effect.{}", effect.name()), score, format!("the tool {does}, {source}"))
}

#[cfg(test)]
mod tests;
