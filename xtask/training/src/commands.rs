//! The table of `detector-commands`: does a command do what attackers do?

use std::path::Path;

use anyhow::{Context as _, Result};
use detector_commands::{Commands, Config, DENSE};
use plugin_model::{Calibration, Head};
use portcullis_plugin::Call;

use crate::data::{Row, read};
use crate::fit::{Settings, Text, Weights, Window, balance, calibrate, rounded, score};
use crate::random::Random;
use crate::shells;
use crate::trained::{HeldOut, Set, Trained, highest};

const SETTINGS: Settings = Settings { rounds: 6, rate: 0.1, decay: 1e-4, seed: 17 };
/// Commands of our own that are trained on beside the others: benign, and attacks.
const MADE: [usize; 2] = [5000, 2500];
/// There is one source of attacks: what one intention is met with is left out together. A technique has one intention, so no
/// technique lies on both sides. Benign commands are dealt out by the program that they document.
const FOLDS: [&str; 5] =
    ["shell.destructive", "shell.credential", "shell.evasion", "shell.exec_persist", "shell.exfil"];
/// Share of benign texts that may reach the score from which a person is asked.
const FALSE_ALARMS: f64 = 0.005;
/// The score from which a person is asked.
const ASKS: f64 = 0.7;

struct Sample<'r> {
    row: &'r Row,
    windows: Vec<Window>,
    fold: Option<usize>,
}

pub(crate) fn train(data: &Path) -> Result<Trained> {
    let rows = read(data, "shell.jsonl")?;
    let counts = |row: &&Row| !row.is_attack() || FOLDS.iter().any(|kind| row.kind.starts_with(kind));
    let rows: Vec<Row> = rows.iter().filter(counts).cloned().collect();
    let plain = Commands::with_model(Config::default(), None).map_err(anyhow::Error::msg)?;
    let mut random = Random::seeded(23);
    let trained_on: Vec<Row> = rows.iter().map(|row| realistic(row, &mut random)).collect::<Result<_>>()?;
    let mut made = Vec::new();
    let [benign, attacks] = MADE;
    for _ in 0..benign {
        made.push(Row::made(shells::benign(&mut random)?, false));
    }
    for _ in 0..attacks {
        made.push(Row::made(shells::attack(&mut random)?, true));
    }
    let samples: Vec<Sample<'_>> = trained_on.iter().chain(&made).map(|row| sample(&plain, row)).collect();

    let mut held_out = Vec::new();
    let mut alone: Vec<(f64, bool)> = Vec::new();
    for number in 0..FOLDS.len() {
        let known = samples.iter().filter(|one| one.fold != Some(number));
        let model = fit(known).quantised(vec![Calibration::default()]).write();
        let head = Head::read(&model)?;
        for row in rows.iter().filter(|row| fold(row) == Some(number)) {
            alone.push((score(&head, &windows(&plain, &row.text)), row.is_attack()));
        }
    }
    let calibration = rounded(calibrate(&alone, FALSE_ALARMS, ASKS)?);
    for number in 0..FOLDS.len() {
        let known = samples.iter().filter(|one| one.fold != Some(number));
        let model = fit(known).quantised(vec![calibration]).write();
        let detector = Commands::with_model(Config::default(), Some(model.leak())).map_err(anyhow::Error::msg)?;
        for row in rows.iter().filter(|row| fold(row) == Some(number)) {
            let score = whole(&detector, "command", &row.text, "command.")?;
            let mut add = |set: Set| held_out.push(held(row, set, score));
            if !row.is_attack() || row.kind.ends_with(".unix") {
                add(Set::Shell);
            }
            if !row.is_attack() || row.kind.starts_with("shell.destructive") {
                add(Set::Destructive);
            }
        }
    }
    let model = fit(samples.iter()).quantised(vec![calibration]).write();
    let detector = Commands::with_model(Config::default(), Some(model.clone().leak())).map_err(anyhow::Error::msg)?;
    for row in read(data, "sql.jsonl")? {
        // Rules alone: nothing of them was trained.
        let score = whole(&detector, "id", &row.text, "sql.")?;
        held_out.push(held(&row, Set::Sql, score));
    }
    Ok(Trained { package: "detector-commands", files: vec![("model.bin", model)], held_out })
}

fn held(row: &Row, set: Set, score: f64) -> HeldOut {
    HeldOut { set, source: row.source.clone(), kind: row.kind.clone(), attack: row.is_attack(), score }
}

/// What the whole detector says.
fn whole(detector: &Commands, key: &str, text: &str, begins: &str) -> Result<f64> {
    let payload = serde_json::json!({ key: text }).to_string();
    highest(detector, &Call { tool: "tool".into(), ..Call::default() }, &payload, begins)
}

/// Which fold leaves a text out; none for one of our own.
fn fold(row: &Row) -> Option<usize> {
    if row.kind == "generated" {
        return None;
    }
    FOLDS.iter().position(|kind| row.kind.starts_with(kind)).or_else(|| {
        let program = row.text.split_whitespace().find(|word| *word != "sudo").unwrap_or_default();
        let hash = program.bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        Some(hash % FOLDS.len())
    })
}

fn fit<'s>(samples: impl Iterator<Item = &'s Sample<'s>>) -> Weights {
    let samples: Vec<&Sample<'_>> = samples.collect();
    let weight = balance(samples.iter().map(|one| one.row.is_attack()));
    let text = |one: &&'s Sample<'s>| Text {
        windows: &one.windows,
        attack: one.row.is_attack(),
        weight: if one.row.is_attack() { weight } else { 1.0 },
    };
    let texts: Vec<Text<'_>> = samples.iter().map(text).collect();
    Weights::mean(&texts, DENSE, SETTINGS, 1, |_| false)
}

/// The text without what only its source writes: names of its test suite, stand-ins for paths. A table would learn those.
fn realistic(row: &Row, random: &mut Random) -> Result<Row> {
    let mut text = row.text.clone();
    for (from, to) in QUIRKS {
        text = replaced(&text, |text| text.find(from).map(|at| (at, from.len())), || shells::expand(random, to))?;
    }
    // T1234, T1234.001
    text = replaced(&text, technique, || shells::expand(random, "{word}"))?;
    let mut row = row.clone();
    row.text = text;
    Ok(row)
}

/// The text with something else in each place that is found; what it is replaced with is not searched again.
fn replaced(
    text: &str,
    find: impl Fn(&str) -> Option<(usize, usize)>,
    mut with: impl FnMut() -> Result<String>,
) -> Result<String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((at, length)) = find(rest) {
        let (before, found) = rest.split_at_checked(at).context("a place inside a letter")?;
        out.push_str(before);
        out.push_str(&with()?);
        rest = found.get(length..).context("a place inside a letter")?;
    }
    Ok(out + rest)
}

/// What only one source writes, and what stands for it, one after the other.
const QUIRKS: &[(&str, &str)] = &[
    ("/tmp/data\\..\\ExternalPayloads", "{windir}"),
    ("/tmp/data/..", "/opt"),
    ("/tmp/data\\", "C:\\src\\"),
    ("/tmp/data", "{place}"),
    ("ExternalPayloads", "{word}"),
    ("PathToAtomicsFolder", "{word}"),
    ("AtomicRedTeam", "{word}"),
    ("atomicredteam", "{word}"),
    ("Atomic Red Team", "the {word}"),
    ("atomic-red-team", "{word}"),
    ("Atomic", "Main"),
    ("atomic", "{word}"),
    ("redcanaryco", "example"),
    ("redcanary", "example"),
    ("evil", "{word}"),
    ("victim", "{word}"),
    ("Hello from", "About"),
    ("path/to/", "{place}/"),
    ("path\\to\\", "{windir}\\"),
    ("file_or_directory", "{word}"),
    ("username", "{user}"),
    ("hostname", "{host}"),
];

fn technique(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let digits =
        |from: usize, count: usize| bytes.get(from..from + count).is_some_and(|all| all.iter().all(u8::is_ascii_digit));
    let at = (0..bytes.len()).find(|at| matches!(bytes.get(*at), Some(b'T' | b't')) && digits(at + 1, 4))?;
    let more = matches!(bytes.get(at + 5), Some(b'.' | b'_' | b'-')) && digits(at + 6, 3);
    Some((at, if more { 9 } else { 5 }))
}

fn sample<'r>(detector: &Commands, row: &'r Row) -> Sample<'r> {
    Sample { row, windows: windows(detector, &row.text), fold: fold(row) }
}

fn windows(detector: &Commands, text: &str) -> Vec<Window> {
    let reading = detector.read(text);
    reading.blocks.windows().map(|window| Window::of(&reading.blocks, window, &reading.dense)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_quirk_may_hold_it() {
        let find = |text: &str| text.find("evil").map(|at| (at, 4));
        let text = replaced("an evil host, evil.test", find, || Ok("evil-evil".to_owned())).unwrap();
        assert_eq!(text, "an evil-evil host, evil-evil.test");
        assert_eq!(replaced("T1234 t1059.001/x", technique, || Ok("T1000".to_owned())).unwrap(), "T1000 T1000/x");
    }
}
