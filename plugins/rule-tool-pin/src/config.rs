use serde::Deserialize;

/// The configuration of the plugin; an empty one trusts a tool on first use and refuses a change.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What a tool means that was never seen before.
    pub on_new: OnNew,
    /// What a tool means whose definition is not the pinned one.
    pub on_change: OnChange,
    /// What a call means of a tool that was in no list so far.
    pub on_unlisted: OnUnlisted,
}

/// What a tool means that was never seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNew {
    /// Its definition is the pinned one from now on.
    #[default]
    Pin,
    /// A person decides.
    Review,
    /// The list is refused until an operator accepts the tool.
    Deny,
}

/// What a changed tool means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnChange {
    /// The list and calls of the tool are refused.
    #[default]
    Deny,
    /// A person decides.
    Review,
}

/// What a call of a tool means that was in no list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnlisted {
    /// Not a matter of this rule.
    #[default]
    Allow,
    /// A person decides.
    Review,
    /// The call is refused.
    Deny,
}
