//! Time as the host records it with the verdict. Using it asks for the grant `clock`.

/// Milliseconds since the Unix epoch, the same for the whole call.
#[must_use]
pub fn now_ms() -> u64 {
    #[cfg(target_family = "wasm")]
    return crate::bindings::clock::now_ms();
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::doubles(|doubles| doubles.now_ms);
}
