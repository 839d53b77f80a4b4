//! The table of `detector-packages`: names known to harm, popular names, and a model of names.
//!
//! Names are dealt into folds. Those of a fold are in no filter, in no list of popular names and in no model when they are scored,
//! so that a name is judged as one that nobody has seen.

use std::path::Path;

use anyhow::{Context as _, Result};
use detector_packages::{BITS, Bad, Config, Fuse, Look, Packages, Popular, Registry, Table, Weights};
use plugin_model::Calibration;
use portcullis_plugin::{Call, Phase};
use serde_json::json;

use crate::data::{Row, read};
use crate::fit::{balance, calibrate, logistic, rounded, step};
use crate::random::Random;
use crate::trained::{HeldOut, Set, Trained, highest};

const FOLDS: usize = 5;
const ROUNDS: usize = 20;
const RATE: f64 = 0.1;
const DECAY: f64 = 1e-3;
/// Steps of a weight on either side of nothing: few, so that the table packs well.
const STEPS: f64 = 10.0;
/// Share of benign names that may reach the score from which findings count, and that score.
const FALSE_ALARMS: f64 = 0.005;
const ACTS: f64 = 0.8;

/// One name.
struct Name {
    registry: Registry,
    name: String,
    kind: String,
    source: String,
    attack: bool,
    fold: usize,
}

pub(crate) fn train(data: &Path) -> Result<Trained> {
    let mut names: Vec<Name> = read(data, "packages.jsonl")?.iter().filter_map(name).collect();
    deal(&mut names);
    let mut held_out = Vec::new();
    let mut raw: Vec<(f64, bool)> = Vec::new();
    let mut tables = Vec::new();
    for fold in 0..FOLDS {
        let known: Vec<&Name> = names.iter().filter(|name| name.fold != fold).collect();
        let table = table(&known)?;
        for one in names.iter().filter(|name| name.fold == fold) {
            let relation = table.popular.relation(one.registry, &one.name);
            let look = Look::of(&table.popular, one.registry, &one.name, &relation);
            raw.push((f64::from(table.weights.score(&look)), one.attack));
        }
        tables.push(table);
    }
    let calibration = rounded(calibrate(&raw, FALSE_ALARMS, ACTS)?);
    let calibrated = |mut table: Table| {
        table.weights.calibration = calibration;
        table.write()
    };
    for (fold, table) in tables.into_iter().enumerate() {
        let detector = detector(&calibrated(table))?;
        for one in names.iter().filter(|name| name.fold == fold) {
            held_out.push(scored(&detector, one, &one.kind)?);
        }
    }
    let bytes = calibrated(table(&names.iter().collect::<Vec<_>>())?);
    let detector = detector(&bytes)?;
    for one in names.iter().filter(|name| name.attack) {
        held_out.push(scored(&detector, one, "pkg.in_list")?);
    }
    Ok(Trained { package: "detector-packages", files: vec![("table.bin", bytes)], held_out })
}

fn name(row: &Row) -> Option<Name> {
    let (registry, name) = Registry::split(&row.text)?;
    let name = registry.name(name)?;
    let (kind, source) = (row.kind.clone(), row.source.clone());
    Some(Name { registry, name, kind, source, attack: row.is_attack(), fold: 0 })
}

/// Deals names into folds.
fn deal(names: &mut [Name]) {
    let mut random = Random::seeded(5);
    for name in names {
        name.fold = random.below(FOLDS);
    }
}

fn table(names: &[&Name]) -> Result<Table> {
    let full: Vec<(String, bool)> =
        names.iter().map(|name| (format!("{}{}", name.registry.prefix(), name.name), name.attack)).collect();
    let popular = Popular::new(full.iter().filter(|(_, attack)| !attack).map(|(name, _)| name.as_str()));
    let key = |name: &&&Name| {
        let bad = if name.kind == "pkg.compromised_lib" { Bad::TakenOver } else { Bad::Made };
        Table::key(name.registry, &name.name, bad)
    };
    let keys: Vec<u64> = names.iter().filter(|name| name.attack).map(|name| key(&name)).collect();
    let bad = Fuse::build(&keys).context("the filter cannot be built")?;
    let weights = fit(names, &popular);
    Ok(Table { bad, popular, weights })
}

/// Logistic regression over hashed words and letters and the dense features, by AdaGrad.
fn fit(names: &[&Name], popular: &Popular) -> Weights {
    struct Sample {
        look: Look,
        over: f64,
        attack: bool,
        weight: f64,
    }
    let weight = balance(names.iter().map(|name| name.attack));
    let sample = |name: &&Name| {
        let relation = popular.relation(name.registry, &name.name);
        let look = Look::of(popular, name.registry, &name.name, &relation);
        #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
        let over = libm::sqrt(look.hashes.len().max(1) as f64);
        Sample { look, over, attack: name.attack, weight: if name.attack { weight } else { 1.0 } }
    };
    let samples: Vec<Sample> = names.iter().map(sample).collect();
    let dense = samples.first().map_or(0, |sample| sample.look.dense.len());
    let mask = (1_usize << BITS) - 1;
    let (mut hashed, mut squares) = (vec![0.0_f64; mask + 1], vec![1e-6_f64; mask + 1]);
    let (mut others, mut other_squares) = (vec![0.0_f64; dense + 1], vec![1e-6_f64; dense + 1]);
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let mut random = Random::seeded(17);
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for sample in order.iter().filter_map(|at| samples.get(*at)) {
            let values = || sample.look.dense.iter().map(|value| f64::from(*value)).chain([1.0]);
            let mut score: f64 = others.iter().zip(values()).map(|(weight, value)| weight * value).sum();
            let places = || sample.look.hashes.iter().map(|hash| *hash as usize & mask);
            score += places().filter_map(|at| hashed.get(at)).sum::<f64>() / sample.over;
            let error = (logistic(score) - f64::from(u8::from(sample.attack))) * sample.weight;
            for at in places() {
                if let (Some(weight), Some(square)) = (hashed.get_mut(at), squares.get_mut(at)) {
                    step(weight, square, error * (1.0 / sample.over) + DECAY * *weight, RATE);
                }
            }
            for ((weight, square), value) in others.iter_mut().zip(&mut other_squares).zip(values()) {
                if value != 0.0 {
                    step(weight, square, error * value, RATE);
                }
            }
        }
    }
    let most = hashed.iter().fold(1e-9_f64, |most, weight| most.max(weight.abs()));
    let scale = most / STEPS;
    #[allow(clippy::cast_possible_truncation, reason = "rounded, from -10 to 10; half the digits are enough")]
    let weights = Weights {
        hashed: hashed.iter().map(|weight| (weight / scale).round() as i8).collect(),
        scale: scale as f32,
        bias: others.pop().unwrap_or_default() as f32,
        dense: others.iter().map(|weight| *weight as f32).collect(),
        calibration: Calibration::default(),
    };
    weights
}

fn detector(table: &[u8]) -> Result<Packages> {
    let config = Config { min_score: 0.0, ..Config::default() };
    Packages::with_table(config, table).map_err(anyhow::Error::msg)
}

/// What the whole detector says of a command that installs the package.
fn scored(detector: &Packages, name: &Name, kind: &str) -> Result<HeldOut> {
    let tool = if name.registry == Registry::Npm { "npm" } else { "pip" };
    let payload = json!({ "command": format!("{tool} install {}", name.name) }).to_string();
    let call = Call { phase: Phase::Call, tool: "shell".to_owned(), ..Call::default() };
    let score = highest(detector, &call, &payload, "")?;
    let (set, source) = (Set::Packages, name.source.clone());
    Ok(HeldOut { set, source, kind: kind.to_owned(), attack: name.attack, score })
}
