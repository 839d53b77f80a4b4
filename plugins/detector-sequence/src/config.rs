use std::collections::BTreeMap;

use plugin_effect::Effect;
use serde::Deserialize;

/// The configuration; every key has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Categories that are not looked for.
    pub disable: Vec<String>,
    /// Minutes after its last call for which a session is remembered, 1 to 1440.
    pub remember_minutes: u32,
    /// Places that an agent can have remembered: each holds four sessions. 1 to 4096.
    pub slots: u32,
    /// Domains to which sensitive things may go, with all names below them.
    pub own_domains: Vec<String>,
    /// Kinds of sensitive things that are not looked for: `credentials`, `payroll`, `personnel`, `health`, `customers`, `finances`,
    /// `a database dump`.
    pub not_sensitive: Vec<String>,
    /// More kinds of sensitive things, by words in tool names and arguments of reading calls.
    pub sensitive: Vec<Kind>,
    /// Different e-mail addresses in one result from which on they are perhaps customers' data, and certainly from eight times as
    /// many on; 0: never.
    pub many_addresses: u32,
    /// Card numbers in one result from which on they are sensitive; 0: never.
    pub many_cards: u32,
    /// Reads in a row after which the first deletion, payment or change of rights is an escalation; 0: never.
    pub reads_before: u16,
    /// What tools do whose names do not tell; by globs: `*` is anything, `?` one character.
    pub effects: BTreeMap<String, Effect>,
    /// The same call again and again.
    pub repeats: Repeats,
    /// Calls in a minute.
    pub velocity: Velocity,
}

/// A kind of sensitive things.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// What it is, for people and for the label: at most 64 bytes.
    pub what: String,
    /// Words or phrases; a `*` at the end lets one go on.
    pub words: Vec<String>,
}

/// The same call again and again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Repeats {
    /// How many calls with the same tool and arguments are a loop; 0: none.
    pub calls: u16,
    /// The same for calls that only read: polling is common.
    pub reads: u16,
    /// Seconds within which they are counted.
    pub seconds: u32,
    /// Globs of tools that may be called so.
    pub ignore: Vec<String>,
}

/// Calls in a minute; 0: no limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Velocity {
    /// In a session.
    pub session: u32,
    /// Of an agent.
    pub agent: u32,
    /// In a session, those that write, send, delete or pay.
    pub session_acts: u32,
    /// Of an agent, the same.
    pub agent_acts: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            disable: Vec::new(),
            remember_minutes: 30,
            slots: 256,
            own_domains: Vec::new(),
            not_sensitive: Vec::new(),
            sensitive: Vec::new(),
            many_addresses: 25,
            many_cards: 2,
            reads_before: 5,
            effects: BTreeMap::new(),
            repeats: Repeats::default(),
            velocity: Velocity::default(),
        }
    }
}

impl Default for Repeats {
    fn default() -> Self {
        Self { calls: 4, reads: 30, seconds: 300, ignore: Vec::new() }
    }
}

impl Default for Velocity {
    fn default() -> Self {
        Self { session: 120, agent: 600, session_acts: 30, agent_acts: 90 }
    }
}
