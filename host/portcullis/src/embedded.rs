//! The plugins and policy packs that are part of the binary.

use anyhow::{Context as _, Result};

mod files {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// A built-in plugin's component.
///
/// # Errors
/// No such plugin; the message lists the built-in ones, or says how to build a binary that holds them.
pub(crate) fn plugin(name: &str) -> Result<&'static [u8]> {
    anyhow::ensure!(
        !files::PLUGINS.is_empty(),
        "this binary was built without its plugins; build it with `cargo xtask build`"
    );
    find(files::PLUGINS, name).with_context(|| {
        let known: Vec<&str> = plugins().map(|(name, _)| name).collect();
        format!(
            "there is no built-in plugin `{name}`; built in are {}; for a file give a path that ends in .wasm",
            known.join(", ")
        )
    })
}

/// Every built-in plugin, by name.
pub(crate) fn plugins() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    files::PLUGINS.iter().copied()
}

/// A built-in policy pack's text.
///
/// # Errors
/// No such pack; the message lists the built-in ones.
pub(crate) fn pack(name: &str) -> Result<&'static str> {
    find(files::PACKS, name).with_context(|| {
        let known: Vec<&str> = files::PACKS.iter().map(|(name, _)| *name).collect();
        format!(
            "there is no built-in policy `{name}`; built in are {}; for your own give its folder with a slash: `./{name}`",
            known.join(", ")
        )
    })
}

fn find<T: Copy>(list: &[(&str, T)], name: &str) -> Option<T> {
    list.iter().find(|(known, _)| *known == name).map(|(_, content)| *content)
}
