//! `detector-pii` scored, kind by kind: the labelled sentences of the data, and sentences made here with other words and the
//! number formats of many countries, beside figures that are no personal data. Nothing is trained. With
//! `SHOW=phone` in the environment, the telephone numbers that are missed and found in vain are printed, and so on.

use std::path::Path;

use anyhow::Result;
use detector_pii::{Config, Pii};
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Detector as _, Span};
use serde::Deserialize;

use crate::data::read_as;
use crate::figures;
use crate::random::Random;
use crate::trained::{HeldOut, Set, Trained};

/// Sentences made of each kind, and of those without personal data.
const EACH: usize = 400;
const WITHOUT: usize = 1500;
/// The score from which the pack `private` acts, for what is printed; scores are numbers of half the digits.
const ACTS: f64 = 0.599;
/// Names of labels, and what they are here.
const LABELS: &[(&str, &str)] = &[
    ("EMAIL_ADDRESS", "email"),
    ("PHONE_NUMBER", "phone"),
    ("CREDIT_CARD", "card"),
    ("IP_ADDRESS", "ip"),
    ("US_SSN", "us_ssn"),
    ("IBAN_CODE", "iban"),
];

/// A sentence, with the places of what is in it: bytes, and kind.
pub(crate) struct Sentence {
    pub(crate) text: String,
    pub(crate) places: Vec<(usize, usize, &'static str)>,
}

#[derive(Deserialize)]
struct Row {
    text: String,
    #[serde(default)]
    spans: Vec<(usize, usize, String)>,
}

pub(crate) fn train(data: &Path) -> Result<Trained> {
    let detector = Pii::configure(Config::default()).map_err(anyhow::Error::msg)?;
    let labelled: Vec<Sentence> = read_as::<Row>(data, "pii.jsonl")?.iter().map(sentence).collect();
    let mut random = Random::seeded(53);
    let mut made = Vec::new();
    for kind in figures::KINDS {
        made.extend((0..EACH).map(|_| figures::with(&mut random, kind)));
    }
    made.extend((0..WITHOUT).map(|_| figures::without(&mut random)));
    let other: Vec<Sentence> = (0..EACH).map(|_| figures::with_other_words(&mut random)).collect();
    let mut held_out = places(&detector, "presidio-research", &labelled)?;
    held_out.extend(places(&detector, "generated", &made)?);
    held_out.extend(places(&detector, "generated-other-words", &other)?);
    Ok(Trained { package: "detector-pii", files: Vec::new(), held_out })
}

/// Characters to bytes.
fn sentence(row: &Row) -> Sentence {
    let byte = |at: usize| row.text.char_indices().nth(at).map_or(row.text.len(), |found| found.0);
    let place = |(start, end, label): &(usize, usize, String)| {
        let kind = LABELS.iter().find(|(known, _)| known == label)?.1;
        Some((byte(*start), byte(*end), kind))
    };
    Sentence { text: row.text.clone(), places: row.spans.iter().filter_map(place).collect() }
}

/// Every labelled place with the best score of its kind that touches it, and every place that was found in vain.
fn places(detector: &Pii, source: &str, sentences: &[Sentence]) -> Result<Vec<HeldOut>> {
    let mut all = Vec::new();
    for sentence in sentences {
        let json = serde_json::json!({ "text": sentence.text }).to_string();
        let payload = JsonPayload::new(&json).map_err(|error| anyhow::anyhow!("{error}"))?;
        let findings = detector.inspect(&Call::default(), &payload).map_err(anyhow::Error::msg)?;
        let mut found = Vec::new();
        for finding in &findings {
            let kind = finding.category.strip_prefix("pii.").unwrap_or_default();
            let Some((_, kind)) = LABELS.iter().find(|(_, known)| *known == kind) else { continue };
            let place = |span: &Span| (span.start as usize, span.end as usize, *kind, f64::from(finding.score));
            found.extend(finding.spans.iter().map(place));
        }
        let touches = |one: &(usize, usize, &str, f64), place: &(usize, usize, &str)| {
            one.2 == place.2 && one.0 < place.1 && place.0 < one.1
        };
        let mut push = |kind: &str, attack: bool, score: f64| {
            all.push(HeldOut { set: Set::Pii, source: source.to_owned(), kind: format!("pii.{kind}"), attack, score });
        };
        let show = |what: &str, place: (usize, usize), kind: &str| {
            if std::env::var("SHOW").is_ok_and(|wanted| wanted == kind) {
                eprintln!("{what} {source} {:?} in {:?}", sentence.text.get(place.0..place.1), sentence.text);
            }
        };
        for place in &sentence.places {
            let best = found.iter().filter(|one| touches(one, place)).map(|one| one.3).fold(0.0, f64::max);
            if best < ACTS {
                show("missed", (place.0, place.1), place.2);
            }
            push(place.2, true, best);
        }
        for one in found.iter().filter(|one| !sentence.places.iter().any(|place| touches(one, place))) {
            if one.3 >= ACTS {
                show("in vain", (one.0, one.1), one.2);
            }
            push(one.2, false, one.3);
        }
    }
    Ok(all)
}
