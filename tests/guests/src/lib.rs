//! Guests with one behaviour each live in `examples/`; here is what they share.
//!
//! Most are written against the bare contract: they break promises that the SDK would keep. Each has a test of its name
//! in `host/engine/tests/guests.rs`; without it that file does not compile.

/// Generates the bindings of a world and stamps the component as built for the plugin contract 1.0.0, or for the version that
/// is named.
#[macro_export]
macro_rules! world {
    ($world:tt) => {
        $crate::world!($world, "../../wit/plugin@1.0.0", b"1.0.0");
    };
    ($world:tt, $path:tt, $version:literal) => {
        #[allow(missing_docs, unsafe_code, dead_code, reason = "generated bindings, called by the host")]
        mod bindings {
            ::wit_bindgen::generate!({
                world: $world,
                path: $path,
                pub_export_macro: true,
                default_bindings_module: "bindings",
            });
        }
        #[allow(unused_imports, reason = "not every guest uses all of it")]
        use bindings::*;
        $crate::stamp!($version);
    };
}

/// Stamps the component as built for the plugin contract 1.0.0, or for another version.
#[macro_export]
macro_rules! stamp {
    () => {
        $crate::stamp!(b"1.0.0");
    };
    ($version:literal) => {
        /// Version of the plugin contract.
        #[allow(unsafe_code, reason = "a section of its own is how the stamp gets into the file")]
        #[used]
        #[unsafe(link_section = "portcullis:abi")]
        static ABI: [u8; 5] = *$version;
    };
}

/// A finding without spans.
#[macro_export]
macro_rules! finding {
    ($category:expr, $score:expr, $message:expr) => {
        Finding { category: $category.into(), score: $score, message: $message, spans: Vec::new() }
    };
}

/// Pages of 64 KiB that the guest's memory has.
#[must_use]
pub fn memory_pages() -> u64 {
    #[cfg(target_arch = "wasm32")]
    return core::arch::wasm32::memory_size(0) as u64;
    #[cfg(not(target_arch = "wasm32"))]
    0
}
