//! How often the effects are right, on definitions written for this: a half for tuning and a half for checking.

use std::collections::BTreeMap;

use plugin_effect::{Effect, Effects, Trust, of_definition, of_name};
use serde_json::{Map, Value, json};

struct Labelled {
    name: String,
    definition: Value,
    /// What it does.
    has: Vec<Effect>,
    /// What may be said or not.
    open: Vec<Effect>,
}

fn read(text: &str) -> Vec<Labelled> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let parts = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let labelled = parts.map(|parts| {
        let [effects, name, description, arguments] = parts[..] else { panic!("{parts:?}") };
        let effects = effects.split_whitespace();
        let (open, has): (Vec<&str>, Vec<&str>) = effects.partition(|effect| effect.ends_with('?'));
        let known = |effect: &&str| Effect::from_name(effect.trim_end_matches('?')).unwrap();
        let arguments = arguments.split(',').map(str::trim).filter(|argument| !argument.is_empty());
        let properties: Map<String, Value> =
            arguments.map(|name| (name.to_owned(), json!({ "type": "string" }))).collect();
        Labelled {
            name: name.to_owned(),
            definition: json!({
                "name": name, "description": description, "inputSchema": { "type": "object", "properties": properties },
            }),
            has: has.iter().map(known).collect(),
            open: open.iter().map(known).collect(),
        }
    });
    labelled.collect()
}

/// Of each effect: right, missed, and said without being there.
fn counted(labelled: &[Labelled], of: impl Fn(&Labelled) -> Effects, say: &str) -> BTreeMap<Effect, [usize; 3]> {
    let mut counts: BTreeMap<Effect, [usize; 3]> = Effect::ALL.into_iter().map(|effect| (effect, [0; 3])).collect();
    for tool in labelled {
        let effects = of(tool);
        for effect in Effect::ALL {
            // Whoever changes something may read as well.
            let open = tool.open.contains(&effect) || effect == Effect::Read && tool.has != [Effect::Read];
            let [right, missed, wrong] = counts.get_mut(&effect).unwrap();
            match (tool.has.contains(&effect), effects.has(effect)) {
                (true, false) => *missed += 1,
                (false, true) if !open => *wrong += 1,
                _ => *right += 1,
            }
            if tool.has.contains(&effect) != effects.has(effect) && !open {
                println!("{say}: {} has {:?}, said {:?}", tool.name, tool.has, effects);
            }
        }
    }
    counts
}

fn accuracy(say: &str, text: &str, least: f64, by_name: bool) {
    let labelled = read(text);
    assert!(labelled.len() >= 150, "{} definitions", labelled.len());
    let of =
        |tool: &Labelled| if by_name { of_name(&tool.name) } else { of_definition(&tool.definition, Trust::Untrusted) };
    for (effect, [right, missed, wrong]) in counted(&labelled, of, say) {
        let all = right + missed + wrong;
        let share = right as f64 / all as f64;
        println!("{say}: {} {right} of {all} right ({share:.3}), {missed} missed, {wrong} said wrongly", effect.name());
        assert!(share >= least, "{say}: {} is right for {right} of {all} only", effect.name());
    }
}

#[test]
fn definitions_of_the_tuning_half_are_mostly_right() {
    accuracy("tuning, definitions", include_str!("labelled/tuning.txt"), 0.95, false);
}

#[test]
fn names_of_the_tuning_half_are_mostly_right() {
    accuracy("tuning, names", include_str!("labelled/tuning.txt"), 0.95, true);
}

#[test]
fn definitions_of_the_checking_half_are_mostly_right() {
    accuracy("checking, definitions", include_str!("labelled/checking.txt"), 0.9, false);
}

#[test]
fn names_of_the_checking_half_are_mostly_right() {
    accuracy("checking, names", include_str!("labelled/checking.txt"), 0.9, true);
}
