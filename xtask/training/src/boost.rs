//! Gradient boosting (Friedman, 2001) of trees whose levels ask one question each, over sentences of texts.
//!
//! Which sentence of an attack asks is known only to lie in a piece of it: in each round the one that scores most counts.

use detector_instruction::{Tree, Trees};

use crate::fit::logistic;
use crate::random::Random;

/// A feature and a threshold for each level.
type Levels = Vec<(u8, f32)>;

/// How it is trained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) trees: usize,
    pub(crate) levels: usize,
    pub(crate) rate: f64,
    /// Added to the curvature of each leaf.
    pub(crate) ridge: f64,
    /// Of ten features so many are asked of for a tree.
    pub(crate) of_ten: usize,
    pub(crate) seed: u64,
}

/// Sentences that belong together.
pub(crate) struct Group<'g> {
    pub(crate) sentences: Vec<&'g [f32]>,
    pub(crate) attack: bool,
    pub(crate) weight: f64,
}

/// Most thresholds of a feature.
const MOST_STEPS: usize = 12;

/// Sentences by feature: which of them lie above which thresholds.
struct Table {
    /// Of each feature its thresholds, rising.
    steps: Vec<Vec<f32>>,
    /// Of each feature the sentences above the lowest threshold, with how many thresholds they are above.
    above: Vec<Vec<(u32, u8)>>,
}

impl Table {
    fn new(sentences: &[&[f32]]) -> Self {
        let features = sentences.first().map_or(0, |one| one.len());
        let (mut steps, mut above) = (Vec::new(), Vec::new());
        for feature in 0..features {
            let value = |one: &&[f32]| one.get(feature).copied().unwrap_or_default();
            let mut values: Vec<f32> = sentences.iter().map(value).collect();
            values.sort_by(f32::total_cmp);
            let mut here: Vec<f32> = Vec::new();
            if values.iter().all(|value| *value == 0.0 || *value == 1.0) {
                here.push(0.5);
            } else {
                for step in 1..=MOST_STEPS {
                    let at = values.get(step * values.len() / (MOST_STEPS + 1)).copied().unwrap_or_default();
                    if here.last().is_none_or(|last| at > *last) {
                        here.push(at);
                    }
                }
            }
            let over = |value: f32| here.iter().filter(|step| value > **step).count();
            let list = sentences.iter().enumerate().filter_map(|(at, one)| {
                let over = over(value(one));
                (over > 0).then_some((u32::try_from(at).unwrap_or(u32::MAX), u8::try_from(over).unwrap_or(u8::MAX)))
            });
            above.push(list.collect());
            steps.push(here);
        }
        Self { steps, above }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "half the digits are enough")]
pub(crate) fn train(groups: &[Group<'_>], settings: Settings) -> Trees {
    let sentences: Vec<&[f32]> = groups.iter().flat_map(|group| group.sentences.iter().copied()).collect();
    let table = Table::new(&sentences);
    let mut scores = vec![0.0_f64; sentences.len()];
    let mut random = Random::seeded(settings.seed);
    let (attacks, others) = groups.iter().fold((0.0, 0.0), |(attacks, others), group| match group.attack {
        true => (attacks + group.weight, others),
        #[allow(clippy::cast_precision_loss, reason = "counts of sentences")]
        false => (attacks, others + group.weight * group.sentences.len() as f64),
    });
    let bias = libm::log(attacks / f64::max(others, 1.0));
    scores.fill(bias);
    let mut grown: Vec<(Levels, Vec<f64>)> = Vec::new();
    for _ in 0..settings.trees {
        // What each sentence pulls at: nothing, where another one of its attack scores more.
        let mut pulls = vec![(0.0_f64, 0.0_f64); sentences.len()];
        let mut first = 0;
        for group in groups {
            let end = first + group.sentences.len();
            let here = scores.get(first..end).unwrap_or_default();
            let most = here.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1)).map(|(at, _)| at);
            for (at, score) in here.iter().enumerate() {
                if group.attack && Some(at) != most {
                    continue;
                }
                let probability = logistic(*score);
                let label = f64::from(u8::from(group.attack));
                if let Some(pull) = pulls.get_mut(first + at) {
                    *pull = ((label - probability) * group.weight, probability * (1.0 - probability) * group.weight);
                }
            }
            first = end;
        }
        let asked: Vec<bool> = table.steps.iter().map(|_| random.below(10) < settings.of_ten).collect();
        let (levels, places) = grow(&table, &pulls, &asked, settings);
        let mut sums = vec![(0.0, 0.0); 1 << settings.levels];
        for (place, pull) in places.iter().zip(&pulls) {
            if let Some(sum) = sums.get_mut(*place) {
                *sum = (sum.0 + pull.0, sum.1 + pull.1);
            }
        }
        let leaves: Vec<f64> = sums
            .iter()
            .map(|(pull, curve)| (settings.rate * pull / (curve + settings.ridge)).clamp(-0.5, 0.5))
            .collect();
        for (score, place) in scores.iter_mut().zip(&places) {
            *score += leaves.get(*place).copied().unwrap_or_default();
        }
        grown.push((levels, leaves));
    }
    let most = grown.iter().flat_map(|tree| &tree.1).fold(1e-9_f64, |most, leaf| most.max(leaf.abs()));
    let whole = |leaf: &f64| (leaf / most * 127.0).round() as i8;
    let trees = grown
        .iter()
        .map(|(levels, leaves)| Tree { levels: levels.clone(), leaves: leaves.iter().map(whole).collect() });
    Trees {
        features: u8::try_from(table.steps.len()).unwrap_or(u8::MAX),
        bias: bias as f32,
        scale: (most / 127.0) as f32,
        slope: 1.0,
        offset: 0.0,
        trees: trees.collect(),
    }
}

/// The questions of a tree, and the leaf of each sentence.
fn grow(table: &Table, pulls: &[(f64, f64)], asked: &[bool], settings: Settings) -> (Levels, Vec<usize>) {
    let mut places = vec![0_usize; pulls.len()];
    let mut levels = Vec::new();
    for level in 0..settings.levels {
        let nodes = 1 << level;
        let mut totals = vec![(0.0, 0.0); nodes];
        for (place, pull) in places.iter().zip(pulls) {
            if let Some(total) = totals.get_mut(*place) {
                *total = (total.0 + pull.0, total.1 + pull.1);
            }
        }
        let worth = |(pull, curve): (f64, f64)| pull * pull / (curve + settings.ridge);
        let mut best: (f64, usize, usize) = (-1.0, 0, 0);
        for (feature, (steps, above)) in table.steps.iter().zip(&table.above).enumerate() {
            if !asked.get(feature).copied().unwrap_or_default() {
                continue;
            }
            // By node and how many thresholds are below.
            let wide = steps.len() + 1;
            let mut sums = vec![(0.0, 0.0); nodes * wide];
            for (at, over) in above {
                let (Some(place), Some(pull)) = (places.get(*at as usize), pulls.get(*at as usize)) else { continue };
                if pull.1 > 0.0
                    && let Some(sum) = sums.get_mut(place * wide + usize::from(*over))
                {
                    *sum = (sum.0 + pull.0, sum.1 + pull.1);
                }
            }
            for step in 0..steps.len() {
                let gain: f64 = totals
                    .iter()
                    .enumerate()
                    .map(|(node, total)| {
                        let up = sums.get(node * wide + step + 1..(node + 1) * wide).unwrap_or_default();
                        let up = up.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
                        worth(up) + worth((total.0 - up.0, total.1 - up.1))
                    })
                    .sum();
                if gain > best.0 {
                    best = (gain, feature, step);
                }
            }
        }
        let (_, feature, step) = best;
        for place in &mut places {
            *place <<= 1;
        }
        for (at, over) in table.above.get(feature).into_iter().flatten() {
            if usize::from(*over) > step
                && let Some(place) = places.get_mut(*at as usize)
            {
                *place |= 1;
            }
        }
        let threshold = table.steps.get(feature).and_then(|steps| steps.get(step)).copied().unwrap_or_default();
        levels.push((u8::try_from(feature).unwrap_or(u8::MAX), threshold));
    }
    (levels, places)
}
