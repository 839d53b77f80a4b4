//! Compares the built-in rules with a gitleaks rule file: `cargo run --example compare -- gitleaks.toml`. Prints the ids
//! that have no counterpart here. With `--rows FILE.jsonl…` it counts findings in texts that hold no secrets instead; with
//! `--list` it prints every rule.

use std::collections::BTreeMap;
use std::error::Error;

use detector_secrets::{Config, Secrets, catalogue};
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Detector, Payload};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, files)) if first == "--rows" => rows(files),
        Some((first, [])) if first == "--list" => {
            catalogue().for_each(|(id, provider, title)| println!("{id:32} {provider:20} {title}"));
            Ok(())
        }
        Some((file, [])) => compare(file),
        _ => Err("usage: compare GITLEAKS.toml | compare --rows FILE.jsonl… | compare --list".into()),
    }
}

fn compare(file: &str) -> Result<(), Box<dyn Error>> {
    let table: toml::Table = std::fs::read_to_string(file)?.parse()?;
    let known: Vec<String> =
        catalogue().map(|(id, provider, title)| simple(&format!("{id}{provider}{title}"))).collect();
    let rules = table.get("rules").and_then(toml::Value::as_array).ok_or("the file holds no rules")?;
    let ids = rules.iter().filter_map(|rule| rule.get("id")?.as_str());
    let missing: Vec<&str> = ids.filter(|id| !known.iter().any(|known| covers(known, id))).collect();
    println!("{} of {} ids have no counterpart", missing.len(), rules.len());
    missing.iter().for_each(|id| println!("{id}"));
    Ok(())
}

/// Whether the first words of the id name the same thing: one word, or two where one says nothing.
fn covers(known: &str, id: &str) -> bool {
    const OTHER_NAMES: [(&str, &str); 6] = [
        ("gcp-api-key", "google"),
        ("hashicorp-tf", "terraform"),
        ("sendinblue", "brevo"),
        ("generic-api-key", "entropy"),
        ("curl-auth-header", "bearertoken"),
        ("curl-auth-user", "curluser"),
    ];
    if let Some((_, name)) = OTHER_NAMES.iter().find(|(start, _)| id.starts_with(start)) {
        return known.contains(name);
    }
    let words: Vec<&str> = id.split('-').collect();
    let generic = ["private", "microsoft", "new"];
    let take = if words.first().is_some_and(|word| generic.contains(word)) { 2 } else { 1 };
    known.contains(&simple(&words.iter().take(take).copied().collect::<String>()))
}

fn simple(text: &str) -> String {
    text.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect()
}

fn rows(files: &[String]) -> Result<(), Box<dyn Error>> {
    let secrets = Secrets::configure(Config::default())?;
    for file in files {
        let (mut count, mut hit) = (0, 0);
        let mut categories: BTreeMap<String, usize> = BTreeMap::new();
        for line in std::fs::read_to_string(file)?.lines() {
            let row: serde_json::Value = serde_json::from_str(line)?;
            if row.get("label").and_then(serde_json::Value::as_u64) != Some(0) {
                continue;
            }
            count += 1;
            let payload = JsonPayload::new(&serde_json::json!({ "text": row.get("text") }).to_string())?;
            let findings = secrets.inspect(&Call::default(), &payload)?;
            hit += usize::from(!findings.is_empty());
            for finding in findings {
                *categories.entry(finding.category).or_default() += 1;
                for span in finding.spans {
                    if std::env::var_os("SHOW").is_some() {
                        println!("  {}: {}", file, span.slice(&payload.texts()).unwrap_or_default());
                    }
                }
            }
        }
        println!("{file}: {hit} of {count} texts, {categories:?}");
    }
    Ok(())
}
