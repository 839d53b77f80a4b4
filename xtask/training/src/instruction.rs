//! The table of `detector-instruction`: does a result try to steer the agent that reads it?

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use detector_instruction::{Config, Instruction, Seen, Trees};
use plugin_model::Calibration;
use portcullis_plugin::{Call, Detector as _, Phase};

use crate::boost::{self, Group, Settings};
use crate::correspondence;
use crate::data::{Row, read};
use crate::fit::{calibrate, logistic, rounded};
use crate::random::Random;
use crate::trained::{HeldOut, Set, Trained, highest};

/// How it is trained.
const SETTINGS: Settings = Settings { trees: 200, levels: 5, rate: 0.25, ridge: 5.0, of_ten: 5, seed: 7 };
/// What a text with a request counts, and what a text of others counts against one of our own.
const ATTACK: f64 = 2.0;
const REAL: f64 = 8.0;
/// Sources with attacks, each left out with benign texts that come from the same place.
const FOLDS: [&[&str]; 2] = [&["asb"], &["bipia", "bipia-email"]];
/// Ordinary texts of our own, and requests put into ordinary texts.
const ORDINARY: usize = 5000;
/// What programs print.
const PRINTED: usize = 3000;
const SPLICED: usize = 6000;
/// While training, scores are kept this much flatter, so that high ones differ in their last digits.
const FLAT: f32 = 0.2;
/// Share of benign texts that may reach the score from which findings count.
const FALSE_ALARMS: f64 = 0.005;
/// The score of a text in which nothing asks.
const LOWEST: f64 = -8.0;
/// The score from which findings count.
const ACTS: f64 = 0.8;

/// Dense features of each.
type Sentences = Vec<Vec<f32>>;

/// A text and what of it is trained on.
struct Sample {
    text: String,
    source: String,
    kind: String,
    attack: bool,
    /// Sentences that ask, of an attack.
    asking: Sentences,
    /// Sentences that do not.
    plain: Sentences,
}

pub(crate) fn train(data: &Path) -> Result<Trained> {
    let rows = read(data, "pi.jsonl")?;
    let detector = Instruction::configure(Config::default()).map_err(anyhow::Error::msg)?;
    let samples: Vec<Sample> = rows.iter().filter(|row| is_result(row)).map(|row| sample(&detector, row)).collect();
    let requests: Vec<&Row> = rows.iter().filter(|row| is_request(row)).collect();
    let benign: BTreeSet<&str> = samples.iter().filter(|one| !one.attack).map(|one| one.source.as_str()).collect();
    let mut held_out = Vec::new();
    let mut raw: Vec<(f64, bool)> = Vec::new();
    for sources in &FOLDS {
        let mut models = Vec::new();
        for half in 0..2 {
            let left_out = |name: &str, attack: bool| {
                let dealt = || benign.iter().position(|source| *source == name).is_some_and(|at| at % 2 == half);
                sources.contains(&name) || (!attack && dealt())
            };
            let known: Vec<&Sample> = samples.iter().filter(|one| !left_out(&one.source, one.attack)).collect();
            let requests: Vec<&Row> = requests.iter().copied().filter(|row| !left_out(&row.source, false)).collect();

            let trees = Trees { slope: FLAT, ..fit(&detector, &known, &requests)? };
            let bytes = trees.write();

            let config = Config { min_score: 0.0, taint_score: 2.0, ..Config::default() };
            models.push(Instruction::with_model(config, &bytes).map_err(anyhow::Error::msg)?);
        }
        for one in samples.iter().filter(|one| !one.attack || sources.contains(&one.source.as_str())) {
            let at = benign.iter().position(|source| *source == one.source).unwrap_or_default() % 2;
            let score = score(models.get(at).context("two models")?, &one.text)?;
            raw.push((score, one.attack));
            let (source, kind) = (one.source.clone(), one.kind.clone());
            let kind = if one.attack {
                kind
            } else {
                format!("{kind}.without_{}", sources.first().copied().unwrap_or_default())
            };
            held_out.push(HeldOut { set: Set::Results, source, kind, attack: one.attack, score });
        }
    }
    let (slope, offset) = calibrate(&raw, FALSE_ALARMS, ACTS)?;
    for one in &mut held_out {
        one.score = logistic(slope * one.score + offset);
    }
    let known: Vec<&Sample> = samples.iter().collect();
    let Calibration { slope, offset } = rounded((slope, offset));
    let model = Trees { slope, offset, ..fit(&detector, &known, &requests)? };
    Ok(Trained { package: "detector-instruction", files: vec![("model.bin", model.write())], held_out })
}

/// What a tool may return.
fn is_result(row: &Row) -> bool {
    let begins = |words: &[&str]| words.iter().any(|word| row.kind.starts_with(word));
    if row.is_attack() {
        begins(&["inj.tool_output", "inj.email", "inj.bare"])
    } else {
        begins(&["benign.document", "benign.email", "benign.tool_output"])
    }
}

/// What users ask assistants for, to be done: questions stand in documents of all kinds, and do no harm there.
fn is_request(row: &Row) -> bool {
    let first = row.text.split_whitespace().next().unwrap_or_default().to_lowercase();
    let asks = ["what", "what's", "how", "who", "why", "when", "where", "which", "is", "are", "does", "do"];
    matches!(row.kind.as_str(), "benign.user_task" | "benign.instruction")
        && row.text.len() < 400
        && !asks.contains(&first.as_str())
}

fn sample(detector: &Instruction, row: &Row) -> Sample {
    let (asking, plain) = split(detector, &row.text, row.is_attack().then(|| row.span.as_deref().unwrap_or(&row.text)));
    // What stands around the request of a wrapped one belongs to it.
    let wrapped = ["ignore", "combined", "fake"].iter().any(|end| row.kind.ends_with(end));
    Sample {
        text: row.text.clone(),
        source: row.source.clone(),
        kind: row.kind.clone(),
        attack: row.is_attack(),
        asking,
        plain: if wrapped { Vec::new() } else { plain },
    }
}

/// The sentences of a text: those of the piece that asks, and the others.
fn split(detector: &Instruction, text: &str, piece: Option<&str>) -> (Sentences, Sentences) {
    let (mut asking, mut plain) = (Vec::new(), Vec::new());
    let place = piece.and_then(|piece| text.find(piece).map(|start| start..start + piece.len()));
    for (number, view) in detector.read(text).iter().enumerate() {
        for seen in view {
            let within = |place: &std::ops::Range<usize>| {
                number > 0 || (seen.range.start < place.end && place.start < seen.range.end)
            };
            match &place {
                Some(place) if within(place) => {
                    if number == 0 {
                        asking.push(window(seen));
                    }
                }
                _ => plain.push(window(seen)),
            }
        }
    }
    (asking, plain)
}

fn window(seen: &Seen) -> Vec<f32> {
    seen.dense.to_vec()
}

/// A text of our own or of others with a request of our own or of others in it.
fn splice(random: &mut Random, carriers: &[&Sample], requests: &[&Row]) -> Result<(String, String, String)> {
    let carrier = match random.below(10) {
        0..3 => {
            let text = carriers.get(random.below(carriers.len())).map_or("", |one| one.text.as_str());
            let start = text.ceil_char_boundary(random.below(text.len().saturating_sub(300).max(1)));
            let end = text.ceil_char_boundary((start + 100 + random.below(700)).min(text.len()));
            text.get(start..end).unwrap_or_default().to_owned()
        }
        3 => String::new(),
        _ => correspondence::carrier(random)?,
    };
    let mut request = match random.below(2) {
        0 => requests
            .get(random.below(requests.len()))
            .map_or("", |row| row.text.lines().next().unwrap_or_default())
            .to_owned(),
        _ => correspondence::request(random)?,
    };
    let bare = request.clone();
    if random.below(10) < 3 {
        request = correspondence::wrapper(random)?.replace("{}", &request);
    }
    // Between two sentences.
    let places: Vec<usize> = carrier.match_indices(['.', '\n']).map(|(at, _)| at + 1).collect();
    let at = match random.below(10) {
        0..5 => carrier.len(),
        5..7 => 0,
        _ => places.get(random.below(places.len())).copied().unwrap_or(carrier.len()),
    };
    let (before, after) = carrier.split_at_checked(at).unwrap_or((&carrier, ""));
    let (left, right) =
        [(" ", " "), ("\n", "\n"), ("\n\n", "\n\n"), (" ", "\n")].get(random.below(4)).copied().unwrap_or_default();
    Ok((format!("{}{left}{request}{right}{}", before.trim_end(), after.trim_start()), request, bare))
}

fn fit(detector: &Instruction, known: &[&Sample], requests: &[&Row]) -> Result<Trees> {
    let mut random = Random::seeded(23);
    let mut made: Vec<(Sentences, Sentences)> = Vec::new();
    for _ in 0..ORDINARY {
        made.push(split(detector, &correspondence::ordinary(&mut random)?, None));
    }
    let carriers: Vec<&Sample> = known.iter().copied().filter(|one| !one.attack).collect();
    for _ in 0..SPLICED {
        let (text, piece, bare) = splice(&mut random, &carriers, requests)?;
        let (asking, plain) = split(detector, &text, Some(&piece));
        made.push((asking, plain));
        if bare != piece {
            // What wraps it has to be known by itself.
            let (_, wrapper) = split(detector, &piece, Some(&bare));
            made.push((wrapper, Vec::new()));
        }
    }
    for _ in 0..PRINTED {
        made.push(split(detector, &correspondence::output(&mut random)?, None));
    }
    let all = || {
        let known = known.iter().map(|one| (&one.asking, &one.plain));
        known.chain(made.iter().map(|(asking, plain)| (asking, plain)))
    };
    let mut groups = Vec::new();
    for (number, (asking, plain)) in all().enumerate() {
        let real = if number < known.len() { REAL } else { 1.0 };
        groups.push(Group { sentences: asking.iter().map(Vec::as_slice).collect(), attack: true, weight: ATTACK });
        groups.push(Group { sentences: plain.iter().map(Vec::as_slice).collect(), attack: false, weight: real });
    }
    groups.retain(|group| !group.sentences.is_empty());
    Ok(boost::train(&groups, SETTINGS))
}

/// The score of the whole detector, before it is calibrated.
fn score(detector: &Instruction, text: &str) -> Result<f64> {
    let call = Call { phase: Phase::Result, ..Call::default() };
    let payload = serde_json::json!({ "text": text }).to_string();
    let most = highest(detector, &call, &payload, "")?.clamp(1e-6, 1.0 - 1e-6);
    // A text without any request has no score; a low one stands for that.
    Ok((libm::log(most / (1.0 - most)) / f64::from(FLAT)).max(LOWEST))
}
