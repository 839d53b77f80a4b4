//! Labels that a session carries from call to call (taint). Using them asks for the grant `labels`.

/// Adds a label to the session; adding it again with another value adds a second one.
///
/// # Errors
/// The call has no session, or the session holds too many labels.
pub fn add(label: &str, value: &str) -> Result<(), String> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::labels::add(label, value);
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::doubles(|doubles| {
        let pair = (label.to_owned(), value.to_owned());
        if !doubles.labels.contains(&pair) {
            doubles.labels.push(pair);
        }
        Ok(())
    });
}

/// All labels of the session, oldest first; none without a session.
#[must_use]
pub fn all() -> Vec<(String, String)> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::labels::all();
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::doubles(|doubles| doubles.labels.clone());
}
