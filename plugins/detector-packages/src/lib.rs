//! Finds packages known to harm, and names that are made to be mistaken for popular ones.
//!
//! Install commands (`command`) and manifests (`manifest`) are read for the packages that they ask for and for where those come
//! from. A name is then looked up among those known to harm (`fuse`), compared with popular ones (`popular`), and judged by a
//! small model of names (`look`).
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use plugin_text::Lexicon;
use portcullis_plugin::{Call, Detector, Finding, Payload, Span, Text, join_spans};

mod command;
mod config;
mod fuse;
mod item;
mod look;
mod manifest;
mod name;
mod popular;
mod table;

use crate::command::Word;
pub use crate::config::Config;
pub use crate::fuse::Fuse;
use crate::item::{Item, Via};
pub use crate::look::Look;
pub use crate::name::Registry;
use crate::popular::Edit;
pub use crate::popular::{Popular, Relation};
pub use crate::table::{BITS, Bad, Table, TableError, Weights};

/// The table as it is shipped.
const TABLE: &[u8] = include_bytes!("../table.bin");
/// Unknown names of one call that are compared with popular ones; lists are asked for all.
const MOST_JUDGED: usize = 100;
/// Most spans of a finding.
const MOST_SPANS: usize = 32;
/// Score of a name one edit from one that everybody knows, of a scope one edit from a popular one.
const IMITATED: f32 = 0.85;

/// The detector.
#[derive(Debug)]
pub struct Packages {
    table: Table,
    lexicon: Lexicon,
    bad: BTreeSet<(Registry, String)>,
    good: Vec<(Registry, String, bool)>,
    config: Config,
}

/// What a finding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Category {
    KnownBad,
    Typosquat,
    Suspicious,
    Source,
}

impl Category {
    fn name(self) -> &'static str {
        match self {
            Self::KnownBad => "package.known_bad",
            Self::Typosquat => "package.typosquat",
            Self::Suspicious => "package.suspicious",
            Self::Source => "package.source",
        }
    }
}

/// One reason to look twice.
struct Doubt {
    category: Category,
    score: f32,
    message: String,
}

/// What lies behind a word that was found.
const COMMAND: u16 = 0;
const SECTION: u16 = 1;
const MODULE: u16 = 2;
const TOML: u16 = 3;
const DIRECT: u16 = 4;
const SETTING: u16 = 5;

const WORDS: &[(&str, u16)] = &[
    ("npm", COMMAND),
    ("cnpm", COMMAND),
    ("pnpm", COMMAND),
    ("yarn", COMMAND),
    ("bun", COMMAND),
    ("npx", COMMAND),
    ("bunx", COMMAND),
    ("pnpx", COMMAND),
    ("pip*", COMMAND),
    ("uv", COMMAND),
    ("uvx", COMMAND),
    ("poetry", COMMAND),
    ("pdm", COMMAND),
    ("rye", COMMAND),
    ("conda", COMMAND),
    ("mamba", COMMAND),
    ("micromamba", COMMAND),
    ("cargo", COMMAND),
    ("gem", COMMAND),
    ("bundle", COMMAND),
    ("go get", COMMAND),
    ("go install", COMMAND),
    ("brew", COMMAND),
    ("composer", COMMAND),
    ("*dependencies\"", SECTION),
    ("*\"resolutions\"", SECTION),
    ("*\"overrides\"", SECTION),
    ("*node_modules/*", MODULE),
    ("*[project]", TOML),
    ("*[build-system]", TOML),
    ("*dependencies]", TOML),
    ("*[dependencies.*", TOML),
    ("*[packages]", TOML),
    ("*[dev-packages]", TOML),
    ("*[[package]]", TOML),
    ("*[dependency-groups]", TOML),
    ("npm:*", DIRECT),
    ("pypi:*", DIRECT),
    ("pip_index_url", SETTING),
    ("pip_extra_index_url", SETTING),
    ("npm_config_registry", SETTING),
    ("uv_index_url", SETTING),
    ("uv_default_index", SETTING),
];

impl Detector for Packages {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Self::with_table(config, TABLE)
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        if !self.config.phases.contains(&call.phase) {
            return Ok(Vec::new());
        }
        let texts = payload.texts();
        let mut found: Vec<(usize, Item)> = Vec::new();
        self.arguments(&call.tool, &texts, &mut found);
        for (index, text) in texts.iter().enumerate() {
            let mut items = Vec::new();
            self.text(text, &mut items);
            found.extend(items.into_iter().map(|item| (index, item)));
        }
        Ok(self.report(found))
    }
}

impl Packages {
    /// The detector with another table.
    ///
    /// # Errors
    /// The configuration is wrong, or the bytes are no table.
    pub fn with_table(config: Config, table: &[u8]) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&config.min_score) {
            return Err("min_score: must lie between 0 and 1".to_owned());
        }
        let table = Table::read(table).map_err(|error| error.to_string())?;
        let lexicon = Lexicon::new(WORDS.iter().copied()).map_err(|error| error.to_string())?;
        let mut bad = BTreeSet::new();
        for (index, text) in config.bad.iter().enumerate() {
            let name = Registry::split(text).and_then(|(registry, name)| Some((registry, registry.name(name)?)));
            bad.insert(name.ok_or_else(|| wrong("bad", index))?);
        }
        let mut good = Vec::new();
        for (index, text) in config.good.iter().enumerate() {
            let (registry, name) = Registry::split(text).ok_or_else(|| wrong("good", index))?;
            good.push(match name.strip_suffix('*') {
                Some(begin) => (registry, begin.to_ascii_lowercase(), true),
                None => (registry, registry.name(name).ok_or_else(|| wrong("good", index))?, false),
            });
        }
        Ok(Self { table, lexicon, bad, good, config })
    }

    /// Commands, manifests and direct names in one text.
    fn text(&self, text: &Text, out: &mut Vec<Item>) {
        let hosts = &self.config.hosts;
        let value = text.value.as_str();
        let (mut done, mut set) = (0, 0);
        let (mut toml, mut cut) = (false, false);
        let (mut outer, mut inner) = (Statement::default(), Statement::default());
        for hit in self.lexicon.hits(value, false, usize::MAX) {
            toml |= hit.id == TOML;
            if hit.start < done {
                continue;
            }
            match hit.id {
                COMMAND => {
                    let next = value.as_bytes().get(hit.end).copied().unwrap_or(b' ');
                    if !(next.is_ascii_whitespace()
                        || next.is_ascii_digit()
                        || matches!(next, b'.' | b'\\' | b'"' | b'\''))
                    {
                        continue;
                    }
                    if !command::may_install(value, hit.start, hit.end) {
                        continue;
                    }
                    // A statement is cut into words once, and what it quotes once more, however many tools it names.
                    let depth = usize::from(outer.quotes(hit.start));
                    let statement = if depth == 0 { &mut outer } else { &mut inner };
                    if !statement.range.contains(&hit.start) {
                        *statement = Statement::at(value, hit.start);
                    }
                    let via = if command::begins(value, hit.start) { Via::Asked } else { Via::Prose };
                    if command::read(statement.from(hit.start), via, hosts, out) {
                        done = statement.range.end;
                    }
                }
                SECTION if !cut => match manifest::members(value, hit.end, hosts, out) {
                    Some(end) => done = end,
                    // The text ends within: so would all sections in it.
                    None => cut = true,
                },
                MODULE => {
                    if let Some(end) = manifest::module(value, hit.start, out) {
                        done = end;
                    }
                }
                DIRECT => {
                    let alias = hit.start.checked_sub(1).and_then(|at| value.as_bytes().get(at)) == Some(&b'@');
                    if !alias {
                        direct(value, hit.start, out);
                    }
                }
                // Within the value of another setting it is none.
                SETTING if hit.start >= set => {
                    let rest = value.get(hit.end..).unwrap_or_default();
                    if let Some(address) = rest.strip_prefix(['=', ':']) {
                        let address = address.trim_start_matches([' ', '"', '\'']);
                        let start = value.len() - address.len();
                        let length = address
                            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';'))
                            .unwrap_or(address.len());
                        let name = value.get(hit.start..hit.end);
                        let extra = name.is_some_and(|name| name.to_ascii_lowercase().contains("extra"));
                        let source = item::registry(address.get(..length).unwrap_or_default(), extra, hosts);
                        set = start + length;
                        out.extend(source.map(|source| Item::Source { source, range: start..set }));
                    }
                }
                _ => {}
            }
        }
        if toml {
            manifest::toml(value, hosts, out);
        }
    }

    /// What the names of members and their neighbours say: `{"command": "npm", "args": ["install", "x"]}`, `{"package": "x"}`,
    /// `{"dependencies": {"x": "1"}}`, a file whose name is `requirements.txt`.
    fn arguments(&self, tool: &str, texts: &[Text], out: &mut Vec<(usize, Item)>) {
        let hosts = &self.config.hosts;
        let said = said(tool, texts);
        let file = texts.iter().any(|text| is_requirements(&text.value));
        let mut next = 0;
        for (index, text) in texts.iter().enumerate() {
            let (parent, last) = text.pointer.rsplit_once('/').unwrap_or_default();
            let parent = parent.rsplit('/').next().unwrap_or_default();
            let value = text.value.as_str();
            if index >= next && value.len() < 256 && command::is_tool(value) {
                // The texts after it are its words: a list of arguments, or the rest of a list that begins with it.
                let mut words = vec![Word { text: value.to_owned(), range: 0..value.len() }];
                let own = text.pointer.rsplit_once('/').map_or("", |(own, _)| own);
                let list = |other: &Text| {
                    let (list, number) = other.pointer.rsplit_once('/').unwrap_or_default();
                    number.bytes().all(|byte| byte.is_ascii_digit()) && list.starts_with(own)
                };
                let follow: Vec<&Text> = texts.iter().skip(index + 1).take_while(|other| list(other)).collect();
                next = index + 1 + follow.len();
                // Where a word stands, so that a span leads back to its own text.
                words.extend(
                    follow.iter().zip(1_usize..).map(|(other, at)| Word { text: other.value.clone(), range: at..at }),
                );
                let mut items = Vec::new();
                command::read(&words, Via::Asked, hosts, &mut items);
                for item in items {
                    let at = match &item {
                        Item::Package { range, .. } | Item::Source { range, .. } => range.start,
                    };
                    let index = index + at;
                    let whole = 0..texts.get(index).map_or(0, |text| text.value.len());
                    out.push((index, item.at(whole)));
                }
                continue;
            }
            if index < next {
                continue;
            }
            if manifest::is_section(parent) {
                let name = last.replace("~1", "/").replace("~0", "~");
                let mut items = Vec::new();
                manifest::npm_member(&name, value, 0..value.len(), 0..value.len(), Via::Asked, hosts, &mut items);
                out.extend(items.into_iter().map(|item| (index, item)));
            } else if names_packages(parent, last) {
                for (start, piece) in pieces(value) {
                    let range = start..start + piece.len();
                    let mut items = Vec::new();
                    match Registry::split(piece) {
                        Some(_) => {}
                        None => {
                            command::package(said.unwrap_or(Registry::Npm), piece, range, Via::Asked, hosts, &mut items)
                        }
                    }
                    let unsaid = said.is_none();
                    out.extend(items.into_iter().map(|item| (index, if unsaid { item.anywhere() } else { item })));
                }
            } else {
                let told = file && !is_requirements(value) && value.contains('\n');
                let versions = || {
                    value
                        .as_bytes()
                        .iter()
                        .zip(value.as_bytes().iter().skip(1))
                        .any(|(a, b)| *b == b'=' && matches!(a, b'=' | b'>' | b'~'))
                };
                if told || versions() {
                    let mut items = Vec::new();
                    manifest::requirements(value, told || last.contains("requirements"), hosts, &mut items);
                    out.extend(items.into_iter().map(|item| (index, item)));
                }
            }
        }
    }

    fn report(&self, found: Vec<(usize, Item)>) -> Vec<Finding> {
        let mut best: BTreeMap<Category, (f32, String, Vec<Span>)> = BTreeMap::new();
        let mut note = |doubt: Doubt, span: Span| {
            if doubt.score < self.config.min_score {
                return;
            }
            let entry = best.entry(doubt.category).or_insert((0.0, String::new(), Vec::new()));
            if doubt.score > entry.0 {
                (entry.0, entry.1) = (doubt.score, doubt.message);
            }
            if entry.2.len() < MOST_SPANS {
                entry.2.push(span);
            }
        };
        let mut seen: BTreeSet<(Option<Registry>, String)> = BTreeSet::new();
        let mut judged = 0;
        for (index, item) in found {
            match item {
                Item::Source { source, range } => {
                    let message = source.message().to_owned();
                    note(Doubt { category: Category::Source, score: source.score(), message }, Span::of(index, range));
                }
                Item::Package { registry, name, pinned, via, range } => {
                    let key = (registry, name);
                    if seen.contains(&key) {
                        continue;
                    }
                    if let Some(doubt) = self.judge(registry, &key.1, pinned, via, &mut judged) {
                        note(doubt, Span::of(index, range));
                    }
                    seen.insert(key);
                }
            }
        }
        let finding = |(category, (score, message, spans)): (Category, (f32, String, Vec<Span>))| {
            Finding::new(category.name(), score, message).with_spans(join_spans(spans))
        };
        let mut findings: Vec<Finding> = best.into_iter().map(finding).collect();
        if judged > MOST_JUDGED {
            let message =
                "More unknown packages are asked for than can be judged; only those on lists of harmful ones are told.";
            findings.push(Finding::new(Category::Suspicious.name(), 0.6, message));
        }
        findings
    }

    /// What there is against a package.
    fn judge(
        &self,
        registry: Option<Registry>,
        name: &str,
        pinned: bool,
        via: Via,
        judged: &mut usize,
    ) -> Option<Doubt> {
        let Some(registry) = registry else {
            let both = [Registry::Npm, Registry::Pypi];
            if both.iter().any(|registry| {
                registry.name(name).is_some_and(|name| self.table.popular.find(*registry, &name).is_some())
            }) {
                return None;
            }
            let doubts = both.map(|registry| self.judge(Some(registry), name, pinned, via, judged));
            // The list of either counts; of what merely looks odd the lesser.
            let listed = |doubt: &&Doubt| doubt.category == Category::KnownBad;
            if doubts.iter().flatten().any(|doubt| listed(&doubt)) {
                return doubts.into_iter().flatten().find(|doubt| doubt.category == Category::KnownBad);
            }
            let [one, other] = doubts;
            let (one, other) = (one?, other?);
            return Some(if one.score < other.score { one } else { other });
        };
        let name = registry.name(name)?;
        let fits = |(of, good, open): &(Registry, String, bool)| {
            *of == registry && if *open { name.starts_with(good.as_str()) } else { name == *good }
        };
        if self.good.iter().any(fits) {
            return None;
        }
        let doubt = |category, score, message: &str| Some(Doubt { category, score, message: message.to_owned() });
        if self.bad.contains(&(registry, name.clone())) {
            return doubt(Category::KnownBad, 0.99, "The package is in the configured list of harmful packages.");
        }
        let popular = self.table.popular.find(registry, &name).is_some();
        match self.table.bad(registry, &name) {
            Some(Bad::Made) if !popular => {
                let message =
                    "The package is in a public list of packages that were made to harm whoever installs them.";
                return doubt(Category::KnownBad, 0.98, message);
            }
            Some(Bad::TakenOver) if !popular || !pinned => {
                let message = "Versions of this package were taken over and harmed whoever installed them: name one that is known to be good.";
                return doubt(Category::KnownBad, if pinned { 0.85 } else { 0.93 }, message);
            }
            _ => {}
        }
        if popular || via == Via::Lock || !matches!(registry, Registry::Npm | Registry::Pypi) {
            return None;
        }
        *judged += 1;
        if *judged > MOST_JUDGED {
            return None;
        }
        self.unknown(registry, &name, via)
    }

    /// What a name is worth that no list has.
    fn unknown(&self, registry: Registry, name: &str, via: Via) -> Option<Doubt> {
        let relation = self.table.popular.relation(registry, name);
        let look = Look::of(&self.table.popular, registry, name, &relation);
        let mut score = self.table.weights.probability(self.table.weights.score(&look));
        let near = relation.near.filter(|(_, edit)| *edit != Edit::Mild);
        if let Some((other, edit)) = near
            && edit < Edit::Letter
            && other.len() >= 5
            && look::famous(other)
        {
            score = score.max(IMITATED);
        }
        if relation.near_scope.is_some() {
            score = score.max(IMITATED);
        }
        let like = match (near, relation.swapped.or(relation.squashed), relation.near_scope) {
            (Some((other, Edit::Two)), _, _) => Some((other, "two letters away from")),
            (Some((other, _)), _, _) => Some((other, "one letter away from")),
            (_, Some(other), _) => Some((other, "made of the same words as")),
            (_, _, Some(scope)) => Some((scope, "of a scope one letter away from")),
            _ => relation.affix.map(|other| (other, "but for an addition the name of")),
        };
        match like {
            Some((other, how)) => {
                let registry = if registry == Registry::Npm { "npm" } else { "PyPI" };
                let message = format!(
                    "The name of a package is {how} the popular `{other}` of {registry}, and is not popular itself."
                );
                Some(Doubt { category: Category::Typosquat, score, message })
            }
            // In prose a word may be no name at all.
            None if via == Via::Prose => None,
            None => Some(Doubt {
                category: Category::Suspicious,
                score,
                message: "A package is not widely used, and its name looks like those of harmful packages.".to_owned(),
            }),
        }
    }
}

/// The words of a statement.
#[derive(Default)]
struct Statement {
    range: Range<usize>,
    words: Vec<Word>,
}

impl Statement {
    fn at(text: &str, start: usize) -> Self {
        let (words, end) = command::words(text, start, command::quote(text, start));
        Self { range: start..end, words }
    }

    /// The number of the word that covers a byte.
    fn word(&self, at: usize) -> usize {
        self.words.partition_point(|word| word.range.end <= at)
    }

    /// The words from the one that covers a byte.
    fn from(&self, at: usize) -> &[Word] {
        self.words.get(self.word(at)..).unwrap_or_default()
    }

    /// Whether a byte stands inside a word that is a statement itself.
    fn quotes(&self, at: usize) -> bool {
        let word = self.words.get(self.word(at));
        self.range.contains(&at)
            && word.is_some_and(|word| word.range.contains(&at) && word.text.contains(char::is_whitespace))
    }
}

fn wrong(key: &str, index: usize) -> String {
    format!("{key}[{index}]: must be a registry and a name, for instance `npm:left-pad` or `pypi:requests`")
}

impl Item {
    /// The same at another place.
    fn at(self, range: Range<usize>) -> Self {
        match self {
            Self::Package { registry, name, pinned, via, .. } => Self::Package { registry, name, pinned, via, range },
            Self::Source { source, .. } => Self::Source { source, range },
        }
    }

    /// The same of any registry.
    fn anywhere(self) -> Self {
        match self {
            Self::Package { name, pinned, via, range, .. } => {
                Self::Package { registry: None, name, pinned, via, range }
            }
            source @ Self::Source { .. } => source,
        }
    }
}

/// `npm:name` or `pypi:name` at `start`.
fn direct(text: &str, start: usize, out: &mut Vec<Item>) {
    let Some((registry, rest)) = text.get(start..).and_then(Registry::split) else { return };
    let from = start + registry.prefix().len();
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.' | '@' | '/'))
        .unwrap_or(rest.len());
    let spec = rest.get(..end).unwrap_or_default().trim_end_matches('.');
    let Some((name, pinned)) = item::npm(spec) else { return };
    if !name.is_empty() {
        let range = from..from + name.len();
        out.push(Item::Package { registry: Some(registry), name: name.to_owned(), pinned, via: Via::Asked, range });
    }
}

/// The registry that a tool's name or an argument says.
fn said(tool: &str, texts: &[Text]) -> Option<Registry> {
    let of = |word: &str| match word {
        "npm" | "node" | "nodejs" | "javascript" | "typescript" | "yarn" | "pnpm" | "js" => Some(Registry::Npm),
        "pip" | "pypi" | "python" | "python3" | "pip3" | "uv" | "poetry" => Some(Registry::Pypi),
        "cargo" | "rust" | "crates" => Some(Registry::Cargo),
        "gem" | "ruby" | "rubygems" => Some(Registry::Gem),
        "go" | "golang" => Some(Registry::Go),
        "brew" | "homebrew" => Some(Registry::Brew),
        "conda" => Some(Registry::Conda),
        _ => None,
    };
    let lower = tool.to_ascii_lowercase();
    let by_tool = lower.split(|c: char| !c.is_ascii_alphanumeric()).find_map(of);
    by_tool.or_else(|| {
        let short = texts.iter().take(64).filter(|text| text.value.len() < 16);
        short.filter_map(|text| of(&text.value.to_ascii_lowercase())).next()
    })
}

/// Whether a member holds names of packages.
fn names_packages(parent: &str, last: &str) -> bool {
    let of = |name: &str| {
        matches!(
            name,
            "package"
                | "packages"
                | "package_name"
                | "packageName"
                | "package_names"
                | "pkg"
                | "dependency"
                | "modules"
                | "requirements"
                | "install"
                | "libraries"
        )
    };
    of(last) || (of(parent) || parent == "dependencies") && last.bytes().all(|byte| byte.is_ascii_digit())
}

/// The words of a value that names packages; none if it is prose.
fn pieces(value: &str) -> Vec<(usize, &str)> {
    if value.len() > 64 * 1024 || value.contains('\n') {
        return Vec::new();
    }
    let mut at = 0;
    let mut list = Vec::new();
    for piece in value.split([' ', ',']) {
        if !piece.is_empty() {
            list.push((at, piece));
        }
        at += piece.len() + 1;
    }
    if value.contains(' ') && !value.contains(',') && list.len() > 12 { Vec::new() } else { list }
}

/// Whether a text is the path of a file of requirements.
fn is_requirements(text: &str) -> bool {
    if text.len() > 512 {
        return false;
    }
    let file = text.rsplit(['/', '\\']).next().unwrap_or(text);
    file.len() < 64 && file.contains("requirements") && file.ends_with(".txt")
}

portcullis_plugin::detector!(Packages);

#[cfg(test)]
mod tests;
