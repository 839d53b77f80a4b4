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

/// A pipeline whose only rule denies one tool.
fn denying(tool: &str) -> String {
    format!(
        "[[tenant]]\nname = \"default\"\n\n[[tenant.plugins]]\nname = \"gate\"\nplugin = \"{}\"\nconfig = {{ deny = \"{tool}\" }}\n",
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
    assert_eq!(names, [first.clone()], "nothing was put in force that was not whole");
    assert!(ledger(&data, &["verify"]).unwrap().contains("good"));
    let server = Server::start_in(folder, &Setup { config: Some(old), ..Setup::default() }).unwrap();
    assert_eq!((live(&server), verdict(&server, "alpha")), (first, "deny".to_owned()));
}

#[test]
fn a_plugin_that_keeps_failing_is_left_out_and_everybody_sees_it() {
    let bad = format!(
        "[[tenant.plugins]]\nname = \"bad\"\nplugin = \"{}\"\nselect.tools = [\"risky\"]\n\
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
