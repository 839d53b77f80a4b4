//! Manifests as text: `package.json`, `requirements.txt`, `pyproject.toml`, `Pipfile`, `Cargo.toml`, and lock files.

use std::ops::Range;

use crate::item::{self, Item, Via};
use crate::name::Registry;

/// Objects of `package.json` whose members are packages.
const SECTIONS: &[&str] =
    &["dependencies", "devDependencies", "peerDependencies", "optionalDependencies", "resolutions", "overrides"];

/// Whether a member of this name has packages as its members.
pub(crate) fn is_section(name: &str) -> bool {
    SECTIONS.contains(&name)
}

/// A JSON string that begins at a quote: the bytes between its quotes, and what comes after it.
fn string(text: &str, at: usize) -> Option<(Range<usize>, usize)> {
    let bytes = text.as_bytes();
    let start = at + 1;
    let mut end = start;
    loop {
        match bytes.get(end)? {
            b'"' => return Some((start..end, end + 1)),
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
}

fn skip(text: &str, mut at: usize) -> usize {
    while text.as_bytes().get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// What comes after the object or list that begins here; strings may hold brackets.
fn after_value(text: &str, mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.as_bytes().get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                at = string(text, at)?.1;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(text.as_bytes().get(at - 1), Some(b'}' | b']')) {
            return Some(at);
        }
    }
}

/// The members of an object that begins at or after `at`, past a colon: names and versions. Gives where it ends;
/// none if the text ends before.
pub(crate) fn members(text: &str, at: usize, own: &[String], out: &mut Vec<Item>) -> Option<usize> {
    let at = skip(text, at);
    let at = skip(text, at + usize::from(text.as_bytes().get(at) == Some(&b':')));
    if text.as_bytes().get(at) != Some(&b'{') {
        return Some(at);
    }
    let mut at = at + 1;
    loop {
        at = skip(text, at);
        match text.as_bytes().get(at)? {
            b'"' => {}
            b',' => {
                at += 1;
                continue;
            }
            _ => return Some(at),
        }
        let (name, next) = string(text, at)?;
        let next = skip(text, next);
        if text.as_bytes().get(next) != Some(&b':') {
            return Some(next);
        }
        let start = skip(text, next + 1);
        let (value, via) = match text.as_bytes().get(start)? {
            b'"' => (string(text, start)?.0, Via::Asked),
            _ => (start..start, Via::Lock),
        };
        npm_member(text.get(name.clone())?, text.get(value.clone())?, name, value, via, own, out);
        at = after_value(text, start)?;
    }
}

/// A member of `dependencies`: name and version.
pub(crate) fn npm_member(
    name: &str,
    version: &str,
    name_range: Range<usize>,
    version_range: Range<usize>,
    via: Via,
    own: &[String],
    out: &mut Vec<Item>,
) {
    let pinned = version.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    let mut name = name;
    if let Some((real, _)) = version.strip_prefix("npm:").and_then(item::npm) {
        name = real;
    }
    if let Some(source) = item::address(version, own) {
        out.push(Item::Source { source, range: version_range });
    }
    out.push(Item::Package { registry: Some(Registry::Npm), name: name.to_owned(), pinned, via, range: name_range });
}

/// A path in a lock file of npm that ends in the name of a package: `node_modules/a/node_modules/@b/c`. `at` is where
/// `node_modules/` begins.
pub(crate) fn module(text: &str, at: usize, out: &mut Vec<Item>) -> Option<usize> {
    let start = at + "node_modules/".len();
    let rest = text.get(start..)?;
    let end = rest.bytes().take(256).position(|byte| byte == b'"')?;
    let path = rest.get(..end)?;
    let next = skip(text, start + end + 1);
    // Only a member's name, which an object follows, is an entry of a lock file.
    if text.as_bytes().get(next) != Some(&b':') || path.contains("node_modules/") {
        return Some(start);
    }
    let range = start..start + end;
    out.push(Item::Package {
        registry: Some(Registry::Npm),
        name: path.to_owned(),
        pinned: true,
        via: Via::Lock,
        range,
    });
    Some(start + end)
}

/// A line of `requirements.txt`, without comment; its first byte stands at `start`.
fn requirement(line: &str, start: usize, own: &[String], out: &mut Vec<Item>) -> bool {
    let own_start = start + (line.len() - line.trim_start().len());
    let line = line.trim();
    let range = |piece: &str| {
        let offset = line.find(piece).unwrap_or_default();
        own_start + offset..own_start + offset + piece.len()
    };
    if let Some(rest) = line.strip_prefix('-') {
        let (name, value) = rest.split_once([' ', '=']).unwrap_or((rest, ""));
        let value = value.trim();
        let source = match name.trim_start_matches('-') {
            "i" | "index-url" => item::registry(value, false, own),
            "extra-index-url" | "f" | "find-links" => item::registry(value, true, own),
            "trusted-host" => (!own.iter().any(|host| host == value)).then_some(item::Source::Unchecked),
            "e" | "editable" => item::address(value, own),
            _ => None,
        };
        out.extend(source.map(|source| Item::Source { source, range: range(value) }));
        return true;
    }
    if let Some(source) = item::address(line, own) {
        out.push(Item::Source { source, range: range(line) });
        return true;
    }
    if line.starts_with(['.', '/']) || line.contains("://") && !line.contains(" @ ") {
        return true;
    }
    let Some((name, pinned)) = item::pypi(line) else { return false };
    if let Some((_, address)) = line.split_once(" @ ")
        && let Some(source) = item::address(address.trim(), own)
    {
        out.push(Item::Source { source, range: range(address.trim()) });
    }
    let range = range(name);
    out.push(Item::Package { registry: Some(Registry::Pypi), name: name.to_owned(), pinned, via: Via::Asked, range });
    true
}

/// The lines of a text with where they begin, without what stands behind a `#`.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        let code = match line.find(" #") {
            _ if line.trim_start().starts_with('#') => "",
            Some(end) => line.get(..end).unwrap_or_default(),
            None => line,
        };
        (start, code.trim_end())
    })
}

/// A text whose lines are all requirements. `told` if a file's name says so; if none does, some must have versions.
pub(crate) fn requirements(text: &str, told: bool, own: &[String], out: &mut Vec<Item>) {
    let mut found = Vec::new();
    let (mut count, mut versions) = (0, false);
    for (start, line) in lines(text) {
        if line.trim().is_empty() {
            continue;
        }
        if !requirement(line, start, own, &mut found) {
            if !told {
                return;
            }
            continue;
        }
        count += 1;
        versions |= ["==", ">=", "~=", "<="].iter().any(|sign| line.contains(sign));
    }
    if told || (versions && count >= 2) {
        out.extend(found);
    }
}

/// Sections of TOML.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    /// `dependencies = [ "…" ]`
    Project,
    /// `name = "version"`
    Table(Registry),
    /// Lists of requirements by name.
    Lists,
    /// `name = "…"` of one locked package.
    Locked,
    Other,
}

fn section(header: &str) -> Section {
    let header = header.trim_matches(['[', ']', ' ']);
    let last = header.rsplit('.').next().unwrap_or(header);
    match header {
        "project" => Section::Project,
        "build-system" => Section::Project,
        "project.optional-dependencies" | "dependency-groups" => Section::Lists,
        "packages" | "dev-packages" => Section::Table(Registry::Pypi),
        "package" => Section::Locked,
        _ if header.starts_with("tool.poetry") && last == "dependencies" => Section::Table(Registry::Pypi),
        _ if header.starts_with("tool.") => Section::Other,
        _ if matches!(last, "dependencies" | "dev-dependencies" | "build-dependencies") => {
            Section::Table(Registry::Cargo)
        }
        _ => Section::Other,
    }
}

/// A text in TOML, line by line.
pub(crate) fn toml(text: &str, own: &[String], out: &mut Vec<Item>) {
    let mut here = Section::Other;
    let mut list = false;
    let python = ["[project", "poetry", "pypi"].map(|sign| text.contains(sign));
    let locked = if python.contains(&true) { Registry::Pypi } else { Registry::Cargo };
    for (start, line) in lines(text) {
        let trimmed = line.trim();
        if !list && trimmed.starts_with('[') && trimmed.ends_with(']') {
            here = section(trimmed);
            continue;
        }
        let (name, value) = trimmed
            .split_once('=')
            .map_or(("", trimmed), |(name, value)| (name.trim().trim_matches('"'), value.trim()));
        match here {
            Section::Project | Section::Lists if list || value.starts_with('[') => {
                let of_packages = list || here == Section::Lists || matches!(name, "dependencies" | "requires");
                if of_packages {
                    quoted(line, start, own, out);
                    list = !line.trim_end().ends_with(']');
                }
            }
            Section::Table(registry) if !name.is_empty() && name != "python" => {
                let offset = line.find(name).unwrap_or_default();
                let range = start + offset..start + offset + name.len();
                let pinned =
                    value.trim_start_matches(['"', '=']).bytes().next().is_some_and(|byte| byte.is_ascii_digit());
                out.push(Item::Package {
                    registry: Some(registry),
                    name: name.to_owned(),
                    pinned,
                    via: Via::Asked,
                    range,
                });
                for piece in value.split('"').filter(|piece| piece.contains("://") || piece.starts_with("git@")) {
                    if let Some(source) = item::address(piece, own)
                        && let Some(offset) = line.find(piece)
                    {
                        out.push(Item::Source { source, range: start + offset..start + offset + piece.len() });
                    }
                }
            }
            Section::Locked if name == "name" => {
                let value = value.trim_matches('"');
                if let Some(offset) = line.find(value) {
                    let range = start + offset..start + offset + value.len();
                    let via = Via::Lock;
                    out.push(Item::Package {
                        registry: Some(locked),
                        name: value.to_owned(),
                        pinned: true,
                        via,
                        range,
                    });
                }
            }
            _ => {}
        }
    }
}

/// Requirements between quotes.
fn quoted(line: &str, start: usize, own: &[String], out: &mut Vec<Item>) {
    let mut at = 0;
    for (number, piece) in line.split(['"', '\'']).enumerate() {
        if number % 2 == 1 {
            requirement(piece, start + at, own, out);
        }
        at += piece.len() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, items: &[Item]) -> String {
        let show = |item: &Item| match item {
            Item::Package { name, range, .. } => {
                assert!(text[range.clone()].ends_with(name.as_str()) || name == "left-pad", "{text} {range:?}");
                name.clone()
            }
            Item::Source { source, range } => {
                assert!(!text[range.clone()].is_empty());
                format!("<{source:?}>")
            }
        };
        items.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn members_of_package_json_are_packages() {
        let text = r#"{"dependencies": {"a-b": "^1", "@c/d": "2.0.0", "e": "git+https://x.example/e.git", "f": "npm:left-pad@1", "g": {"x": ["}"]}, "h": "1"}, "x": 1}"#;
        let mut items = Vec::new();
        let end = members(text, text.find(": {").unwrap(), &[], &mut items).unwrap();
        assert_eq!(shown(text, &items), "a-b @c/d <Git> e left-pad g h");
        assert_eq!(&text[end..=end], "}");
        for cut in 0..text.len() {
            members(&text[..cut], text.find(": {").unwrap(), &[], &mut Vec::new());
        }
    }

    #[test]
    fn requirements_are_known_by_their_lines_or_their_name() {
        let mut items = Vec::new();
        let text = "# web\nflask==2.0 # why\n--extra-index-url https://x.example/\nrequests[socks]>=2 ; python_version > '3'\n";
        requirements(text, false, &[], &mut items);
        assert_eq!(shown(text, &items), "flask <Extra> requests");
        let mut items = Vec::new();
        requirements("Dear Sam,\nx == y for all of us\nbye", false, &[], &mut items);
        requirements("hello", false, &[], &mut items);
        assert!(items.is_empty());
        requirements("hello", true, &[], &mut items);
        assert_eq!(items.len(), 1);
    }

    #[test]
    fn toml_is_read_by_section() {
        let text = "[project]\nname = \"x\"\ndependencies = [\n  \"flask>=2\",\n  'httpx',\n]\n[project.optional-dependencies]\ndev = [\"pytest\"]\n\
                    [tool.poetry.dependencies]\npython = \"^3\"\nrich = \"*\"\nlib = { git = \"https://x.example/lib.git\" }\n[tool.ruff]\nline = 3\n";
        let mut items = Vec::new();
        toml(text, &[], &mut items);
        assert_eq!(shown(text, &items), "flask httpx pytest rich lib <Git>");
        let text = "[package]\nname = \"own\"\n[dependencies]\nserde = { version = \"1\" }\n";
        let mut items = Vec::new();
        toml(text, &[], &mut items);
        assert_eq!(shown(text, &items), "own serde");
    }

    #[test]
    fn the_registry_of_a_lock_file_is_told_by_the_whole_of_it() {
        let lock = "[[package]]\nname = \"a\"\n";
        for (end, wanted) in [("", Registry::Cargo), ("source = { registry = \"https://pypi.org\" }", Registry::Pypi)] {
            let mut items = Vec::new();
            toml(&format!("{lock}{end}"), &[], &mut items);
            let found = matches!(&items[..], [Item::Package { registry: Some(registry), .. }] if *registry == wanted);
            assert!(found, "{end}");
        }
    }

    #[test]
    fn modules_of_lock_files_are_packages() {
        let text = r#""node_modules/@a/b": {"#;
        let mut items = Vec::new();
        module(text, 1, &mut items);
        assert_eq!(shown(text, &items), "@a/b");
        items.clear();
        module(r#"see "node_modules/x" there"#, 5, &mut items);
        assert!(items.is_empty());
    }
}
