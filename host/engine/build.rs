//! Lists the test guests, so that a guest without a host test does not compile (see `tests/guests.rs`).
#![allow(clippy::expect_used, reason = "a build script that cannot do its work must end the build")]

use std::path::Path;
use std::{env, fs};

fn main() {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/examples");
    println!("cargo::rerun-if-changed={}", guests.display());
    let entries = fs::read_dir(&guests).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    let calls: String = names.iter().map(|name| format!("        $each!({name});\n")).collect();
    let macro_text = format!("macro_rules! each_guest {{\n    ($each:ident) => {{\n{calls}    }};\n}}\n");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("each_guest.rs"), macro_text).expect("OUT_DIR can be written");
}
