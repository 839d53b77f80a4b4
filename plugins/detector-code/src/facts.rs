//! What is told from several places of a text that no value joins, and what hooks into an installation.

use std::ops::Range;

use crate::flow::{CREDENTIAL, EXECUTION, EXFILTRATION, Flow, INSTALL, Seen};
use crate::lexer::{Kind, Token};
use crate::words::{
    self, ACCOUNTS, BROWSER, CLIPBOARD, CREDENTIALS, ENVIRONMENT, FETCHED, KEYS, MACHINE, SCREEN, Sink,
};

pub(crate) fn together(flow: &mut Flow, tokens: &[Token]) {
    let mut found: Vec<Seen> = Vec::new();
    let mut add = |category, score, message, places: Vec<Option<&Range<usize>>>| {
        let places = places.into_iter().flatten().cloned().collect();
        found.push(Seen { category, score, message, places });
    };
    let facts = &flow.facts;
    let label = |bit| facts.labels.get(&bit);
    let sink = |kind| facts.sinks.get(&kind);
    let (network, command, code, write) =
        (sink(Sink::Network), sink(Sink::Command), sink(Sink::Code), sink(Sink::Write));
    // A shell at the end of a connection.
    if let Some(connects) = &facts.connects
        && (facts.shell.is_some() || facts.duplicates && command.is_some())
    {
        let places = vec![Some(connects), facts.shell.as_ref().or(command)];
        add(EXFILTRATION, 0.94, "Gives a shell to whoever is at the other end", places);
    }
    if network.is_some() {
        let kept = label(CREDENTIALS).or(label(BROWSER));
        let read = flow.seen.iter().any(|seen| seen.category == CREDENTIAL);
        if kept.is_some() {
            add(
                EXFILTRATION,
                if read { 0.78 } else { 0.6 },
                "Reads a file that holds credentials, and sends something",
                vec![kept, network],
            );
        } else if label(ENVIRONMENT).is_some() {
            add(
                EXFILTRATION,
                0.5,
                "Reads the whole environment, and sends something",
                vec![label(ENVIRONMENT), network],
            );
        } else if label(ACCOUNTS).is_some() {
            add(
                EXFILTRATION,
                0.66,
                "Reads the accounts of the system, and sends something",
                vec![label(ACCOUNTS), network],
            );
        }
        let watched = label(KEYS).or(label(SCREEN)).or(label(CLIPBOARD));
        if watched.is_some() {
            add(
                EXFILTRATION,
                0.72,
                "Records what a person types, copies or sees, and sends something",
                vec![watched, network],
            );
        }
        if facts.machine.len() > 2 {
            add(EXFILTRATION, 0.6, "Asks who and where it runs, and sends something", vec![label(MACHINE), network]);
        }
    }
    if label(KEYS).is_some() {
        add(
            EXFILTRATION,
            if write.is_some() { 0.78 } else { 0.66 },
            "Records what a person types",
            vec![label(KEYS), write],
        );
    }
    if label(SCREEN).is_some() {
        add(EXFILTRATION, 0.6, "Records what a person sees", vec![label(SCREEN)]);
    }
    if label(CLIPBOARD).is_some() {
        let replaced = facts.clipboard_set;
        add(
            EXFILTRATION,
            if replaced { 0.78 } else { 0.5 },
            if replaced { "Puts something of its own into the clipboard" } else { "Reads the clipboard" },
            vec![label(CLIPBOARD)],
        );
    }
    if label(BROWSER).is_some() {
        add(CREDENTIAL, 0.6, "Names where a browser or a wallet keeps its secrets", vec![label(BROWSER)]);
    }
    // Brought, written, run.
    if facts.fetched_written && command.is_some() {
        add(EXECUTION, 0.8, "Downloads a program and runs it", vec![label(FETCHED), command]);
    }
    if let Some(publishes) = &facts.publishes
        && write.is_some()
    {
        add(EXECUTION, 0.82, "Publishes a package that it has changed", vec![write, Some(publishes)]);
    }
    if facts.machine.len() > 2 && network.is_none() && command.is_some() {
        add(EXECUTION, 0.35, "Asks who and where it runs", vec![label(MACHINE)]);
    }
    installs(flow, tokens, &mut found, command, code, network);
    let asked = tokens
        .iter()
        .filter(|token| token.kind == Kind::Text)
        .filter(|token| {
            matches!(
                token.text.trim(),
                "whoami"
                    | "hostname"
                    | "ipconfig"
                    | "systeminfo"
                    | "ifconfig"
                    | "tasklist"
                    | "id"
                    | "uname -a"
                    | "ipconfig /all"
                    | "net user"
                    | "cat /etc/passwd"
            )
        })
        .take(8);
    let asked: Vec<&Token> = asked.collect();
    if asked.len() > 1 && command.is_some() {
        found.push(Seen {
            category: EXECUTION,
            score: 0.66,
            message: "Runs commands that tell who and where it runs",
            places: asked.iter().map(|token| token.range.clone()).collect(),
        });
    }
    for token in tokens
        .iter()
        .filter(|token| {
            token.kind == Kind::Text && (token.text.contains("stratum+tcp://") || token.text.contains("stratum+ssl://"))
        })
        .take(1)
    {
        found.push(Seen {
            category: EXECUTION,
            score: 0.88,
            message: "Mines coins on this machine",
            places: vec![token.range.clone()],
        });
    }
    flow.seen.extend(found);
}

const HOOKS: &[&str] = &[
    "preinstall",
    "postinstall",
    "install",
    "prepare",
    "preprepare",
    "postprepare",
    "prepublish",
    "preuninstall",
    "postuninstall",
];
/// What packages commonly do when they are installed.
const USUAL: &[&str] = &[
    "husky",
    "only-allow",
    "patch-package",
    "node-gyp",
    "prebuild-install",
    "node-pre-gyp",
    "ngcc",
    "prisma generate",
    "install-app-deps",
    "opencollective",
    "npm run build",
    "yarn build",
    "pnpm build",
    "tsc",
    "is-ci",
    "simple-git-hooks",
    "lefthook",
    "napi",
    "cmake-js",
    "husky install",
    "nuxt prepare",
    "svelte-kit sync",
    "nx ",
    "lerna",
    "rimraf",
    "electron-rebuild",
    "playwright install",
    "cypress install",
    "npm run",
    "pnpm run",
    "yarn run",
    "node ./scripts",
    "node scripts",
    "node ./install",
    "node install.js",
];

/// Code that runs when a package is installed.
fn installs(
    flow: &Flow,
    tokens: &[Token],
    found: &mut Vec<Seen>,
    command: Option<&Range<usize>>,
    code: Option<&Range<usize>>,
    network: Option<&Range<usize>>,
) {
    let facts = &flow.facts;
    let acts = command.or(code).or(network);
    let overrides = tokens.iter().find(|token| token.kind == Kind::Name && token.text == "cmdclass");
    if let (Some(_), Some(overrides)) = (&facts.setup, overrides) {
        let places = [Some(overrides.range.clone()), acts.cloned()].into_iter().flatten().collect();
        let score = if network.is_some() || code.is_some() {
            0.82
        } else if command.is_some() {
            0.72
        } else {
            0.4
        };
        found.push(Seen { category: INSTALL, score, message: "Runs code of its own while it is installed", places });
    } else if let Some(setup) = &facts.setup
        && (network.is_some() || code.is_some() && command.is_some())
        && tokens.iter().any(|token| token.text.contains("setuptools") || token.text.contains("distutils"))
    {
        let places = [Some(setup.clone()), acts.cloned()].into_iter().flatten().collect();
        found.push(Seen {
            category: INSTALL,
            score: 0.66,
            message: "Runs code of its own while it is installed",
            places,
        });
    }
    // Members of a manifest, in order.
    let mut group = "";
    for (at, token) in tokens.iter().enumerate() {
        let next = |ahead: usize| tokens.iter().skip(at + 1).filter(|token| token.kind != Kind::End).nth(ahead);
        if token.kind != Kind::Text || next(0).is_none_or(|next| next.kind != Kind::Mark(b':')) {
            continue;
        }
        let Some(value) = next(1) else { continue };
        if value.kind == Kind::Mark(b'{') {
            if token.text == "scripts"
                || token.text.to_ascii_lowercase().ends_with("dependencies")
                || !matches!(group, "scripts")
            {
                group = token.text.as_str();
            }
            continue;
        }
        if value.kind != Kind::Text {
            continue;
        }
        let lower = value.text.to_ascii_lowercase();
        if HOOKS.contains(&token.text.as_str()) && group == "scripts" {
            let usual = USUAL.iter().any(|usual| lower.contains(usual));
            let acts = [
                "curl",
                "wget",
                "node -e",
                "powershell",
                "bash -c",
                "sh -c",
                "base64",
                "http://",
                "https://",
                "eval",
                "python -c",
                "/tmp/",
                "nc ",
                "|sh",
                "| sh",
                "cmd /c",
                "start /b",
            ]
            .iter()
            .any(|word| lower.contains(word));
            let score = match (words::harmful(&lower), acts, usual) {
                (Some((score, _)), ..) => score.max(0.85),
                (None, true, _) => 0.82,
                (None, false, true) => 0.0,
                _ if matches!(token.text.as_str(), "prepare" | "prepublish") => 0.0,
                _ => 0.55,
            };
            if score > 0.0 {
                found.push(Seen {
                    category: INSTALL,
                    score,
                    message: "Runs a command while the package is installed",
                    places: std::iter::once(token.range.start..value.range.end).collect(),
                });
            }
        } else if group.to_ascii_lowercase().ends_with("dependencies")
            && (lower.starts_with("http://") || lower.starts_with("https://"))
            && !lower.contains("github.com")
            && !lower.contains("npmjs.org")
        {
            let score = if lower.starts_with("http://") { 0.76 } else { 0.55 };
            found.push(Seen {
                category: INSTALL,
                score,
                message: "Installs a package from an address of its own",
                places: std::iter::once(token.range.start..value.range.end).collect(),
            });
        }
    }
}
