//! Small state of one plugin in one tenant, atomic, durable. Using it asks for the grant `state`.

/// Adds `by` to a counter over a sliding window and returns the sum with it. A window of 0 never forgets.
///
/// # Errors
/// The key is too long, or the tenant holds too much state.
pub fn increment(key: &str, by: u64, window_seconds: u32) -> Result<u64, String> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::state::increment(key, by, window_seconds);
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::doubles(|doubles| Ok(doubles.increment(key, by, window_seconds)));
}

/// The value under a key, or none.
///
/// # Errors
/// The key is too long.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, String> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::state::get(key);
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::doubles(|doubles| Ok(doubles.value(key)));
}

/// Replaces a value if it still equals `expected`; false if it does not. `ttl_seconds` of 0 keeps it.
///
/// # Errors
/// Key or value too long, or the tenant holds too much state.
pub fn replace(key: &str, expected: Option<&[u8]>, value: Option<&[u8]>, ttl_seconds: u32) -> Result<bool, String> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::state::replace(key, expected, value, ttl_seconds);
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::doubles(|doubles| Ok(doubles.replace(key, expected, value, ttl_seconds)));
}
