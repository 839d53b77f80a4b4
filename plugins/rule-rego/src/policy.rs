//! The policies, parsed and ready to run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use regorus::{Engine, Value};

use crate::answer::{Said, Statement, Word};
use crate::literals;
use crate::{Config, PolicyText, time};

/// Most patterns that are compiled ahead.
const MAX_PATTERNS: usize = 1024;

/// The interpreter with everything loaded.
pub(crate) struct Policies {
    engine: Engine,
    /// Rules of the deciding package that exist, with their paths.
    rules: Vec<(Word, String)>,
    /// Literals of the policies that may be patterns, as written.
    patterns: Vec<String>,
    /// Whether a call is being decided, which alone has a clock.
    in_call: Arc<AtomicBool>,
}

impl Policies {
    /// Parses and checks everything.
    ///
    /// # Errors
    /// The interpreter's own words, with file, line and column; or what is wrong with the configuration.
    pub(crate) fn load(config: &Config) -> Result<Self, String> {
        let files = files(config)?;
        if files.is_empty() {
            return Err("policies: there is none; give at least one".to_owned());
        }
        regorus::cache::configure(regorus::cache::Config { regex: MAX_PATTERNS, glob: MAX_PATTERNS });
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(config.strict);
        // What a policy prints goes nowhere: it may be an argument.
        engine.set_gather_prints(true);
        // The interpreter's own clock is the machine's; the recorded one is the call's.
        // While the plugin is being configured there is no call and no clock.
        let in_call = Arc::new(AtomicBool::new(false));
        let asked = in_call.clone();
        let now = move |_: Vec<Value>| {
            let ms = if asked.load(Ordering::Relaxed) { portcullis_plugin::clock::now_ms() } else { 0 };
            Ok(Value::from(u128::from(ms) * 1_000_000))
        };
        engine.add_extension("time.now_ns".to_owned(), 0, Box::new(now)).map_err(|error| format!("{error:#}"))?;
        for (name, function) in time::FUNCTIONS {
            let function = move |arguments: Vec<Value>| Ok(function(arguments.first().unwrap_or(&Value::Undefined))?);
            engine.add_extension((*name).to_owned(), 1, Box::new(function)).map_err(|error| format!("{error:#}"))?;
        }
        let mut packages = Vec::with_capacity(files.len());
        for (index, file) in files.iter().enumerate() {
            if file.name.is_empty() || files.iter().take(index).any(|known| known.name == file.name) {
                return Err(format!("policies[{index}].name: `{}` must be unique and not empty", file.name));
            }
            let package = engine.add_policy(file.name.clone(), file.text.clone());
            packages.push(package.map_err(|error| said(&error.to_string()))?);
        }
        add_data(&mut engine, config)?;
        let rules = rules(&mut engine, config, &files, &packages)?;
        let literals = files.iter().flat_map(|file| literals::of(&file.text)).filter(|text| literals::is_pattern(text));
        let mut patterns: Vec<String> = literals.map(str::to_owned).collect();
        patterns.sort_unstable();
        patterns.dedup();
        Ok(Self { engine, rules, patterns, in_call })
    }

    /// Runs everything once and compiles patterns, so that the snapshot holds what would otherwise be built in each call.
    ///
    /// # Errors
    /// A variable that is never bound, which the interpreter tells only when it gets there.
    pub(crate) fn warm_up(&mut self, data: &serde_json::Map<String, serde_json::Value>) -> Result<(), String> {
        let mut patterns = std::mem::take(&mut self.patterns);
        data.values().for_each(|value| strings(value, &mut patterns));
        for pattern in patterns.iter().take(MAX_PATTERNS) {
            // Not every string is a pattern: what does not compile is left alone.
            let _ = self.engine.eval_query(format!("regex.match({pattern}, \"\")"), false);
        }
        for (_, path) in &self.rules {
            self.engine.set_input(Value::new_object());
            // Without a real input anything else may fail.
            if let Err(error) = self.engine.eval_rule(path.clone())
                && error.to_string().contains("is unsafe")
            {
                return Err(said(&error.to_string()));
            }
        }
        let _ = self.engine.take_prints();
        Ok(())
    }

    /// Asks every rule.
    ///
    /// # Errors
    /// A rule cannot be evaluated or says something that is no answer; with file, line and column where there is one.
    pub(crate) fn evaluate(&mut self, input: Value) -> Result<Said, String> {
        self.in_call.store(true, Ordering::Relaxed);
        self.engine.set_input(input);
        let mut said = Said::default();
        for (word, path) in &self.rules {
            let value = self.engine.eval_rule(path.clone());
            let value = value.map_err(|error| self::said(&format!("{error:#}")))?;
            let statements = || Statement::read_all(*word, &value).map_err(|error| format!("{path}: {error}"));
            match word {
                Word::Deny => said.deny = statements()?,
                Word::Review => said.review = statements()?,
                Word::Redact => said.redact = statements()?,
                Word::Allow => {
                    said.allowed = Some(Statement::allows(&value).map_err(|error| format!("{path}: {error}"))?)
                }
            }
        }
        // Whatever was printed must not outlive the call.
        let _ = self.engine.take_prints();
        Ok(said)
    }
}

/// The rules of the deciding package that some file defines; checks all files on the way.
fn rules(
    engine: &mut Engine,
    config: &Config,
    files: &[PolicyText],
    packages: &[String],
) -> Result<Vec<(Word, String)>, String> {
    let package = format!("data.{}", config.package);
    let own: Vec<&PolicyText> =
        files.iter().zip(packages).filter(|(_, own)| **own == package).map(|(file, _)| file).collect();
    if own.is_empty() {
        let known: Vec<&str> = packages.iter().map(|own| own.trim_start_matches("data.")).collect();
        return Err(format!("package: no policy is in package `{}`; there are: {}", config.package, known.join(", ")));
    }
    let mut rules = Vec::new();
    for word in Word::ALL {
        let mut declared = false;
        for file in &own {
            declared |= engine
                .has_declared_rule_rooted_at(&file.name, word.as_str())
                .map_err(|error| format!("{}: {error:#}", file.name))?;
        }
        if declared {
            rules.push((word, format!("{package}.{}", word.as_str())));
        }
    }
    let Some((_, first)) = rules.first() else {
        return Err(format!("package: `{}` defines none of deny, review, redact and allow", config.package));
    };
    // Resolves imports, variables and functions of every file, whether the deciding rules use them or not.
    engine.compile_with_entrypoint(&first.as_str().into()).map_err(|error| said(&format!("{error:#}")))?;
    Ok(rules)
}

fn add_data(engine: &mut Engine, config: &Config) -> Result<(), String> {
    let mut documents = vec![serde_json::Value::Object(config.data.clone())];
    documents.extend(folders::data(config)?);
    for document in documents {
        let value = Value::from_json_str(&document.to_string()).map_err(|error| format!("data: {error:#}"))?;
        engine.add_data(value).map_err(|error| format!("data: {error:#}"))?;
    }
    Ok(())
}

fn files(config: &Config) -> Result<Vec<PolicyText>, String> {
    let mut files = config.policies.clone();
    files.extend(folders::policies(config)?);
    Ok(files)
}

/// The interpreter's message without the line break it starts with.
fn said(message: &str) -> String {
    message.trim_start().to_owned()
}

/// The strings in a document that may be patterns, as Rego literals.
fn strings(value: &serde_json::Value, out: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if literals::is_pattern(text) && out.len() < MAX_PATTERNS => {
            out.push(serde_json::Value::from(text.as_str()).to_string());
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
        serde_json::Value::Object(members) => members.values().for_each(|member| strings(member, out)),
        _ => {}
    }
}

/// Policies and data from granted folders.
#[cfg(feature = "files")]
mod folders {
    use super::{Config, PolicyText};

    /// Deepest folder that is read.
    const MAX_DEPTH: usize = 8;

    pub(super) fn policies(config: &Config) -> Result<Vec<PolicyText>, String> {
        let mut out = Vec::new();
        for path in paths(config)?.into_iter().filter(|path| path.ends_with(".rego") && !path.ends_with("_test.rego")) {
            out.push(PolicyText { text: text(&path)?, name: path });
        }
        Ok(out)
    }

    /// Every `data.json`, under the members that its folders name.
    pub(super) fn data(config: &Config) -> Result<Vec<serde_json::Value>, String> {
        let mut out = Vec::new();
        for folder in &config.folders {
            let folder = folder.trim_end_matches('/');
            for path in walk(folder, 0)? {
                let Some(inner) = path.strip_prefix(folder).and_then(|rest| rest.strip_suffix("/data.json")) else {
                    continue;
                };
                let document: serde_json::Value =
                    serde_json::from_str(&text(&path)?).map_err(|error| format!("{path}: {error}"))?;
                let names = inner.split('/').filter(|name| !name.is_empty()).rev();
                out.push(names.fold(document, |inner, name| serde_json::json!({ name: inner })));
            }
        }
        Ok(out)
    }

    fn paths(config: &Config) -> Result<Vec<String>, String> {
        let mut out = Vec::new();
        for folder in &config.folders {
            out.extend(walk(folder.trim_end_matches('/'), 0)?);
        }
        Ok(out)
    }

    fn walk(folder: &str, depth: usize) -> Result<Vec<String>, String> {
        if depth > MAX_DEPTH {
            return Err(format!("folders: `{folder}` is nested deeper than {MAX_DEPTH} levels"));
        }
        let names = portcullis_plugin::files::entries(folder).map_err(|error| format!("folders: {folder}: {error}"))?;
        let mut out = Vec::new();
        for name in names {
            match name.strip_suffix('/') {
                Some(inner) => out.extend(walk(&format!("{folder}/{inner}"), depth + 1)?),
                None => out.push(format!("{folder}/{name}")),
            }
        }
        Ok(out)
    }

    fn text(path: &str) -> Result<String, String> {
        let bytes = portcullis_plugin::files::read(path).map_err(|error| format!("folders: {path}: {error}"))?;
        String::from_utf8(bytes).map_err(|_| format!("{path}: is not UTF-8"))
    }
}

/// A build without the capability `files` has no folders.
#[cfg(not(feature = "files"))]
mod folders {
    use super::{Config, PolicyText};

    pub(super) fn policies(_: &Config) -> Result<Vec<PolicyText>, String> {
        Ok(Vec::new())
    }

    pub(super) fn data(_: &Config) -> Result<Vec<serde_json::Value>, String> {
        Ok(Vec::new())
    }
}
