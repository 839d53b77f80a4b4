//! Prints what is found in JSONL files of texts: `cargo run -p detector-pii --example score_pii -- FILE.jsonl… [--show
//! KIND] | --random`.
//!
//! Rows with `spans` (`[start, end, type]` in characters) are compared span by span: how many labelled places of each kind
//! are found, and how many places are found that are not labelled. Of other rows, those with a finding are counted by kind.
//! `--show KIND` prints what is missed and what is found in vain. `--random` counts what is found among random digits.

use std::collections::BTreeMap;
use std::error::Error;

use detector_pii::{Config, Pii};
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Detector, Payload};
use serde_json::Value;

/// From here on a rule acts: what may be personal data, and what is.
const ACTS: [f32; 2] = [0.6, 0.8];
/// Names of labels, and what they are here.
const LABELS: &[(&str, &str)] = &[
    ("EMAIL_ADDRESS", "pii.email"),
    ("PHONE_NUMBER", "pii.phone"),
    ("CREDIT_CARD", "pii.card"),
    ("IBAN_CODE", "pii.iban"),
    ("IP_ADDRESS", "pii.ip"),
    ("US_SSN", "pii.us_ssn"),
    ("US_DRIVER_LICENSE", "pii.us_driver_licence"),
];

/// Labelled places, those found, places found, those labelled; for each threshold.
type Counts = [[u32; 4]; 2];

struct Place {
    kind: String,
    start: usize,
    end: usize,
    score: f32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let show = files.iter().position(|file| file == "--show").map(|at| files.split_off(at));
    let show = show.as_ref().and_then(|show| show.get(1)).map(String::as_str);
    let detector = Pii::configure(Config::default())?;
    if files.first().is_some_and(|first| first == "--random") {
        return random(&detector);
    }
    for file in &files {
        let mut kinds: BTreeMap<String, Counts> = BTreeMap::new();
        let (mut rows, mut hit) = (0, [0; 2]);
        for line in std::fs::read_to_string(file)?.lines() {
            let row: Value = serde_json::from_str(line)?;
            let text = row.get("text").and_then(Value::as_str).ok_or("a row without text")?;
            let found = places(&detector, text)?;
            let truth = spans(&row, text);
            rows += 1;
            for (at, least) in ACTS.iter().enumerate() {
                hit[at] += u32::from(found.iter().any(|place| place.score >= *least));
                count(&mut kinds, at, &found, truth.as_deref().unwrap_or_default(), *least);
            }
            if let Some(show) = show {
                print_differences(text, &found, truth.as_deref().unwrap_or_default(), show);
            }
        }
        println!("{file}: {rows} rows; with a finding {} at {}, {} at {}", hit[0], ACTS[0], hit[1], ACTS[1]);
        println!(
            "  {:24} {:>8} {:>12} {:>12} {:>14} {:>14}",
            "", "labelled", "found", "found", "unlabelled", "unlabelled"
        );
        println!("  {:24} {:>8} {:>12} {:>12} {:>14} {:>14}", "", "", ACTS[0], ACTS[1], ACTS[0], ACTS[1]);
        for (kind, counts) in kinds {
            let [low, high] = counts.map(|[all, met, found, right]| (all, met, found - right));
            println!("  {kind:24} {:>8} {:>12} {:>12} {:>14} {:>14}", low.0, low.1, high.1, low.2, high.2);
        }
    }
    Ok(())
}

/// Random digits of every length, in a row and in groups, in a sentence without any label.
fn random(detector: &Pii) -> Result<(), Box<dyn Error>> {
    const TIMES: u32 = 20_000;
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut roll = |limit: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice >> 16) % limit
    };
    let shapes: &[&[usize]] = &[
        &[7],
        &[8],
        &[9],
        &[10],
        &[11],
        &[12],
        &[13],
        &[14],
        &[15],
        &[16],
        &[19],
        &[3, 3, 3],
        &[3, 3, 4],
        &[4, 4, 4],
        &[4, 4, 4, 4],
        &[3, 2, 4],
        &[4, 4],
        &[2, 2, 2, 2, 2],
        &[6, 4],
    ];
    println!("of {TIMES} random numbers of each form, without a label, this many are found:");
    println!("  {:16} {:>8} {:>8}  kinds at {}", "groups", ACTS[0], ACTS[1], ACTS[0]);
    for shape in shapes {
        for sign in [" ", "-"] {
            if shape.len() == 1 && sign == "-" {
                continue;
            }
            let (mut hit, mut kinds) = ([0; 2], BTreeMap::<String, u32>::new());
            for _ in 0..TIMES {
                let mut group =
                    |length: &usize| (0..*length).map(|_| char::from(b'0' + roll(10) as u8)).collect::<String>();
                let number = shape.iter().map(&mut group).collect::<Vec<_>>().join(sign);
                let found = places(detector, &format!("then {number} came"))?;
                for (count, least) in hit.iter_mut().zip(ACTS) {
                    *count += u32::from(found.iter().any(|place| place.score >= least));
                }
                for place in found.iter().filter(|place| place.score >= ACTS[0]) {
                    *kinds.entry(place.kind.clone()).or_default() += 1;
                }
            }
            let groups = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(sign);
            println!("  {groups:16} {:>8} {:>8}  {kinds:?}", hit[0], hit[1]);
        }
    }
    Ok(())
}

fn places(detector: &Pii, text: &str) -> Result<Vec<Place>, Box<dyn Error>> {
    let payload = JsonPayload::new(&serde_json::json!({ "text": text }).to_string())?;
    let mut out = Vec::new();
    for finding in detector.inspect(&Call::default(), &payload)? {
        for span in &finding.spans {
            let (start, end) = (span.start as usize, span.end as usize);
            out.push(Place { kind: finding.category.clone(), start, end, score: finding.score });
        }
    }
    debug_assert_eq!(payload.texts().len(), 1);
    Ok(out)
}

fn spans(row: &Value, text: &str) -> Option<Vec<Place>> {
    let spans = row.get("spans")?.as_array()?;
    // Characters to bytes.
    let byte = |at: u64| text.char_indices().nth(at as usize).map_or(text.len(), |found| found.0);
    let place = |span: &Value| {
        let label = span.get(2)?.as_str()?;
        let kind = LABELS.iter().find(|known| known.0 == label)?.1.to_owned();
        let (start, end) = (byte(span.get(0)?.as_u64()?), byte(span.get(1)?.as_u64()?));
        Some(Place { kind, start, end, score: 1.0 })
    };
    Some(spans.iter().filter_map(place).collect())
}

/// A labelled place counts as found if a place of its kind covers it; a found one as right if it touches a labelled one.
fn count(kinds: &mut BTreeMap<String, Counts>, at: usize, found: &[Place], truth: &[Place], least: f32) {
    let found: Vec<&Place> = found.iter().filter(|place| place.score >= least).collect();
    for place in truth {
        let counts = &mut kinds.entry(place.kind.clone()).or_default()[at];
        counts[0] += 1;
        counts[1] += u32::from(found.iter().any(|one| covers(one, place)));
    }
    for place in found {
        let counts = &mut kinds.entry(place.kind.clone()).or_default()[at];
        counts[2] += 1;
        counts[3] += u32::from(truth.iter().any(|one| touches(one, place)));
    }
}

fn covers(one: &Place, other: &Place) -> bool {
    one.kind == other.kind && one.start <= other.start && other.end <= one.end
}

fn touches(one: &Place, other: &Place) -> bool {
    one.kind == other.kind && one.start < other.end && other.start < one.end
}

fn print_differences(text: &str, found: &[Place], truth: &[Place], show: &str) {
    let about = |what: &str, place: &Place| {
        let from = text.floor_char_boundary(place.start.saturating_sub(50));
        let to = text.ceil_char_boundary((place.end + 30).min(text.len()));
        let (lead, value, rest) = (&text[from..place.start], &text[place.start..place.end], &text[place.end..to]);
        println!(
            "    {what} {:.2} {}: {}",
            place.score,
            place.kind,
            format!("{lead}»{value}«{rest}").replace('\n', "\\n")
        );
    };
    let wanted = |place: &&Place| place.kind.contains(show) && place.score >= ACTS[0];
    let missed = |place: &&Place| !found.iter().any(|one| one.score >= ACTS[0] && covers(one, place));
    truth.iter().filter(wanted).filter(missed).for_each(|place| about("missed", place));
    let vain = |place: &&Place| !truth.iter().any(|one| touches(one, place));
    found.iter().filter(wanted).filter(vain).for_each(|place| about("in vain", place));
}
