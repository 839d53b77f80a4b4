//! Pipelines that change under a running server: going back, changes at once, a crash in between, plugins that keep failing.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_suite::{Answer, Server, Setup, ledger, root};

const BOT: &str = "bot-token";
const ANN: &str = "ann-token";
/// A viewer.
const BOB: &str = "bob-token";

const PEOPLE: &str = r#"
[[tenant.agent]]
name = "bot"
token_sha256 = ["sha256:df27f9beb68b7766af3ab2cd7eeefe0c759ca4d085db8b2235811ad36f27cd1c"]

[[tenant.operator]]
name = "ann"
roles = ["admin"]
token_sha256 = ["sha256:dfa603dfa2ef13eb23a30434d7feef5de20829cb6c5181623c8028a74eaf4971"]

[[tenant.operator]]
name = "bob"
roles = ["viewer"]
token_sha256 = ["sha256:97dd3707015dcf069cf73022ed7173b1165db6eff24b441cb57fd069a8c4e525"]
"#;

fn guest(name: &str) -> String {
    root().join("target/guests").join(name).with_extension("wasm").display().to_string()
}

/// A machine that is busy with other tests is no reason to fail.
const PATIENT: &str = "limits.deadline_ms = 5000";

/// A pipeline whose only rule denies one tool.
fn denying(tool: &str) -> String {
    format!(
        "[[tenant]]\nname = \"default\"\ntrust.unsigned = \"files\"\n\n[[tenant.plugins]]\nname = \"gate\"\nplugin = \"{}\"\nconfig = {{ deny = \"{tool}\" }}\n{PATIENT}\n",
        guest("good_rule")
    ) + PEOPLE
}

fn start(config: String) -> Server {
    Server::start(&Setup { config: Some(config), warm: true, ..Setup::default() }).unwrap()
}

fn ask(server: &Server, method: &str, path: &str, token: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.request(method, path, &headers, body.as_bytes()).unwrap()
}

fn get(server: &Server, path: &str) -> Value {
    ask(server, "GET", path, ANN, &Value::Null).json().unwrap()
}

fn verdict(server: &Server, tool: &str) -> String {
    let answer = ask(server, "POST", "/v1/inspect", BOT, &json!({ "tool": tool })).json().unwrap();
    answer["verdict"].as_str().unwrap().to_owned()
}

/// Writes another configuration and has it read.
fn change(server: &Server, config: &str) -> Answer {
    fs::write(server.folder().join("portcullis.toml"), config).unwrap();
    ask(server, "POST", "/v1/generations", ANN, &Value::Null)
}

fn live(server: &Server) -> String {
    get(server, "/v1/generations")["generations"][0]["generation"].as_str().unwrap().to_owned()
}

/// Who and why, of every activation on record, oldest first.
fn activations(data: &std::path::Path) -> Vec<(String, String, String)> {
    let text = ledger(data, &["show", "--json", "--limit", "1000000"]).unwrap();
    let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let entries = entries.map(|row| row.get("entry").cloned().unwrap_or(row));
    entries
        .filter(|entry| entry["kind"] == "activation")
        .map(|entry| {
            let part = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            (part("agent"), part("note"), part("generation"))
        })
        .collect()
}

#[test]
fn an_operator_goes_back_at_once_and_the_log_says_who_and_why() {
    let server = start(denying("alpha"));
    let first = live(&server);
    assert_eq!(change(&server, &denying("beta")).status, 200);
    let second = live(&server);
    assert_eq!((verdict(&server, "alpha"), verdict(&server, "beta")), ("allow".into(), "deny".into()));

    // Who may look, and who may change.
    assert_eq!(ask(&server, "GET", "/v1/generations/history", BOT, &Value::Null).status, 403);
    for (token, status) in [(BOT, 403), (BOB, 403), ("nobody", 401)] {
        let refused = ask(&server, "POST", "/v1/generations/rollback", token, &Value::Null);
        assert_eq!(refused.status, status, "{token}");
    }
    let values = |token: &str| {
        let found = ask(&server, "GET", "/v1/generations/diff", token, &Value::Null).json().unwrap();
        let changes = found["plugins"][0]["changes"].as_array().unwrap().clone();
        let place = changes.iter().find(|change| change["at"] == "/config/deny").unwrap().clone();
        (place["from"].clone(), place["to"].clone())
    };
    assert_eq!(values(ANN), (json!("alpha"), json!("beta")));
    assert_eq!(values(BOB), (Value::Null, Value::Null), "values of configurations are for administrators");

    let (code, said, errors) = server.portcullis(&["generations", "diff", "--data", "data"]).unwrap();
    assert_eq!(code, 2, "{errors}");
    assert!(said.contains("changed gate") && said.contains(r#"/config/deny: "alpha" -> "beta""#), "{said}");
    let (code, said, errors) = server.portcullis(&["generations", "rollback", "--data", "data"]).unwrap();
    assert_eq!(code, 0, "{errors}");
    assert!(said.starts_with(&format!("in force: {}", &first[7..19])), "{said}");
    assert_eq!((verdict(&server, "alpha"), verdict(&server, "beta")), ("deny".into(), "allow".into()));

    // What is live is not what the file says, and everybody sees it.
    let ready = get(&server, "/readyz");
    let shown = (&ready["generations"][0]["generation"], &ready["generations"][0]["configured"]);
    assert_eq!(shown, (&json!(first), &json!(second)));
    let figures = server.request("GET", "/metrics", &[], b"").unwrap().text();
    assert!(figures.contains("portcullis_generation_held{tenant=\"default\"} 1"), "{figures}");
    assert!(figures.contains("portcullis_activations_total{tenant=\"default\",why=\"rollback\"} 1"), "{figures}");
    let (_, said, _) = server.portcullis(&["generations", "list", "--data", "data"]).unwrap();
    assert!(said.starts_with(&format!("* {}", &first[7..19])) && said.contains("not what the configuration says"));

    // Read again unchanged, it stays; by name there is a way to what the file says.
    assert_eq!(change(&server, &(denying("beta") + "# another comment\n")).status, 200);
    assert_eq!(live(&server), first);
    let path = format!("/v1/generations/{second}/activate");
    let expected = |from: &str| ask(&server, "POST", &path, ANN, &json!({ "from": from })).status;
    assert_eq!((expected(&second), expected(&first), expected(&second)), (409, 200, 409));
    assert_eq!(live(&server), second);
    let unknown = format!("/v1/generations/sha256:{}/activate", "0".repeat(64));
    assert_eq!(ask(&server, "POST", &unknown, ANN, &Value::Null).status, 404);
    assert_eq!(ask(&server, "POST", "/v1/generations/nonsense/activate", ANN, &Value::Null).status, 400);
    assert_eq!(ask(&server, "POST", "/v1/generations/rollback", ANN, &json!({ "to": first })).status, 400);
    assert_eq!(ask(&server, "POST", "/v1/generations/rollback", ANN, &Value::Null).status, 200);

    // After a restart the file counts.
    let config = fs::read_to_string(server.folder().join("portcullis.toml")).unwrap();
    let folder = server.kill().unwrap();
    let server = Server::start_in(folder, &Setup { config: Some(config), ..Setup::default() }).unwrap();
    assert_eq!(live(&server), second);
    assert!(server.errors().unwrap().contains("takes the place of the generation that an operator had put in force"));
    let (folder, _) = server.terminate().unwrap();
    let data = folder.path().join("data");
    let seen = activations(&data);
    let whys: Vec<_> = seen.iter().map(|(who, note, _)| (who.as_str(), note.split(';').next().unwrap())).collect();
    let expected = [
        ("portcullis", "at start"),
        ("ann", "reload"),
        ("portcullis-cli", "rollback"),
        ("ann", "activate"),
        ("ann", "rollback"),
        ("portcullis", "at start"),
    ];
    assert_eq!(whys, expected);
    assert_eq!(seen[2].1, format!("rollback; from {second}; not what the configuration says"));
    assert_eq!(seen[5].1, format!("at start; ann had put {first} in force, until this start"));
    assert!(ledger(&data, &["verify"]).unwrap().contains("good"));
}

#[test]
fn a_change_of_the_file_ends_a_rollback_and_old_generations_go() {
    let keep = |config: String| format!("generations.keep = 2\n{config}");
    let server = start(keep(denying("t0")));
    for number in 1..6 {
        assert_eq!(change(&server, &keep(denying(&format!("t{number}")))).status, 200);
    }
    let history = || {
        let history = get(&server, "/v1/generations/history");
        let names = history["history"].as_array().unwrap().iter().map(|past| past["generation"].clone());
        names.collect::<Vec<_>>()
    };
    let kept = history();
    assert_eq!(kept.len(), 3);
    assert_eq!(ask(&server, "POST", "/v1/generations/rollback", ANN, &Value::Null).status, 200);
    assert_eq!((verdict(&server, "t4"), verdict(&server, "t5")), ("deny".into(), "allow".into()));
    assert_eq!(change(&server, &keep(denying("t6"))).status, 200);
    assert_eq!(verdict(&server, "t6"), "deny");
    assert_eq!(history()[1..], [kept[1].clone(), kept[0].clone()]);
    // A file that is wrong changes nothing.
    assert_eq!(change(&server, "nonsense").status, 422);
    assert_eq!(verdict(&server, "t6"), "deny");
    let (folder, _) = server.terminate().unwrap();
    let seen = activations(&folder.path().join("data"));
    assert!(seen.last().unwrap().1.ends_with("; the configuration changed, so it counts again"), "{seen:?}");
}

#[test]
fn of_changes_that_come_at_once_each_is_done_whole_or_refused() {
    let server = start(denying("alpha"));
    assert_eq!(change(&server, &denying("beta")).status, 200);
    assert_eq!(change(&server, &denying("gamma")).status, 200);
    let names: Vec<String> = get(&server, "/v1/generations/history")["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|past| past["generation"].as_str().unwrap().to_owned())
        .collect();
    let (done, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for worker in 0..6 {
            let (server, names, done, refused) = (&server, &names, &done, &refused);
            scope.spawn(move || {
                for round in 0..20 {
                    let path = match (worker + round) % 3 {
                        0 => "/v1/generations/rollback".to_owned(),
                        1 => format!("/v1/generations/{}/activate", names[round % 3]),
                        // The whole way: read, build, swap.
                        _ => "/v1/generations".to_owned(),
                    };
                    match ask(server, "POST", &path, ANN, &Value::Null).status {
                        200 if path != "/v1/generations" => done.fetch_add(1, Ordering::SeqCst),
                        200 => 0,
                        409 | 503 => refused.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{path}: {other}"),
                    };
                }
            });
        }
    });
    let live = live(&server);
    let (folder, _) = server.terminate().unwrap();
    let data = folder.path().join("data");
    let seen = activations(&data);
    // Three before; each change is one entry, and each begins where the one before it ended.
    assert_eq!(seen.len(), 3 + done.load(Ordering::SeqCst));
    for pair in seen.windows(2) {
        assert!(pair[1].1.contains(&format!("from {}", pair[0].2)), "{pair:?}");
    }
    assert_eq!(seen.last().unwrap().2, live);
    assert!(done.load(Ordering::SeqCst) > 0);
    println!("{} done, {} refused", done.load(Ordering::SeqCst), refused.load(Ordering::SeqCst));
    assert!(ledger(&data, &["verify"]).unwrap().contains("good"));
}

#[test]
fn a_crash_between_compiling_and_activation_leaves_the_old_state_and_a_good_log() {
    // Nothing is brought along: what is new must really be compiled.
    let old = denying("alpha");
    let server = Server::start(&Setup { config: Some(old.clone()), ..Setup::default() }).unwrap();
    let first = live(&server);
    let cache = server.data().join("cache");
    let compiled = || fs::read_dir(&cache).unwrap().count();
    let before = compiled();
    // The first of the new plugins is compiled in no time, the second takes long.
    let quick = format!("[[tenant.plugins]]\nname = \"quick\"\nplugin = \"{}\"\n", guest("keeps_configuration"));
    let slow = "[[tenant.plugins]]\nname = \"slow\"\nplugin = \"detector-pii\"\n";
    fs::write(
        server.folder().join("portcullis.toml"),
        old.replace("[[tenant.agent]]", &format!("{quick}{slow}\n[[tenant.agent]]")),
    )
    .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while compiled() == before {
        assert!(Instant::now() < deadline, "nothing is compiled");
        std::thread::sleep(Duration::from_millis(2));
    }
    let folder = server.kill().unwrap();
    let data = folder.path().join("data");
    let names: Vec<_> = activations(&data).into_iter().map(|(_, _, generation)| generation).collect();
    assert_eq!(names, *std::slice::from_ref(&first), "nothing was put in force that was not whole");
    assert!(ledger(&data, &["verify"]).unwrap().contains("good"));
    let server = Server::start_in(folder, &Setup { config: Some(old), ..Setup::default() }).unwrap();
    assert_eq!((live(&server), verdict(&server, "alpha")), (first, "deny".to_owned()));
}

#[test]
fn a_disk_that_is_full_while_compiling_keeps_nothing_half_and_the_change_is_made() {
    // The store begins with 8 MiB; the interpreter of Rego has more than nine.
    const LARGEST: u64 = 9 << 20;
    let setup = Setup { config: Some(denying("rm")), largest_file: Some(LARGEST), ..Setup::default() };
    let server = Server::start(&setup).unwrap();
    let rego = root().join("target/plugins/rule-rego.wasm");
    let policy = r#"policies = [{ name = "a.rego", text = "package portcullis\n\ndefault allow := true" }]"#;
    let more = format!(
        "[[tenant.plugins]]\nname = \"rego\"\nplugin = \"{}\"\n{PATIENT}\ngrants = {{ clock = true, state = true, labels = true \
         }}\nconfig = {{ {policy} }}\n",
        rego.display()
    );
    // Read because the file changed: compiling may take longer than a request.
    fs::write(server.folder().join("portcullis.toml"), with(&denying("mv"), &more)).unwrap();
    until("the change", || (verdict(&server, "mv") == "deny").then_some(()));
    assert_eq!(verdict(&server, "rm"), "allow");
    assert!(server.errors().unwrap().contains("a compiled plugin could not be cached"), "it was too large to be kept");
    for file in fs::read_dir(server.data().join("cache")).unwrap() {
        let file = file.unwrap();
        assert!(file.path().extension().is_some_and(|end| end == "plugin"), "{}", file.path().display());
        assert!(file.metadata().unwrap().len() < LARGEST);
    }
    let (folder, _) = server.terminate().unwrap();
    assert_eq!(activations(&folder.path().join("data")).len(), 2);
}

#[test]
fn a_plugin_that_keeps_failing_is_left_out_and_everybody_sees_it() {
    let bad = format!(
        "[[tenant.plugins]]\nname = \"bad\"\nplugin = \"{}\"\nselect.tools = [\"risky\"]\n{PATIENT}\n\
         quarantine = {{ faults = 3, calls = 5, cooldown_seconds = 1 }}\n\n[[tenant.agent]]",
        guest("trap")
    );
    let server = start(denying("alpha").replacen("[[tenant.agent]]", &bad, 1));
    let code = || {
        let answer = ask(&server, "POST", "/v1/inspect", BOT, &json!({ "tool": "risky" })).json().unwrap();
        assert_eq!(answer["verdict"], "deny");
        answer["reasons"][0]["code"].as_str().unwrap().to_owned()
    };
    let codes: Vec<_> = (0..5).map(|_| code()).collect();
    assert_eq!(codes[..3], ["plugin_trap"; 3]);
    assert_eq!(codes[3..], ["plugin_quarantined"; 2]);
    assert_eq!(verdict(&server, "harmless"), "allow", "the others work as ever");
    let ready = server.request("GET", "/readyz", &[], b"").unwrap();
    assert_eq!(ready.status, 200, "one bad plugin does not stop the server");
    let faults = &ready.json().unwrap()["plugin_faults"][0];
    assert_eq!((&faults["plugin"], &faults["quarantined"]), (&json!("bad"), &json!(true)));
    let figures = server.request("GET", "/metrics", &[], b"").unwrap().text();
    for line in [
        "portcullis_plugin_quarantined{tenant=\"default\",plugin=\"bad\"} 1",
        "portcullis_plugin_quarantines_total{tenant=\"default\",plugin=\"bad\"} 1",
        "portcullis_plugin_faults_total{plugin=\"bad\",code=\"plugin_quarantined\"} 2",
    ] {
        assert!(figures.contains(line), "{line} is missing in\n{figures}");
    }
    let (_, said, _) = server.portcullis(&["generations", "show", "--data", "data"]).unwrap();
    assert!(said.contains("3 calls, 3 faults, in quarantine: 2 calls did not go to it"), "{said}");
    assert!(server.errors().unwrap().contains("the plugin keeps failing and is not asked for now"));
    // A probe finds it as it was.
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!([code(), code()], ["plugin_trap", "plugin_quarantined"]);
    // Another pipeline begins anew, and the way back finds the plugin where it was.
    assert_eq!(change(&server, &denying("alpha")).status, 200);
    assert_eq!(verdict(&server, "risky"), "allow");
    assert_eq!(ask(&server, "POST", "/v1/generations/rollback", ANN, &Value::Null).status, 200);
    assert_eq!(code(), "plugin_quarantined");
    let counts: HashMap<String, u64> = get(&server, "/v1/plugins")["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plugin| (plugin["name"].as_str().unwrap().to_owned(), plugin["calls"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts["bad"], 4);
}

/// The pipeline of [`denying`] with other lines between its plugins and its people.
fn with(config: &str, lines: &str) -> String {
    config.replacen("[[tenant.agent]]", &format!("{lines}\n[[tenant.agent]]"), 1)
}

fn plugin(table: &str, name: &str, file: &str, lines: &str) -> String {
    format!("\n[[{table}]]\nname = \"{name}\"\nplugin = \"{}\"\n{PATIENT}\n{lines}\n", guest(file))
}

/// A candidate that denies another tool.
fn candidate(how: &str, tool: &str) -> String {
    let gate = plugin("tenant.candidate.plugins", "gate", "good_rule", &format!("config = {{ deny = \"{tool}\" }}"));
    format!("[tenant.candidate]\n{how}\n{gate}")
}

fn inspect(server: &Server, tool: &str, session: Option<&str>) -> Value {
    let mut question = json!({ "tool": tool, "arguments": { "word": "HUSHHUSH" }, "explain": true });
    if let Some(session) = session {
        question["session"] = session.into();
    }
    ask(server, "POST", "/v1/inspect", BOT, &question).json().unwrap()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn copies_of_calls_show_what_a_candidate_would_say_and_touch_nothing() {
    let server = start(with(&denying("alpha"), &candidate("shadow_percent = 100", "beta")));
    let live = live(&server);
    for _ in 0..10 {
        for tool in ["alpha", "beta", "gamma"] {
            let answer = inspect(&server, tool, None);
            assert_eq!(answer["generation"], json!(live));
            assert_eq!(answer["verdict"] == "deny", tool == "alpha", "{answer}");
        }
    }
    let trial = until("the last copy", || {
        let trial = get(&server, "/v1/generations/shadow");
        (trial["report"]["judged"] == 30).then_some(trial)
    });
    let report = &trial["report"];
    assert_eq!((&report["sampled"], &report["dropped"], &report["changed"]), (&json!(30), &json!(0), &json!(20)));
    let changes: Vec<_> = report["tools"].as_array().unwrap().iter().map(|tool| tool["changes"].clone()).collect();
    let one = |from: &str, to: &str| json!([{ "from": from, "to": to, "calls": 10 }]);
    assert_eq!(changes, [one("deny", "allow"), one("allow", "deny"), json!([])]);
    assert!(report["tools"][0]["candidate"]["fuel_mean"].as_u64().unwrap() > 0);
    let text = trial.to_string();
    assert!(report["examples"].as_array().unwrap().len() == 20 && !text.contains("HUSHHUSH"), "{text}");
    let (code, said, errors) = server.portcullis(&["generations", "report", "--data", "data"]).unwrap();
    assert!(code == 0 && said.contains("30 copies, 30 judged, 0 given up, 20 with another verdict"), "{said}{errors}");
    println!("{said}");
    assert_eq!(ask(&server, "GET", "/v1/generations/shadow", BOT, &Value::Null).status, 403);
    // Nothing was judged by it with effect.
    let (folder, _) = server.terminate().unwrap();
    let log = ledger(&folder.path().join("data"), &["show", "--json", "--limit", "1000"]).unwrap();
    let tried = trial["generation"].as_str().unwrap();
    assert_eq!(log.matches(tried).count(), 1, "its beginning is on record, nothing else");
    assert_eq!(log.matches("\"kind\":\"trial\"").count(), 1, "{log}");
}

#[test]
fn what_a_candidate_remembers_in_shadow_does_not_mix_with_what_is_remembered_live() {
    let counts = |table: &str, fuel: u32| {
        plugin(table, "counts", "counts_state", &format!("grants.state = true\nlimits.fuel = {fuel}"))
    };
    let live = counts("tenant.plugins", 10_000_000);
    let tried = format!("[tenant.candidate]\nshadow_percent = 100\n{}", counts("tenant.candidate.plugins", 10_000_001));
    let server = start(format!("[[tenant]]\nname = \"default\"\ntrust.unsigned = \"files\"\n{live}{tried}{PEOPLE}"));
    for seen in 1..=20 {
        let answer = inspect(&server, "read", None);
        // The candidate's plugin of the same name counts the same calls.
        let said = answer["findings"][0]["message"].as_str().unwrap();
        assert!(said.starts_with(&format!("{seen} ")), "{said}");
    }
    let trial = until("the last copy", || {
        let trial = get(&server, "/v1/generations/shadow");
        (trial["report"]["judged"] == 20).then_some(trial)
    });
    assert_eq!((&trial["report"]["failed"], &trial["plugins"][0]["name"]), (&json!(0), &json!("counts")));
    assert!(inspect(&server, "read", None)["findings"][0]["message"].as_str().unwrap().starts_with("21 "));
}

#[test]
fn a_candidate_that_is_fast_in_shadow_and_traps_as_a_canary_is_withdrawn_by_itself() {
    let bad = plugin("tenant.candidate.plugins", "bad", "trap", "select.tools = [\"risky\"]");
    let tried = |how: &str| with(&denying("alpha"), &(candidate(how, "alpha") + &bad));
    let server = start(tried("shadow_percent = 100"));
    for _ in 0..20 {
        assert_eq!(verdict(&server, "harmless"), "allow");
    }
    let trial = until("the last copy", || {
        let trial = get(&server, "/v1/generations/shadow");
        (trial["report"]["judged"] == 20).then_some(trial)
    });
    assert_eq!((&trial["report"]["failed"], &trial["report"]["changed"]), (&json!(0), &json!(0)), "it looked well");

    let how = "shadow_percent = 100\ncanary_percent = 100\nrollback = { min_calls = 10, max_trap_rate = 0.2 }";
    let config = tried(how);
    assert_eq!(change(&server, &config).status, 200);
    let answers: Vec<_> = (0..30).map(|_| inspect(&server, "risky", None)).collect();
    let candidate = trial["generation"].clone();
    let by_canary: Vec<_> = answers.iter().map(|answer| answer["generation"] == candidate).collect();
    assert_eq!(by_canary, [[true; 10].as_slice(), [false; 20].as_slice()].concat(), "ten calls, then never again");
    assert!(answers[..10].iter().all(|answer| answer["verdict"] == "deny"));
    assert!(answers[10..].iter().all(|answer| answer["verdict"] == "allow"));
    let trial = get(&server, "/v1/generations/shadow");
    assert_eq!((&trial["standing"], &trial["evidence"]["bound"]), (&json!("withdrawn"), &json!("max_trap_rate")));
    let figures = &trial["evidence"]["candidate"];
    assert_eq!((&figures["calls"], &figures["traps"]), (&json!(10), &json!(10)));
    let figures = server.request("GET", "/metrics", &[], b"").unwrap().text();
    let counted = "portcullis_canary_withdrawals_total{tenant=\"default\",bound=\"max_trap_rate\"} 1";
    assert!(figures.contains(counted), "{figures}");
    let log = |server: &Server| {
        let (_, said, _) = server.portcullis(&["ledger", "show", "--data", "data", "--limit", "1000"]).unwrap();
        said
    };
    until("its entry", || {
        let said = log(&server);
        let entry =
            said.lines().find(|line| line.contains("canary withdrawn; max_trap_rate 1.0000 is more than 0.2000"));
        entry.inspect(|entry| assert!(entry.contains(" trial "), "{entry}")).map(drop)
    });
    let (_, said, _) = server.portcullis(&["generations", "report", "--data", "data"]).unwrap();
    assert!(said.contains("withdrawn: max_trap_rate 1.0000 is more than 0.2000"), "{said}");
    println!("{said}");

    // Nobody puts it in force by accident.
    let promoted = ask(&server, "POST", "/v1/generations/candidate/promote", ANN, &json!({ "candidate": candidate }));
    assert_eq!((promoted.status, &promoted.json().unwrap()["error"]["code"]), (409, &json!("withdrawn")));
    let (code, _, errors) = server.portcullis(&["generations", "promote", "--data", "data"]).unwrap();
    assert!(code == 1 && errors.contains("withdrawn by its bounds"), "{errors}");

    // Neither a read of the same file nor a restart begins it again.
    assert_eq!(change(&server, &config).status, 200);
    assert_eq!(verdict(&server, "risky"), "allow");
    let folder = server.kill().unwrap();
    let server = Server::start_in(folder, &Setup { config: Some(config), ..Setup::default() }).unwrap();
    assert_eq!(get(&server, "/v1/generations/shadow")["standing"], "withdrawn");
    assert_eq!(verdict(&server, "risky"), "allow");
    // Another trial of it is another decision.
    let again = tried(&how.replace("0.2", "1.0"));
    assert_eq!(change(&server, &again).status, 200);
    assert_eq!(get(&server, "/v1/generations/shadow")["standing"], "canary");
    assert_eq!(verdict(&server, "risky"), "deny");
    let (code, said, errors) = server.portcullis(&["generations", "drop", "--data", "data"]).unwrap();
    assert_eq!((code, said.starts_with("not tried any more")), (0, true), "{errors}");
    assert_eq!((verdict(&server, "risky"), change(&server, &again).status), ("allow".to_owned(), 200));
    assert_eq!(ask(&server, "GET", "/v1/generations/shadow", ANN, &Value::Null).status, 404, "it stays dropped");
    let (folder, _) = server.terminate().unwrap();
    assert!(ledger(&folder.path().join("data"), &["verify"]).unwrap().contains("good"));
}

#[test]
fn a_canary_judges_whole_sessions_and_what_it_parks_is_released_once() {
    // Its failure asks a person; live, the tool is free.
    let asks = "select.tools = [\"pay\"]\non_failure = \"review\"\nquarantine = { faults = 0 }";
    let bad = plugin("tenant.candidate.plugins", "asks", "trap", asks);
    let tried = |how: &str| {
        let how = format!("{how}\nrollback = {{ max_trap_rate = 1, max_latency_ratio = 0 }}");
        with(&denying("alpha"), &(candidate(&how, "alpha") + &bad)).replace("[\"admin\"]", "[\"admin\", \"approver\"]")
    };
    let server = start(tried("canary_percent = 50"));
    let live = live(&server);
    let mut by = [0, 0];
    for number in 0..40 {
        let session = format!("run-{number}");
        let sides: Vec<_> =
            (0..3).map(|_| inspect(&server, "read", Some(&session))["generation"] == json!(live)).collect();
        assert!(sides.iter().all(|side| *side == sides[0]), "one session, one pipeline");
        by[usize::from(sides[0])] += 1;
    }
    assert!(by[0] > 5 && by[1] > 5, "{by:?}");
    assert_eq!(change(&server, &tried("canary_agents = [\"b*\"]")).status, 200);

    let pay = || inspect(&server, "pay", Some("run"));
    let decide = |answer: &Value| {
        let path = format!("/v1/approvals/{}/decide", answer["approval"]["id"].as_str().unwrap());
        assert_eq!(ask(&server, "POST", &path, ANN, &json!({ "decision": "approve" })).status, 200);
    };
    let states = |answer: &Value| answer["approval"]["state"].as_str().unwrap_or("none").to_owned();
    let parked = pay();
    let candidate = parked["generation"].clone();
    assert_eq!((states(&parked), candidate == json!(live)), ("pending".to_owned(), false));
    assert_eq!(pay()["approval"]["id"], parked["approval"]["id"], "the same call waits for the same approval");
    decide(&parked);
    let released = pay();
    assert_eq!((&released["approval"]["id"], states(&released)), (&parked["approval"]["id"], "approved".to_owned()));
    let next = pay();
    assert_eq!((states(&next), next["approval"]["id"] == parked["approval"]["id"]), ("pending".to_owned(), false));

    // Promoted, it is still what the call was parked under.
    let (code, said, errors) = server.portcullis(&["generations", "promote", "--data", "data"]).unwrap();
    assert_eq!(code, 0, "{said}{errors}");
    assert_eq!(json!(self::live(&server)), candidate);
    decide(&next);
    assert_eq!(pay()["approval"]["id"], next["approval"]["id"]);
    assert_ne!(pay()["approval"]["id"], next["approval"]["id"], "once");

    // Gone back from, its approvals count no more: nobody was asked under the pipeline that judges now.
    let parked = pay();
    assert_eq!(ask(&server, "POST", "/v1/generations/rollback", ANN, &Value::Null).status, 200);
    decide(&parked);
    let free = pay();
    assert_eq!(
        (&free["verdict"], &free["generation"], states(&free)),
        (&json!("allow"), &json!(live), "none".to_owned())
    );
}

#[test]
fn a_change_that_is_written_while_another_is_prepared_is_not_lost() {
    // It finds nothing compiled.
    let server = Server::start(&Setup { config: Some(denying("alpha")), ..Setup::default() }).unwrap();
    let write = |config: &str| fs::write(server.folder().join("portcullis.toml"), config).unwrap();
    write(&with(&denying("beta"), "[[tenant.plugins]]\nname = \"slow\"\nplugin = \"detector-pii\"\n"));
    until("the slow plugin", || (get(&server, "/readyz")["preparing"]["plugin"] == "slow").then_some(()));
    write(&denying("gamma"));
    until("the last change", || (verdict(&server, "gamma") == "deny").then_some(()));
    assert_eq!(verdict(&server, "beta"), "allow");
}

#[test]
fn going_back_waits_for_no_registry_and_the_server_ends_all_the_same() {
    let server = start(denying("alpha"));
    let first = live(&server);
    assert_eq!(change(&server, &denying("beta")).status, 200);
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let fetched = format!("[[tenant.plugins]]\nname = \"far\"\nplugin = \"oci://127.0.0.1:{port}/acme/far:1\"\n");
    fs::write(server.folder().join("portcullis.toml"), with(&denying("gamma"), &fetched)).unwrap();
    let fetching = || get(&server, "/readyz")["preparing"]["phase"] == "fetching";
    until("the plugin to be fetched", || fetching().then_some(()));
    // Who asks for a trial is told that there may be one soon.
    let report = ask(&server, "GET", "/v1/generations/shadow", ANN, &Value::Null);
    assert_eq!(report.status, 404);
    assert!(report.json().unwrap().to_string().contains("is being prepared"));
    assert_eq!(ask(&server, "POST", "/v1/generations/rollback", ANN, &Value::Null).status, 200);
    assert_eq!((live(&server), verdict(&server, "alpha")), (first, "deny".to_owned()));
    assert!(fetching(), "it took effect before the registry said anything");
    let (folder, status) = server.terminate().unwrap();
    assert!(status.success());
    assert_eq!(activations(&folder.path().join("data")).last().unwrap().0, "ann");
}

#[test]
fn a_configuration_that_is_refused_is_a_problem_until_it_is_mended() {
    let server = start(denying("alpha"));
    let write = |config: &str| fs::write(server.folder().join("portcullis.toml"), config).unwrap();
    let problems = || get(&server, "/readyz")["problems"].as_array().unwrap().len();
    assert_eq!(problems(), 0);
    write(&denying("beta").replace("good_rule", "no_such_rule"));
    until("the problem", || (problems() == 1).then_some(()));
    assert_eq!(server.request("GET", "/readyz", &[], b"").unwrap().status, 200, "it serves what it served");
    assert_eq!(verdict(&server, "alpha"), "deny");
    write(&denying("beta"));
    until("the mended one", || (problems() == 0).then_some(()));
    assert_eq!(verdict(&server, "beta"), "deny");
}

#[test]
fn going_back_is_no_way_around_what_a_tenant_trusts_no_longer() {
    let server = start(denying("alpha"));
    let trusted = format!(
        "[[tenant]]\nname = \"default\"\ntrust.unsigned = \"files\"\n\n[[tenant.plugins]]\nname = \"rule-baseline\"\n{PATIENT}\n"
    ) + PEOPLE;
    assert_eq!(change(&server, &trusted).status, 200);
    let kept = || get(&server, "/v1/generations/history")["history"].as_array().unwrap().len();
    assert_eq!(kept(), 2);
    // More that is trusted takes nothing away.
    assert_eq!(change(&server, &trusted.replace("\"files\"", "\"allow\"")).status, 200);
    assert_eq!(kept(), 2);
    assert_eq!(change(&server, &trusted.replace("trust.unsigned = \"files\"\n", "")).status, 200);
    assert_eq!(kept(), 1);
    let back = ask(&server, "POST", "/v1/generations/rollback", ANN, &Value::Null);
    assert_eq!((back.status, &back.json().unwrap()["error"]["code"]), (409, &json!("nothing_before")));
    assert_eq!(verdict(&server, "alpha"), "allow");
}

#[test]
fn what_is_being_prepared_is_seen_while_the_old_pipeline_serves() {
    let old = denying("alpha");
    // It finds nothing compiled.
    let server = Server::start(&Setup { config: Some(old.clone()), ..Setup::default() }).unwrap();
    let first = live(&server);
    assert_eq!(get(&server, "/readyz")["preparing"], Value::Null);
    let quick = plugin("tenant.plugins", "quick", "keeps_configuration", "");
    let slow = "[[tenant.plugins]]\nname = \"slow\"\nplugin = \"detector-pii\"\n";
    let gate = plugin("tenant.plugins", "gate", "good_rule", "config = { deny = \"alpha\" }");
    let other = format!(
        "\n[[tenant]]\nname = \"globex\"\ntrust.unsigned = \"files\"\n{gate}[[tenant.operator]]\nname = \"eve\"\n\
         roles = [\"viewer\"]\ntoken_sha256 = [\"{}\"]\n",
        portcullis_model::Digest::of(b"eve-token")
    );
    let fresh = with(&old, &(quick + slow)) + &other;
    // Read because the file changed: compiling may take longer than a request.
    fs::write(server.folder().join("portcullis.toml"), &fresh).unwrap();
    let seen = until("the slow plugin", || {
        let preparing = get(&server, "/readyz")["preparing"].clone();
        (preparing["plugin"] == "slow").then_some(preparing)
    });
    let expected = json!({ "phase": "compiling", "tenant": "default", "plugin": "slow", "number": 3, "of": 4 });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&seen[name], value, "{seen}");
    }
    assert!(seen["since_ms"].as_u64().unwrap() > 1_700_000_000_000, "{seen}");
    let (code, said, errors) = server.portcullis(&["generations", "list", "--data", "data"]).unwrap();
    assert_eq!(code, 0, "{errors}");
    println!("{said}");
    // The old one serves meanwhile, or the new one by now, which says the same of this.
    assert_eq!(verdict(&server, "alpha"), "deny");
    let until = Instant::now() + Duration::from_secs(300);
    while live(&server) == first {
        assert!(Instant::now() < until, "it never came into force");
        let shown = get(&server, "/v1/generations")["preparing"].clone();
        assert!(shown.is_null() || shown["phase"].is_string(), "{shown}");
        std::thread::sleep(Duration::from_millis(50));
    }
    // One tenant after the other, their tokens last.
    while !get(&server, "/readyz")["preparing"].is_null() {
        assert!(Instant::now() < until, "it never ended");
    }
    // Whoever asks next sees nothing of what was.
    let eve = ask(&server, "GET", "/v1/generations", "eve-token", &Value::Null).json().unwrap();
    assert_eq!(eve["generations"][0]["tenant"], "globex");
    // One that is refused leaves nothing behind either.
    assert_eq!(change(&server, &fresh.replace("detector-pii", "detector-none")).status, 422);
    assert_eq!(get(&server, "/readyz")["preparing"], Value::Null);
}

#[test]
fn what_a_canary_parked_at_other_doors_ends_unused_once_it_is_withdrawn() {
    // What is paid is for a person, under the canary only; what is risky makes it fail.
    let asks = "select.tools = [\"pay\"]\non_failure = \"review\"\nquarantine = { faults = 0 }";
    let bad = plugin("tenant.candidate.plugins", "asks", "trap", asks)
        + &plugin("tenant.candidate.plugins", "bad", "trap", "select.tools = [\"risky\"]\nquarantine = { faults = 0 }");
    let how = "canary_agents = [\"b*\"]\nrollback = { min_calls = 8, max_trap_rate = 0.7, max_latency_ratio = 0 }";
    let config = with(&denying("alpha"), &(candidate(how, "alpha") + &bad));
    let server = start(config.replace("[\"admin\"]", "[\"admin\", \"approver\"]"));
    let first = live(&server);
    let bearer = format!("Bearer {BOT}");
    let send = |method: &str, path: &str, more: &[(&str, &str)], body: &Value| {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(more);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = server.request(method, path, &headers, body.as_bytes()).unwrap();
        (answer.status, answer.json().unwrap())
    };
    // Parked by the canary, at Arden's door and at Clavenar's, twice each; one of each is approved and collected in time.
    let arden = |amount: u32| {
        let body = json!({ "tool_name": "pay", "args": [], "kwargs": { "amount": amount }, "metadata": null });
        let (_, answer) = send("POST", "/arden/policy/check", &[("x-api-key", BOT)], &body);
        assert_eq!(answer["decision"], "requires_approval", "{answer}");
        answer["action_id"].as_str().unwrap().to_owned()
    };
    let clavenar = |number: u8| {
        let id = format!("0b3c6a52-3b0f-4c35-9a51-7f0f4c8c7a{number:02x}");
        let call = json!({ "name": "pay", "arguments": { "number": number } });
        let body = json!({ "jsonrpc": "2.0", "method": "tools/call", "params": call, "id": 1 });
        let contract = [
            ("authorization", bearer.as_str()),
            ("x-clavenar-decision-contract", "clavenar.decision/v1"),
            ("x-clavenar-idempotency-id", id.as_str()),
        ];
        let (status, answer) = send("POST", "/mcp", &contract, &body);
        assert_eq!(status, 202, "{answer}");
        id
    };
    let (in_time, late) = ((arden(1), clavenar(1)), (arden(2), clavenar(2)));
    let waiting = get(&server, "/v1/approvals?state=pending")["approvals"].as_array().unwrap().clone();
    assert_eq!(waiting.len(), 4, "{waiting:?}");
    for one in &waiting {
        assert_ne!(one["generation"], json!(first));
        let path = format!("/v1/approvals/{}/decide", one["id"].as_str().unwrap());
        assert_eq!(ask(&server, "POST", &path, ANN, &json!({ "decision": "approve" })).status, 200);
    }
    let collect = |(arden, clavenar): &(String, String)| {
        let (_, arden) = send("GET", &format!("/arden/status/{arden}"), &[("x-api-key", BOT)], &Value::Null);
        let (_, clavenar) =
            send("GET", &format!("/pending/{clavenar}"), &[("authorization", bearer.as_str())], &Value::Null);
        (arden, clavenar)
    };
    let (arden, clavenar) = collect(&in_time);
    assert_eq!((&arden["status"], &clavenar["decision"]), (&json!("approved"), &json!("allow")), "{arden} {clavenar}");
    // It goes beyond its bound.
    for _ in 0..16 {
        inspect(&server, "risky", None);
    }
    assert_eq!(get(&server, "/v1/generations/shadow")["standing"], "withdrawn");
    assert_eq!(inspect(&server, "pay", None)["generation"], json!(first));
    // What was given stays given; what was not is given no more, and says why.
    let (arden, clavenar) = collect(&in_time);
    assert_eq!((&arden["status"], &clavenar["decision"]), (&json!("approved"), &json!("allow")), "{arden} {clavenar}");
    let (arden, clavenar) = collect(&late);
    assert_eq!((&arden["status"], &clavenar["decision"]), (&json!("denied"), &json!("deny")), "{arden} {clavenar}");
    for said in [&arden["message"], &clavenar["decider_note"]] {
        assert!(said.as_str().unwrap_or_default().contains("the policy was changed meanwhile"), "{arden} {clavenar}");
    }
    // Asked anew, the pipeline in force says what it says.
    let body = json!({ "tool_name": "pay", "args": [], "kwargs": { "amount": 2 }, "metadata": null });
    assert_eq!(send("POST", "/arden/policy/check", &[("x-api-key", BOT)], &body).1["decision"], "allow");
    let (folder, _) = server.terminate().unwrap();
    assert!(ledger(&folder.path().join("data"), &["verify"]).unwrap().contains("good"));
}

/// Every member of an answer is described, and is of the kind that is described.
fn described(schemas: &Value, schema: &Value, answer: &Value, what: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        return described(schemas, &schemas[name.rsplit('/').next().unwrap()], answer, what);
    }
    if let Some(all) = schema["oneOf"].as_array() {
        let fitting = all.iter().find(|one| (one["type"] == "null") == answer.is_null());
        return described(schemas, fitting.unwrap_or_else(|| panic!("{what}: {answer}")), answer, what);
    }
    let kinds: Vec<_> = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let fits = |kind: &&str| match *kind {
        "string" => answer.is_string(),
        "integer" => answer.is_u64(),
        "number" => answer.is_number(),
        "boolean" => answer.is_boolean(),
        "array" => answer.is_array(),
        "object" => answer.is_object(),
        "null" => answer.is_null(),
        other => panic!("{what}: {other}"),
    };
    assert!(kinds.iter().any(fits), "{what}: {answer} is no {kinds:?}");
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(answer), "{what}: {answer} is none of {allowed:?}");
    }
    for item in answer.as_array().into_iter().flatten() {
        described(schemas, &schema["items"], item, what);
    }
    // Some are told of no closer.
    for (name, value) in answer.as_object().filter(|_| schema["properties"].is_object()).into_iter().flatten() {
        let member = schema["properties"].get(name);
        let member = member.unwrap_or_else(|| panic!("{what}: {name} is not described"));
        described(schemas, member, value, &format!("{what}/{name}"));
    }
}

#[test]
fn what_the_api_says_of_generations_is_as_described() {
    let asks = plugin("tenant.candidate.plugins", "bad", "trap", "select.tools = [\"risky\"]");
    let tried = "canary_agents = [\"b*\"]\nrollback = { min_calls = 2, max_trap_rate = 0.2, max_latency_ratio = 0 }";
    let server = start(denying("alpha"));
    assert_eq!(change(&server, &with(&denying("beta"), &candidate("shadow_percent = 100", "gamma"))).status, 200);
    let document = get(&server, "/v1/openapi.json");
    let schemas = &document["components"]["schemas"];
    let schema = |path: &str, method: &str| {
        document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"].clone()
    };
    let check = |path: &str, real: &str| {
        let answer = get(&server, real);
        assert!(answer["error"].is_null(), "{real}: {answer}");
        described(schemas, &schema(path, "get"), &answer, real);
        answer
    };
    for tool in ["gamma", "delta"] {
        inspect(&server, tool, Some("run"));
    }
    until("copies", || (get(&server, "/v1/generations/shadow")["report"]["judged"] == 2).then_some(()));
    let current = live(&server);
    for (path, real) in [
        ("/v1/generations", "/v1/generations"),
        ("/v1/generations/history", "/v1/generations/history"),
        ("/v1/generations/{id}", format!("/v1/generations/{current}").as_str()),
        ("/v1/generations/diff", "/v1/generations/diff"),
        ("/v1/generations/shadow", "/v1/generations/shadow"),
        ("/v1/plugins", "/v1/plugins"),
        ("/readyz", "/readyz"),
    ] {
        check(path, real);
    }
    let difference = check("/v1/generations/diff", "/v1/generations/diff");
    assert_eq!(difference["plugins"][0]["what"], "changed");
    let report = check("/v1/generations/shadow", "/v1/generations/shadow")["report"].clone();
    assert_eq!((&report["changed"], report["examples"].as_array().unwrap().len()), (&json!(1), 1), "{report}");
    // A canary that goes beyond a bound.
    assert_eq!(change(&server, &with(&denying("beta"), &(candidate(tried, "beta") + &asks))).status, 200);
    for _ in 0..4 {
        inspect(&server, "risky", Some("run"));
    }
    let withdrawn = check("/v1/generations/shadow", "/v1/generations/shadow");
    assert_eq!(
        (&withdrawn["standing"], &withdrawn["evidence"]["bound"]),
        (&json!("withdrawn"), &json!("max_trap_rate"))
    );
    // What changes.
    for (path, body) in [
        ("/v1/generations/rollback", json!({ "from": current })),
        ("/v1/generations/candidate/promote", json!({ "candidate": withdrawn["generation"], "withdrawn": true })),
    ] {
        let done = ask(&server, "POST", path, ANN, &body);
        assert_eq!(done.status, 200, "{}", done.text());
        described(schemas, &schema(path, "post"), &done.json().unwrap(), path);
    }
    let path = format!("/v1/generations/{current}/activate");
    let done = ask(&server, "POST", &path, ANN, &Value::Null);
    assert_eq!(done.status, 200, "{}", done.text());
    described(schemas, &schema("/v1/generations/{id}/activate", "post"), &done.json().unwrap(), &path);
    assert_eq!(change(&server, &with(&denying("beta"), &candidate("shadow_percent = 1", "delta"))).status, 200);
    let dropped = ask(&server, "POST", "/v1/generations/candidate/drop", ANN, &Value::Null);
    assert_eq!(dropped.status, 200, "{}", dropped.text());
    described(
        schemas,
        &schema("/v1/generations/candidate/drop", "post"),
        &dropped.json().unwrap(),
        "/v1/generations/candidate/drop",
    );
    // What refuses is as described, too.
    for (path, status) in [("/v1/generations/shadow", 404), ("/v1/generations/none", 400)] {
        let refused = ask(&server, "GET", path, ANN, &Value::Null);
        assert!([status, 404].contains(&refused.status), "{path}: {}", refused.status);
        described(schemas, &schemas["Error"], &refused.json().unwrap(), path);
    }
}

#[test]
fn a_thousand_swaps_under_load_lose_no_call() {
    let server = start(denying("alpha"));
    let first = live(&server);
    assert_eq!(change(&server, &denying("beta")).status, 200);
    let second = live(&server);
    let done = std::sync::atomic::AtomicBool::new(false);
    let load = |until: &(dyn Fn(usize) -> bool + Sync)| -> Vec<Duration> {
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let agent = ureq::Agent::new_with_defaults();
                        let mut took = Vec::new();
                        while until(took.len()) {
                            let tool = if took.len() % 2 == 0 { "alpha" } else { "beta" };
                            let started = Instant::now();
                            let answer = agent
                                .post(format!("{}/v1/inspect", server.url))
                                .header("authorization", format!("Bearer {BOT}"))
                                .header("content-type", "application/json")
                                .send(json!({ "tool": tool }).to_string());
                            let text = answer.unwrap().body_mut().read_to_string().unwrap();
                            took.push(started.elapsed());
                            let answer: Value = serde_json::from_str(&text).unwrap();
                            // Verdict and name are of one generation, whichever it was.
                            let denies = if answer["generation"] == json!(first) { "alpha" } else { "beta" };
                            assert!(answer["generation"] == json!(first) || answer["generation"] == json!(second));
                            assert_eq!(answer["verdict"] == "deny", tool == denies, "{text}");
                        }
                        took
                    })
                })
                .collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        })
    };
    let print = |what: &str, mut took: Vec<Duration>| {
        took.sort_unstable();
        println!("{what}: {} calls, p50 {:?}, p99 {:?}", took.len(), took[took.len() / 2], took[took.len() * 99 / 100]);
        took.len()
    };
    let mut calls = print("without swaps", load(&|count| count < 300));
    let (loaded, swapped) = std::thread::scope(|scope| {
        let (loading, done) = (&load, &done);
        let loaded = scope.spawn(move || loading(&|_| !done.load(Ordering::SeqCst)));
        let started = Instant::now();
        for swap in 0..1_000 {
            let answer = ask(&server, "POST", "/v1/generations/rollback", ANN, &Value::Null);
            assert_eq!(answer.status, 200, "swap {swap}: {}", answer.text());
        }
        let swapped = started.elapsed();
        done.store(true, Ordering::SeqCst);
        (loaded.join().unwrap(), swapped)
    });
    calls += print("during 1,000 swaps", loaded);
    println!("1,000 swaps, each durable first: {swapped:?}");
    let (folder, _) = server.terminate().unwrap();
    let data = folder.path().join("data");
    let log = ledger(&data, &["show", "--json", "--limit", "1000000"]).unwrap();
    assert_eq!(log.matches("\"kind\":\"decision\"").count(), calls, "every call has its entry");
    assert_eq!(activations(&data).len(), 1_002);
    assert!(ledger(&data, &["verify"]).unwrap().contains("good"));
}
