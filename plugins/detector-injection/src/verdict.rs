//! What rules and model say together.
//!
//! The model reads each window with what the rules found in it, so its probability already weighs them. Where it is sure
//! that a window is ordinary, a rule that fired in it counts less: a quotation, a sentence that happens to hold the words.
//! It keeps a third of its score, and what is hidden, encoded or a marker of a conversation is never lowered. Where the model is
//! sure of an attack, the category that the rules saw there rises to it; where they saw none, the finding is `injection.likely`.

use std::ops::Range;

use plugin_model::Head;
use plugin_text::Kind;

use crate::reading::Reading;
use crate::rules::Category;
use crate::{Evidence, Findings, encoded};

/// The probability from which findings count: below it in a window, rules in it count less.
const ACTS: f32 = 0.8;
/// What is left of a rule where the model is sure that the text is ordinary.
const LEAST: f32 = 0.3;
/// What the rules saw is a category that the model can raise from here on: below, it is a word that anybody writes, such as `kill`.
const SEEN: f32 = 0.3;
/// Windows of at least this share of the best probability are shown.
const SHOWN: f32 = 0.9;

/// A window with its probability.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    /// In the original.
    range: Range<usize>,
    /// In its view.
    place: Range<usize>,
    view: usize,
    via: Kind,
    probability: f32,
}

/// Every window that was read, by view and in order.
pub(crate) fn judge(head: &Head<'_>, reading: &Reading) -> Vec<Judged> {
    let mut judged = Vec::new();
    for seen in &reading.views {
        for ((range, dense), (place, score)) in seen.windows.iter().zip(head.windows(&seen.blocks)) {
            let probability = head.probability(seen.channel.number(), score + head.dense(dense));
            judged.push(Judged { range: range.clone(), place, view: seen.number, via: seen.kind, probability });
        }
    }
    judged
}

/// Lowers the evidence that the model takes for ordinary text.
pub(crate) fn doubt(evidence: &mut [Evidence], judged: &[Judged]) {
    // The model reads a text spelt with digits as another one: what it says of the text itself does not count.
    if judged.iter().any(|window| window.via == Kind::Leet) {
        return;
    }
    for one in evidence.iter_mut().filter(|one| one.category.is_soft() && !encoded(one.via)) {
        // A word lies in two windows, and a few words in three.
        let first = judged.partition_point(|window| (window.view, window.place.end) <= (one.view, one.place.start));
        let over = judged.iter().skip(first).take(4);
        let over = over.take_while(|window| window.view == one.view && window.place.start < one.place.end);
        let best = over
            .map(|window| window.probability)
            .fold(None, |best: Option<f32>, next| Some(best.map_or(next, |best| best.max(next))));
        // What the model did not read, it cannot doubt.
        if let Some(probability) = best {
            let share = (probability / ACTS).min(1.0);
            one.score *= LEAST + (1.0 - LEAST) * share * share;
        }
    }
}

/// Raises what the rules saw in the likeliest window, or says that the model alone saw it.
pub(crate) fn raise(findings: &mut Findings, judged: &[Judged], likely_score: f32) {
    let Some(best) = judged.iter().max_by(|one, other| one.probability.total_cmp(&other.probability)) else { return };
    let in_best = |range: &Range<usize>| range.start < best.range.end && best.range.start < range.end;
    let seen = findings.iter_mut().filter(|(category, (score, ranges, _))| {
        *score >= SEEN && (category.is_soft() || **category == Category::Role) && ranges.iter().any(in_best)
    });
    if let Some((_, (score, _, _))) = seen.max_by(|(_, one), (_, other)| one.0.total_cmp(&other.0)) {
        *score = score.max(best.probability.min(0.99));
    } else if best.probability >= likely_score {
        let shown = judged.iter().filter(|one| one.probability >= best.probability * SHOWN);
        let ranges = shown.map(|one| one.range.clone()).collect();
        findings.insert(Category::Likely, (best.probability.min(0.99), ranges, best.via));
    }
}
