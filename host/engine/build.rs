//! Lists the test guests, so that a guest without a host test does not compile (see `tests/guests.rs`).
#![allow(clippy::expect_used, reason = "a build script that cannot do its work must end the build")]

use std::path::Path;
use std::{env, fs};

fn main() {
    // Of the checkout that is built now, which need not be the one that this script was compiled in.
    let manifest = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let guests = Path::new(&manifest).join("../../tests/guests/examples");
    println!("cargo::rerun-if-changed={}", guests.display());
    let entries = fs::read_dir(&guests).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no test guests in {}", guests.display());
    let calls: String = names.iter().map(|name| format!("        $each!({name});\n")).collect();
    let macro_text = format!("macro_rules! each_guest {{\n    ($each:ident) => {{\n{calls}    }};\n}}\n");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("each_guest.rs"), macro_text).expect("OUT_DIR can be written");
}
