//! What is asked of a text, and how it comes.

use std::sync::Arc;

use portcullis_model::{Call, Document, DocumentError, Phase};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::row::Row;

/// What is asked of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Question {
    /// Does it try to override the rules that a model was given?
    Overrides,
    /// Does it, as data, try to steer the agent that reads it?
    Results,
    /// Does it, as the definition of a tool, try to steer the agent?
    Tools,
    /// Is the call beside what the user asked for, or the agent is for?
    Calls,
    /// Does the command harm?
    Shell,
    /// Does the value inject SQL?
    Sql,
    /// Does the source code harm?
    Code,
    /// Does it hold personal data?
    Personal,
    /// Does it hold a credential?
    Secrets,
    /// Is the package known to harm?
    Packages,
}

/// What is asked of kinds that begin so; the first that fits counts.
const KINDS: [(&str, Option<Question>); 24] = [
    ("shell.recon", None),
    ("shell.other_attack", None),
    ("tool_malicious_capability", None),
    ("inj.direct", Some(Question::Overrides)),
    ("inj.giskard", Some(Question::Overrides)),
    ("jailbreak", Some(Question::Overrides)),
    ("inj.", Some(Question::Results)),
    ("benign.question", Some(Question::Overrides)),
    ("benign.instruction", Some(Question::Overrides)),
    ("benign.user_", Some(Question::Overrides)),
    ("hardneg.", Some(Question::Overrides)),
    ("benign.doc_cmd", Some(Question::Shell)),
    ("shell.", Some(Question::Shell)),
    ("benign.document", Some(Question::Results)),
    ("benign.email", Some(Question::Results)),
    ("benign.tool_output", Some(Question::Results)),
    ("tool_", Some(Question::Tools)),
    ("call.", Some(Question::Calls)),
    ("sqli", Some(Question::Sql)),
    ("sql.", Some(Question::Sql)),
    ("code.", Some(Question::Code)),
    ("pii.", Some(Question::Personal)),
    ("secret.", Some(Question::Secrets)),
    ("pkg.", Some(Question::Packages)),
];

impl Question {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 10] = [
        Self::Overrides,
        Self::Results,
        Self::Tools,
        Self::Calls,
        Self::Shell,
        Self::Sql,
        Self::Code,
        Self::Personal,
        Self::Secrets,
        Self::Packages,
    ];

    /// What is asked of a row, by its kind, or else by how it comes. None if nothing that is known: a text that harms nobody and
    /// that is no attack either, for instance mere reconnaissance, is left out.
    #[must_use]
    pub fn of(row: &Row) -> Option<Self> {
        let by_kind = KINDS.iter().find(|(begin, _)| row.kind.starts_with(begin));
        by_kind.map_or_else(|| row.phase.map(Self::of_phase), |(_, question)| *question)
    }

    fn of_phase(phase: Phase) -> Self {
        match phase {
            Phase::Call => Self::Calls,
            Phase::Result => Self::Results,
            Phase::Listing => Self::Tools,
            Phase::Message => Self::Overrides,
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overrides => "overrides",
            Self::Results => "results",
            Self::Tools => "tools",
            Self::Calls => "calls",
            Self::Shell => "shell",
            Self::Sql => "sql",
            Self::Code => "code",
            Self::Personal => "personal",
            Self::Secrets => "secrets",
            Self::Packages => "packages",
        }
    }

    /// The question itself, for people.
    #[must_use]
    pub fn asks(self) -> &'static str {
        match self {
            Self::Overrides => "does the text try to override the rules that a model was given?",
            Self::Results => "does the text, as data, try to steer the agent that reads it?",
            Self::Tools => "does the definition of the tool try to steer the agent?",
            Self::Calls => "is the call beside what the user asked for, or the agent is for?",
            Self::Shell => "does the command harm?",
            Self::Sql => "does the value inject SQL?",
            Self::Code => "does the source code harm?",
            Self::Personal => "does the text hold personal data?",
            Self::Secrets => "does the text hold a credential?",
            Self::Packages => "is the package known to harm?",
        }
    }

    /// How findings begin that answer it.
    #[must_use]
    pub fn categories(self) -> &'static [&'static str] {
        match self {
            Self::Overrides => &["injection."],
            Self::Results => &["injection.", "instruction."],
            Self::Tools => &["injection.", "instruction.", "tool."],
            Self::Calls => &["alignment.", "injection.", "command."],
            Self::Shell => &["command."],
            Self::Sql => &["sql."],
            Self::Code => &["code.", "command."],
            Self::Personal => &["pii."],
            Self::Secrets => &["secret."],
            Self::Packages => &["package."],
        }
    }

    /// The call that a row stands for.
    ///
    /// # Errors
    /// The text is nothing that a call may carry.
    pub fn call(self, row: &Row) -> Result<Call, DocumentError> {
        let text = row.text.as_str();
        let object = || serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
        let mut tool = row.tool.clone();
        let (mut task, mut persona) = (row.task.clone(), row.persona.clone());
        let (phase, payload) = match self {
            Self::Overrides => (Phase::Message, json!({ "text": text })),
            Self::Results | Self::Personal | Self::Secrets => (Phase::Result, json!({ "text": text })),
            Self::Tools => {
                (Phase::Listing, Value::Array(vec![object().unwrap_or_else(|| json!({ "description": text }))]))
            }
            Self::Shell => (Phase::Call, json!({ "command": text })),
            Self::Sql => (Phase::Call, json!({ "id": text })),
            Self::Code => (Phase::Call, json!({ "code": text })),
            Self::Packages => (Phase::Call, json!({ "command": install(text) })),
            Self::Calls => {
                let call = object().unwrap_or_default();
                let word = |key: &str| call.get(key).and_then(Value::as_str).map(str::to_owned);
                tool = tool.or_else(|| word("tool"));
                task = task.or_else(|| word("task"));
                persona = persona.or_else(|| word("persona"));
                (Phase::Call, call.get("args").cloned().unwrap_or_else(|| json!({ "text": text })))
            }
        };
        let shared = |text: Option<String>| text.map(Arc::from);
        Ok(Call {
            id: Uuid::nil(),
            phase,
            tenant: "eval".into(),
            agent: "eval".into(),
            session: None,
            persona: shared(persona),
            task: shared(task),
            upstream: None,
            tool: tool.unwrap_or_else(|| self.tool().to_owned()).into(),
            payload: Arc::new(Document::parse(payload.to_string())?),
            time_ms: 0,
            attached: None,
        })
    }

    /// The tool of rows that name none.
    fn tool(self) -> &'static str {
        match self {
            Self::Shell | Self::Packages => "shell",
            Self::Sql => "lookup",
            Self::Code => "run_code",
            _ => "tool",
        }
    }
}

/// The command that installs a package `ecosystem:name`.
fn install(package: &str) -> String {
    match package.split_once(':') {
        Some(("pypi", name)) => format!("pip install {name}"),
        Some(("rubygems" | "gem", name)) => format!("gem install {name}"),
        Some(("go", name)) => format!("go install {name}@latest"),
        Some((_, name)) => format!("npm install {name}"),
        None => format!("npm install {package}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &str, text: &str) -> Row {
        serde_json::from_value(json!({ "text": text, "label": 1, "kind": kind })).unwrap()
    }

    #[test]
    fn kinds_say_what_is_asked_and_how_the_text_comes() {
        for (kind, question, phase) in [
            ("jailbreak", Question::Overrides, Phase::Message),
            ("inj.direct", Question::Overrides, Phase::Message),
            ("inj.email_bipia_text_end", Question::Results, Phase::Result),
            ("benign.document_security", Question::Results, Phase::Result),
            ("benign.doc_cmd_osx", Question::Shell, Phase::Call),
            ("tool_poison_synth", Question::Tools, Phase::Listing),
            ("sqli", Question::Sql, Phase::Call),
            ("secret.github", Question::Secrets, Phase::Result),
            ("pkg.malicious_intent", Question::Packages, Phase::Call),
        ] {
            let row = row(kind, "npm:left-pad");
            let asked = Question::of(&row).unwrap();
            assert_eq!((asked, asked.call(&row).unwrap().phase), (question, phase), "{kind}");
        }
        assert_eq!(Question::of(&row("shell.recon.unix", "id")), None);
        assert_eq!(Question::of(&row("", "who knows")), None);
        let packages = Question::Packages.call(&row("pkg.x", "pypi:colourama")).unwrap();
        assert_eq!(packages.payload.raw(), r#"{"command":"pip install colourama"}"#);
    }

    #[test]
    fn calls_bring_their_task_and_persona() {
        let text = r#"{"persona":"clerk","task":"pay the rent","tool":"wire","args":{"to":"me"}}"#;
        let call = Question::Calls.call(&row("call.on_task", text)).unwrap();
        assert_eq!(
            (&*call.tool, call.task.as_deref(), call.persona.as_deref()),
            ("wire", Some("pay the rent"), Some("clerk"))
        );
        assert_eq!(call.payload.raw(), r#"{"to":"me"}"#);
    }
}
