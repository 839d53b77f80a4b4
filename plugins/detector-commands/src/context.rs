//! What a text is there for, told from where it stands.

use portcullis_plugin::{Call, Phase};

/// What happens to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    /// It is run: a command, a statement, code.
    Run,
    /// It is asked of a database or an index.
    Query,
    /// It is requested: an address.
    Request,
    /// It may be anything.
    Unknown,
    /// It is read: prose, a document, an answer.
    Prose,
}

const RUN_KEYS: &[&str] = &[
    "command",
    "commands",
    "cmd",
    "cmds",
    "cmdline",
    "command_line",
    "commandline",
    "script",
    "scripts",
    "code",
    "shell",
    "bash",
    "sh",
    "exec",
    "execute",
    "run",
    "args",
    "argv",
    "arguments",
    "powershell",
    "ps",
    "program",
    "expression",
    "expr",
    "source",
    "snippet",
    "python",
    "javascript",
    "js",
    "entrypoint",
    "hook",
    "pipeline",
    "job",
    "eval",
    "payload",
    "batch",
    "raw",
];
const QUERY_KEYS: &[&str] = &[
    "query",
    "queries",
    "sql",
    "statement",
    "statements",
    "stmt",
    "where",
    "filter",
    "condition",
    "q",
    "search",
    "having",
    "order_by",
];
const REQUEST_KEYS: &[&str] = &[
    "url",
    "uri",
    "urls",
    "uris",
    "href",
    "link",
    "endpoint",
    "host",
    "hostname",
    "address",
    "target",
    "webhook",
    "callback",
    "base_url",
    "api_url",
    "redirect_uri",
    "src",
    "domain",
    "server",
    "remote",
    "origin",
    "image_url",
    "location",
];
const PROSE_KEYS: &[&str] = &[
    "text",
    "content",
    "body",
    "message",
    "description",
    "summary",
    "comment",
    "note",
    "notes",
    "title",
    "subject",
    "prompt",
    "question",
    "answer",
    "instructions",
    "markdown",
    "html",
    "document",
    "explanation",
    "reason",
    "readme",
    "new_str",
    "old_str",
    "new_string",
    "old_string",
    "file_text",
    "caption",
    "documentation",
];
const RUN_TOOLS: &[&str] = &[
    "bash",
    "shell",
    "terminal",
    "exec",
    "execute",
    "run",
    "command",
    "powershell",
    "cmd",
    "sql",
    "query",
    "python",
    "eval",
    "subprocess",
    "ssh",
    "console",
    "interpreter",
    "script",
    "sandbox",
];

/// Last members of pointers whose texts name files.
const PATH_KEYS: &[&str] = &[
    "path",
    "paths",
    "file",
    "files",
    "filename",
    "file_name",
    "source",
    "destination",
    "dest",
    "from",
    "to",
    "target",
    "directory",
    "dir",
    "folder",
];
/// Words in the names of tools that write files.
const WRITES: &[&str] = &[
    "write", "edit", "append", "create", "move", "rename", "save", "put", "upload", "copy", "patch", "insert",
    "replace",
];

/// Whether the text at `pointer` of `call` names a file for a tool, and whether the tool writes.
pub(crate) fn file(call: &Call, pointer: &str) -> Option<bool> {
    let mut keys = pointer.rsplit('/').filter(|key| !key.bytes().all(|byte| byte.is_ascii_digit()));
    let key = keys.next().unwrap_or_default().to_ascii_lowercase();
    let named = PATH_KEYS.contains(&key.as_str()) || ["path", "file", "filename"].iter().any(|end| key.ends_with(end));
    (call.phase == Phase::Call && named).then(|| {
        let tool = call.tool.to_ascii_lowercase();
        WRITES.iter().any(|word| tool.contains(word))
    })
}

/// What happens to the text at `pointer` of `call`.
pub(crate) fn of(call: &Call, pointer: &str, further: &[String]) -> Context {
    if call.phase != Phase::Call {
        return Context::Prose;
    }
    let mut keys = pointer.rsplit('/').filter(|key| !key.bytes().all(|byte| byte.is_ascii_digit()));
    let key = keys.next().unwrap_or_default().to_ascii_lowercase();
    let name = |list: &[&str]| list.contains(&key.as_str());
    if name(RUN_KEYS) || further.iter().any(|known| known.eq_ignore_ascii_case(&key)) {
        return Context::Run;
    }
    if name(QUERY_KEYS) || key.contains("sql") || key.ends_with("query") || key.starts_with("query") {
        return Context::Query;
    }
    // `shell_command`, `scriptText`.
    if ["command", "script", "cmd", "code"].iter().any(|word| key.ends_with(word) || key.starts_with(word)) {
        return Context::Run;
    }
    if name(REQUEST_KEYS) || key.ends_with("url") || key.ends_with("uri") || key.ends_with("host") {
        return Context::Request;
    }
    // Asked last: few names of arguments leave it to the tool.
    let runs = || {
        let tool = call.tool.to_ascii_lowercase();
        tool.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| RUN_TOOLS.contains(&word))
    };
    if name(PROSE_KEYS) {
        return if matches!(key.as_str(), "text" | "content" | "body" | "input") && runs() {
            Context::Run
        } else {
            Context::Prose
        };
    }
    if matches!(key.as_str(), "input" | "" | "value" | "text" | "data" | "stdin" | "line" | "lines") && runs() {
        return Context::Run;
    }
    Context::Unknown
}
