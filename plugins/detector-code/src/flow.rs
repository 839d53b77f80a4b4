//! What reaches what: from where a value comes, through the variables and functions that it passes, to the call that runs, sends
//! or writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::lexer::{Kind, Token};
use crate::words::{
    self, ACCOUNTS, BARE, BROWSER, CLIPBOARD, CREDENTIALS, DECODED, ENVIRONMENT, FETCHED, INPUT, KEYS, Labels, MACHINE,
    PARAMETER, ROOT, RUNNER, SCREEN, SECRET, SHELL, STARTUP, Sink,
};

pub(crate) const EXECUTION: &str = "code.execution";
pub(crate) const OBFUSCATED: &str = "code.obfuscated";
pub(crate) const EXFILTRATION: &str = "code.exfiltration";
pub(crate) const CREDENTIAL: &str = "code.credentials";
pub(crate) const PERSISTENCE: &str = "code.persistence";
pub(crate) const DESTRUCTIVE: &str = "code.destructive";
pub(crate) const INSTALL: &str = "code.install_hook";

/// One thing seen: where it comes from, if that is known, and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) category: &'static str,
    pub(crate) score: f32,
    pub(crate) message: &'static str,
    pub(crate) places: Vec<Range<usize>>,
}

/// Most variables, functions and findings of one text.
const MOST: usize = 512;
/// Most tokens of a statement that are looked at for each call in it: calls within calls would read it again and again.
const REACH: usize = 400;
/// Most tokens of `Fernet(key)`.
const KEY: usize = 48;

/// What is known of a variable.
#[derive(Debug, Clone, Default)]
struct Value {
    labels: Labels,
    place: Range<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Short names of modules and functions.
    aliases: BTreeMap<String, String>,
    values: BTreeMap<String, Value>,
    /// What functions do with their parameters.
    functions: BTreeMap<String, BTreeSet<Sink>>,
    /// The function that the statement stands in.
    inside: Option<String>,
    /// Tokens that may still be looked at: calls within calls would read theirs again and again.
    pub(crate) left: usize,
    /// Whether there was more than that.
    pub(crate) cut: bool,
    pub(crate) seen: Vec<Seen>,
    pub(crate) facts: Facts,
}

/// What is anywhere in the text.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) labels: BTreeMap<Labels, Range<usize>>,
    pub(crate) sinks: BTreeMap<Sink, Range<usize>>,
    /// A connection is opened by hand.
    pub(crate) connects: Option<Range<usize>>,
    /// What it writes or reads is put in the place of another's.
    pub(crate) duplicates: bool,
    /// Runs a shell.
    pub(crate) shell: Option<Range<usize>>,
    pub(crate) machine: BTreeSet<String>,
    pub(crate) setup: Option<Range<usize>>,
    pub(crate) clipboard_set: bool,
    pub(crate) publishes: Option<Range<usize>>,
    pub(crate) fetched_written: bool,
    pub(crate) secrets: usize,
}

impl Flow {
    pub(crate) fn read(tokens: &mut [Token]) -> Flow {
        let mut flow = Flow { left: 4000 + 24 * tokens.len(), ..Flow::default() };
        for statement in tokens.split(|token| token.kind == Kind::End) {
            flow.import(statement);
        }
        for at in 0..tokens.len() {
            let fixed = flow.fixed(tokens.get(at..).unwrap_or_default());
            if let (Some(token), Some((labels, resolved))) = (tokens.get_mut(at), fixed) {
                (token.labels, token.resolved) = (labels, resolved);
            }
        }
        let statements: Vec<&[Token]> =
            tokens.split(|token| token.kind == Kind::End).filter(|statement| !statement.is_empty()).collect();
        // The second time what functions further down do is known.
        for round in 0..2 {
            flow.inside = None;
            for statement in &statements {
                flow.statement(statement, round == 1);
            }
        }
        flow
    }

    fn add(&mut self, category: &'static str, score: f32, message: &'static str, places: Vec<Range<usize>>) {
        if self.seen.len() < MOST {
            self.seen.push(Seen { category, score, message, places });
        }
    }

    /// `import x as y`, `from x import a as b`, `y = require('x')`, `const { a: b } = require('x')`.
    fn import(&mut self, statement: &[Token]) {
        let word = |at: usize| {
            statement.get(at).filter(|token| token.kind == Kind::Name).map_or("", |token| token.text.as_str())
        };
        let text = |at: usize| {
            statement
                .get(at)
                .filter(|token| token.kind == Kind::Text)
                .map(|token| token.text.trim_start_matches("node:"))
        };
        let required = statement.windows(3).find_map(|three| match three {
            [name, open, module]
                if matches!(
                    name.text.as_str(),
                    "require" | "import" | "__import__" | "import_module" | "importlib.import_module"
                ) && open.kind == Kind::Mark(b'(')
                    && module.kind == Kind::Text =>
            {
                Some(module.text.trim_start_matches("node:").to_owned())
            }
            [name, from, module] if name.kind != Kind::Text && from.text == "from" && module.kind == Kind::Text => {
                Some(module.text.trim_start_matches("node:").to_owned())
            }
            _ => None,
        });
        let mut new: Vec<(String, String)> = Vec::new();
        let names = || statement.iter().filter(|token| token.kind == Kind::Name);
        if word(0) == "import" && text(1).is_none() && required.is_none() {
            let list: Vec<&str> = names().skip(1).map(|token| token.text.as_str()).collect();
            for at in 0..list.len() {
                if list.get(at + 1) == Some(&"as")
                    && let (Some(module), Some(alias)) = (list.get(at), list.get(at + 2))
                {
                    new.push(((*alias).to_owned(), (*module).to_owned()));
                }
            }
        } else if word(0) == "from" && word(2) == "import" {
            let list: Vec<&str> = names().skip(3).map(|token| token.text.as_str()).collect();
            let module = word(1);
            for (at, name) in list.iter().enumerate() {
                if *name == "as" || at > 0 && list.get(at - 1) == Some(&"as") {
                    continue;
                }
                let alias = if list.get(at + 1) == Some(&"as") { list.get(at + 2).unwrap_or(name) } else { name };
                new.push(((*alias).to_owned(), format!("{module}.{name}")));
            }
        } else if let Some(module) = required {
            let end = statement
                .iter()
                .position(|token| {
                    matches!(
                        token.text.as_str(),
                        "require" | "from" | "__import__" | "import_module" | "importlib.import_module"
                    ) || token.kind == Kind::Mark(b'=')
                })
                .unwrap_or(0);
            let braces = statement.iter().take(end).any(|token| token.kind == Kind::Mark(b'{'));
            let list: Vec<&Token> = statement
                .iter()
                .take(end)
                .filter(|token| {
                    token.kind == Kind::Name
                        && !matches!(token.text.as_str(), "const" | "let" | "var" | "import" | "as" | "type" | "await")
                })
                .collect();
            if braces {
                // `{ exec: run }` and `{ exec }`: each may be the name.
                for token in &list {
                    new.push((
                        token.text.clone(),
                        format!(
                            "{module}.{}",
                            list.first().map_or("", |first| if list.len() == 2 { &first.text } else { &token.text })
                        ),
                    ));
                }
            } else if let Some(name) = list.last()
                && statement.iter().take(40).any(|token| token.kind == Kind::Mark(b'=') || token.text == "from")
            {
                new.push((name.text.clone(), module));
            }
        }
        // `f = Fernet(key)`: its methods are those of the class.
        if let [name, equals, class, open, ..] = statement
            && (name.kind, equals.kind, open.kind) == (Kind::Name, Kind::Mark(b'='), Kind::Mark(b'('))
            && class.kind == Kind::Name
            && is_fernet(&class.text)
        {
            new.push((name.text.clone(), class.text.clone()));
        }
        for (alias, module) in new {
            if self.aliases.len() < MOST && alias != module {
                self.aliases.insert(alias, module);
            }
        }
    }

    /// The name with the alias that it begins with put in.
    fn resolve(&self, name: &str) -> String {
        let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
        match (self.aliases.get(first), rest) {
            (Some(module), Some(rest)) => format!("{module}.{rest}"),
            (Some(module), None) => module.clone(),
            (None, _) => name.to_owned(),
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let first = name.split('.').next().unwrap_or(name);
        let last = name.rsplit('.').next().unwrap_or(name);
        self.values
            .get(name)
            .or_else(|| self.values.get(first))
            .or_else(|| if first == "self" || first == "this" { self.values.get(last) } else { None })
    }

    /// What the first token stands for whatever the variables hold, and its name in full.
    fn fixed(&mut self, tokens: &[Token]) -> Option<(Labels, Option<String>)> {
        let token = tokens.first()?;
        let next = tokens.get(1).map(|next| next.kind);
        let labels = match token.kind {
            Kind::Name => {
                let called = next == Some(Kind::Mark(b'('));
                let resolved = self.resolve(&token.text);
                let mut labels = words::source(&resolved, called);
                if next == Some(Kind::Mark(b'[')) && labels == ENVIRONMENT {
                    labels = 0;
                }
                if called && ["getenv", "Getenv", "environ.get", "ENV.fetch"].iter().any(|end| resolved.ends_with(end))
                {
                    let key = tokens.get(2).filter(|token| token.kind == Kind::Text);
                    labels |= if key.is_some_and(|key| words::secret_name(&key.text)) { SECRET } else { 0 };
                }
                // `Buffer.from(x, 'base64')`
                if called && resolved.ends_with("Buffer.from") {
                    let encoded = tokens
                        .iter()
                        .take(24)
                        .filter(|token| token.kind == Kind::Text)
                        .any(|token| matches!(token.text.as_str(), "base64" | "hex" | "base64url"));
                    labels |= if encoded { DECODED } else { 0 };
                }
                // `Fernet(key).decrypt(x)`
                if called && is_fernet(&resolved) {
                    let key = arguments(tokens.get(..tokens.len().min(KEY)).unwrap_or_default(), 1).len();
                    let then = tokens.get(key + 3..key + 5);
                    labels |= match then {
                        Some([dot, method]) if dot.kind == Kind::Mark(b'.') && method.text == "decrypt" => DECODED,
                        _ => 0,
                    };
                }
                if labels & MACHINE != 0 && self.facts.machine.len() < 16 {
                    self.facts.machine.insert(resolved.clone());
                }
                self.fact(labels, &token.range);
                return Some((labels, (resolved != token.text).then_some(resolved)));
            }
            Kind::Text => {
                let mut labels = words::string(&token.text);
                for name in braced(&token.text) {
                    labels |= words::source(&self.resolve(name), false);
                }
                labels
            }
            _ => return None,
        };
        self.fact(labels, &token.range);
        Some((labels, None))
    }

    /// What all of `tokens` come to, and where the first that counts comes from.
    fn labels(&mut self, tokens: &[Token]) -> (Labels, Option<Range<usize>>) {
        let (mut labels, mut place) = (0, None);
        for (at, token) in tokens.iter().take(REACH).enumerate() {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                self.cut = true;
                break;
            }
            labels |= token.labels;
            if token.labels != 0 {
                place = place.or_else(|| Some(token.range.clone()));
                continue;
            }
            match token.kind {
                Kind::Name => {
                    let called = tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Mark(b'('));
                    let last = token.name().rsplit('.').next().unwrap_or_default();
                    let value = self.value(&token.text).or_else(|| self.values.get(last).filter(|_| called));
                    if let Some(value) = value {
                        labels |= value.labels;
                        place = place.or_else(|| Some(value.place.clone()));
                    }
                }
                Kind::Text => {
                    for name in braced(&token.text) {
                        if let Some(value) = self.value(name) {
                            labels |= value.labels;
                            place = place.or_else(|| Some(value.place.clone()));
                        }
                    }
                }
                _ => {}
            }
        }
        (labels, place)
    }

    fn fact(&mut self, labels: Labels, range: &Range<usize>) {
        for bit in 0..18 {
            if labels & (1 << bit) != 0 {
                self.facts.labels.entry(1 << bit).or_insert_with(|| range.clone());
            }
        }
        self.facts.secrets += usize::from(labels & SECRET != 0);
    }

    fn keep(&mut self, name: &str, labels: Labels, place: Option<Range<usize>>) {
        if labels == 0 || name.is_empty() || (self.values.len() >= MOST && !self.values.contains_key(name)) {
            return;
        }
        let value = self.values.entry(name.to_owned()).or_default();
        value.labels |= labels;
        if value.place.is_empty() {
            value.place = place.unwrap_or_default();
        }
    }

    fn statement(&mut self, statement: &[Token], last_round: bool) {
        let word = |at: usize| {
            statement.get(at).filter(|token| token.kind == Kind::Name).map_or("", |token| token.text.as_str())
        };
        // `def name(a, b)`, `function name(a, b)`, `async function`, `func name(a T)`.
        let defined = (0..3).find(|at| matches!(word(*at), "def" | "function" | "func" | "fn"));
        if let Some(at) = defined {
            let name = word(at + 1).rsplit('.').next().unwrap_or_default().to_owned();
            let open = statement.iter().position(|token| token.kind == Kind::Mark(b'('));
            let params = open.map_or(&[][..], |open| arguments(statement, open));
            for param in params.iter().filter(|token| {
                token.kind == Kind::Name
                    && !matches!(token.text.as_str(), "self" | "this" | "str" | "int" | "string" | "bool" | "cls")
            }) {
                self.keep(&param.text, PARAMETER, Some(param.range.clone()));
            }
            self.inside = Some(name);
        }
        if word(0) == "class" || word(1) == "class" {
            self.inside = None;
        }
        let (labels, place) = self.labels(statement);
        // What it is kept as.
        let equals = (1..statement.len().min(40)).find(|at| {
            let mark = |at: usize, byte: u8| statement.get(at).is_some_and(|token| token.kind == Kind::Mark(byte));
            mark(*at, b'=')
                && !mark(at + 1, b'=')
                && !mark(at + 1, b'>')
                && !statement
                    .get(at.wrapping_sub(1))
                    .is_some_and(|before| matches!(before.kind, Kind::Mark(b'=' | b'!' | b'<' | b'>')))
        });
        let opens =
            statement.iter().take(equals.unwrap_or(0)).any(|token| token.kind == Kind::Mark(b'(')) && defined.is_none();
        if let Some(equals) = equals.filter(|_| defined.is_none() && !opens) {
            let (right, from) = self.labels(statement.get(equals + 1..).unwrap_or_default());
            let names: Vec<String> = statement
                .iter()
                .take(equals)
                .filter(|token| {
                    token.kind == Kind::Name
                        && !matches!(token.text.as_str(), "const" | "let" | "var" | "await" | "my" | "local" | "export")
                })
                .map(|token| token.text.clone())
                .take(8)
                .collect();
            for name in names {
                self.keep(&name, right, from.clone());
                // `this.data`, `self.data`, `data.key`.
                if let Some((first, rest)) = name.split_once('.') {
                    let kept = if matches!(first, "self" | "this") { rest } else { first };
                    self.keep(kept, right, from.clone());
                }
            }
        }
        // `open(x) as f`, `for x in y`, `(x) =>`, `function (x) {`, `|x|`
        for (at, token) in statement.iter().enumerate().take(REACH) {
            let next = |ahead: usize| statement.get(at + ahead);
            let name =
                |token: Option<&Token>| token.filter(|token| token.kind == Kind::Name).map(|token| token.text.clone());
            if token.kind == Kind::Name && matches!(token.text.as_str(), "as" | "for" | "foreach") {
                if let Some(name) = name(next(1)) {
                    self.keep(&name, labels & !SHELL, place.clone());
                }
            } else if token.kind == Kind::Mark(b'=') && next(1).is_some_and(|next| next.kind == Kind::Mark(b'>')) {
                for back in 1..6 {
                    if let Some(name) = name(at.checked_sub(back).and_then(|at| statement.get(at))) {
                        self.keep(&name, labels & !(SHELL | PARAMETER), place.clone());
                    }
                }
            } else if token.kind == Kind::Name
                && token.text == "function"
                && next(1).is_some_and(|next| next.kind == Kind::Mark(b'('))
            {
                for param in arguments(statement, at + 1).iter().take(6) {
                    if let Some(name) = name(Some(param)) {
                        self.keep(&name, labels & !SHELL, place.clone());
                    }
                }
            }
        }
        // `list.append(x)`, `data.update(x)`.
        if let Some(first) = statement.first().filter(|first| first.kind == Kind::Name)
            && let Some((receiver, method)) = first.text.rsplit_once('.')
            && matches!(
                method,
                "append"
                    | "push"
                    | "add"
                    | "update"
                    | "extend"
                    | "write"
                    | "concat"
                    | "set"
                    | "put"
                    | "insert"
                    | "merge"
                    | "unshift"
            )
        {
            let receiver = receiver.rsplit('.').next().unwrap_or(receiver).to_owned();
            self.keep(&receiver, labels & !PARAMETER, place.clone());
        }
        let returns = word(0) == "yield" || statement.iter().take(4).any(|token| token.text == "return");
        if let Some(name) = self.inside.clone().filter(|_| returns) {
            self.keep(&name, labels & !PARAMETER, place.clone());
        }
        self.calls(statement, last_round);
    }

    fn calls(&mut self, statement: &[Token], last_round: bool) {
        for (at, token) in statement.iter().enumerate() {
            if token.kind != Kind::Name {
                continue;
            }
            let before = at.checked_sub(1).and_then(|at| statement.get(at));
            let defined = before.is_some_and(|before| {
                matches!(before.text.as_str(), "def" | "function" | "class" | "func" | "fn" | "import" | "from" | "as")
            });
            let open = statement.get(at + 1).is_some_and(|next| next.kind == Kind::Mark(b'('));
            let bare = !open
                && (matches!(token.text.as_str(), "system" | "exec" | "eval" | "iex" | "spawn")
                    || token.text.starts_with("Invoke-")
                    || token.text == "Start-Process")
                && statement
                    .get(at + 1)
                    .is_some_and(|next| matches!(next.kind, Kind::Text | Kind::Name | Kind::Mark(b'-' | b'$')));
            if defined || !(open || bare) {
                continue;
            }
            let args = if open { arguments(statement, at + 1) } else { following(statement, at + 1) };
            if bare {
                // Names in a row would read all that follows them again and again.
                self.left = self.left.saturating_sub(args.len());
                if self.left == 0 {
                    self.cut = true;
                    return;
                }
            }
            let dotted = before.is_some_and(|before| before.kind == Kind::Mark(b'.'));
            let name = if dotted { format!("?.{}", token.text) } else { token.name().to_owned() };
            let end = args.last().map_or(token.range.end, |last| last.range.end);
            let place = token.range.start..end.max(token.range.end);
            self.special(&name, token, args, &place, last_round);
            let aliased = self.value(&token.text).is_some_and(|value| value.labels & RUNNER != 0);
            let kind = if aliased { Some(Sink::Code) } else { words::sink(&name) };
            let (labels, from) = self.labels(args);
            if let Some(kind) = kind {
                self.facts.sinks.entry(kind).or_insert_with(|| place.clone());
                if labels & PARAMETER != 0
                    && let Some(inside) = self.inside.clone()
                    && self.functions.len() < MOST
                {
                    self.functions.entry(inside).or_default().insert(kind);
                }
                if kind == Sink::Write && labels & FETCHED != 0 {
                    self.facts.fetched_written = true;
                }
                if last_round {
                    self.reaches(kind, &name, args, (labels, from), &place);
                }
            } else if last_round {
                // A function of this text that passes its parameters on.
                let called = token.text.rsplit('.').next().unwrap_or_default();
                let sinks: Vec<Sink> = self.functions.get(called).into_iter().flatten().copied().collect();
                for kind in sinks {
                    self.reaches(kind, &name, &[], (labels & !PARAMETER, from.clone()), &place);
                }
            }
        }
    }

    /// Names that mean more than where their arguments go.
    fn special(&mut self, name: &str, token: &Token, args: &[Token], place: &Range<usize>, last_round: bool) {
        let last = name.rsplit('.').next().unwrap_or(name);
        let text = |at: usize| {
            args.iter().filter(|token| token.kind == Kind::Text).nth(at).map_or("", |token| token.text.as_str())
        };
        match last {
            "connect" | "Dial" | "createConnection" | "fsockopen" | "TCPSocket" | "connect_ex"
                if name.contains("sock")
                    || name.contains("net.")
                    || name.contains("s.")
                    || name.contains("client")
                    || last != "connect" =>
            {
                self.facts.connects.get_or_insert_with(|| place.clone());
            }
            "socket" | "Socket" | "create_connection" if name.contains("socket") || name.contains("net.") => {
                self.facts.connects.get_or_insert_with(|| place.clone());
            }
            "open" if name.ends_with("TCPSocket.open") => {
                self.facts.connects.get_or_insert_with(|| place.clone());
            }
            "dup2" => self.facts.duplicates = true,
            "setup" => {
                self.facts.setup.get_or_insert_with(|| token.range.clone());
            }
            "copy" if name.starts_with("pyperclip") || name.starts_with("clipboard") => self.facts.clipboard_set = true,
            _ => {}
        }
        if !last_round {
            return;
        }
        if matches!(name, "open" | "io.open" | "codecs.open" | "File.open" | "os.OpenFile")
            || matches!(
                last,
                "appendFileSync"
                    | "appendFile"
                    | "writeFileSync"
                    | "writeFile"
                    | "write_text"
                    | "CreateKey"
                    | "SetValueEx"
                    | "createWriteStream"
            )
        {
            let mode = args
                .iter()
                .filter(|token| token.kind == Kind::Text)
                .any(|token| matches!(token.text.as_str(), "a" | "w" | "a+" | "w+" | "ab" | "wb" | "at" | "wt"));
            let writes = mode || !last.eq_ignore_ascii_case("open");
            let (labels, from) = self.labels(args);
            if writes && labels & STARTUP != 0 {
                self.add(PERSISTENCE, 0.84, "Writes where programs start by themselves", both(from, place));
            } else if !writes && labels & (CREDENTIALS | BROWSER) != 0 {
                self.add(CREDENTIAL, 0.74, "Reads a file that holds credentials", both(from, place));
            }
        }
        if matches!(
            last,
            "readFileSync"
                | "readFile"
                | "ReadFile"
                | "read_text"
                | "read_bytes"
                | "copyfile"
                | "copy2"
                | "copytree"
                | "file_get_contents"
                | "ReadAll"
                | "read"
                | "Open"
                | "createReadStream"
        ) {
            let (labels, from) = self.labels(args);
            if labels & (CREDENTIALS | BROWSER) != 0 {
                self.add(CREDENTIAL, 0.74, "Reads a file that holds credentials", both(from, place));
            }
        }
        // `getattr(os, 'sys' + 'tem')`
        if matches!(last, "getattr" | "__getattribute__" | "attrgetter" | "send" | "const_get" | "public_send") {
            let of = args.first().map_or(String::new(), |first| self.resolve(&first.text));
            let joined: String =
                args.iter().skip(1).filter(|token| token.kind == Kind::Text).map(|token| token.text.as_str()).collect();
            let dangerous =
                ["system", "popen", "exec", "eval", "Popen", "__import__", "compile", "b64decode", "check_output"]
                    .iter()
                    .any(|name| joined.ends_with(name));
            let module = matches!(
                of.as_str(),
                "os" | "subprocess" | "builtins" | "__builtins__" | "__import__" | "sys" | "base64" | "importlib"
            );
            let (labels, _) = self.labels(args);
            if module && (dangerous || labels & DECODED != 0) {
                self.add(OBFUSCATED, 0.86, "Hides which function it calls", vec![place.clone()]);
            }
        }
        if matches!(
            name,
            "JSON.stringify"
                | "json.dumps"
                | "JSON.dump"
                | "JSON.generate"
                | "YAML.dump"
                | "Marshal.dump"
                | "pickle.dumps"
                | "util.inspect"
                | "Object.entries"
        ) && self.labels(args).0 & ENVIRONMENT != 0
        {
            self.add(EXFILTRATION, 0.5, "Makes a text of the whole environment", vec![place.clone()]);
        }
        let reached =
            ["__dict__.", "globals.", "vars.", "locals.", "__builtins__.__"].iter().any(|part| name.contains(part));
        if (reached && matches!(last, "eval" | "exec" | "system" | "__import__" | "compile" | "popen"))
            || (token.escapes > 0 && words::sink(name).is_some())
        {
            self.add(OBFUSCATED, 0.86, "Hides which function it calls", vec![place.clone()]);
        }
        if matches!(last, "register_listener" | "on_press") && text(0).is_empty() {
            self.fact(KEYS, place);
        }
    }

    /// What a call does with what it is given: with what that is, and where it comes from.
    fn reaches(
        &mut self,
        kind: Sink,
        name: &str,
        args: &[Token],
        (labels, from): (Labels, Option<Range<usize>>),
        place: &Range<usize>,
    ) {
        let has = |bits: Labels| labels & bits != 0;
        let literal = args.first().filter(|first| first.kind == Kind::Text);
        let texts = || args.iter().filter(|token| token.kind == Kind::Text);
        match kind {
            Sink::Code => {
                let compiles = name == "compile" || name.ends_with("_compile");
                let found = if has(DECODED) {
                    Some((OBFUSCATED, 0.93, "Decodes something and runs it"))
                } else if has(FETCHED) {
                    Some((EXECUTION, 0.9, "Runs code straight from the network"))
                } else if texts().any(|text| text.escapes >= 4) {
                    Some((OBFUSCATED, 0.85, "Runs code that is written in escapes"))
                } else if texts().any(|text| text.text.len() >= 120 && blob(&text.text)) {
                    Some((OBFUSCATED, 0.82, "Runs code that is hidden in a string"))
                } else if let Some((score, message)) = literal.and_then(|text| words::harmful(&text.text)) {
                    Some((EXECUTION, score, message))
                } else if has(INPUT) && !compiles {
                    Some((EXECUTION, 0.72, "Runs whatever somebody else gives it as code"))
                } else if has(PARAMETER) && !compiles && args.len() <= 2 {
                    Some((EXECUTION, 0.4, "Runs whatever it is given as code"))
                } else {
                    None
                };
                if let Some((category, score, message)) = found {
                    self.add(category, score, message, both(from, place));
                }
            }
            Sink::Command => {
                let harmful = texts()
                    .filter_map(|text| words::harmful(&text.text))
                    .max_by(|one, other| one.0.total_cmp(&other.0));
                if texts().any(|text| text.text.contains("npm publish") || text.text.contains("twine upload")) {
                    self.facts.publishes = Some(place.clone());
                }
                if has(SHELL) {
                    self.facts.shell.get_or_insert_with(|| place.clone());
                }
                if has(DECODED) {
                    self.add(OBFUSCATED, 0.9, "Decodes something and runs it", both(from, place));
                } else if has(FETCHED) && !has(PARAMETER) {
                    self.add(EXECUTION, 0.82, "Runs what the network sends", both(from, place));
                } else if let Some((score, message)) = harmful {
                    self.add(EXECUTION, score, message, vec![place.clone()]);
                } else if has(INPUT)
                    && (has(SHELL)
                        || name.ends_with("system")
                        || name.ends_with("exec")
                        || name.ends_with("execSync")
                        || args.iter().any(|token| token.text == "shell"))
                {
                    self.add(EXECUTION, 0.62, "Runs whatever somebody else gives it as a command", both(from, place));
                }
                let silent = args.iter().filter(|token| token.text.ends_with("DEVNULL")).count() >= 2
                    || args.iter().any(|token| token.text == "detached") && texts().any(|text| text.text == "ignore");
                if silent {
                    self.add(OBFUSCATED, 0.66, "Starts a process that nobody is to see", vec![place.clone()]);
                }
            }
            Sink::Network => {
                let found = if has(CREDENTIALS | BROWSER) {
                    Some((0.93, "Sends a file that holds credentials away"))
                } else if has(ENVIRONMENT) {
                    Some((0.9, "Sends the whole environment away"))
                } else if has(CLIPBOARD | SCREEN | KEYS) {
                    Some((0.86, "Sends away what a person types, copies or sees"))
                } else if has(ACCOUNTS) {
                    Some((0.85, "Sends the accounts of the system away"))
                } else if has(SECRET) && has(BARE) {
                    Some((0.85, "Sends a secret to a machine without a name"))
                } else if has(MACHINE) && (has(BARE) || self.facts.setup.is_some()) {
                    Some((0.82, "Tells a stranger who and where it runs"))
                } else if has(MACHINE) && self.facts.machine.len() > 1 {
                    Some((0.66, "Tells somebody who and where it runs"))
                } else if has(BARE)
                    && (name.ends_with("post") || texts().any(|text| text.text.eq_ignore_ascii_case("post")))
                {
                    Some((0.74, "Sends data to a machine without a name"))
                } else {
                    None
                };
                if let Some((score, message)) = found {
                    self.add(EXFILTRATION, score, message, both(from, place));
                }
            }
            Sink::Delete => {
                if has(ROOT) && !texts().any(|text| text.text.len() > 8) {
                    self.add(DESTRUCTIVE, 0.88, "Deletes whole folders that matter", both(from, place));
                }
            }
            Sink::Write => {
                if has(STARTUP) && !name.ends_with(".copy") {
                    self.add(PERSISTENCE, 0.82, "Writes where programs start by themselves", both(from, place));
                }
            }
        }
    }
}

fn is_fernet(name: &str) -> bool {
    name == "Fernet" || name.ends_with(".Fernet")
}

/// Names in the braces of a template, at most some.
fn braced(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).take(12).map(|piece| {
        let piece = piece.trim_start();
        let end = piece
            .bytes()
            .take(80)
            .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$')))
            .unwrap_or(piece.len().min(80));
        piece.get(..piece.floor_char_boundary(end)).unwrap_or_default()
    })
}

fn both(from: Option<Range<usize>>, place: &Range<usize>) -> Vec<Range<usize>> {
    let from = from.filter(|from| !from.is_empty() && (from.end <= place.start || from.start >= place.end));
    from.into_iter().chain([place.clone()]).collect()
}

/// What stands between the bracket at `open` and its end.
fn arguments(statement: &[Token], open: usize) -> &[Token] {
    let mut depth = 0_usize;
    for (at, token) in statement.iter().enumerate().skip(open).take(REACH) {
        match token.kind {
            Kind::Mark(b'(') => depth += 1,
            Kind::Mark(b')') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return statement.get(open + 1..at).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    following(statement, open + 1)
}

/// What stands from here on in the statement, as far as it is looked at.
fn following(statement: &[Token], from: usize) -> &[Token] {
    statement.get(from..statement.len().min(from + REACH)).unwrap_or_default()
}

/// Whether a string is something encoded, and nothing that pages and packages are full of.
pub(crate) fn blob(text: &str) -> bool {
    let harmless = [
        "iVBOR",
        "/9j/",
        "R0lGOD",
        "data:",
        "sha256-",
        "sha384-",
        "sha512-",
        "d09G",
        "PHN2Zy",
        "AAAAFG",
        "-----BEGIN",
        "http",
    ]
    .iter()
    .any(|begin| text.starts_with(begin));
    !harmless
        && text.len() >= 80
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-' | b'\\' | b'x'))
}
