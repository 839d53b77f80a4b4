//! Under which names a client sees what the members of a federation offer, and back.
//!
//! A name is mapped back by the table of the members' names, never by looking for the separator in it: tool `b__c` of upstream
//! `a` is `a__b__c`. That is unambiguous since no member's name with the separator begins like another's.

use std::sync::Arc;

use crate::upstream::{Federation, Upstream};

/// Longest name of a tool.
const MAX_TOOL: usize = 128;
/// Longest name of a prompt in bytes.
const MAX_PROMPT: usize = 1024;
/// The scheme of wrapped URIs. Its path has no slash in front, so no reader of URIs rewrites it.
const SCHEME: &str = "portcullis:";

/// The name of a member's tool or prompt for the client.
pub(super) fn exposed(upstream: &Upstream, name: &str) -> String {
    [&upstream.name, Federation::SEPARATOR, name].concat()
}

/// The member that is meant, and the name of its own.
pub(super) fn resolve<'n>(members: &[Arc<Upstream>], name: &'n str) -> Option<(usize, &'n str)> {
    members.iter().enumerate().find_map(|(index, member)| {
        let own = name.strip_prefix(&*member.name)?.strip_prefix(Federation::SEPARATOR)?;
        (!own.is_empty()).then_some((index, own))
    })
}

/// Whether clients take this as the name of a tool: most hand it to a model whose interface has these rules.
pub(super) fn fits_tool(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=MAX_TOOL).contains(&name.len()) && name.bytes().all(fits)
}

/// Whether this may be the name of a prompt: people read it, so it may be any line.
pub(super) fn fits_prompt(name: &str) -> bool {
    (1..=MAX_PROMPT).contains(&name.len()) && !name.contains(char::is_control)
}

/// A member's URI, or URI template, for the client.
pub(super) fn wrapped(upstream: &Upstream, uri: &str) -> String {
    [SCHEME, &upstream.name, ":", uri].concat()
}

/// The member that is meant, and the URI of its own.
pub(super) fn unwrapped<'u>(members: &[Arc<Upstream>], uri: &'u str) -> Option<(usize, &'u str)> {
    let (name, own) = uri.strip_prefix(SCHEME)?.split_once(':')?;
    let index = members.iter().position(|member| *member.name == *name)?;
    (!own.is_empty()).then_some((index, own))
}

/// What a hasty reader sees: names with the same one are look-alikes. ASCII only, as the names of tools are.
pub(super) fn likeness(name: &str) -> String {
    let seen = |letter: char| match letter.to_ascii_lowercase() {
        '1' | 'i' | '|' => 'l',
        '0' => 'o',
        '-' | '.' => '_',
        '5' => 's',
        other => other,
    };
    name.chars().map(seen).collect::<String>().replace("rn", "m").replace("vv", "w")
}

#[cfg(test)]
mod tests;
