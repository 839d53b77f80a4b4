//! Read-only data folders. Using them asks for the grant `files`; read them in `configure`, so that their content lies in
//! the snapshot.

/// The bytes of a file, at most 16 MiB. `path` is `<folder name>/<relative path>`.
///
/// # Errors
/// The folder is not granted, or the file is missing or too large.
pub fn read(path: &str) -> Result<Vec<u8>, String> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::files::read(path);
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::doubles(|doubles| doubles.read(path));
}

/// Names in a folder, sorted; folders end with `/`.
///
/// # Errors
/// The folder is not granted or missing.
pub fn entries(path: &str) -> Result<Vec<String>, String> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::files::entries(path);
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::doubles(|doubles| doubles.entries(path));
}
