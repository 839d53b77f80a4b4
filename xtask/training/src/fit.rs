//! Logistic regression over hashed windows, one text after the other.
//!
//! Which window of an attack holds it is not known: after the first round only the one that scores most counts for it
//! (multiple instances, after Andrews, Tsochantaridis and Hofmann, 2003). Of a benign text the one that scores most counts,
//! which is the hardest, and one more. Steps are those of AdaGrad (Duchi, Hazan and Singer, 2011).

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context as _, Result};
use plugin_model::{Blocks, Calibration, Head, Model};
use portcullis_score::Scores;

use crate::random::Random;

/// Binary logarithm of the length of a table.
pub(crate) const BITS: u32 = 14;
const SIZE: usize = 1 << BITS;

/// Sparse features of a window: place in the table and value, both tables and the dense ones.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) words: Vec<(u32, f64)>,
    pub(crate) letters: Vec<(u32, f64)>,
    pub(crate) dense: Vec<f64>,
}

impl Window {
    /// These blocks of a text.
    pub(crate) fn of(blocks: &Blocks, window: Range<usize>, dense: &[f32]) -> Self {
        let (mut words, mut letters) = (Vec::new(), Vec::new());
        for (of_words, of_letters) in window.map(|block| blocks.hashes(block)) {
            words.extend(of_words);
            letters.extend(of_letters);
        }
        let dense = dense.iter().map(|value| f64::from(*value)).collect();
        Self { words: shares(&words), letters: shares(&letters), dense }
    }
}

/// How often each place of the table is met, over the root of all.
fn shares(hashes: &[u32]) -> Vec<(u32, f64)> {
    let mut table = BTreeMap::new();
    for hash in hashes {
        *table.entry(hash & ((1 << BITS) - 1)).or_insert(0_u32) += 1;
    }
    #[allow(clippy::cast_precision_loss, reason = "hashes of a window")]
    let over = (hashes.len().max(1) as f64).sqrt();
    table.into_iter().map(|(at, count)| (at, f64::from(count) / over)).collect()
}

/// The score of a text as the detector has it, from the whole numbers.
pub(crate) fn score(head: &Head<'_>, windows: &[Window]) -> f64 {
    let of = |window: &Window| head.score_of(&window.words, &window.letters, &window.dense);
    windows.iter().map(of).fold(-50.0, f64::max)
}

/// One step of AdaGrad.
pub(crate) fn step(weight: &mut f64, square: &mut f64, gradient: f64, rate: f64) {
    *square += gradient * gradient;
    *weight -= rate * gradient / square.sqrt();
}

/// What an attack counts where a benign one counts 1.
#[allow(clippy::cast_precision_loss, reason = "counts of texts")]
pub(crate) fn balance(attacks: impl Iterator<Item = bool>) -> f64 {
    let [benign, attacks] = attacks.fold([0_usize; 2], |[benign, attacks], attack| match attack {
        true => [benign, attacks + 1],
        false => [benign + 1, attacks],
    });
    (benign.max(1) as f64 / attacks.max(1) as f64).sqrt()
}

/// A text to train on.
pub(crate) struct Text<'w> {
    pub(crate) windows: &'w [Window],
    pub(crate) attack: bool,
    pub(crate) weight: f64,
}

/// How it is trained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) rate: f64,
    pub(crate) decay: f64,
    pub(crate) seed: u64,
}

/// A model in the making.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    words: Vec<f64>,
    letters: Vec<f64>,
    dense: Vec<f64>,
    bias: f64,
}

impl Weights {
    fn new(value: f64, dense: usize) -> Self {
        Self { words: vec![value; SIZE], letters: vec![value; SIZE], dense: vec![value; dense], bias: value }
    }

    /// The mean of some models that were trained in different orders: it says less about texts of which they disagree. Dense
    /// features that are `rising` never lower a score.
    pub(crate) fn mean(
        texts: &[Text<'_>],
        dense: usize,
        settings: Settings,
        models: u64,
        rising: fn(usize) -> bool,
    ) -> Self {
        let mut mean = Self::new(0.0, dense);
        for number in 0..models {
            let one = Self::train_rising(texts, dense, Settings { seed: settings.seed + number, ..settings }, rising);
            #[allow(clippy::cast_precision_loss, reason = "a few models")]
            let share = 1.0 / models as f64;
            let lists =
                [(&mut mean.words, &one.words), (&mut mean.letters, &one.letters), (&mut mean.dense, &one.dense)];
            for (sums, weights) in lists {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight * share);
            }
            mean.bias += one.bias * share;
        }
        mean
    }

    fn train_rising(texts: &[Text<'_>], dense: usize, settings: Settings, rising: fn(usize) -> bool) -> Self {
        let (mut weights, mut squares) = (Self::new(0.0, dense), Self::new(1e-6, dense));
        let mut random = Random::seeded(settings.seed);
        let mut order: Vec<usize> = (0..texts.len()).collect();
        for round in 0..settings.rounds {
            random.shuffle(&mut order);
            for text in order.iter().filter_map(|at| texts.get(*at)) {
                let Some(hardest) = weights.hardest(text.windows) else { continue };
                let picks: Vec<usize> = match (round, text.attack) {
                    (0, _) => (0..text.windows.len()).collect(),
                    (_, true) => vec![hardest],
                    (_, false) => vec![hardest, random.below(text.windows.len())],
                };
                #[allow(clippy::cast_precision_loss, reason = "windows of a text")]
                let share = text.weight / (picks.len() as f64).sqrt();
                for window in picks.iter().filter_map(|at| text.windows.get(*at)) {
                    let label = f64::from(u8::from(text.attack));
                    let error = (logistic(weights.score(window)) - label) * share;
                    weights.step(&mut squares, window, error, settings);
                    for (_, weight) in weights.dense.iter_mut().enumerate().filter(|(at, _)| rising(*at)) {
                        *weight = weight.max(0.0);
                    }
                }
            }
        }
        weights
    }

    fn step(&mut self, squares: &mut Self, window: &Window, error: f64, settings: Settings) {
        let update = |weight: &mut f64, square: &mut f64, value: f64, decay: f64| {
            step(weight, square, error * value + decay * *weight, settings.rate);
        };
        for (table, squares, features) in [
            (&mut self.words, &mut squares.words, &window.words),
            (&mut self.letters, &mut squares.letters, &window.letters),
        ] {
            for (at, value) in features {
                if let (Some(weight), Some(square)) = (table.get_mut(*at as usize), squares.get_mut(*at as usize)) {
                    update(weight, square, *value, settings.decay);
                }
            }
        }
        for ((weight, square), value) in self.dense.iter_mut().zip(&mut squares.dense).zip(&window.dense) {
            update(weight, square, *value, settings.decay);
        }
        update(&mut self.bias, &mut squares.bias, 1.0, 0.0);
    }

    fn score(&self, window: &Window) -> f64 {
        let sum = |table: &[f64], features: &[(u32, f64)]| {
            features.iter().map(|(at, value)| table.get(*at as usize).copied().unwrap_or_default() * value).sum::<f64>()
        };
        let dense: f64 = self.dense.iter().zip(&window.dense).map(|(weight, value)| weight * value).sum();
        self.bias + sum(&self.words, &window.words) + sum(&self.letters, &window.letters) + dense
    }

    fn hardest(&self, windows: &[Window]) -> Option<usize> {
        let scores = windows.iter().map(|window| self.score(window)).enumerate();
        scores.max_by(|one, other| one.1.total_cmp(&other.1)).map(|(at, _)| at)
    }

    /// In whole numbers.
    pub(crate) fn quantised(&self, calibrations: Vec<Calibration>) -> Model {
        let table = |weights: &[f64]| {
            let most = weights.iter().fold(0.0_f64, |most, weight| most.max(weight.abs())).max(1e-9);
            let scale = most / 127.0;
            #[allow(clippy::cast_possible_truncation, reason = "rounded, from -127 to 127")]
            let whole = weights.iter().map(|weight| (weight / scale).round() as i8).collect();
            (whole, scale)
        };
        let ((words, word_scale), (letters, letter_scale)) = (table(&self.words), table(&self.letters));
        #[allow(clippy::cast_possible_truncation, reason = "half the digits are enough")]
        let half = |value: f64| value as f32;
        Model {
            words,
            letters,
            word_scale: half(word_scale),
            letter_scale: half(letter_scale),
            bias: half(self.bias),
            dense: self.dense.iter().map(|weight| half(*weight)).collect(),
            calibrations,
        }
    }
}

/// The logistic function, the same to the last bit everywhere.
pub(crate) fn logistic(score: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-score))
}

/// Slope and offset by which the share `rate` of the benign texts reaches the score `acts`, in texts that were not trained on.
pub(crate) fn calibrate(scores: &[(f64, bool)], rate: f64, acts: f64) -> Result<(f64, f64)> {
    let (slope, _) = platt(scores);
    let mut all = Scores::default();
    scores.iter().for_each(|(score, attack)| all.add(*score, *attack));
    let at = all.at_rate(rate).context("too few benign texts to calibrate by")?;
    Ok((slope, libm::log(acts / (1.0 - acts)) - slope * at.threshold))
}

/// Slope and offset in half the digits.
#[allow(clippy::cast_possible_truncation, reason = "half the digits are enough")]
pub(crate) fn rounded((slope, offset): (f64, f64)) -> Calibration {
    Calibration { slope: slope as f32, offset: offset as f32 }
}

/// Slope and offset that make a probability of scores, after Platt (1999), by Newton's method on the likelihood. Attacks and
/// benign texts weigh the same, however many there are of each.
pub(crate) fn platt(scores: &[(f64, bool)]) -> (f64, f64) {
    let (mut slope, mut offset) = (1.0, 0.0);
    let count = |wanted: bool| scores.iter().filter(|(_, attack)| *attack == wanted).count();
    #[allow(clippy::cast_precision_loss, reason = "counts of texts")]
    let weights = [1.0 / (count(false).max(1) as f64), 1.0 / (count(true).max(1) as f64)];
    for _ in 0..50 {
        let (mut gradient, mut hessian) = ([0.0; 2], [1e-9, 0.0, 1e-9]);
        for (score, attack) in scores {
            let [benign, attacks] = weights;
            let weight = if *attack { attacks } else { benign };
            let probability = logistic(slope * score + offset);
            let error = (probability - f64::from(u8::from(*attack))) * weight;
            let curve = probability * (1.0 - probability) * weight;
            gradient = [gradient[0] + error * score, gradient[1] + error];
            hessian = [hessian[0] + curve * score * score, hessian[1] + curve * score, hessian[2] + curve];
        }
        let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
        if determinant.abs() < 1e-18 {
            break;
        }
        let by_slope = (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant;
        let by_offset = (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant;
        // Small steps: separable scores would run away.
        slope = (slope - by_slope.clamp(-1.0, 1.0)).clamp(0.05, 20.0);
        offset = (offset - by_offset.clamp(-1.0, 1.0)).clamp(-50.0, 50.0);
    }
    (slope, offset)
}
