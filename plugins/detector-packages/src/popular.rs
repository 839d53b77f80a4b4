//! The names of popular packages, and which of them a name may be mistaken for.

use std::ops::Range;

use crate::fuse::key;
use crate::name::Registry;

/// Most names with the same beginning or end that are compared with one name.
const MOST_COMPARED: usize = 512;
/// So many share a third of their letters with a name before half of the letters are asked for.
const MOST_NEAR: usize = 96;
/// What is put before or behind a name to make it look like a port or a binding.
const BEFORE: &[&str] =
    &["python-", "py-", "py", "node-", "js-", "django-", "react-", "lib", "go-", "the-", "easy-", "my-"];
const BEHIND: &[&str] = &[
    "-js",
    ".js",
    "js",
    "-py",
    "-python",
    "py",
    "-node",
    "-npm",
    "-cli",
    "-lib",
    "-core",
    "-utils",
    "-util",
    "-api",
    "-sdk",
    "-dev",
    "-new",
    "-plus",
    "-pro",
    "-next",
    "-official",
    "-helper",
    "-client",
    "-beta",
    "-fix",
    "-fixed",
    "-ts",
    "2",
    "3",
    "x",
];

/// How two names differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edit {
    /// Two neighbouring letters changed places.
    Swapped,
    /// A letter in place of one beside it on the keyboard, or of one that looks like it.
    LookAlike,
    /// A letter stands twice where it should stand once, or the other way round.
    Doubled,
    /// One letter more, fewer or other.
    Letter,
    /// A digit, or an `s` at the end: as in versions and plurals.
    Mild,
    /// Two edits.
    Two,
}

/// How a name relates to popular ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Relation<'p> {
    /// The nearest name by letters, and how it differs.
    pub near: Option<(&'p str, Edit)>,
    /// The same letters with other separators or scope.
    pub squashed: Option<&'p str>,
    /// The same words in another order.
    pub swapped: Option<&'p str>,
    /// The same but for an affix.
    pub affix: Option<&'p str>,
    /// The same name, popular in the other registry.
    pub elsewhere: bool,
    /// Whether its scope is one of popular packages.
    pub known_scope: bool,
    /// A scope of popular packages that its scope is one edit from.
    pub near_scope: Option<&'p str>,
    /// Its scope is unknown, and its name without the scope is popular.
    pub base: Option<&'p str>,
}

/// The popular names of both registries.
#[derive(Clone, Debug, Default)]
pub struct Popular {
    text: String,
    /// Where each name ends; they are sorted.
    ends: Vec<u32>,
    /// Names of npm: the first so many.
    npm: usize,
    /// Numbers of names in the order of the names read backwards, npm first.
    backwards: Vec<u16>,
    /// Hashes of the letters of each name without separators, and of its words in order, each with the name's number.
    forms: Vec<(u32, u16)>,
    /// Hashes of words, and how many names have them.
    words: Vec<(u32, u16)>,
}

/// The words of a name.
pub(crate) fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(['-', '_', '.', '/', '@']).filter(|word| !word.is_empty())
}

#[allow(clippy::cast_possible_truncation, reason = "half of the bits are enough")]
fn short(parts: &[&str]) -> u32 {
    (key(parts) >> 16) as u32
}

fn squashed(registry: Registry, name: &str) -> u32 {
    let letters: String = words(name).collect();
    short(&[registry.prefix(), "=", &letters])
}

/// None where a name has one word only, or ever so many.
fn sorted(registry: Registry, name: &str) -> Option<u32> {
    let mut list: Vec<&str> = words(name).take(9).collect();
    if list.len() < 2 || list.len() > 8 {
        return None;
    }
    list.sort_unstable();
    Some(short(&[registry.prefix(), "#", &list.join("-")]))
}

impl Popular {
    /// Of names with their registries, `npm:…` and `pypi:…`, in any order. At most 65,535 are kept.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut names: Vec<&str> =
            names.into_iter().filter(|name| name.starts_with("npm:") || name.starts_with("pypi:")).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(usize::from(u16::MAX));
        let mut popular = Self::default();
        for name in names {
            let Some((registry, name)) = Registry::split(name) else { continue };
            popular.npm += usize::from(registry == Registry::Npm);
            popular.text.push_str(name);
            popular.ends.push(u32::try_from(popular.text.len()).unwrap_or(u32::MAX));
        }
        let count = u16::try_from(popular.ends.len()).unwrap_or(u16::MAX);
        let mut backwards: Vec<u16> = (0..count).collect();
        backwards.sort_by(|one, other| {
            let of = |number: &u16| (popular.registry(*number), popular.get(usize::from(*number)).bytes().rev());
            let ((first, one), (second, other)) = (of(one), of(other));
            first.cmp(&second).then_with(|| one.cmp(other))
        });
        let mut hashes = Vec::new();
        for number in 0..count {
            let (registry, name) = (popular.registry(number), popular.get(usize::from(number)));
            let forms = [Some(squashed(registry, name)), sorted(registry, name)];
            let mut list: Vec<&str> = words(name).collect();
            list.sort_unstable();
            list.dedup();
            hashes.extend(list.into_iter().map(|word| short(&[word])));
            popular.forms.extend(forms.into_iter().flatten().map(|hash| (hash, number)));
        }
        popular.forms.sort_unstable();
        hashes.sort_unstable();
        for hash in hashes {
            match popular.words.last_mut() {
                Some((last, count)) if *last == hash => *count = count.saturating_add(1),
                _ => popular.words.push((hash, 1)),
            }
        }
        popular.backwards = backwards;
        popular
    }

    /// All names with their registries, sorted.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Registry, &str)> {
        (0..self.ends.len()).map(|number| {
            let registry = if number < self.npm { Registry::Npm } else { Registry::Pypi };
            (registry, self.get(number))
        })
    }

    fn registry(&self, number: u16) -> Registry {
        if usize::from(number) < self.npm { Registry::Npm } else { Registry::Pypi }
    }

    fn get(&self, number: usize) -> &str {
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let end = self.ends.get(number).copied().unwrap_or_default();
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    fn side(&self, registry: Registry) -> Range<usize> {
        match registry {
            Registry::Npm => 0..self.npm,
            Registry::Pypi => self.npm..self.ends.len(),
            _ => 0..0,
        }
    }

    /// The first of the names in `side` for which `before` does not hold.
    fn first(side: Range<usize>, before: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (side.start, side.end);
        while low < high {
            let middle = low.midpoint(high);
            if before(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The name as it is kept here, if it is popular.
    pub fn find(&self, registry: Registry, name: &str) -> Option<&str> {
        let side = self.side(registry);
        let at = Self::first(side.clone(), |number| self.get(number) < name);
        (side.contains(&at) && self.get(at) == name).then(|| self.get(at))
    }

    /// In how many popular names a word stands.
    pub(crate) fn uses(&self, word: &str) -> u16 {
        let hash = short(&[word]);
        let found = self.words.binary_search_by_key(&hash, |(word, _)| *word);
        found.ok().and_then(|at| self.words.get(at)).map_or(0, |(_, count)| *count)
    }

    /// Most letters that a popular name other than itself shares with the start of this one, and with its end.
    pub(crate) fn shared(&self, registry: Registry, name: &str) -> [usize; 2] {
        let side = self.side(registry);
        let common = |one: &mut dyn Iterator<Item = u8>, other: &mut dyn Iterator<Item = u8>| {
            one.zip(other).take_while(|(a, b)| a == b).count()
        };
        let at = Self::first(side.clone(), |number| self.get(number) < name);
        let near = (at.saturating_sub(1)..at + 2).filter(|number| side.contains(number)).map(|number| self.get(number));
        let begin = near.filter(|other| *other != name).map(|other| common(&mut other.bytes(), &mut name.bytes()));
        let backward = |place: usize| self.get(self.backwards.get(place).map_or(0, |number| usize::from(*number)));
        let at = Self::first(side.clone(), |place| backward(place).bytes().rev().lt(name.bytes().rev()));
        let near = (at.saturating_sub(1)..at + 2).filter(|place| side.contains(place)).map(backward);
        let end =
            near.filter(|other| *other != name).map(|other| common(&mut other.bytes().rev(), &mut name.bytes().rev()));
        [begin.max().unwrap_or(0), end.max().unwrap_or(0)]
    }

    /// How many popular names begin so.
    pub(crate) fn family(&self, registry: Registry, begin: &str) -> usize {
        let side = self.side(registry);
        let from = Self::first(side.clone(), |number| self.get(number) < begin);
        Self::first(from..side.end, |number| self.get(number).starts_with(begin)) - from
    }

    /// A name whose form this is, but not `but`.
    fn form(&self, hash: u32, but: &str, fits: impl Fn(&str) -> bool) -> Option<&str> {
        let at = self.forms.partition_point(|(form, _)| *form < hash);
        let same = self.forms.get(at..)?.iter().take_while(|(form, _)| *form == hash).take(8);
        same.map(|(_, number)| self.get(usize::from(*number))).find(|name| *name != but && fits(name))
    }

    /// How a name relates to popular ones other than itself.
    pub fn relation(&self, registry: Registry, name: &str) -> Relation<'_> {
        let mut relation = Relation { near: self.near(registry, name), ..Relation::default() };
        let letters = |name: &str| words(name).collect::<String>();
        let own = letters(name);
        if own.len() >= 4 {
            relation.squashed = self.form(squashed(registry, name), name, |other| letters(other) == own);
        }
        if let Some(hash) = sorted(registry, name) {
            let ordered = |name: &str| {
                let mut list: Vec<&str> = words(name).collect();
                list.sort_unstable();
                list.join("-")
            };
            let own = ordered(name);
            relation.swapped = self.form(hash, name, |other| ordered(other) == own && letters(other) != letters(name));
        }
        relation.affix = self.affix(registry, name);
        let other = if registry == Registry::Npm { Registry::Pypi } else { Registry::Npm };
        relation.elsewhere = name.len() >= 4 && self.find(other, name).is_some();
        if let Some((scope, base)) = name.split_once('/') {
            let begin = format!("{scope}/");
            relation.known_scope = self.scope(&begin).is_some_and(|found| found != name)
                || self.after(&begin, name).is_some_and(|found| found.starts_with(&begin));
            if !relation.known_scope {
                relation.near_scope = self.near_scope(scope);
                relation.base = (base.len() >= 4).then(|| self.find(registry, base)).flatten();
            }
        }
        relation
    }

    /// The first name of npm that begins so.
    fn scope(&self, begin: &str) -> Option<&str> {
        let at = Self::first(self.side(Registry::Npm), |number| self.get(number) < begin);
        Some(self.get(at)).filter(|name| name.starts_with(begin))
    }

    /// The first name of npm that begins so and comes after another one.
    fn after(&self, begin: &str, name: &str) -> Option<&str> {
        let at = Self::first(self.side(Registry::Npm), |number| self.get(number) <= name);
        Some(self.get(at)).filter(|name| name.starts_with(begin))
    }

    /// A popular scope one edit from this one.
    fn near_scope(&self, scope: &str) -> Option<&str> {
        if scope.len() < 5 {
            return None;
        }
        let begin: String = scope.chars().take(3).collect();
        let side = self.side(Registry::Npm);
        let at = Self::first(side.clone(), |number| self.get(number) < begin.as_str());
        let same = (at..side.end).map(|number| self.get(number)).take(MOST_COMPARED);
        let mut scopes =
            same.take_while(|name| name.starts_with(&begin)).filter_map(|name| Some(name.split_once('/')?.0));
        scopes.find(|other| difference(scope, other).is_some_and(|edit| edit != Edit::Two))
    }

    fn affix(&self, registry: Registry, name: &str) -> Option<&str> {
        if name.starts_with('@') {
            return None;
        }
        let long = |name: &&str| name.len() >= 5;
        let find = |name: &str| Some(name).filter(long).and_then(|name| self.find(registry, name));
        let without = BEFORE.iter().filter_map(|affix| name.strip_prefix(affix));
        let without = without.chain(BEHIND.iter().filter_map(|affix| name.strip_suffix(affix)));
        if let Some(found) = without.into_iter().find_map(find) {
            return Some(found);
        }
        if name.len() < 5 {
            return None;
        }
        let side = self.side(registry);
        let at = Self::first(side.clone(), |number| self.get(number) < name);
        let longer = (at..side.end).map(|number| self.get(number)).take_while(|other| other.starts_with(name));
        let behind = longer
            .take(MOST_COMPARED)
            .find(|other| other.get(name.len()..).is_some_and(|affix| BEHIND.contains(&affix)));
        if behind.is_some() {
            return behind;
        }
        let backward = |place: usize| self.get(self.backwards.get(place).map_or(0, |number| usize::from(*number)));
        let at = Self::first(side.clone(), |place| backward(place).bytes().rev().lt(name.bytes().rev()));
        let longer = (at..side.end).map(backward).take_while(|other| other.ends_with(name));
        let affix = |other: &&str| other.strip_suffix(name).is_some_and(|affix| BEFORE.contains(&affix));
        longer.take(MOST_COMPARED).find(affix)
    }

    /// The nearest popular name by letters, if it is near.
    ///
    /// Of two edits in a name at least a third at its start or end is left alone, nearly always.
    fn near(&self, registry: Registry, name: &str) -> Option<(&str, Edit)> {
        if name.len() < 4 {
            return None;
        }
        let mut best: Option<(&str, Edit)> = None;
        let mut look = |other| {
            if other != name
                && let Some(edit) = difference(name, other)
                && (edit != Edit::Two || name.len() >= 8)
                && best.is_none_or(|(_, known)| edit < known)
            {
                best = Some((other, edit));
            }
        };
        let side = self.side(registry);
        // Where a third is shared by too many, a half: of one edit that is as good.
        for part in [(name.len() / 3).max(2), name.len() / 2] {
            let begin = name.get(..part)?;
            let from = Self::first(side.clone(), |number| self.get(number) < begin);
            let to = Self::first(from..side.end, |number| self.get(number).starts_with(begin));
            if to - from <= MOST_NEAR || part == name.len() / 2 {
                (from..to).take(MOST_COMPARED).map(|number| self.get(number)).for_each(&mut look);
                break;
            }
        }
        let backward = |place: usize| self.get(self.backwards.get(place).map_or(0, |number| usize::from(*number)));
        for part in [(name.len() / 3).max(2), name.len() / 2] {
            let end = name.get(name.len() - part..)?;
            let from = Self::first(side.clone(), |place| backward(place).bytes().rev().lt(end.bytes().rev()));
            let to = Self::first(from..side.end, |place| backward(place).ends_with(end));
            if to - from <= MOST_NEAR || part == name.len() / 2 {
                (from..to).take(MOST_COMPARED).map(backward).for_each(&mut look);
                break;
            }
        }
        best
    }
}

/// How `name` differs from `other`, if it is by one edit or two; the names are not the same.
pub(crate) fn difference(name: &str, other: &str) -> Option<Edit> {
    let (mut a, mut b) = (name.as_bytes(), other.as_bytes());
    if a.len().abs_diff(b.len()) > 2 {
        return None;
    }
    let mut before = 0;
    while let (Some((x, rest_a)), Some((y, rest_b))) = (a.split_first(), b.split_first())
        && x == y
    {
        (a, b, before) = (rest_a, rest_b, *x);
    }
    let mut after = 0;
    while let (Some((x, rest_a)), Some((y, rest_b))) = (a.split_last(), b.split_last())
        && x == y
    {
        (a, b, after) = (rest_a, rest_b, *x);
    }
    let single = |byte: u8| match byte {
        b'0'..=b'9' => Edit::Mild,
        _ if byte == before || byte == after => Edit::Doubled,
        b's' if after == 0 => Edit::Mild,
        _ => Edit::Letter,
    };
    match (a, b) {
        ([], []) => None,
        ([x], []) | ([], [x]) => Some(single(*x)),
        ([x], [y]) if x.is_ascii_digit() && y.is_ascii_digit() => Some(Edit::Mild),
        ([x], [y]) if alike(*x, *y) => Some(Edit::LookAlike),
        ([x], [y]) if x.is_ascii_digit() || y.is_ascii_digit() => Some(Edit::Mild),
        ([_], [_]) => Some(Edit::Letter),
        ([x, y], [z, w]) if x == w && y == z => Some(Edit::Swapped),
        ([b'r', b'n'], [b'm']) | ([b'm'], [b'r', b'n']) | ([b'v', b'v'], [b'w']) => Some(Edit::LookAlike),
        _ if a.len() <= 12 && b.len() <= 12 => (distance(a, b) == 2).then_some(Edit::Two),
        _ => None,
    }
}

/// The distance of Damerau and Levenshtein, each letter edited once at most. Of a dozen letters at most.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows: [Vec<usize>; 3] = [Vec::new(), (0..=b.len()).collect(), Vec::new()];
    let mut last = 0;
    for (i, x) in a.iter().enumerate() {
        let [old, above, row] = &mut rows;
        row.clear();
        row.push(i + 1);
        let mut previous = 0;
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (at(above, j) + usize::from(x != y)).min(at(above, j + 1) + 1).min(at(row, j) + 1);
            if i > 0 && j > 0 && *x == previous && *y == last {
                cost = cost.min(at(old, j - 1) + 1);
            }
            row.push(cost);
            previous = *y;
        }
        last = *x;
        rows.rotate_left(1);
    }
    let [_, row, _] = &rows;
    row.last().copied().unwrap_or_default()
}

/// Whether two letters look alike or lie beside each other on a keyboard.
fn alike(x: u8, y: u8) -> bool {
    const PAIRS: &[&[u8; 2]] = &[
        b"l1", b"i1", b"il", b"o0", b"e3", b"a4", b"s5", b"s$", b"b8", b"g9", b"z2", b"uv", b"nm", b"ck", b"sz", b"iy",
        b"jl", b"qg",
    ];
    const ROWS: [&[u8]; 3] = [b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"];
    let place =
        |byte: u8| ROWS.iter().zip(0_usize..).find_map(|(row, y)| Some((row.iter().position(|one| *one == byte)?, y)));
    let near = match (place(x), place(y)) {
        (Some((x, row)), Some((y, other))) => row.abs_diff(other) <= 1 && x.abs_diff(y) <= 1,
        _ => false,
    };
    near || PAIRS.iter().any(|pair| **pair == [x, y] || **pair == [y, x])
}
