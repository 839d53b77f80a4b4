//! Prints what names, or definitions as JSON lines, can do: `cargo run -p plugin-effect --example effects < NAMES`.

use std::io::BufRead as _;

use plugin_effect::{Effects, Trust, of_definition, of_name};

fn shown(effects: Effects) -> String {
    let all = effects.likely().map(|(effect, score)| format!("{} {score:.2}", effect.name())).collect::<Vec<_>>();
    if all.is_empty() { "unknown".to_owned() } else { all.join(", ") }
}

fn main() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match serde_json::from_str::<serde_json::Value>(&line) {
            Ok(definition) if definition.is_object() => {
                let name = definition.get("name").and_then(|name| name.as_str()).unwrap_or_default();
                let whole = shown(of_definition(&definition, Trust::Untrusted));
                println!("{name}: {whole} (by name: {})", shown(of_name(name)));
            }
            _ => println!("{line}: {}", shown(of_name(&line))),
        }
    }
}
