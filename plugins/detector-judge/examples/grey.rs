//! How often the model would be asked, by source: `grey FILE.jsonl [--low 0.35] [--high 0.9] [--show KIND]`. Lines are labelled texts as
//! `portcullis eval` reads them; a text that is a JSON object with `tool` and `args` is a call, any other a result.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};

use detector_judge::{Grey, novelty};
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Payload as _, Text};
use serde_json::Value;

/// Nobody is asked about a call that only reads.
fn reads(call: &Value) -> bool {
    plugin_effect::of_name(call["tool"].as_str().unwrap_or_default()).strongest() == Some(plugin_effect::Effect::Read)
}

#[derive(Default)]
struct Counts {
    all: usize,
    band: usize,
    above: usize,
}

#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "an example"
)]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut file, mut low, mut high, mut show) = (None, 0.35, 0.9, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--low" => low = arguments.next().unwrap().parse().unwrap(),
            "--high" => high = arguments.next().unwrap().parse().unwrap(),
            "--show" => show = arguments.next(),
            _ => file = Some(argument),
        }
    }
    let grey = Grey::new().unwrap();
    let mut counts: BTreeMap<(u64, String, String), Counts> = BTreeMap::new();
    for line in BufReader::new(std::fs::File::open(file.expect("a file")).unwrap()).lines() {
        let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let text = row["text"].as_str().unwrap_or_default();
        let parsed: Option<Value> = serde_json::from_str(text).ok().filter(|value: &Value| value.get("tool").is_some());
        let score = match &parsed {
            None => grey.look(&[Text { pointer: String::new(), value: text.to_owned() }], false).score,
            Some(call) if reads(call) => 0.0,
            Some(call) => {
                let texts = JsonPayload::new(&call["args"].to_string()).unwrap().texts();
                let news = novelty(call["task"].as_str(), &texts, &[]).0;
                let word = |key: &str| call[key].as_str();
                let strange = grey.strangeness(word("tool").unwrap_or_default(), word("task"), word("persona"), &texts);
                1.0 - (1.0 - grey.look(&texts, true).score) * (1.0 - news.max(strange))
            }
        };
        let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let count = counts.entry((row["label"].as_u64().unwrap_or(0), word("source"), word("kind"))).or_default();
        count.all += 1;
        count.band += usize::from(score >= low && score < high);
        count.above += usize::from(score >= high);
        if show.as_deref() == Some(word("kind").as_str()) && score >= low {
            println!("{score:.2} {}", text.chars().take(300).collect::<String>().replace('\n', " "));
        }
    }
    println!("{:5} {:28} {:32} {:>6} {:>9} {:>9}", "label", "source", "kind", "texts", "asked/1k", "above/1k");
    let mut sums = [Counts::default(), Counts::default()];
    let line = |label: u64, source: &str, kind: &str, count: &Counts| {
        let of = |part: usize| part as f64 * 1000.0 / count.all.max(1) as f64;
        println!("{label:5} {source:28} {kind:32} {:6} {:9.0} {:9.0}", count.all, of(count.band), of(count.above));
    };
    for ((label, source, kind), count) in &counts {
        line(*label, source, kind, count);
        let sum = &mut sums[usize::from(*label > 0)];
        sum.all += count.all;
        sum.band += count.band;
        sum.above += count.above;
    }
    line(0, "all", "", &sums[0]);
    line(1, "all", "", &sums[1]);
}
