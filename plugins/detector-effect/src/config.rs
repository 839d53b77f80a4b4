use plugin_effect::{Effect, Effects, Globs, Trust};
use serde::Deserialize;

/// The configuration of the plugin; an empty one is a good start.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What tools do, said by whoever knows them; the first that fits counts and nothing else is looked at.
    pub overrides: Vec<OverrideConfig>,
    /// Globs of upstreams whose annotations may say that a tool does less than its words say.
    pub trust_annotations: Vec<String>,
}

/// What some tools do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideConfig {
    /// Globs of tools; at least one.
    pub tools: Vec<String>,
    /// Globs of upstreams that own them.
    #[serde(default = "every")]
    pub upstreams: Vec<String>,
    /// What they do; `["read"]` for tools that only look.
    pub effects: Vec<Effect>,
}

fn every() -> Vec<String> {
    vec!["*".to_owned()]
}

/// The configuration, ready to match.
#[derive(Debug)]
pub(crate) struct Known {
    overrides: Vec<Override>,
    trusted: Globs,
}

#[derive(Debug)]
struct Override {
    tools: Globs,
    upstreams: Globs,
    effects: Effects,
}

impl Known {
    /// What serde cannot check is checked here. The error names the key.
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        let mut overrides = Vec::with_capacity(config.overrides.len());
        for (index, item) in config.overrides.into_iter().enumerate() {
            let lists = [item.tools.is_empty(), item.upstreams.is_empty(), item.effects.is_empty()];
            if let Some((key, _)) = ["tools", "upstreams", "effects"].iter().zip(lists).find(|(_, empty)| *empty) {
                return Err(format!("overrides[{index}].{key}: the list is empty, so this would never apply"));
            }
            let effects = Effects::of(&item.effects);
            overrides.push(Override {
                tools: Globs::new(&item.tools),
                upstreams: Globs::new(&item.upstreams),
                effects,
            });
        }
        Ok(Self { overrides, trusted: Globs::new(&config.trust_annotations) })
    }

    /// What was configured for a tool; both names are in lower case.
    pub(crate) fn effects(&self, upstream: &str, tool: &str) -> Option<Effects> {
        let fits = |item: &&Override| item.tools.contain(tool) && item.upstreams.contain(upstream);
        self.overrides.iter().find(fits).map(|item| item.effects)
    }

    /// Whether annotations of this upstream are believed.
    pub(crate) fn trust(&self, upstream: &str) -> Trust {
        if self.trusted.contain(upstream) { Trust::Trusted } else { Trust::Untrusted }
    }
}
