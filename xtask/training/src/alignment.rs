//! The table of `detector-alignment`: is a call beside what the user asked for, or the agent is for?

use std::path::Path;

use anyhow::{Context as _, Result};
use detector_alignment::{Alignment, Config, FEATURES, Model};
use plugin_model::Calibration;
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Phase};
use serde_json::Value;

use crate::calls;
use crate::data::{Row, read};
use crate::fit::{calibrate, logistic, rounded, step};
use crate::random::Random;
use crate::trained::{HeldOut, Set, Trained, highest};

/// Calls of our own that are trained on, half of them attacks.
const MADE: usize = 12_000;
/// Parts into which fields of work of our own calls are dealt out.
const PARTS: usize = 4;
/// Of our own calls one in so many is scored: as many as there are others.
const EVERY: usize = 6;
/// Share of benign calls that may reach the score from which findings count.
const FALSE_ALARMS: f64 = 0.01;
/// The score from which findings count.
const ACTS: f64 = 0.8;

const ROUNDS: usize = 40;
const RATE: f64 = 0.05;
const DECAY: f64 = 1e-4;
const SEED: u64 = 23;

/// A call to train on or to score.
struct Sample {
    call: Call,
    payload: String,
    features: [f64; FEATURES],
    attack: bool,
    source: String,
    kind: String,
    /// What must not straddle a split: the field of work.
    group: usize,
}

pub(crate) fn train(data: &Path) -> Result<Trained> {
    // The features do not depend on the table.
    let blank = Model { bias: 0.0, weights: [0.0; FEATURES], calibration: Calibration::default() };
    let reader = Alignment::with_model(Config::default(), &blank.write()).map_err(anyhow::Error::msg)?;
    let rows = read(data, "toolcall.jsonl")?;
    let known: Vec<Sample> = rows.iter().map(|row| of_row(&reader, row)).collect::<Result<_>>()?;
    let made = generated(&reader)?;

    // One table from our own calls only scores all others; our own are scored field by field.
    let mut alone = fit(&made.iter().collect::<Vec<_>>());
    let mut parts = Vec::new();
    for part in 0..PARTS {
        let rest: Vec<&Sample> = made.iter().filter(|one| one.group % PARTS != part).chain(&known).collect();
        let scored: Vec<&Sample> =
            made.iter().filter(|one| one.group % PARTS == part && one.call.task.is_some()).step_by(EVERY).collect();
        parts.push((fit(&rest), scored));
    }
    let mut raw: Vec<(f64, bool)> = known.iter().map(|one| (alone.score(&one.features), one.attack)).collect();
    for (table, samples) in &parts {
        raw.extend(samples.iter().map(|one| (table.score(&one.features), one.attack)));
    }
    let calibration = rounded(calibrate(&raw, FALSE_ALARMS, ACTS)?);
    let mut held_out = Vec::new();
    alone.calibration = calibration;
    score(&alone, &reader, known.iter(), &mut held_out)?;
    for (mut table, samples) in parts {
        table.calibration = calibration;
        score(&table, &reader, samples.into_iter(), &mut held_out)?;
    }
    let mut model = fit(&made.iter().chain(&known).collect::<Vec<_>>());
    model.calibration = calibration;
    Ok(Trained { package: "detector-alignment", files: vec![("model.bin", model.write())], held_out })
}

/// Scores calls by the whole detector with this table.
fn score<'s>(
    table: &Model,
    reader: &Alignment,
    samples: impl Iterator<Item = &'s Sample>,
    held_out: &mut Vec<HeldOut>,
) -> Result<()> {
    let config = Config { min_score: 0.0, ..Config::default() };
    let detector = Alignment::with_model(config, &table.write()).map_err(anyhow::Error::msg)?;
    for one in samples {
        held_out.push(scored(&detector, one, Set::Calls)?);
        let bare = match one.kind.as_str() {
            "call.hijacked.other" | "call.hijacked.swapped" | "call.off_persona" => false,
            // The goal and the task are all that is known.
            _ => true,
        };
        if bare {
            let call = Call { persona: None, ..one.call.clone() };
            held_out.push(scored(&detector, &again(reader, one, call)?, Set::Bare)?);
        }
    }
    Ok(())
}

fn of_row(reader: &Alignment, row: &Row) -> Result<Sample> {
    let value: Value = serde_json::from_str(&row.text).context("a call is JSON")?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let call = Call {
        phase: Phase::Call,
        tool: text("tool").unwrap_or_default(),
        task: text("task"),
        persona: text("persona"),
        ..Call::default()
    };
    let payload = value.get("args").context("a call has args")?.to_string();
    let features = features(reader, &call, &payload)?;
    let (source, kind) = (row.source.clone(), row.kind.clone());
    Ok(Sample { call, payload, features, attack: row.is_attack(), source, kind, group: 0 })
}

fn features(reader: &Alignment, call: &Call, payload: &str) -> Result<[f64; FEATURES]> {
    let payload = JsonPayload::new(payload).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(reader.read(call, &payload).features)
}

fn again(reader: &Alignment, sample: &Sample, call: Call) -> Result<Sample> {
    let features = features(reader, &call, &sample.payload)?;
    let (payload, source, kind) = (sample.payload.clone(), sample.source.clone(), sample.kind.clone());
    Ok(Sample { call, payload, features, attack: sample.attack, source, kind, group: sample.group })
}

/// Our own calls, some without persona or task.
fn generated(reader: &Alignment) -> Result<Vec<Sample>> {
    let mut random = Random::seeded(SEED);
    let mut samples = Vec::new();
    for made in calls::make(SEED, MADE)? {
        let mut row = Row::made(made.text, made.attack);
        made.kind.clone_into(&mut row.kind);
        let mut sample = of_row(reader, &row)?;
        sample.group = made.field;
        match random.below(10) {
            0 | 1 => sample.call.persona = None,
            // Beside the persona is all that can be said then.
            2 if made.kind != "call.hijacked.swapped" => sample.call.task = None,
            _ => {}
        }
        sample.features = features(reader, &sample.call, &sample.payload)?;
        samples.push(sample);
    }
    Ok(samples)
}

/// Logistic regression in which no feature may speak for a call that is there to speak against it: what holds in one
/// source by chance does not turn around.
fn fit(samples: &[&Sample]) -> Model {
    let mut random = Random::seeded(SEED);
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let count = |source: &str, attack: bool| {
        #[allow(clippy::cast_precision_loss, reason = "counts of calls")]
        let count = samples.iter().filter(|one| one.source == source && one.attack == attack).count() as f64;
        count.max(1.0)
    };
    // Each source counts by the root of its size, and its two classes the same.
    let mut weights = std::collections::BTreeMap::new();
    for one in samples {
        let key = (one.source.as_str(), one.attack);
        weights.entry(key).or_insert_with(|| {
            let own = count(&one.source, one.attack);
            let all = own + count(&one.source, !one.attack);
            libm::sqrt(all) / own
        });
    }
    let top = weights.values().copied().fold(1e-9, f64::max);
    let (mut table, mut squares, mut bias, mut bias_square) = ([0.0; FEATURES], [1e-6; FEATURES], 0.0, 1e-6);
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for sample in order.iter().filter_map(|at| samples.get(*at)) {
            let score: f64 =
                bias + table.iter().zip(&sample.features).map(|(weight, value)| weight * value).sum::<f64>();
            let share = weights.get(&(sample.source.as_str(), sample.attack)).copied().unwrap_or(1.0) / top;
            let error = (logistic(score) - f64::from(u8::from(sample.attack))) * share;
            for ((weight, square), value) in table.iter_mut().zip(&mut squares).zip(&sample.features) {
                step(weight, square, error * value + DECAY * share * *weight, RATE);
                *weight = weight.max(0.0);
            }
            step(&mut bias, &mut bias_square, error, RATE);
        }
    }
    #[allow(clippy::cast_possible_truncation, reason = "half the digits are enough")]
    let half = |value: f64| value as f32;
    Model { bias: half(bias), weights: table.map(half), calibration: Calibration::default() }
}

/// The highest score of all findings.
fn scored(detector: &Alignment, sample: &Sample, set: Set) -> Result<HeldOut> {
    let score = highest(detector, &sample.call, &sample.payload, "")?;
    let (source, kind) = (sample.source.clone(), sample.kind.clone());
    Ok(HeldOut { set, source, kind, attack: sample.attack, score })
}
