//! Install commands: the words of a shell line, and which of them are packages.

use std::ops::Range;

use crate::item::{self, Item, Source, Via};
use crate::name::Registry;

/// Most bytes of a word that is looked at.
const LONGEST_WORD: usize = 1024;
/// Words after `npm config` and the like that may be addresses.
const MOST_SETTINGS: usize = 16;
/// Words of prose: what stands before them was the last package.
const PROSE: &[&str] = &[
    "to", "and", "then", "in", "for", "or", "with", "on", "from", "if", "is", "the", "a", "an", "as", "command",
    "commands", "before", "after", "again", "first", "which", "that", "this", "it", "will", "should", "fails",
    "failed", "works", "by", "into", "when", "because", "but",
];

/// One word of a shell line, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) range: Range<usize>,
}

/// A tool that installs packages, as named by a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    /// npm, pnpm, yarn and bun.
    Npm,
    /// Runs a package of npm.
    Npx,
    Pip,
    Uv,
    /// Runs a package of PyPI.
    Uvx,
    Pipx,
    /// poetry, pdm, rye, pipenv, hatch.
    Poetry,
    Conda,
    Cargo,
    Gem,
    Go,
    Brew,
    Composer,
    Python,
}

fn tool(word: &str) -> Option<Tool> {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    let name = [".exe", ".cmd"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let numbered = |begin: &str| {
        name.strip_prefix(begin).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    };
    Some(match name {
        "npm" | "pnpm" | "yarn" | "bun" | "cnpm" => Tool::Npm,
        "npx" | "bunx" | "pnpx" => Tool::Npx,
        "uv" => Tool::Uv,
        "uvx" => Tool::Uvx,
        "pipx" => Tool::Pipx,
        "poetry" | "pdm" | "rye" | "pipenv" => Tool::Poetry,
        "conda" | "mamba" | "micromamba" => Tool::Conda,
        "cargo" => Tool::Cargo,
        "gem" | "bundle" => Tool::Gem,
        "go" => Tool::Go,
        "brew" => Tool::Brew,
        "composer" => Tool::Composer,
        _ if numbered("pip") => Tool::Pip,
        _ if numbered("python") || name == "py" => Tool::Python,
        _ => return None,
    })
}

/// Whether a word names a tool that installs packages.
pub(crate) fn is_tool(word: &str) -> bool {
    tool(word).is_some_and(|tool| tool != Tool::Python)
}

impl Tool {
    fn registry(self) -> Registry {
        match self {
            Self::Npm | Self::Npx => Registry::Npm,
            Self::Pip | Self::Uv | Self::Uvx | Self::Pipx | Self::Poetry | Self::Python => Registry::Pypi,
            Self::Conda => Registry::Conda,
            Self::Cargo => Registry::Cargo,
            Self::Gem => Registry::Gem,
            Self::Go => Registry::Go,
            Self::Brew => Registry::Brew,
            Self::Composer => Registry::Composer,
        }
    }

    /// What a subcommand does with the words after it.
    fn installs(self, word: &str) -> Step {
        let yes = match self {
            Self::Npm => matches!(
                word,
                "install"
                    | "i"
                    | "add"
                    | "in"
                    | "ins"
                    | "inst"
                    | "isntall"
                    | "update"
                    | "upgrade"
                    | "up"
                    | "link"
                    | "install-test"
                    | "it"
            ),
            Self::Pip => matches!(word, "install" | "download" | "wheel"),
            Self::Uv => matches!(word, "add" | "install"),
            Self::Pipx => matches!(word, "install" | "inject" | "upgrade"),
            Self::Poetry => matches!(word, "add" | "install"),
            Self::Conda => matches!(word, "install" | "create"),
            Self::Cargo => matches!(word, "add" | "install" | "binstall"),
            Self::Gem => matches!(word, "install" | "add" | "i"),
            Self::Go => matches!(word, "get" | "install"),
            Self::Brew => matches!(word, "install" | "reinstall" | "tap"),
            Self::Composer => matches!(word, "require"),
            Self::Npx | Self::Uvx | Self::Python => false,
        };
        let one = match self {
            Self::Npm => matches!(word, "exec" | "x" | "dlx"),
            Self::Pipx => word == "run",
            _ => false,
        };
        let on = match self {
            Self::Npm => matches!(word, "global" | "workspace"),
            Self::Uv => matches!(word, "tool" | "pip"),
            _ => false,
        };
        match () {
            () if yes => Step::All,
            () if one => Step::One,
            () if on => Step::On,
            () if self == Self::Npm && word == "config" => Step::Settings,
            () if self == Self::Pip && word == "config" => Step::Settings,
            () => Step::Nothing,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// All words after it are packages.
    All,
    /// The next one is.
    One,
    /// The next one is the subcommand.
    On,
    /// Addresses of registries may follow.
    Settings,
    Nothing,
}

/// Whether the word behind a tool's name may be the start of an install command: most are not, as in prose.
pub(crate) fn may_install(text: &str, start: usize, end: usize) -> bool {
    let Some(tool) = text.get(start..end).and_then(|word| word.split_whitespace().next()).and_then(tool) else {
        // The end of `pip3.11` lies further on.
        return true;
    };
    let rest = text.get(end..).unwrap_or_default();
    let rest = rest.get(..rest.floor_char_boundary(64)).unwrap_or_default();
    let mut words = rest.split_ascii_whitespace();
    match words.next() {
        _ if matches!(tool, Tool::Npx | Tool::Uvx) => true,
        Some(word) if word.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            rest.len() == word.len() + 1 || tool.installs(word) != Step::Nothing || tool == Tool::Uv
        }
        next => next.is_some(),
    }
}

/// The words of a statement that begins at `start`; and where the statement ends. Quotes and backslashes are undone, a line may
/// go on after a backslash, and a comment ends it. `stop` is the quote that the statement stands between.
pub(crate) fn words(text: &str, start: usize, stop: Option<char>) -> (Vec<Word>, usize) {
    let mut list = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let mut chars = text.get(start..).unwrap_or_default().char_indices().map(|(at, c)| (start + at, c)).peekable();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        let after = at + c.len_utf8();
        match (quote, c) {
            (Some(open), _) if c == open => {
                quote = None;
                if let Some(word) = &mut word {
                    word.range.end = at;
                }
            }
            // A quote that ends nowhere near: the command of somebody's prose, or of a JSON text.
            (Some(_), '\n') => {
                end = at;
                break;
            }
            (Some(_), _) => add(&mut word, c, at..after),
            (None, _) if Some(c) == stop => {
                end = at;
                break;
            }
            (None, '\\') => match chars.next() {
                // The quote of a JSON text inside a text.
                Some((_, c)) if Some(c) == stop => {
                    end = at;
                    break;
                }
                Some((_, '\n')) | None => {}
                Some((_, '\r')) => {
                    chars.next_if(|(_, c)| *c == '\n');
                }
                // The line end of a text inside a text, or of somebody's JSON.
                Some((_, 'n')) if word.is_none() => {
                    end = after;
                    break;
                }
                Some((next, c)) => add(&mut word, c, at..next + c.len_utf8()),
            },
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_with(|| Word { text: String::new(), range: after..after });
            }
            (None, '\n' | ';' | '|' | '&' | '`' | ')') => {
                end = at;
                break;
            }
            (None, '#') if word.is_none() => {
                end = at;
                break;
            }
            (None, _) if c.is_whitespace() => list.extend(word.take()),
            // Not between quotes these redirect; the file is no package.
            (None, '>' | '<') if word.is_none() => {
                end = at;
                break;
            }
            (None, _) => add(&mut word, c, at..after),
        }
    }
    list.extend(word);
    (list, end)
}

/// Puts a letter to a word, or begins one.
fn add(word: &mut Option<Word>, c: char, range: Range<usize>) {
    let word = word.get_or_insert_with(|| Word { text: String::new(), range: range.start..range.start });
    if word.text.len() < LONGEST_WORD {
        word.text.push(c);
    }
    word.range.end = range.end;
}

/// What a list of words that begins with a tool asks for. `own` are hosts that are trusted. Says whether the words were those of
/// an install command, so that there is no other among them.
pub(crate) fn read(list: &[Word], via: Via, own: &[String], out: &mut Vec<Item>) -> bool {
    let mut rest = list.iter();
    let Some(mut tool) = rest.next().and_then(|word| tool(&word.text)) else { return false };
    if tool == Tool::Python {
        let mut next = rest.clone();
        let (Some(flag), Some(module)) = (next.next(), next.next()) else { return false };
        if flag.text != "-m" || !matches!(module.text.as_str(), "pip" | "pipx") {
            return false;
        }
        tool = if module.text == "pip" { Tool::Pip } else { Tool::Pipx };
        rest = next;
    }
    let mut step = if matches!(tool, Tool::Npx | Tool::Uvx) { Step::One } else { Step::On };
    let mut settings = 0;
    while let Some(word) = rest.next() {
        let text = word.text.as_str();
        if text.starts_with('-') && text.len() > 1 {
            option(tool, word, &mut rest, own, via, out);
            continue;
        }
        match step {
            Step::On => {
                step = tool.installs(text);
                if tool == Tool::Uv && text == "pip" {
                    tool = Tool::Pip;
                    step = Step::On;
                }
                if tool == Tool::Uv && text == "run" {
                    // What runs is the user's; packages come as options only.
                    step = Step::Settings;
                }
                if step == Step::Nothing {
                    return false;
                }
            }
            Step::Settings => {
                settings += 1;
                if settings > MOST_SETTINGS {
                    return false;
                }
                let value = text.rsplit('=').next().unwrap_or(text);
                out.extend(
                    item::registry(value, false, own).map(|source| Item::Source { source, range: word.range.clone() }),
                );
            }
            Step::All | Step::One => {
                let last = via == Via::Prose && text.ends_with(['.', ',', ':', '?', '!']);
                let plain = if via == Via::Prose { text.trim_end_matches(['.', ',', ':', '?', '!']) } else { text };
                let range =
                    word.range.start..word.range.end.saturating_sub(text.len() - plain.len()).max(word.range.start);
                if via == Via::Prose && PROSE.contains(&plain.to_ascii_lowercase().as_str()) {
                    return true;
                }
                package(tool.registry(), plain, range, via, own, out);
                if step == Step::One || last {
                    return true;
                }
            }
            Step::Nothing => return false,
        }
    }
    step == Step::All
}

/// A word that names a package.
pub(crate) fn package(
    registry: Registry,
    text: &str,
    range: Range<usize>,
    via: Via,
    own: &[String],
    out: &mut Vec<Item>,
) {
    if let Some(source) = item::address(text, own) {
        out.push(Item::Source { source, range });
        return;
    }
    if text.starts_with(['.', '/', '~', '$', '%']) || text.contains("://") {
        return;
    }
    let found = match registry {
        Registry::Npm if !text.starts_with('@') && text.contains('/') => {
            // A repository of GitHub, by owner and name.
            let plain = |part: &str| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.#".contains(&byte))
            };
            if text.split('/').count() == 2 && text.split('/').all(plain) {
                out.push(Item::Source { source: Source::Forge, range });
            }
            return;
        }
        Registry::Npm => item::npm(text),
        Registry::Pypi => {
            // poetry and uv write versions as npm does.
            let text = text.split_once('@').map_or(text, |(name, _)| name);
            item::pypi(text)
        }
        Registry::Conda => item::pypi(text.rsplit("::").next().unwrap_or(text)),
        _ => {
            Some(text.split_once('@').or_else(|| text.split_once(':')).map_or((text, false), |(name, _)| (name, true)))
        }
    };
    let Some((name, pinned)) = found else { return };
    out.push(Item::Package { registry: Some(registry), name: name.to_owned(), pinned, via, range });
}

/// An option, which may take the next word.
fn option<'w>(
    tool: Tool,
    word: &'w Word,
    rest: &mut std::slice::Iter<'w, Word>,
    own: &[String],
    via: Via,
    out: &mut Vec<Item>,
) {
    let (name, value) = match word.text.split_once('=') {
        Some((name, value)) => (name, Some((value, word.range.clone()))),
        None => (word.text.as_str(), None),
    };
    let python = matches!(tool, Tool::Pip | Tool::Uv | Tool::Uvx | Tool::Pipx | Tool::Poetry);
    let kind = match name {
        "--index-url" | "--registry" | "--default-index" | "--repository" => Takes::Registry,
        "-i" if python => Takes::Registry,
        "--extra-index-url" | "--find-links" | "--index" | "--source" => Takes::Extra,
        "-f" if python => Takes::Extra,
        "-s" if matches!(tool, Tool::Gem) => Takes::Extra,
        "--channel" | "-c" if tool == Tool::Conda => Takes::Extra,
        "--trusted-host" => Takes::Unchecked,
        "--editable" | "-e" if python => Takes::Package,
        "--git" => Takes::Package,
        "--with" if matches!(tool, Tool::Uv | Tool::Uvx) => Takes::Package,
        "--from" | "--spec" => Takes::Package,
        "--package" | "-p" if tool == Tool::Npx => Takes::Package,
        "--package" if tool == Tool::Npm => Takes::Package,
        "-r" | "--requirement" | "-c" | "--constraint" | "-t" | "--target" | "--python" | "-d" | "--dest" if python => {
            Takes::Other
        }
        "-p" | "-G" | "--group" | "--extra" | "--optional" if python => Takes::Other,
        "-n" | "--name" | "--file" if tool == Tool::Conda => Takes::Other,
        "-w" | "-C" | "--workspace" | "--filter" | "--dir" | "--tag" | "--omit" | "--include" | "--loglevel"
            if tool == Tool::Npm =>
        {
            Takes::Other
        }
        "-v" | "--version" if tool == Tool::Gem => Takes::Other,
        "-F" | "--features" | "--branch" | "--rev" | "--path" | "--vers" | "--version" | "--root"
            if tool == Tool::Cargo =>
        {
            Takes::Other
        }
        "--prefix" | "--root" | "--proxy" | "--cache-dir" | "--platform" | "--implementation" | "--abi"
        | "--timeout" | "--cache" => Takes::Other,
        "--ignore-scripts" if value.as_ref().is_some_and(|(value, _)| *value == "false") => {
            out.push(Item::Source { source: Source::Scripts, range: word.range.clone() });
            return;
        }
        "--no-ignore-scripts" | "--unsafe-perm" => {
            out.push(Item::Source { source: Source::Scripts, range: word.range.clone() });
            return;
        }
        _ => return,
    };
    let Some((value, range)) = value.or_else(|| rest.next().map(|word| (word.text.as_str(), word.range.clone())))
    else {
        return;
    };
    let source = match kind {
        Takes::Registry => item::registry(value, false, own),
        Takes::Extra => item::registry(value, true, own),
        Takes::Unchecked => (!own.iter().any(|host| host == value)).then_some(Source::Unchecked),
        Takes::Package => {
            package(tool.registry(), value, range.clone(), via, own, out);
            None
        }
        Takes::Other => None,
    };
    out.extend(source.map(|source| Item::Source { source, range }));
}

/// What the value of an option is.
#[derive(Clone, Copy)]
enum Takes {
    Registry,
    Extra,
    Unchecked,
    Package,
    Other,
}

/// What stands before a byte in its line, as far as it is looked at.
fn before(text: &str, start: usize) -> &str {
    let near = text.get(text.floor_char_boundary(start.saturating_sub(200))..start).unwrap_or_default();
    near.rsplit('\n').next().unwrap_or(near)
}

/// The quote between which this byte stands.
pub(crate) fn quote(text: &str, start: usize) -> Option<char> {
    let mut open = None;
    for c in before(text, start).chars().filter(|c| matches!(c, '"' | '\'' | '`')) {
        open = match open {
            Some(quote) if quote == c => None,
            None => Some(c),
            other => other,
        };
    }
    open
}

/// Whether a command may begin at this byte: nothing stands before it in its line, or something that leads to a command.
pub(crate) fn begins(text: &str, start: usize) -> bool {
    let line = before(text, start);
    let line = line.rsplit(['\n', ';', '|', '&', '`', '(', '"', '\'']).next().unwrap_or(line).trim();
    let leads = |word: &str| {
        word.contains('=')
            || word.ends_with([':', '$', '>', '%'])
            || matches!(
                word,
                "sudo"
                    | "RUN"
                    | "-"
                    | "exec"
                    | "env"
                    | "time"
                    | "nohup"
                    | "doas"
                    | "!"
                    | "-E"
                    | "-H"
                    | "then"
                    | "do"
                    | "else"
                    | "-c"
                    | "-lc"
                    | "uv"
                    | "call"
            )
            || word.starts_with('-')
            || (word.starts_with("python") && !word.contains(' '))
    };
    line.split_whitespace().all(leads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut items = Vec::new();
        read(&words(text, 0, None).0, Via::Asked, &[], &mut items);
        let show = |item: &Item| match item {
            Item::Package { name, range, .. } => {
                assert!(text[range.clone()].contains(name.as_str()), "{text}");
                name.clone()
            }
            Item::Source { source, .. } => format!("<{source:?}>"),
        };
        items.iter().map(show).collect()
    }

    #[test]
    fn packages_are_read_from_commands() {
        for (text, wanted) in [
            ("npm install left-pad", "left-pad"),
            ("npm i -g --save-dev @types/node@20 react@18.2.0 && rm x", "@types/node react"),
            ("npm --prefix web install left-pad", "left-pad"),
            ("yarn global add 'left-pad'", "left-pad"),
            ("npx -y create-thing my-app", "create-thing"),
            ("npx -p one two", "one two"),
            ("pip3.11 install -U 'requests[socks]>=2' flask==2.0 -r more.txt", "requests flask"),
            ("python3 -m pip install \\\n  flask", "flask"),
            ("uv pip install flask", "flask"),
            ("uv tool install ruff", "ruff"),
            ("uv run --with httpx script.py", "httpx"),
            ("pipx run black .", "black"),
            ("poetry add flask@^2", "flask"),
            ("pip install . ./local /abs $NAME", ""),
            ("pip install --extra-index-url https://x.example/simple flask", "<Extra> flask"),
            ("pip install --index-url=https://pypi.org/simple flask", "flask"),
            ("pip install git+https://git.example/a.git", "<Git>"),
            ("npm install https://x.example/a.tgz --ignore-scripts=false", "<Archive> <Scripts>"),
            ("npm config set registry http://x.example/", "<Plain>"),
            ("npm install someone/some-repo", "<Forge>"),
            ("npm run build", ""),
            ("npm", ""),
            ("go install golang.org/x/tools/gopls@latest", "golang.org/x/tools/gopls"),
            ("cargo add serde -F derive", "serde"),
            ("npm install a b # c", "a b"),
            ("conda install -c conda-forge numpy", "numpy"),
        ] {
            assert_eq!(found(text).join(" "), wanted, "{text}");
        }
    }

    #[test]
    fn commands_begin_where_shells_begin_them() {
        for text in
            ["npm", "cd x && npm", "sudo npm", "RUN npm", "A=1 npm", "$ npm", "- run: npm", "`npm", "sh -c \"npm"]
        {
            assert!(begins(text, text.len() - 3), "{text}");
        }
        assert!(!begins("you should use npm", 15));
    }
}
