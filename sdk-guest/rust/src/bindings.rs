//! The generated side of the contract, and the ways from and to the types of this crate.

#![allow(missing_docs, clippy::all, reason = "generated code")]
#![allow(unsafe_code, reason = "generated code calls imports and reads the canonical ABI")]

use crate::types;

/// World `router` names every interface there is, so the other worlds take theirs from here.
pub mod router {
    wit_bindgen::generate!({
        path: "../../wit/plugin@1.0.0",
        world: "router",
        runtime_path: "wit_bindgen::rt",
        pub_export_macro: true,
        generate_all,
    });
}

pub mod detector {
    wit_bindgen::generate!({
        path: "../../wit/plugin@1.0.0",
        world: "detector",
        pub_export_macro: true,
        with: {
            "portcullis:plugin/types@1.0.0": crate::bindings::router::portcullis::plugin::types,
            "portcullis:plugin/payload@1.0.0": crate::bindings::router::portcullis::plugin::payload,
            "portcullis:plugin/log@1.0.0": crate::bindings::router::portcullis::plugin::log,
            "portcullis:plugin/clock@1.0.0": crate::bindings::router::portcullis::plugin::clock,
            "portcullis:plugin/state@1.0.0": crate::bindings::router::portcullis::plugin::state,
            "portcullis:plugin/labels@1.0.0": crate::bindings::router::portcullis::plugin::labels,
            "portcullis:plugin/judge@1.0.0": crate::bindings::router::portcullis::plugin::judge,
            "portcullis:plugin/http@1.0.0": crate::bindings::router::portcullis::plugin::http,
            "portcullis:plugin/secrets@1.0.0": crate::bindings::router::portcullis::plugin::secrets,
            "portcullis:plugin/files@1.0.0": crate::bindings::router::portcullis::plugin::files,
        },
    });
}
