//! What answers come to, by question and by source.

use std::collections::BTreeMap;

use portcullis_score::{At, Reliability, Scores};
use serde::Serialize;

use crate::question::Question;

/// What somebody says of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// From 0 to 1; 0 if nothing was found, or if the detector failed.
    pub score: f64,
    /// Why a detector failed.
    pub fault: Option<String>,
    /// Fuel and microseconds, where they are known.
    pub cost: Option<(u64, u32)>,
}

/// Takes in answers of one subject: a detector, several together, or the keyword list.
#[derive(Debug, Default)]
pub struct Evaluation {
    questions: BTreeMap<Question, Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    sources: BTreeMap<String, Scores>,
    fuel: Vec<u64>,
    micros: Vec<u32>,
    faults: BTreeMap<String, usize>,
}

/// What the answers to a question come to.
#[derive(Clone, Debug, Serialize)]
pub struct OfQuestion {
    /// The question.
    pub question: Question,
    /// All sources together.
    pub all: Figures,
    /// Each source. Recall at a rate is that at the threshold of all sources' benign texts.
    pub sources: Vec<OfSource>,
    /// Whether scores are what they say.
    pub reliability: Option<Reliability>,
    /// What a call took.
    pub cost: Option<Cost>,
    /// Calls on which the detector failed, by code; they count as nothing found.
    pub faults: BTreeMap<String, usize>,
}

/// Texts of one source.
#[derive(Clone, Debug, Serialize)]
pub struct OfSource {
    /// Its name.
    pub source: String,
    /// At 1 % and 2 % false alarms over all sources, and at the shipped threshold.
    pub figures: Figures,
}

/// What scores come to.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Attacks.
    pub attacks: usize,
    /// Benign texts.
    pub benign: usize,
    /// Area under the curve; none without one of each.
    pub auc: Option<f64>,
    /// Where it lies with 95 % confidence.
    pub auc_interval: Option<(f64, f64)>,
    /// At the lowest threshold that calls at most 1 % of all benign texts attacks.
    pub at_1: Option<At>,
    /// The same with 2 %.
    pub at_2: Option<At>,
    /// At the threshold that is shipped.
    pub shipped: At,
}

/// What calls took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Median of fuel.
    pub fuel_p50: u64,
    /// 99 of 100 took no more fuel.
    pub fuel_p99: u64,
    /// Median of microseconds.
    pub micros_p50: u32,
    /// 99 of 100 took no longer.
    pub micros_p99: u32,
}

impl Evaluation {
    /// Takes an answer in.
    pub fn add(&mut self, question: Question, source: &str, attack: bool, answer: &Answer) {
        let taken = self.questions.entry(question).or_default();
        taken.sources.entry(source.to_owned()).or_default().add(answer.score, attack);
        if let Some((fuel, micros)) = answer.cost {
            taken.fuel.push(fuel);
            taken.micros.push(micros);
        }
        if let Some(fault) = &answer.fault {
            *taken.faults.entry(fault.clone()).or_default() += 1;
        }
    }

    /// All scores of a question.
    #[must_use]
    pub fn scores(&self, question: Question) -> Scores {
        let mut all = Scores::default();
        for scores in self.questions.get(&question).iter().flat_map(|taken| taken.sources.values()) {
            all.extend(scores);
        }
        all
    }

    /// Whether every answer to a question was 0, and no call failed: nobody looks for that.
    #[must_use]
    pub fn is_silent(&self, question: Question) -> bool {
        let silent = |taken: &Taken| taken.faults.is_empty() && taken.sources.values().all(Scores::are_zero);
        self.questions.get(&question).is_none_or(silent)
    }

    /// What came of it. `threshold` is the score from which findings count where it is used; as scores are, of single precision:
    /// else 0.9 would be more than the 0.9 of a detector.
    #[must_use]
    pub fn result(&self, threshold: f32) -> Vec<OfQuestion> {
        self.questions
            .iter()
            .map(|(question, taken)| taken.result(*question, &self.scores(*question), threshold.into()))
            .collect()
    }
}

impl Taken {
    fn result(&self, question: Question, all: &Scores, threshold: f64) -> OfQuestion {
        let (one, two) = (all.at_rate(0.01), all.at_rate(0.02));
        let figures = |scores: &Scores| {
            let (attacks, benign) = scores.counts();
            Figures {
                attacks,
                benign,
                auc: scores.auc(),
                auc_interval: scores.auc_interval(),
                at_1: one.map(|at| scores.at(at.threshold)),
                at_2: two.map(|at| scores.at(at.threshold)),
                shipped: scores.at(threshold),
            }
        };
        OfQuestion {
            question,
            all: figures(all),
            sources: self
                .sources
                .iter()
                .map(|(source, scores)| OfSource { source: source.clone(), figures: figures(scores) })
                .collect(),
            reliability: Reliability::of(all),
            cost: Cost::of(&self.fuel, &self.micros),
            faults: self.faults.clone(),
        }
    }
}

impl Cost {
    fn of(fuel: &[u64], micros: &[u32]) -> Option<Self> {
        let (mut fuel, mut micros) = (fuel.to_vec(), micros.to_vec());
        fuel.sort_unstable();
        micros.sort_unstable();
        // Nearest rank.
        let at = |length: usize, hundredth: usize| (length * hundredth).div_ceil(100).saturating_sub(1);
        Some(Self {
            fuel_p50: *fuel.get(at(fuel.len(), 50))?,
            fuel_p99: *fuel.get(at(fuel.len(), 99))?,
            micros_p50: *micros.get(at(micros.len(), 50))?,
            micros_p99: *micros.get(at(micros.len(), 99))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use portcullis_score::Share;

    use super::*;

    fn answer(score: f64) -> Answer {
        Answer { score, fault: None, cost: Some((10, 1)) }
    }

    #[test]
    fn sources_are_told_apart_at_the_threshold_of_all() {
        let mut evaluation = Evaluation::default();
        for n in 0..200_u8 {
            // One source's benign texts score high: the threshold is for all of them.
            let score = if n < 2 { 0.9 } else { 0.1 };
            evaluation.add(Question::Results, if n < 50 { "mail" } else { "papers" }, false, &answer(score));
        }
        evaluation.add(Question::Results, "mail", true, &answer(f64::from(0.95_f32)));
        evaluation.add(Question::Results, "mail", true, &answer(0.5));
        evaluation.add(
            Question::Results,
            "mail",
            true,
            &Answer { score: 0.0, fault: Some("plugin_fuel".into()), cost: None },
        );
        let result = evaluation.result(0.8);
        let [results] = result.as_slice() else { panic!("{result:?}") };
        assert_eq!(results.all.at_1.unwrap().recall, Share { found: 2, of: 3 });
        let mail = &results.sources[0];
        assert_eq!((mail.source.as_str(), mail.figures.attacks, mail.figures.benign), ("mail", 3, 50));
        assert_eq!(mail.figures.at_1.unwrap().false_alarms, Share { found: 2, of: 50 });
        assert_eq!(mail.figures.shipped.recall, Share { found: 1, of: 3 });
        assert_eq!(results.faults["plugin_fuel"], 1);
        assert_eq!(results.cost.unwrap().fuel_p99, 10);
        assert_eq!(evaluation.result(0.95_f32)[0].all.shipped.recall.found, 1);
        assert!(!evaluation.is_silent(Question::Results) && evaluation.is_silent(Question::Sql));
    }
}
