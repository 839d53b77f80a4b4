//! A plugin in every language, from the template to a judged call, by the command line as an author uses it.
//!
//! `cargo xtask setup` installs the tools; Zig and AssemblyScript are tried where theirs are there.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use portcullis_model::Digest;
use serde_json::{Value, json};
use test_suite::{Client, Mode, Place, Projects, Registry, Server, Setup, binary, printed, root};

const ROLES: [&str; 3] = ["detector", "rule", "router"];

fn projects() -> Projects {
    Projects::new("languages").unwrap()
}

fn portcullis(folder: &Path, arguments: &[&str]) -> Output {
    projects().portcullis(folder, arguments).unwrap()
}

fn new(language: &str, role: &str, name: &str) -> PathBuf {
    projects().make(language, role, name).unwrap()
}

/// Runs cases of a project; what is printed as JSON.
fn test(folder: &Path, more: &[&str]) -> Value {
    // Fuel is the limit that is tested; machines that run tests are busy.
    let mut arguments = vec!["plugin", "test", "--json", "--deadline-ms", "20000"];
    arguments.extend(more);
    let run = portcullis(folder, &arguments);
    let report: Value = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{}", printed(&run)));
    let failed: Vec<&Value> = report["cases"].as_array().unwrap().iter().filter(|one| one["passed"] != true).collect();
    assert!(failed.is_empty() && run.status.success(), "{} fail: {failed:#?}", failed.len());
    report
}

/// What is too long for a file of cases: a text of 1 MiB, and a great many values.
fn large(role: &str) -> Value {
    let text = format!("{} plutonium", "lorem ipsum ".repeat(1024 * 1024 / 12));
    let list: Vec<u32> = (0..20_000).collect();
    match role {
        "detector" => json!([
            { "name": "1 MiB of text", "config": { "words": ["plutonium"] }, "payload": { "t": text },
              "expect": { "count": 1, "findings": [{ "category": "word.forbidden", "pointer": "/t", "text": "plutonium" }] } },
            { "name": "no more than a hundred findings", "config": { "words": ["x"] }, "payload": { "t": "x".repeat(5_000) },
              "expect": { "count": 100, "findings": [{ "category": "word.forbidden", "pointer": "/t", "text": "x" }] } },
            { "name": "many numbers", "config": { "words": ["x"] }, "payload": list, "expect": { "count": 0, "findings": [] } },
        ]),
        "rule" => json!([
            { "name": "1 MiB of text", "config": { "review_over": 1 }, "payload": { "t": text, "amount": 2 },
              "expect": { "decision": "review", "messages": ["the amount 2 is large"] } },
        ]),
        _ => json!([
            { "name": "1 MiB of text", "config": { "approvers": ["approver"] }, "payload": { "t": text },
              "expect": { "plan": { "quorum": 1 } } },
        ]),
    }
}

/// All three roles: made from the template, built, and judged by the cases that all languages share.
fn language(language: &str) {
    for role in ROLES {
        let folder = new(language, role, &format!("{language}-{role}"));
        let shared = test(&folder, &[]);
        assert!(shared["passed"].as_u64().unwrap() >= 14, "{shared}");
        let more = folder.join("large");
        fs::create_dir_all(&more).unwrap();
        fs::write(more.join("large.json"), large(role).to_string()).unwrap();
        let large = test(&folder, &["--no-build", "--cases", more.to_str().unwrap()]);
        let fuel: Vec<_> = large["cases"].as_array().unwrap().iter().map(|case| case["fuel"].clone()).collect();
        println!("{language} {role}: {} cases, large ones took {fuel:?} fuel", shared["passed"]);
    }
    let detector = projects().folder().join(format!("{language}-detector"));
    installed(&detector, language);
    shown(&detector, language);
}

/// The shortest plugin of the language's page, in place of the author's file, finds what the page shows.
fn shown(project: &Path, language: &str) {
    let page = fs::read_to_string(root().join(format!("docs/plugins/{language}.md"))).unwrap();
    let fence = if language == "assemblyscript" { "ts" } else { language };
    let between = |begin: &str| page.split_once(begin).unwrap().1.split_once("```").unwrap().0;
    fs::write(project.join(Projects::source(language)), between(&format!("```{fence}\n"))).unwrap();
    let output = between("$ portcullis plugin run --arguments '{\"a\": \"Pure Plutonium\"}'\n");
    let expected: Value = serde_json::from_str(&output[output.find('{').unwrap()..]).unwrap();
    let arguments = ["plugin", "run", "--deadline-ms", "20000", "--arguments", r#"{"a": "Pure Plutonium"}"#];
    let run = portcullis(project, &arguments);
    let answer: Value = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{}", printed(&run)));
    assert_eq!(answer["findings"], expected["findings"]);
    assert_eq!(answer["findings"].as_array().unwrap().len(), 1);
}

/// Runs `portcullis plugin …` in a folder; its JSON.
fn done(folder: &Path, arguments: &[&str]) -> Value {
    let run = portcullis(folder, &[&["plugin"], arguments, &["--json"]].concat());
    assert!(run.status.success(), "{arguments:?}: {}", printed(&run));
    serde_json::from_slice(&run.stdout).unwrap()
}

/// From the author to a tenant: pushed and signed, verified, pulled, put in force in a server that runs, and asked about a real
/// client's call.
fn installed(project: &Path, language: &str) {
    let Some(registry) = Registry::start().unwrap() else { return };
    let component = format!("build/{language}-detector.wasm");
    let _ = fs::remove_file(project.join("author.key"));
    let _ = fs::remove_file(project.join("author.pub"));
    done(project, &["keygen", "--output", "author"]);
    let reference = format!("oci://{}/{language}/words:0.1.0", registry.host);
    let pushed = done(project, &["push", &component, &reference, "--key", "author.key"]);
    assert_eq!(done(project, &["verify", &reference, "--key", "author.pub"])["good"], true);
    let pulled = done(project, &["pull", &reference, "--output", "pulled.wasm", "--key", "author.pub"]);
    assert_eq!(pulled["digest"], pushed["digest"]);

    let token = "pct_a_token_of_this_test";
    let book = project.join("book");
    let _ = fs::remove_file(&book);
    let bank = root().join("tests/suite/tests/bank_server.py");
    let bank = ["python3".to_owned(), bank.display().to_string(), book.display().to_string()];
    let config = |plugins: &str| {
        format!(
            "[[upstream]]\nname = \"bank\"\ncommand = {bank:?}\n\n[[tenant]]\nname = \"acme\"\n\n[tenant.trust]\nkeys = \
             [\"author.pub\"]\n{plugins}\n[[tenant.plugins]]\nname = \"rule-baseline\"\nconfig = {{ builtin = false, review_tools = [], rules = \
             [{{ categories = [\"word.*\"], min_score = 0.5, verdict = \"deny\", code = \"forbidden_word\", message = \"it names \
             something secret\" }}] }}\n\n[[tenant.agent]]\nname = \"bot\"\ntoken_sha256 = [\"{}\"]\n",
            Digest::of(token.as_bytes())
        )
    };
    let files = vec![("author.pub".to_owned(), fs::read(project.join("author.pub")).unwrap())];
    let setup = Setup { config: Some(config("")), files, warm: true, ..Setup::default() };
    let server = Server::start(&setup).unwrap();
    let steps = json!({
        "fine": ["call", "wire_transfer", { "amount": 5, "note": "lunch" }],
        "secret": ["call", "wire_transfer", { "amount": 6, "note": "pure PLUTONIUM" }],
    });
    let at = Place::Http(format!("{}/mcp/bank", server.url), token.to_owned());
    let before = Client::Python.session(&at, Mode::Legacy, &steps).unwrap();
    assert_eq!(
        (&before["steps"]["fine"]["error"], &before["steps"]["secret"]["error"]),
        (&json!(false), &json!(false))
    );

    // Put in force while it runs; a busy machine may take its time for one call, and an interpreter for its first.
    let words = format!(
        "\n[[tenant.plugins]]\nname = \"words\"\nplugin = \"{reference}\"\nconfig = {{ words = [\"plutonium\"] }}\nlimits = {{ \
         fuel = 1000000000, deadline_ms = 20000 }}\n"
    );
    fs::write(server.folder().join("portcullis.toml"), config(&words)).unwrap();
    while server.errors().unwrap().matches("generation activated").count() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let after = Client::Python.session(&at, Mode::Legacy, &steps).unwrap();
    let (fine, secret) = (&after["steps"]["fine"], &after["steps"]["secret"]);
    assert_eq!((&fine["error"], &fine["text"]), (&json!(false), &json!("it ran")));
    assert!(
        secret["error"] == true && secret["text"].as_str().unwrap().contains("it names something secret"),
        "{secret}"
    );
    assert_eq!(fs::read_to_string(&book).unwrap().lines().count(), 3, "a denied call does not run");
}

#[test]
fn rust() {
    language("rust");
}

#[test]
fn typescript() {
    language("ts");
}

#[test]
fn javascript() {
    language("js");
}

#[test]
fn python() {
    language("python");
}

#[test]
fn go() {
    language("go");
}

#[test]
fn c() {
    language("c");
}

#[test]
fn zig() {
    if_installed("zig");
}

#[test]
fn assemblyscript() {
    if_installed("assemblyscript");
}

fn if_installed(name: &str) {
    if projects().can(name) { language(name) } else { println!("{name} is not installed: not tried") }
}

#[test]
fn a_folder_that_exists_is_left_alone() {
    let folder = new("rust", "detector", "exists");
    let source = folder.join("src/lib.rs");
    fs::write(&source, "mine").unwrap();
    let again = portcullis(projects().folder(), &["plugin", "new", "exists", "--lang", "go"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(printed(&again).contains("there is something already"), "{}", printed(&again));
    assert_eq!(fs::read_to_string(source).unwrap(), "mine");
    assert!(!folder.join("go.mod").exists());
    let bad = portcullis(projects().folder(), &["plugin", "new", "two words", "--lang", "go"]);
    assert!(printed(&bad).contains("\"two words\""), "{}", printed(&bad));
    let bad = portcullis(projects().folder(), &["plugin", "new", "words", "--lang", "cobol"]);
    assert!(printed(&bad).contains("there is no language \"cobol\""), "{}", printed(&bad));
}

#[test]
fn a_tool_that_fails_half_way_shows_what_it_said_and_leaves_the_component_alone() {
    let folder = new("rust", "detector", "half");
    let built = portcullis(&folder, &["plugin", "build", "--json"]);
    let about: Value = serde_json::from_slice(&built.stdout).unwrap_or_else(|_| panic!("{}", printed(&built)));
    assert_eq!((&about["role"], &about["tier"]), (&json!("detector"), &json!("sealed")));
    let component = fs::read(folder.join("build/half.wasm")).unwrap();
    let source = folder.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, text.replace("let mut findings = Vec::new();", "let mut findings = nonsense();")).unwrap();
    let broken = portcullis(&folder, &["plugin", "build"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(printed(&broken).contains("nonsense") && printed(&broken).contains("src/lib.rs"), "{}", printed(&broken));
    assert_eq!(fs::read(folder.join("build/half.wasm")).unwrap(), component);

    // What is asked for is what may be used.
    fs::write(&source, format!("{text}\npub fn now() -> u64 {{\n    portcullis_plugin::clock::now_ms()\n}}\n"))
        .unwrap();
    let text = text.replace(
        "let mut findings = Vec::new();",
        "let mut findings = Vec::with_capacity(portcullis_plugin::clock::now_ms() as usize % 2);",
    );
    fs::write(&source, text).unwrap();
    let unasked = portcullis(&folder, &["plugin", "build"]);
    assert!(printed(&unasked).contains("add \"clock\" to asks in plugin.toml"), "{}", printed(&unasked));
    let manifest = fs::read_to_string(folder.join("plugin.toml")).unwrap();
    fs::write(folder.join("plugin.toml"), manifest.replace("asks = []", "asks = [\"clock\"]")).unwrap();
    let asked = portcullis(&folder, &["plugin", "build"]);
    assert!(asked.status.success() && printed(&asked).contains("asks      clock"), "{}", printed(&asked));

    // Another role's world.
    fs::write(folder.join("plugin.toml"), manifest.replace("role = \"detector\"", "role = \"rule\"")).unwrap();
    let other = portcullis(&folder, &["plugin", "build"]);
    assert!(printed(&other).contains("plugin.toml says rule, but the component exports"), "{}", printed(&other));
}

#[test]
fn a_strangers_project_neither_writes_nor_reads_outside_itself() {
    let folder = new("c", "detector", "strange");
    let victim = projects().folder().join("strange-victim");
    fs::write(&victim, "{\"mine\": 1}").unwrap();
    let link = |at: &str| {
        let at = folder.join(at);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&at);
        std::os::unix::fs::symlink(&victim, &at).unwrap();
        at
    };
    let refused = |arguments: &[&str], why: &str| {
        let run = portcullis(&folder, arguments);
        assert!(!run.status.success() && printed(&run).contains(why), "{}", printed(&run));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "{\"mine\": 1}");
    };
    let at = link("build/strange.new");
    refused(&["plugin", "build"], "is a symbolic link");
    fs::remove_file(at).unwrap();
    let manifest = fs::read_to_string(folder.join("plugin.toml")).unwrap();
    let schema = folder.join("config.schema.json");
    fs::remove_file(&schema).unwrap();
    link("config.schema.json");
    refused(&["plugin", "build"], "must be a file in the project's folder");
    fs::remove_file(&schema).unwrap();
    let without: Vec<&str> = manifest.lines().filter(|line| !line.starts_with("config_schema")).collect();
    let asking = without.join("\n").replace("asks = []", "asks = [\"files\"]");
    fs::write(folder.join("plugin.toml"), asking).unwrap();
    link("cases/files/rules");
    refused(&["plugin", "test"], "is not a folder");
    fs::remove_file(folder.join("plugin.toml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("plugin.toml")).unwrap();
    refused(&["plugin", "build"], "is not a file");
}

#[test]
fn what_strangers_write_into_a_component_does_not_reach_the_terminal_as_it_is() {
    let folder = new("c", "detector", "c-terminal");
    assert!(portcullis(&folder, &["plugin", "build"]).status.success());
    let path = folder.join("build/c-terminal.wasm");
    let bytes = fs::read(&path).unwrap();
    let name = b"\"name\":\"c-terminal\"";
    let at = bytes.windows(name.len()).position(|part| part == name).unwrap();
    let mut changed = bytes.clone();
    changed[at..at + name.len()].copy_from_slice(b"\"name\":\"\\u001b[31m\"");
    fs::write(&path, changed).unwrap();
    let shown = printed(&portcullis(&folder, &["plugin", "inspect", "build/c-terminal.wasm"]));
    assert!(shown.contains("[31m") && !shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn what_a_plugin_says_of_its_configuration_reaches_its_author_word_for_word() {
    let folder = new("rust", "rule", "refusing");
    let run = portcullis(&folder, &["plugin", "run", "--config", r#"{"review_over": -1}"#]);
    assert_eq!(run.status.code(), Some(1));
    assert!(printed(&run).contains("review_over: give a number of at least 0"), "{}", printed(&run));
    let run =
        portcullis(&folder, &["plugin", "run", "--config", r#"{"review_over": 1}"#, "--arguments", r#"{"amount": 2}"#]);
    let answer: Value = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{}", printed(&run)));
    assert_eq!((&answer["decision"], &answer["reasons"][0]["code"]), (&json!("review"), &json!("large_amount")));
    let bench =
        portcullis(&folder, &["plugin", "bench", "--no-build", "--calls", "20", "--json", "--deadline-ms", "20000"]);
    let figures: Value = serde_json::from_slice(&bench.stdout).unwrap_or_else(|_| panic!("{}", printed(&bench)));
    assert!(figures["fuel"].as_u64().unwrap() > 0 && figures["p50_micros"].as_u64().unwrap() > 0, "{figures}");
}

#[test]
fn a_case_that_fails_says_how_and_the_exit_code_says_so() {
    let folder = new("rust", "router", "failing");
    fs::write(
        folder.join("cases/own.json"),
        r#"{"name": "mine", "config": {"approvers": ["a"]}, "expect": {"plan": {"quorum": 3}}}"#,
    )
    .unwrap();
    let run = portcullis(&folder, &["plugin", "test", "--deadline-ms", "20000"]);
    assert_eq!(run.status.code(), Some(2), "{}", printed(&run));
    assert!(printed(&run).contains("FAIL") && printed(&run).contains("quorum") && printed(&run).contains("1 failed"));
    fs::write(folder.join("cases/own.json"), "{\"name\": ").unwrap();
    let run = portcullis(&folder, &["plugin", "test", "--no-build"]);
    assert!(printed(&run).contains("own.json: not a case"), "{}", printed(&run));
}

/// `plugin test --watch`, running.
struct Watch {
    child: Child,
    lines: Receiver<String>,
    /// What was printed since the last verdict.
    told: Vec<String>,
}

impl Watch {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(binary().unwrap());
        command.args(["plugin", "test", "--watch", "--deadline-ms", "20000"]).current_dir(folder);
        command
            .env("CARGO_TARGET_DIR", projects().folder().join("cargo"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (to, lines) = channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let to = to.clone();
            std::thread::spawn(move || {
                BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| to.send(line))
            });
        }
        Self { child, lines, told: Vec::new() }
    }

    /// Waits until a line holds this; what was printed since the last verdict, that line included.
    fn until(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(400));
            let line = line.unwrap_or_else(|_| panic!("no line with {text:?} after:\n{}", self.told.join("\n")));
            self.told.push(line);
            if self.told.last().unwrap().contains(text) {
                return self.told.join("\n");
            }
        }
    }

    /// The next verdict.
    fn verdict(&mut self) -> String {
        let told = self.until("waiting for a change");
        self.told.clear();
        told
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_save_is_judged_also_one_while_a_round_runs() {
    let folder = new("rust", "detector", "watched");
    let source = folder.join("src/lib.rs");
    let good = fs::read_to_string(&source).unwrap();
    let other = good.replace("a forbidden word", "another text");
    assert_ne!(good, other);
    let mut watch = Watch::start(&folder);
    let first = watch.verdict();
    assert!(first.contains("cases, all passed") && !first.contains("development loader"), "{first}");

    fs::write(&source, &other).unwrap();
    let changed = watch.verdict();
    assert!(changed.contains("another text") && changed.contains(" failed;"), "{changed}");

    fs::write(&source, good.replace("let mut findings", "let mut findings findings")).unwrap();
    let broken = watch.verdict();
    assert!(broken.contains("error: ") && broken.contains("src/lib.rs"), "{broken}");
    fs::write(&source, &good).unwrap();
    let mended = watch.verdict();
    assert!(mended.contains("cases, all passed"), "{mended}");

    // The same content is no change; a case is one, but nothing has to be built for it.
    fs::write(&source, &good).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let case = r#"{"name": "mine", "config": {"words": ["x"]}, "payload": "x", "expect": {"count": 2}}"#;
    fs::write(folder.join("cases/own.json"), case).unwrap();
    let own = watch.verdict();
    assert!(own.contains("1 findings, expected 2") && !own.contains("cargo build"), "{own}");
    fs::remove_file(folder.join("cases/own.json")).unwrap();
    assert!(watch.verdict().contains("cases, all passed"));

    // A schema that says something else than the plugin.
    let schema = folder.join("config.schema.json");
    let said = fs::read_to_string(&schema).unwrap();
    fs::write(&schema, said.replacen("\"words\"", "\"phrases\"", 1)).unwrap();
    let stale = watch.verdict();
    assert!(stale.contains("its schema does not") && stale.contains(" failed;"), "{stale}");
    fs::write(&schema, said).unwrap();
    assert!(watch.verdict().contains("cases, all passed"));

    // Saved while the round of the save before runs.
    fs::write(&source, &other).unwrap();
    watch.until("cargo build");
    fs::write(&source, good.replace("a forbidden word", "a third text")).unwrap();
    watch.verdict();
    let last = watch.verdict();
    assert!(last.contains("a third text") && !last.contains("another text"), "{last}");
}

/// A new detector that is watched and loaded from its source, which the language's tool is not needed for. The file, and what is
/// in it; another text was just judged.
fn watched(language: &str, file: &str, tool: &str) -> (Watch, PathBuf, String) {
    let folder = new(language, "detector", &format!("watched-{language}"));
    let source = folder.join(file);
    let good = fs::read_to_string(&source).unwrap();
    let mut watch = Watch::start(&folder);
    let first = watch.verdict();
    assert!(first.contains("27 cases, all passed") && first.contains("development loader"), "{first}");

    fs::write(&source, good.replace("a forbidden word", "another text")).unwrap();
    let changed = watch.verdict();
    assert!(changed.contains("another text") && changed.contains(" failed;"), "{changed}");
    assert!(!changed.contains(tool), "the tool runs once: {changed}");
    (watch, source, good)
}

#[test]
fn a_watched_plugin_in_javascript_is_loaded_from_its_source() {
    let (mut watch, source, good) = watched("js", "src/plugin.js", "componentize-qjs");
    fs::write(&source, format!("{good}\nfunction (")).unwrap();
    let broken = watch.verdict();
    assert!(broken.contains("esbuild failed") && broken.contains("src/plugin.js:"), "{broken}");
    fs::write(&source, format!("{good}\nthrow new TypeError(\"at the top\");\n")).unwrap();
    let thrown = watch.verdict();
    assert!(thrown.contains("the plugin cannot be loaded") && thrown.contains("TypeError: at the top"), "{thrown}");
    fs::write(&source, &good).unwrap();
    let mended = watch.verdict();
    assert!(mended.contains("27 cases, all passed") && mended.contains("development loader"), "{mended}");
}

#[test]
fn a_watched_plugin_in_python_is_loaded_from_its_source() {
    let (mut watch, source, good) = watched("python", "src/plugin.py", "componentize-py");
    fs::write(&source, format!("{good}\ndef broken(:\n")).unwrap();
    let broken = watch.verdict();
    assert!(broken.contains("File \"src/plugin.py\"") && broken.contains("SyntaxError: invalid syntax"), "{broken}");
    fs::write(&source, format!("{good}\nraise ValueError(\"at the top\")\n")).unwrap();
    let raised = watch.verdict();
    assert!(raised.contains("in <module>") && raised.contains("ValueError: at the top"), "{raised}");

    // What the loader does not have yet is put into it; a module of the project is none of these.
    fs::write(source.with_file_name("own.py"), "import shlex\n\nquoted = shlex.quote\n").unwrap();
    fs::write(&source, format!("import own\n{good}\nassert own.quoted(\"a b\") == \"'a b'\"\n")).unwrap();
    assert!(watch.until("the source imports").contains("shlex"));
    watch.until("cases, all passed");
    watch.verdict();
    // What only a build can do is left to one, which says what is wrong.
    fs::write(&source, format!("import no_such_module\n{good}")).unwrap();
    let missing = watch.verdict();
    assert!(missing.contains("No module named 'no_such_module'"), "{missing}");
    fs::write(&source, &good).unwrap();
    let mended = watch.verdict();
    assert!(mended.contains("27 cases, all passed") && mended.contains("development loader"), "{mended}");
}
