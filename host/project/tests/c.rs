//! The SDK for C, natively under the sanitizers, and what the compiler for WebAssembly makes of it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portcullis_model::Role;
use portcullis_project::tool::ToolError;
use portcullis_project::{BuildError, Built, ComponentError, Contract, Language, NewProject, Project, create};
use serde_json::Value;
use wit_parser::{SizeAlign, Type, TypeDefKind};

fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk-guest/c")
}

/// The tests of the SDK, compiled for this machine. Whoever builds Rust here has a C compiler.
fn check(folder: &Path) -> PathBuf {
    let program = folder.join("check");
    let mut cc = Command::new("cc");
    // gnu11 for `open_memstream`, which the tests use and the SDK does not.
    cc.args(["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]);
    cc.args(["-fno-sanitize-recover=all", "-o"]).arg(&program).arg(sdk().join("tests/check.c")).arg("-lm");
    let done = cc.output().expect("cc, which Rust links with");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    program
}

#[test]
fn the_sdk_passes_its_own_tests_under_the_sanitizers() {
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(check(folder.path())).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Repeatable dice.
struct Dice(u64);

impl Dice {
    fn next(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % sides.max(1)
    }
}

const DOCUMENTS: &[&str] = &[
    r#"{"words":["plutonium","Größe","🔑"],"score":0.25,"deep":[[[{"a":{"b":[]}}]]]}"#,
    r#"["\u0041\/\\\"\b\f\n\r\t","\ud83d\udd11\u00e9\u20ac",true,false,null,{},[],""]"#,
    "[0,-0,1.50,-12345678901234567890.125,1E+4,2e-7,0.0e0,10]",
    " {\t\"a\" :\n1 , \"a\":\r2, \"\":{\"x\":[1 ,2]} } ",
    r#""日本の鍵 \ud800\udc00""#,
];

/// Pieces that make mutated documents interesting.
const PIECES: &[&str] = &[
    "\"", "\\", "\\u", "\\ud83d", "\\udd11", "\\u0000", "{", "}", "[", "]", ",", ":", "-", ".", "e", "E+", "0", "01",
    "1e400", "true", "nul", " ", "\n", "\u{0}", "\u{7f}", "é", "鍵", "🔑", "\"a\":", "[[[[[[[[",
];

fn mutated(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = DOCUMENTS[dice.next(DOCUMENTS.len())].as_bytes().to_vec();
    for _ in 0..dice.next(5) {
        let at = dice.next(bytes.len() + 1);
        match dice.next(6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = u8::try_from(dice.next(256)).unwrap(),
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            3 => {
                let end = (at + dice.next(12)).min(bytes.len());
                let copied = bytes[at..end].to_vec();
                let to = dice.next(bytes.len() + 1);
                bytes.splice(to..to, copied);
            }
            _ => {
                bytes.splice(at..at, PIECES[dice.next(PIECES.len())].bytes());
            }
        }
    }
    bytes
}

#[test]
fn the_json_reader_agrees_with_another_one_about_thousands_of_broken_documents() {
    let folder = tempfile::tempdir().unwrap();
    let program = check(folder.path());
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let documents: Vec<Vec<u8>> = (0..30_000).map(|_| mutated(&mut dice)).collect();
    let given = folder.path().join("given");
    let with_length = |bytes: &Vec<u8>| [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat();
    fs::write(&given, documents.iter().flat_map(with_length).collect::<Vec<u8>>()).unwrap();
    let done = Command::new(program).arg("dump").stdin(Stdio::from(File::open(given).unwrap())).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let mut rest = done.stdout.as_slice();
    let (mut taken, mut refused) = (0, 0);
    for document in &documents {
        let (head, behind) = rest.split_first_chunk::<4>().unwrap();
        let len = u32::from_le_bytes(*head);
        let shown = String::from_utf8_lossy(document);
        let other = serde_json::from_slice::<Value>(document);
        // Numbers that fit no double are numbers all the same.
        if other.as_ref().is_err_and(|error| error.to_string().starts_with("number out of range")) {
            let len = if len == u32::MAX { 0 } else { usize::try_from(len).unwrap() };
            rest = &behind[len..];
            continue;
        }
        if len == u32::MAX {
            rest = behind;
            refused += 1;
            assert!(other.is_err(), "refused, but read elsewhere: {shown}");
            continue;
        }
        let (dumped, behind) = behind.split_at(usize::try_from(len).unwrap());
        rest = behind;
        taken += 1;
        let other = other.unwrap_or_else(|error| panic!("read, but refused elsewhere ({error}): {shown}"));
        let read: Value = serde_json::from_slice(dumped).unwrap();
        assert_eq!(read, other, "read in another way: {shown}");
    }
    assert!(rest.is_empty());
    assert!(taken > 5_000 && refused > 5_000, "{taken} taken, {refused} refused");
}

/// A new project in C below cargo's folder for tests, so that the tools of this checkout are found; it goes with the first.
fn project(role: Role) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = folder.path().join("sample");
    create(&NewProject { name: "sample", language: Language::C, role, folder: &root }).unwrap();
    (folder, root)
}

/// What the build says; none if this machine has no compiler for it.
fn build(root: &Path) -> Option<Result<(Built, String), BuildError>> {
    let said = std::cell::RefCell::new(String::new());
    let built = Project::open(root).unwrap().build(&|line| writeln!(said.borrow_mut(), "{line}").unwrap());
    if let Err(BuildError::Tool(error @ ToolError::Missing { .. })) = &built {
        println!("not tested: {error}");
        return None;
    }
    Some(built.map(|built| (built, said.into_inner())))
}

/// Compile-time checks that the fields of a structure in C lie where the contract has them.
fn layout(resolve: &wit_parser::Resolve, sizes: &SizeAlign, name: &str, structure: &str) -> String {
    let (_, named) = resolve.types.iter().find(|(_, one)| one.name.as_deref() == Some(name)).unwrap();
    let TypeDefKind::Record(record) = &named.kind else { panic!("{name} is no record") };
    let types: Vec<Type> = record.fields.iter().map(|field| field.ty).collect();
    let mut checks = String::new();
    for (field, (offset, _)) in record.fields.iter().zip(sizes.field_offsets(types.iter())) {
        let (field, offset) = (field.name.replace('-', "_"), offset.size_wasm32());
        writeln!(checks, "_Static_assert(offsetof({structure}, {field}) == {offset}, \"{name}.{field}\");").unwrap();
    }
    let size = sizes.record(types.iter()).size.size_wasm32();
    writeln!(checks, "_Static_assert(sizeof({structure}) == {size}, \"size of {name}\");").unwrap();
    checks
}

#[test]
fn the_structures_lie_as_the_contract_says() {
    for role in [Role::Detector, Role::Rule, Role::Router] {
        let (_folder, root) = project(role);
        let (resolve, _) = Contract::whole(role).resolve().unwrap();
        let mut sizes = SizeAlign::default();
        sizes.fill(&resolve);
        let mut pairs = vec![("call", "pc_call"), ("span", "pc_span"), ("finding", "pc_finding"), ("text", "pc_text")];
        pairs.extend([
            ("attributed-finding", "pc_seen"),
            ("reason", "pc_reason"),
            ("replacement", "struct replacement"),
        ]);
        pairs.extend([("response", "pc_response"), ("plan", "struct wire_plan"), ("step", "struct wire_step")]);
        let source = root.join("sdk/portcullis.c");
        let mut text = fs::read_to_string(&source).unwrap();
        for (name, structure) in pairs {
            text += &layout(&resolve, &sizes, name, structure);
        }
        fs::write(source, text).unwrap();
        let Some(built) = build(&root) else { return };
        built.unwrap();
    }
}

#[test]
fn a_template_builds_without_a_warning_and_twice_the_same() {
    for role in [Role::Detector, Role::Rule, Role::Router] {
        let (_folder, root) = project(role);
        let Some(first) = build(&root) else { return };
        let (first, said) = first.unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(first.asks.is_empty() && first.component.len() < 40_000, "{:?}, {}", first.asks, first.component.len());
        let (_other, elsewhere) = project(role);
        let (second, _) = build(&elsewhere).unwrap().unwrap();
        assert!(first.component == second.component, "another folder makes another component");
    }
}

#[test]
fn what_the_compiler_says_reaches_the_author() {
    let (_folder, root) = project(Role::Detector);
    let source = root.join("src/plugin.c");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, format!("{text}\nstatic int unused;\n")).unwrap();
    let Some(built) = build(&root) else { return };
    let (_, said) = built.unwrap();
    assert!(said.contains("unused"), "{said}");
    fs::write(&source, text.replace("return true;", "return nonsense;")).unwrap();
    let error = build(&root).unwrap().unwrap_err().to_string();
    assert!(error.contains("nonsense") && error.contains("src/plugin.c:"), "{error}");
    fs::remove_file(&source).unwrap();
    let error = build(&root).unwrap().unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("no .c, .cc or .cpp file"), "{error}: {cause}");
}

#[test]
fn a_capability_must_be_asked_for() {
    let (_folder, root) = project(Role::Detector);
    let source = root.join("src/plugin.c");
    let text = fs::read_to_string(&source).unwrap();
    let texts = "    pc_texts texts = pc_payload_texts();\n";
    let counts = "    uint64_t sum;\n    pc_state_increment(PC(\"k\"), 1, 60, &sum, error);\n";
    let text = text.replace(texts, &[texts, counts].concat());
    fs::write(&source, text).unwrap();
    let Some(built) = build(&root) else { return };
    let error = built.unwrap_err();
    assert!(matches!(&error, BuildError::Component(ComponentError::NotAsked { ask, .. }) if ask == "state"), "{error}");
    let manifest = root.join("plugin.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("asks = []", "asks = [\"state\"]")).unwrap();
    let (built, _) = build(&root).unwrap().unwrap();
    assert!(built.asks.contains("state"));
}

/// Uses every function that the host offers.
const EVERYTHING: &str = r#"
#include "portcullis.h"

bool plugin_configure(pc_string config, pc_error *error) {
    return pc_json_parse(config) != NULL || pc_fail(error, PC("no JSON"));
}

bool plugin_inspect(const pc_call *call, pc_report *report, pc_error *error) {
    uint64_t sum;
    pc_optional old;
    bool replaced;
    pc_string answer, secret, bytes;
    pc_strings names;
    pc_request request = {PC("GET"), pc_payload_raw(), {NULL, 0}, PC("")};
    pc_response response;
    pc_log_info(PC_TEXT(pc_decimal(pc_clock_now_ms()), pc_decimal(pc_payload_names().len)));
    return pc_state_increment(call->agent, 1, 60, &sum, error) && pc_state_get(PC("key"), &old, error) &&
           pc_state_replace(PC("key"), old, pc_none(), 0, &replaced, error) && pc_labels_add(PC("a"), PC("b"), error) &&
           pc_judge_ask(PC("template"), pc_labels_all(), &answer, NULL, error) &&
           pc_http_send(&request, &response, NULL, error) && pc_secrets_placeholder(PC("name"), &secret, error) &&
           pc_files_read(PC("folder/file"), &bytes, error) && pc_files_entries(PC("folder"), &names, error);
}
"#;

#[test]
fn every_function_of_the_host_is_imported_when_it_is_used() {
    let (_folder, root) = project(Role::Detector);
    fs::write(root.join("src/plugin.c"), EVERYTHING).unwrap();
    let manifest = root.join("plugin.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let asks = ["clock", "files", "http", "judge", "labels", "secrets", "state"];
    fs::write(&manifest, text.replace("asks = []", &format!("asks = {asks:?}"))).unwrap();
    let Some(built) = build(&root) else { return };
    let (built, said) = built.unwrap();
    assert_eq!(built.asks.iter().collect::<Vec<_>>(), asks);
    assert_eq!(said.lines().count(), 1, "{said}");
}

const IN_CPP: &str = r#"
#include "portcullis.h"

namespace {
pc_string word;
}

extern "C" bool plugin_configure(pc_string config, pc_error *error) {
    const pc_json *given = PC_CONFIG(config, error, "word");
    const pc_json *member = pc_json_member(given, PC("word"));
    word = member != nullptr ? member->string : PC("plutonium");
    return given != nullptr;
}

extern "C" bool plugin_inspect(const pc_call *, pc_report *report, pc_error *) {
    auto texts = pc_payload_texts();
    for (size_t i = 0; i < texts.len; i++) {
        auto at = pc_find(texts.ptr[i].value, word, 0);
        if (at != PC_NOWHERE) {
            pc_report_at(report, PC("word.forbidden"), 0.9f, PC_TEXT(PC("a word: "), word), pc_span_at(i, at, at + word.len));
        }
    }
    return true;
}
"#;

#[test]
fn plugins_are_written_in_cpp_too() {
    let (_folder, root) = project(Role::Detector);
    fs::remove_file(root.join("src/plugin.c")).unwrap();
    fs::write(root.join("src/plugin.cc"), IN_CPP).unwrap();
    let Some(built) = build(&root) else { return };
    let (_, said) = built.unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
}
