//! What the macros expand to; not for direct use.

use std::cell::RefCell;
use std::thread::LocalKey;

use serde::de::DeserializeOwned;

/// Where a macro keeps the configured plugin of its component.
pub type Slot<P> = RefCell<Option<P>>;

/// Bytes of free heap that every call starts with.
const HEAP_ROOM: usize = 128 * 1024;

/// Reads a configuration: JSON, or nothing at all, which is read as `{}`.
///
/// # Errors
/// What is wrong and at which key.
pub fn parse_config<C: DeserializeOwned>(config: &str) -> Result<C, String> {
    let config = if config.trim().is_empty() { "{}" } else { config };
    let mut reader = serde_json::Deserializer::from_str(config);
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        let text = inner.to_string();
        // The place in JSON that the host made of the user's own file would mislead; the key is what helps.
        let text = text.rsplit_once(" at line ").filter(|_| inner.is_data()).map_or(&*text, |(what, _)| what);
        if path == "." { text.to_owned() } else { format!("{path}: {text}") }
    })?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(parsed)
}

/// Configures the plugin of this component, replacing an earlier one.
///
/// # Errors
/// What the configuration or the plugin says.
pub fn configure<C: DeserializeOwned, P: 'static>(
    slot: &'static LocalKey<Slot<P>>,
    config: &str,
    make: impl FnOnce(C) -> Result<P, String>,
) -> Result<(), String> {
    let plugin = make(parse_config(config)?)?;
    slot.with(|slot| *slot.borrow_mut() = Some(plugin));
    // The host keeps the memory as it is now. Free room on the heap spares most calls from growing it, which is dear.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(HEAP_ROOM)));
    Ok(())
}

/// Runs `ask` on the configured plugin.
///
/// # Errors
/// What the plugin says, or that there is none yet.
pub fn with<P: 'static, A>(
    slot: &'static LocalKey<Slot<P>>,
    ask: impl FnOnce(&P) -> Result<A, String>,
) -> Result<A, String> {
    slot.with(|slot| match &*slot.borrow() {
        Some(plugin) => ask(plugin),
        None => Err("the plugin was called before it was configured".to_owned()),
    })
}

/// Makes panics say where they happened, and only that: their text may hold a piece of the payload.
#[cfg(target_family = "wasm")]
pub fn report_panics() {
    std::panic::set_hook(Box::new(|info| match info.location() {
        Some(at) => crate::log::error(&format!("panicked at {}:{}:{}", at.file(), at.line(), at.column())),
        None => crate::log::error("panicked"),
    }));
}
