//! Files that are part of the binary: see `build.rs`.

mod files {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// The stand-in for WASI preview 1: no capability, a clock that ticks by itself, fixed random bytes.
pub(crate) const STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub.wasm"));

/// The files below a folder of the repository, by their path from there, in order of name.
pub(crate) fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> + use<> {
    let folder = format!("{folder}/");
    files::FILES.iter().filter_map(move |(path, content)| Some((path.strip_prefix(&folder)?, *content)))
}
