use portcullis_plugin::Phase;
use portcullis_plugin::testing::JsonPayload;
use serde_json::{Value, json};

use super::*;

fn plain() -> Packages {
    Packages::configure(Config::default()).unwrap()
}

fn ask(detector: &Packages, tool: &str, payload: &Value) -> Vec<Finding> {
    let call = Call { phase: Phase::Call, tool: tool.to_owned(), ..Call::default() };
    detector.inspect(&call, &JsonPayload::new(&payload.to_string()).unwrap()).unwrap()
}

fn score(payload: &Value, category: &str) -> f32 {
    let findings = ask(&plain(), "shell", payload);
    findings.iter().filter(|finding| finding.category == category).map(|finding| finding.score).fold(0.0, f32::max)
}

#[test]
fn popular_packages_are_let_through_in_every_form() {
    for payload in [
        json!({ "command": "npm install react react-dom @types/node@20 lodash && pip install requests==2.31 numpy" }),
        json!({ "command": "npm", "args": ["install", "express"] }),
        json!({ "package": "requests" }),
        json!({ "dependencies": { "chalk": "^5", "express": "4.0.0" } }),
        json!({ "text": "{\"devDependencies\": {\"typescript\": \"^5\"}}" }),
        json!({ "path": "requirements.txt", "content": "flask\nrequests>=2\n" }),
        json!({ "text": "npm:react pypi:flask" }),
    ] {
        assert_eq!(ask(&plain(), "shell", &payload), [], "{payload}");
    }
}

#[test]
fn imitations_are_told_with_the_name_that_they_imitate() {
    for (command, like) in [
        ("pip install reqeusts", "requests"),
        ("npm i expresss", "express"),
        ("npm install @typess/node", "@types"),
        ("pip install djagno", "django"),
    ] {
        let findings = ask(&plain(), "shell", &json!({ "command": command }));
        let one = findings
            .iter()
            .find(|finding| finding.category == "package.typosquat")
            .unwrap_or_else(|| panic!("{command}: {findings:?}"));
        assert!(one.score >= 0.8 && one.message.contains(like), "{one:?}");
    }
}

#[test]
fn lists_of_the_configuration_count() {
    let config =
        json!({ "bad": ["npm:Acme-Thief"], "good": ["npm:@acme/*", "pypi:reqeusts"], "hosts": ["npm.acme.example"] });
    let detector = Packages::configure(serde_json::from_value(config).unwrap()).unwrap();
    let command =
        json!({ "command": "npm i acme-thief @acme/x9zzq --registry https://npm.acme.example; pip install reqeusts" });
    let findings = ask(&detector, "shell", &command);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].category, "package.known_bad");
    for wrong in [json!({ "bad": ["left-pad"] }), json!({ "good": ["npm"] }), json!({ "min_score": 2 })] {
        assert!(Packages::configure(serde_json::from_value(wrong).unwrap()).is_err());
    }
}

#[test]
fn other_sources_are_told() {
    for (command, least) in [
        ("pip install --extra-index-url https://pkgs.example/simple flask", 0.6),
        ("PIP_INDEX_URL=http://198.51.100.7/simple pip install flask", 0.8),
        ("npm install https://files.example/react.tgz", 0.7),
        ("npm install react --ignore-scripts=false", 0.4),
        ("pip install git+https://code.example/x.git", 0.6),
        ("sh -c \"pip install http://files.example/x.whl\"", 0.8),
    ] {
        assert!(score(&json!({ "command": command }), "package.source") >= least, "{command}");
    }
    assert_eq!(score(&json!({ "command": "pip install -i https://pypi.org/simple flask" }), "package.source"), 0.0);
}

#[test]
fn prose_is_no_command() {
    for text in [
        "We should use npm to install things, and then go get lunch with the gem of the team.",
        "To add it run npm install react and restart the editor.",
        "The pipeline uses pip; python is installed. Poetry is fine.",
        "git log -- npm",
    ] {
        assert_eq!(ask(&plain(), "send", &json!({ "text": text })), [], "{text}");
    }
}

#[test]
fn spans_cover_names() {
    let payload = json!({ "args": { "command": "cd x && pip install 'reqeusts[socks]>=2'" } });
    let findings = ask(&plain(), "shell", &payload);
    let texts = JsonPayload::new(&payload.to_string()).unwrap();
    let span = findings[0].spans[0];
    assert!(span.slice(&portcullis_plugin::Payload::texts(&texts)).unwrap().starts_with("reqeusts"));
}

#[test]
fn whatever_comes_nothing_breaks() {
    let deep = (0..100).fold(json!({ "dependencies": { "x": "1" } }), |inner, _| json!({ "dependencies": inner }));
    let long = "npm ".repeat(500_000);
    for text in [
        String::new(),
        "\0".repeat(1000),
        "a".repeat(1 << 20),
        "\u{200b}".repeat(100_000),
        "npm install \u{202e}\u{5d0}\u{5d1} \u{0}".to_owned(),
        "{\"dependencies\":".repeat(10_000),
        "\"dependencies\": {\"a".repeat(10_000),
        "npm install 'x".repeat(10_000),
        "npm 'npm a' ".repeat(20_000),
        "\"npm 'npm `npm ".repeat(20_000),
        "npm install . ".repeat(50_000),
        "npm config ".repeat(50_000),
        "node_modules/".repeat(50_000),
        "[project]\ndependencies = [\n".repeat(10_000),
        "npm:".repeat(100_000),
        "x==1\n".repeat(100_000),
        "pip install \\".to_owned(),
        "caf\u{e9}==1\nb==2".to_owned(),
        long,
    ] {
        ask(&plain(), "shell", &json!({ "text": text, "package": text, "packages": [text] }));
    }
    ask(&plain(), "shell", &deep);
}

#[test]
fn settings_within_the_value_of_a_setting_are_not_read_again() {
    for name in ["npm_config_registry", "pip_extra_index_url"] {
        for count in [100, 1000] {
            let value = format!("{name}=http://registry.example/").repeat(count);
            let mut items = Vec::new();
            plain().text(&Text { pointer: "/text".to_owned(), value: value.clone() }, &mut items);
            let lengths = items.iter().map(|item| match item {
                Item::Package { range, .. } | Item::Source { range, .. } => range.len(),
            });
            let read: usize = lengths.sum();
            assert!((1..=value.len()).contains(&read), "{read} of {}", value.len());
        }
    }
    let both = "npm_config_registry=http://a.example/ pip_index_url=http://b.example/";
    let findings = ask(&plain(), "shell", &json!({ "text": both }));
    assert_eq!(findings.iter().map(|one| one.spans.len()).sum::<usize>(), 2, "{findings:?}");
}

#[test]
fn many_names_are_looked_up_and_only_some_are_judged() {
    let names: Vec<String> = (0..100_000).map(|number| format!("zz-none-{number}")).collect();
    let config = json!({ "bad": ["npm:acme-thief"] });
    let detector = Packages::configure(serde_json::from_value(config).unwrap()).unwrap();
    let command = format!("npm install {} acme-thief", names.join(" "));
    let findings = ask(&detector, "shell", &json!({ "command": command }));
    assert!(findings.iter().any(|finding| finding.category == "package.known_bad"));
    assert!(findings.iter().any(|finding| finding.message.starts_with("More unknown packages")));
}

#[test]
fn cases() {
    portcullis_plugin::testing::run_cases::<Packages>("cases");
}
