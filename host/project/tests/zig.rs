//! The SDK for Zig, and what its compiler makes of it; also of C.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_model::Role;
use portcullis_project::tool::{self, ToolError};
use portcullis_project::{BuildError, Built, ComponentError, Contract, Language, NewProject, Project, create};
use wit_parser::{SizeAlign, Type, TypeDefKind};

/// A new project below cargo's folder for tests, so that the tools of this checkout are found; it goes with the first.
fn project(role: Role) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = folder.path().join("sample");
    create(&NewProject { name: "sample", language: Language::Zig, role, folder: &root }).unwrap();
    (folder, root)
}

/// What the build says; none if this machine has no zig.
fn build(root: &Path) -> Option<Result<Built, BuildError>> {
    let built = Project::open(root).unwrap().build(&|_| {});
    if let Err(BuildError::Tool(error @ ToolError::Missing { .. })) = &built {
        println!("not tested: {error}");
        return None;
    }
    Some(built)
}

#[test]
fn a_template_builds_twice_the_same() {
    for role in [Role::Detector, Role::Rule, Role::Router] {
        let (_folder, root) = project(role);
        let Some(first) = build(&root) else { return };
        let first = first.unwrap();
        assert!(
            first.asks.is_empty() && first.component.len() < 120_000,
            "{:?}, {}",
            first.asks,
            first.component.len()
        );
        let (_other, elsewhere) = project(role);
        let second = build(&elsewhere).unwrap().unwrap();
        assert!(first.component == second.component, "another folder makes another component");
    }
}

/// Compile-time checks that a structure of the SDK has the fields and the size of a record of the contract.
fn layout(resolve: &wit_parser::Resolve, sizes: &SizeAlign, name: &str, structure: &str) -> String {
    let (_, named) = resolve.types.iter().find(|(_, one)| one.name.as_deref() == Some(name)).unwrap();
    let TypeDefKind::Record(record) = &named.kind else { panic!("{name} is no record") };
    let types: Vec<Type> = record.fields.iter().map(|field| field.ty).collect();
    let fields: Vec<String> =
        record.fields.iter().map(|field| format!("\"{}\"", field.name.replace('-', "_"))).collect();
    let size = sizes.record(types.iter()).size.size_wasm32();
    let mut checks = String::new();
    writeln!(checks, "    has({structure}, &.{{ {} }}, {size});", fields.join(", ")).unwrap();
    checks
}

#[test]
fn the_structures_are_those_of_the_contract() {
    let (_folder, root) = project(Role::Router);
    let (resolve, _) = Contract::whole(Role::Router).resolve().unwrap();
    let mut sizes = SizeAlign::default();
    sizes.fill(&resolve);
    let source = root.join("sdk/root.zig");
    let mut text = fs::read_to_string(&source).unwrap();
    text += "\nfn has(comptime T: type, comptime names: []const []const u8, size: usize) void {\n    \
             const fields = @typeInfo(T).@\"struct\".field_names;\n    \
             if (fields.len != names.len or glue.sizeOf(T) != size) @compileError(@typeName(T));\n    \
             for (fields, names) |field, name| if (!std.mem.eql(u8, field, name)) @compileError(name);\n}\n\
             comptime {\n    @setEvalBranchQuota(100_000);\n";
    for (name, structure) in [
        ("call", "pc.Call"),
        ("span", "pc.Span"),
        ("finding", "pc.Finding"),
        ("text", "pc.Text"),
        ("attributed-finding", "pc.Seen"),
        ("reason", "pc.Reason"),
        ("replacement", "pc.Replacement"),
        ("redaction", "pc.Redaction"),
        ("step", "pc.Step"),
        ("plan", "pc.Plan"),
        ("request", "pc.http.Request"),
        ("response", "pc.http.Response"),
    ] {
        text += &layout(&resolve, &sizes, name, structure);
    }
    fs::write(&source, text + "}\n").unwrap();
    let Some(built) = build(&root) else { return };
    built.unwrap();
}

/// Uses every function that the host offers.
const EVERYTHING: &str = r#"
const std = @import("std");
const pc = @import("portcullis");

pub fn configure(_: std.mem.Allocator, _: []const u8) !void {}

pub fn inspect(arena: std.mem.Allocator, call: pc.Call) ![]const pc.Finding {
    const sum = try pc.state.increment(call.agent, 1, 60);
    const old = try pc.state.get("key");
    _ = try pc.state.replace("key", old, null, 0);
    try pc.labels.add("seen", call.tool);
    const answer = try (try pc.judge.ask("template", pc.labels.all())).unwrap();
    const response = try (try pc.http.send(.{ .url = pc.payload.raw() })).unwrap();
    const secret = try pc.secrets.placeholder("name");
    const text = try pc.files.read("folder/file");
    std.log.info("{d} {d} {s} {d} {s} {s}", .{ sum, pc.clock.nowMs(), answer, response.status, secret, text });
    const names = try std.mem.concat(arena, []const u8, &.{ try pc.files.entries("folder"), pc.payload.names() });
    return if (names.len > 0) pc.fail("{s}", .{names[0]}) else &.{};
}
"#;

#[test]
fn every_function_of_the_host_is_imported_when_it_is_used_and_must_be_asked_for() {
    let (_folder, root) = project(Role::Detector);
    fs::write(root.join("src/plugin.zig"), EVERYTHING).unwrap();
    let Some(built) = build(&root) else { return };
    let error = built.unwrap_err();
    assert!(matches!(&error, BuildError::Component(ComponentError::NotAsked { ask, .. }) if ask == "clock"), "{error}");
    let manifest = root.join("plugin.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let asks = ["clock", "files", "http", "judge", "labels", "secrets", "state"];
    fs::write(&manifest, text.replace("asks = []", &format!("asks = {asks:?}"))).unwrap();
    let built = build(&root).unwrap().unwrap();
    assert_eq!(built.asks.iter().collect::<Vec<_>>(), asks);
}

#[test]
fn what_the_compiler_says_reaches_the_author() {
    let (_folder, root) = project(Role::Detector);
    let source = root.join("src/plugin.zig");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, text.replace("return findings.items;", "return nonsense;")).unwrap();
    let Some(built) = build(&root) else { return };
    let error = built.unwrap_err().to_string();
    assert!(error.contains("undeclared identifier 'nonsense'") && error.contains("src/plugin.zig:"), "{error}");
    fs::write(&source, text.replace("pub fn inspect", "pub fn decide")).unwrap();
    build(&root).unwrap().unwrap_err();
}

/// The zig of this checkout, of the environment, or of the path.
fn zig() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PORTCULLIS_ZIG") {
        return Some(named.into());
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
    let environments = ["guest-python", "python"].map(|name| tools.join(name).join("lib"));
    let versions = environments.iter().filter_map(|lib| fs::read_dir(lib).ok()).flatten().flatten();
    let packages: Vec<PathBuf> = versions.map(|one| one.path().join("site-packages/ziglang")).collect();
    tool::find(&["zig"], &packages)
}

#[test]
fn the_sdk_passes_its_own_tests() {
    let Some(zig) = zig() else {
        println!("not tested: there is no zig");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk-guest/zig/sdk/portcullis.zig");
    let done = Command::new(zig).arg("test").arg(sdk).arg("--cache-dir").arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.contains("1 tests passed"), "{said}");
}

#[test]
fn zig_compiles_c_too() {
    let Some(zig) = zig() else {
        println!("not tested: there is no zig");
        return;
    };
    // Another process, as the environment decides.
    let tests = std::env::current_exe().unwrap();
    let done = Command::new(tests)
        .args(["--exact", "c_with_what_the_environment_names", "--include-ignored", "--nocapture"])
        .env("PORTCULLIS_ZIG", zig)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(String::from_utf8_lossy(&done.stdout).contains("with zig cc"), "{done:?}");
}

#[test]
#[ignore = "run by zig_compiles_c_too with its environment"]
fn c_with_what_the_environment_names() {
    for role in [Role::Detector, Role::Rule, Role::Router] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("sample");
        create(&NewProject { name: "sample", language: Language::C, role, folder: &root }).unwrap();
        let built = Project::open(&root).unwrap().build(&|line| println!("{line}")).unwrap();
        assert!(built.component.len() < 60_000, "{}", built.component.len());
        assert!(built.asks.is_empty(), "{:?}", built.asks);
        // The stand-in for WASI is a module of its own, with a memory of the first to share.
        assert!(!built.component.windows(10).any(|bytes| bytes == b"random_get"));
    }
}
