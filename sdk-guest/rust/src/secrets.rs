//! Secrets that the plugin uses and never sees. Using them asks for the grant `secrets`. There are none while it is configured.

/// What stands for a secret: the host puts the secret in its place in the values of headers, on the way to the hosts that the
/// secret is for. The same in every call.
///
/// # Errors
/// The secret is not granted.
pub fn placeholder(name: &str) -> Result<String, String> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::secrets::placeholder(name);
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::doubles(|doubles| doubles.placeholder(name));
}
