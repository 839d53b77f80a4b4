//! What a name looks like: the features of the model.

use crate::fuse::key;
use crate::name::Registry;
use crate::popular::{Edit, Popular, Relation, words};

/// Dense features.
pub(crate) const DENSE: usize = 41;
/// Names that everybody knows, and that are therefore most often imitated.
const FAMOUS: &[&str] = &[
    "aiohttp",
    "angular",
    "ansible",
    "apollo",
    "axios",
    "babel",
    "bcrypt",
    "beautifulsoup4",
    "bootstrap",
    "boto3",
    "botocore",
    "certifi",
    "chalk",
    "colorama",
    "commander",
    "cookie-parser",
    "cross-env",
    "cryptography",
    "d3",
    "dayjs",
    "debug",
    "discord-py",
    "discord.js",
    "django",
    "dotenv",
    "electron",
    "esbuild",
    "eslint",
    "ethers",
    "express",
    "fastapi",
    "flask",
    "gulp",
    "httpx",
    "huggingface-hub",
    "inquirer",
    "jest",
    "jquery",
    "jsonwebtoken",
    "keras",
    "langchain",
    "lodash",
    "matplotlib",
    "mocha",
    "moment",
    "mongodb",
    "mongoose",
    "mysql",
    "mysql2",
    "nestjs",
    "next",
    "node-fetch",
    "nodemailer",
    "nodemon",
    "numpy",
    "nvidia",
    "openai",
    "opencv-python",
    "pandas",
    "passport",
    "pillow",
    "playwright",
    "postcss",
    "prettier",
    "prisma",
    "protobuf",
    "psycopg2",
    "puppeteer",
    "pycryptodome",
    "pydantic",
    "pyinstaller",
    "pymongo",
    "pytest",
    "python-dateutil",
    "pyyaml",
    "react",
    "react-dom",
    "react-native",
    "react-router",
    "redis",
    "redux",
    "request",
    "requests",
    "rollup",
    "rxjs",
    "scikit-learn",
    "scipy",
    "selenium",
    "setuptools",
    "sharp",
    "socket.io",
    "solana",
    "sqlalchemy",
    "storybook",
    "stripe",
    "svelte",
    "tailwindcss",
    "telethon",
    "tensorflow",
    "torch",
    "tqdm",
    "transformers",
    "ts-node",
    "tslib",
    "twilio",
    "typescript",
    "urllib3",
    "uuid",
    "vite",
    "vue",
    "web3",
    "webpack",
    "websocket",
    "winston",
    "yargs",
    "zod",
];

/// The features of a name: places in the table, each counted once, and dense ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Hashes of its words and letters.
    pub hashes: Vec<u32>,
    /// What else is known of it.
    pub dense: [f32; DENSE],
}

/// Whether people know the name.
pub(crate) fn famous(name: &str) -> bool {
    FAMOUS.binary_search(&name).is_ok()
}

fn yes(value: bool) -> f32 {
    f32::from(u8::from(value))
}

/// A count, not above 60,000.
fn count(value: usize) -> f32 {
    f32::from(u16::try_from(value.min(60_000)).unwrap_or_default())
}

impl Look {
    /// What a name looks like beside popular ones. What is popular itself is looked at as if it were not.
    #[must_use]
    pub fn of(popular: &Popular, registry: Registry, name: &str, relation: &Relation<'_>) -> Self {
        let itself = u16::from(popular.find(registry, name).is_some());
        let dense = dense(popular, registry, itself, name, relation);
        let mut hashes = hashes(registry, name);
        crossed(&dense, &mut hashes);
        Self { hashes, dense }
    }
}

/// Pairs of dense features, each in a few steps: a long name of known words is not what a short one is.
fn crossed(dense: &[f32; DENSE], out: &mut Vec<u32>) {
    const CROSSED: [(usize, f32); 15] = [
        (0, 4.0),
        (1, 4.0),
        (2, 8.0),
        (6, 4.0),
        (7, 2.0),
        (8, 2.0),
        (11, 1.0),
        (30, 1.0),
        (31, 6.0),
        (32, 6.0),
        (33, 8.0),
        (35, 3.0),
        (36, 3.0),
        (37, 3.0),
        (24, 1.0),
    ];
    let step = |(feature, steps): &(usize, f32)| {
        let value = dense.get(*feature).copied().unwrap_or_default();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 60")]
        let step = (value * steps).clamp(0.0, 60.0) as u32;
        step
    };
    let mut steps = [0_u32; 16];
    for (slot, crossed) in steps.iter_mut().zip(&CROSSED) {
        *slot = step(crossed);
    }
    if let Some(edit) = steps.last_mut() {
        *edit = (14..20)
            .zip(1..)
            .find_map(|(at, kind)| dense.get(at).is_some_and(|value| *value > 0.0).then_some(kind))
            .unwrap_or(0);
    }
    for (a, one) in steps.iter().zip(0_u32..).map(|(a, one)| (one, a)) {
        for (b, other) in steps.iter().zip(0_u32..).skip(a as usize).map(|(b, other)| (other, b)) {
            let hash = ((a * 16 + b) << 12 | one << 6 | other).wrapping_mul(0x9e37_79b1);
            out.push(hash ^ (hash >> 15));
        }
    }
}

fn hashes(registry: Registry, name: &str) -> Vec<u32> {
    #[allow(clippy::cast_possible_truncation, reason = "half of the bits are enough")]
    let hash = |parts: &[&str]| {
        let key = key(parts);
        (key ^ (key >> 29)) as u32
    };
    let mut out = Vec::new();
    let begin = &registry.prefix().get(..1).unwrap_or_default();
    let mut before = "^";
    for word in words(name).take(24) {
        let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
        out.extend([hash(&["w", word]), hash(&[begin, word]), hash(&["p", before, " ", word])]);
        if stem.len() != word.len() {
            out.push(hash(&["s", stem]));
        }
        before = word;
    }
    out.push(hash(&["p", before, " $"]));
    out.push(hash(&["f", words(name).next().unwrap_or_default()]));
    let framed = format!("^{name}$");
    for length in 3..=5 {
        let starts = 0..(framed.len() + 1).saturating_sub(length);
        out.extend(starts.filter_map(|at| framed.get(at..at + length)).map(|run| hash(&["l", run])));
    }
    // The same run counts once.
    out.sort_unstable();
    out.dedup();
    out
}

fn dense(popular: &Popular, registry: Registry, itself: u16, name: &str, relation: &Relation<'_>) -> [f32; DENSE] {
    let list: Vec<&str> = words(name).collect();
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let trailing = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (mut run, mut longest) = (0_usize, 0_usize);
    for byte in name.bytes() {
        let consonant = byte.is_ascii_alphabetic() && !matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
        run = if consonant { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let [begin, end] = popular.shared(registry, name);
    let length = name.len().max(1);
    let grows = |count: usize| libm::logf(self::count(count) + 1.0) / 3.0;
    let mut cuts = name.match_indices(['-', '.', '_', '/']).map(|(at, _)| at + 1);
    let mut family = || {
        cuts.next()
            .and_then(|end| name.get(..end))
            .map_or(0, |begin| popular.family(registry, begin).saturating_sub(usize::from(itself)))
    };
    let (first, second) = (family(), family());
    let last = list.last().map_or(0, |word| usize::from(popular.uses(word).saturating_sub(itself)));
    let known = |word: &&&str| popular.uses(word) > itself;
    let letters: usize = list.iter().map(|word| word.len()).sum();
    let known_letters: usize = list.iter().filter(known).map(|word| word.len()).sum();
    let well_known = list.iter().filter(|word| popular.uses(word) > itself + 4).count();
    let unknown = list.len() - list.iter().filter(known).count();
    let edit = relation.near.map(|(_, edit)| edit);
    let is = |wanted: Edit| yes(edit == Some(wanted));
    let of_famous = relation.near.is_some_and(|(other, _)| famous(other));
    let scoped = name.starts_with('@');
    let one = edit.is_some_and(|edit| edit < Edit::Mild);
    [
        count(name.len()) / 20.0,
        count(list.len()) / 4.0,
        count(digits) / count(name.len().max(1)),
        yes(trailing >= 2),
        count(digits.min(8)) / 4.0,
        count(longest.min(8)) / 5.0,
        count(known_letters) / count(letters.max(1)),
        count(unknown.min(4)) / 2.0,
        count(well_known.min(4)) / 2.0,
        yes(unknown == 0),
        yes(scoped && relation.known_scope),
        yes(scoped && !relation.known_scope),
        yes(relation.near_scope.is_some()),
        yes(relation.base.is_some()),
        is(Edit::Swapped),
        is(Edit::LookAlike),
        is(Edit::Doubled),
        is(Edit::Letter),
        is(Edit::Mild),
        is(Edit::Two),
        yes(one && of_famous),
        yes(edit == Some(Edit::Two) && of_famous),
        yes(relation.squashed.is_some()),
        yes(relation.swapped.is_some()),
        yes(relation.affix.is_some()),
        yes(relation.affix.is_some_and(famous)),
        yes(relation.elsewhere),
        yes(list.len() > 1 && list.iter().any(|word| famous(word))),
        yes(one && name.len() >= 8),
        yes(list.len() == 1 && unknown == 1),
        yes(registry == Registry::Pypi),
        count(begin) / count(length),
        count(end) / count(length),
        count((begin + end).min(length)) / count(length),
        yes(begin + end >= length),
        grows(first),
        grows(second),
        grows(last),
        yes(first == 0),
        yes(last == 0),
        yes(list.len() == 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn famous_names_are_sorted_and_found() {
        assert!(FAMOUS.is_sorted(), "{:?}", FAMOUS.windows(2).find(|pair| pair[0] > pair[1]));
        assert!(famous("requests") && famous("react") && famous("d3") && !famous("left-pad"));
    }

    #[test]
    fn what_a_name_costs_is_bounded_by_its_length() {
        for name in ["a".repeat(214), "a-".repeat(107), "7".repeat(214)] {
            assert!(hashes(Registry::Npm, &name).len() <= 3 * 214 + 120);
        }
    }
}
