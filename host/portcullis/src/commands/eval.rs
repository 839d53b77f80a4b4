//! `portcullis eval`: what detectors come to on labelled texts.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use portcullis_engine::{Limits, MAX_PLUGIN_BYTES, PluginFile};
use portcullis_eval::{Answer, Components, Evaluation, GRANTED, OfQuestion, Question, Row, Rows, keyword_score};
use portcullis_model::{Call, Finding};
use portcullis_registry::read_file;
use portcullis_score::{At, Reliability, Share, reliability_picture, roc_picture};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Settings;
use super::ledger::printable;
use crate::cli::Eval;
use crate::embedded;
use crate::host;
use crate::remote::Server;

/// Texts after which it is told how many were scored.
const TELL: usize = 5000;
/// False alarms that a picture shows: nobody can use a detector that has more.
const WIDEST: f64 = 0.1;
const TOGETHER: &str = "together";
const KEYWORDS: &str = "keywords";

pub(crate) fn run(arguments: &Eval) -> Result<ExitCode> {
    let rows = Rows::open(&arguments.texts)?;
    let asked = match &arguments.api {
        Some(url) => Asked::Api(Server::new(url, arguments.token.clone())),
        None => Asked::Components(components(arguments)?),
    };
    let mut subjects: Vec<(String, Evaluation)> =
        asked.names().into_iter().map(|name| (name, Evaluation::default())).collect();
    let several = subjects.len() > 1;
    if several {
        subjects.push((TOGETHER.to_owned(), Evaluation::default()));
    }
    let mut keywords = Evaluation::default();
    let (mut scored, mut passed) = (0, 0);
    for row in rows {
        let row = row?;
        let Some(question) = Question::of(&row) else {
            passed += 1;
            continue;
        };
        let call = question.call(&row).with_context(|| format!("{}: no payload of a call", printable(&row.at)))?;
        let mut answers = asked.answers(question, &row, &call)?;
        if several {
            answers.push(strongest(&answers));
        }
        for ((_, evaluation), answer) in subjects.iter_mut().zip(&answers) {
            evaluation.add(question, &row.source, row.label, answer);
        }
        if let Some(score) = keyword_score(question, &row.text) {
            keywords.add(question, &row.source, row.label, &Answer { score, fault: None, cost: None });
        }
        scored += 1;
        if scored % TELL == 0 {
            eprintln!("{scored} texts …");
        }
    }
    ensure!(scored + passed > 0, "{}: holds no text", arguments.texts.display());
    ensure!(scored > 0, "none of {passed} texts asks a question that is known: give them a `kind` or a `phase`");
    subjects.push((KEYWORDS.to_owned(), keywords));
    if let Some(folder) = &arguments.pictures {
        draw(folder, &subjects)?;
    }
    let results = subjects.iter().map(|(name, evaluation)| (name.as_str(), evaluation.result(arguments.threshold)));
    let results: Vec<_> = results.collect();
    let mut out = io::stdout().lock();
    if arguments.json {
        let subjects: Vec<_> =
            results.iter().map(|(name, questions)| json!({ "subject": name, "questions": questions })).collect();
        let all = json!({
            "texts": scored, "left_out": passed, "threshold": arguments.threshold, "subjects": subjects,
        });
        writeln!(out, "{all}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "{scored} texts scored, {passed} ask nothing that is known; findings count from {}",
        arguments.threshold
    )?;
    // Who was asked for by name, or stands for all, is told of also if there is nothing to tell.
    let named = !arguments.plugins.is_empty() || arguments.api.is_some();
    for question in Question::ALL {
        let here = subjects.iter().zip(&results).filter(|((name, evaluation), _)| {
            named || [TOGETHER, KEYWORDS].contains(&name.as_str()) || !evaluation.is_silent(question)
        });
        let here: Vec<_> =
            here.filter_map(|(_, (name, of))| Some((*name, of.iter().find(|of| of.question == question)?))).collect();
        print(&mut out, question, &here, arguments.threshold)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Who is asked.
enum Asked {
    Components(Components),
    Api(Server),
}

impl Asked {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Components(components) => components.names().map(str::to_owned).collect(),
            Self::Api(_) => vec!["server".to_owned()],
        }
    }

    fn answers(&self, question: Question, row: &Row, call: &Call) -> Result<Vec<Answer>> {
        match self {
            Self::Components(components) => Ok(components.answers(question, call)),
            Self::Api(server) => Ok(vec![ask(server, question, row, call)?]),
        }
    }
}

fn components(arguments: &Eval) -> Result<Components> {
    let engine = host::lone_engine(&Settings::read(&arguments.place)?)?;
    let mut names = arguments.plugins.clone();
    if names.is_empty() {
        for (name, bytes) in embedded::plugins().filter(|(name, _)| name.starts_with("detector-")) {
            let outside = engine.describe(bytes)?.asks.into_iter().find(|ask| !GRANTED.contains(&ask.as_str()));
            match outside {
                None => names.push(name.to_owned()),
                Some(ask) => {
                    eprintln!("{name} is left out: it asks for `{ask}`; score a server that has it with --api")
                }
            }
        }
    }
    let mut known = HashSet::new();
    names.retain(|name| known.insert(name.clone()));
    let mut files = Vec::new();
    for name in &names {
        let path = Path::new(name);
        let bytes = match path.extension().is_some_and(|end| end == "wasm") {
            true => read_file(path, MAX_PLUGIN_BYTES as u64).with_context(|| name.clone())?,
            false => embedded::plugin(name)?.to_vec(),
        };
        files.push((name.as_str(), PluginFile::new(bytes), ""));
    }
    eprintln!("loading {} detector(s) (compiled once for this machine where there is a data folder) …", files.len());
    Ok(Components::load(&engine, files, Limits::default())?)
}

/// What a server finds.
fn ask(server: &Server, question: Question, row: &Row, call: &Call) -> Result<Answer> {
    #[derive(Deserialize)]
    struct Verdict {
        findings: Vec<Finding>,
    }
    let payload: Value = serde_json::from_str(call.payload.raw())?;
    let key = if call.phase == portcullis_model::Phase::Call { "arguments" } else { "content" };
    let mut body = json!({ "tool": call.tool, "phase": call.phase.as_str(), "explain": true, key: payload });
    for (name, value) in [("task", &call.task), ("persona", &call.persona)] {
        if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
            body.insert(name.to_owned(), json!(value));
        }
    }
    let answer = server.post("/v1/inspect", &body.to_string()).with_context(|| printable(&row.at))?;
    let verdict: Verdict = serde_json::from_value(answer)?;
    Ok(Answer::new(question, &verdict.findings, None, None))
}

/// What several detectors come to: the strongest finding, and what all of them took.
fn strongest(answers: &[Answer]) -> Answer {
    let score = answers.iter().map(|answer| answer.score).fold(0.0, f64::max);
    let cost = answers.iter().filter_map(|answer| answer.cost);
    let cost = cost.reduce(|one, other| (one.0.saturating_add(other.0), one.1.saturating_add(other.1)));
    Answer { score, fault: answers.iter().find_map(|answer| answer.fault.clone()), cost }
}

fn print(
    out: &mut impl io::Write,
    question: Question,
    subjects: &[(&str, &OfQuestion)],
    threshold: f32,
) -> io::Result<()> {
    let Some((_, first)) = subjects.first() else { return Ok(()) };
    let (attacks, benign) = (first.all.attacks, first.all.benign);
    writeln!(out, "\n{}: {} ({attacks} attacks, {benign} benign texts)", question.as_str(), question.asks())?;
    for (name, of) in subjects {
        let found = |at: Option<At>| at.map_or_else(Share::default, |at| at.recall);
        writeln!(out, "  {}", printable(name))?;
        match (of.all.auc, of.all.auc_interval) {
            (Some(auc), Some((low, high))) => writeln!(out, "    AUC           {auc:.3} [{low:.3} to {high:.3}]")?,
            (Some(auc), None) => writeln!(out, "    AUC           {auc:.3}")?,
            (None, _) => {}
        }
        writeln!(out, "    found at 1 %  {}", found(of.all.at_1))?;
        writeln!(out, "    found at 2 %  {}", found(of.all.at_2))?;
        let shipped = of.all.shipped;
        writeln!(out, "    from {threshold:<8} found {}, false alarms {}", shipped.recall, shipped.false_alarms)?;
        if let Some(reliability) = &of.reliability {
            writeln!(out, "    reliability   error {:.3}, Brier {:.3}", reliability.error, reliability.brier)?;
        }
        if let Some(cost) = of.cost {
            writeln!(
                out,
                "    takes         fuel {} (p99 {}), {} us (p99 {})",
                cost.fuel_p50, cost.fuel_p99, cost.micros_p50, cost.micros_p99
            )?;
        }
        for (fault, calls) in &of.faults {
            writeln!(out, "    failed        {calls} calls: {}", printable(fault))?;
        }
    }
    // By source: of the one that counts.
    let Some((name, of)) = subjects.iter().find(|(name, _)| *name == TOGETHER).or(subjects.first()) else {
        return Ok(());
    };
    writeln!(out, "  by source, {}:", printable(name))?;
    for source in &of.sources {
        let figures = &source.figures;
        let part = |texts: &str, found: &str, share: fn(At) -> Share| {
            let (shipped, one) = (share(figures.shipped), figures.at_1.map(share).unwrap_or_default());
            (shipped.of > 0)
                .then(|| format!("{} {texts}, {found} at 1 % {one}, from {threshold} {shipped}", shipped.of))
        };
        let attacks = part("attacks", "found", |at| at.recall);
        let benign = part("benign", "false alarms", |at| at.false_alarms);
        let parts: Vec<_> = attacks.into_iter().chain(benign).collect();
        writeln!(out, "    {:<24} {}", printable(&source.source), parts.join("; "))?;
    }
    Ok(())
}

/// One picture of each kind for each question.
fn draw(folder: &Path, subjects: &[(String, Evaluation)]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    for question in Question::ALL {
        let heard = subjects.iter().filter(|(_, evaluation)| !evaluation.is_silent(question));
        let scores: Vec<_> = heard.map(|(name, evaluation)| (name.as_str(), evaluation.scores(question))).collect();
        if scores.is_empty() {
            continue;
        }
        let lines: Vec<_> = scores.iter().map(|(name, scores)| (*name, scores)).collect();
        let reliable = scores.iter().filter(|(name, _)| *name != KEYWORDS);
        let reliable: Vec<_> = reliable.filter_map(|(name, scores)| Some((*name, Reliability::of(scores)?))).collect();
        let reliable: Vec<_> = reliable.iter().map(|(name, reliability)| (*name, reliability)).collect();
        for (kind, svg) in [
            ("roc", roc_picture(question.as_str(), &lines, WIDEST)),
            ("reliability", reliability_picture(question.as_str(), &reliable)),
        ] {
            if kind == "reliability" && reliable.is_empty() {
                continue;
            }
            let path = folder.join(format!("{}-{kind}.svg", question.as_str()));
            fs::write(&path, svg).with_context(|| format!("{}: cannot be written", path.display()))?;
        }
    }
    Ok(())
}
