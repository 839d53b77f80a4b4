//! Rules compiled into one pass over a text.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use plugin_text::{Kind as ViewKind, Limits, Views};
use portcullis_plugin::Text;
use regex_lite::Regex;

use crate::anchors::Anchors;
use crate::checksum;
use crate::form::{Class, Form, Found};
use crate::generic::{self, Kind};
use crate::placeholder::is_placeholder;
use crate::rule::Check;
use crate::structure;
use crate::value::{self, Value};

/// A rule as it runs.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Its id; the category is `secret.` and this.
    pub(crate) id: String,
    /// What it finds, for people.
    pub(crate) title: String,
    pub(crate) forms: Vec<Form>,
    pub(crate) near: Vec<String>,
    pub(crate) check: Check,
    pub(crate) score: f32,
    pub(crate) regex: Option<Regex>,
    pub(crate) structure: Option<Structure>,
}

/// Rules with code of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Structure {
    KeyBlock,
    Connection,
    UrlPassword,
    WebToken,
    Basic,
    Bearer,
    Curl,
    Netrc,
    Kubernetes,
    Password,
    Entropy,
}

/// One secret in one text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hit {
    /// Byte range of the secret value.
    pub(crate) range: Range<usize>,
    /// Index of the rule.
    pub(crate) rule: usize,
    /// Confidence, 0 to 1.
    pub(crate) score: f32,
}

/// Every rule, and where to look.
#[derive(Debug)]
pub(crate) struct Scanner {
    rules: Vec<Compiled>,
    anchors: Anchors,
    targets: Vec<Target>,
    patterns: Vec<usize>,
    structures: BTreeMap<Structure, usize>,
    allow: Vec<Allowed>,
    entropy: f32,
}

#[derive(Debug)]
enum Target {
    /// A form that begins `lead` bytes before its anchor.
    Form {
        rule: usize,
        form: usize,
        lead: usize,
        strict: bool,
    },
    /// Rules that want this word in the name of the value.
    Near {
        rules: Vec<usize>,
        whole: bool,
    },
    Generic {
        kind: Kind,
        whole: bool,
    },
    Start(Start),
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Pem,
    Putty,
    Address,
    WebToken,
    Basic,
    Bearer,
    Curl,
    Netrc,
    Kubernetes,
}

/// A value that is let through: exact, or with a `*` at one end.
#[derive(Debug)]
enum Allowed {
    Exact(String),
    Prefix(String),
    Suffix(String),
}

/// Longest value that is compared with a form again without its case.
const LONGEST_NEAR: usize = 256;

/// Where structures begin: text, whether in either case, what.
const STARTS: &[(&str, bool, Start, &[Structure])] = &[
    ("-----BEGIN", false, Start::Pem, &[Structure::KeyBlock]),
    ("PuTTY-User-Key-File-", false, Start::Putty, &[Structure::KeyBlock]),
    ("://", false, Start::Address, &[Structure::Connection, Structure::UrlPassword]),
    ("eyJ", false, Start::WebToken, &[Structure::WebToken]),
    ("basic ", true, Start::Basic, &[Structure::Basic]),
    ("bearer ", true, Start::Bearer, &[Structure::Bearer]),
    ("curl ", false, Start::Curl, &[Structure::Curl]),
    ("machine ", false, Start::Netrc, &[Structure::Netrc]),
    ("kind: Secret", false, Start::Kubernetes, &[Structure::Kubernetes]),
    ("kind: \"Secret\"", false, Start::Kubernetes, &[Structure::Kubernetes]),
];

impl Structure {
    /// Id, title and score of each.
    pub(crate) const ALL: [(Self, &'static str, &'static str, f32); 11] = [
        (Self::KeyBlock, "private_key", "private key", 0.99),
        (Self::Connection, "connection_string", "connection string with a password", 0.9),
        (Self::UrlPassword, "url_password", "address with a password", 0.85),
        (Self::WebToken, "jwt", "JSON Web Token", 0.85),
        (Self::Basic, "basic_auth", "user name and password of an HTTP header", 0.9),
        (Self::Bearer, "bearer_token", "bearer token", 0.85),
        (Self::Curl, "curl_user", "password on a curl command line", 0.85),
        (Self::Netrc, "netrc", "netrc password", 0.9),
        (Self::Kubernetes, "kubernetes_secret", "value of a Kubernetes secret", 0.85),
        (Self::Password, "password", "password", 0.7),
        (Self::Entropy, "entropy", "random value under a name that promises a secret", 0.7),
    ];
}

impl Scanner {
    /// Compiles rules.
    ///
    /// # Errors
    /// A rule that has nothing to look for, as a sentence.
    pub(crate) fn new(rules: Vec<Compiled>, allow: &[String], entropy: f32) -> Result<Self, String> {
        let mut anchors = Anchors::new();
        let mut targets = Vec::new();
        let mut words: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut structures = BTreeMap::new();
        let mut patterns = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            if let Some(structure) = rule.structure {
                structures.insert(structure, index);
            }
            if rule.regex.is_some() {
                patterns.push(index);
            }
            for word in &rule.near {
                words.entry(word.to_ascii_lowercase()).or_default().push(index);
            }
            if !rule.near.is_empty() {
                continue;
            }
            for (number, form) in rule.forms.iter().enumerate() {
                let anchor = form.anchor().ok_or_else(|| {
                    format!(
                        "rule `{}`: a form needs two literal bytes at a fixed distance from its start, or words in `near`",
                        rule.id
                    )
                })?;
                let strict = form.literal_len() < 6;
                let target = Target::Form { rule: index, form: number, lead: anchor.lead, strict };
                add(&mut anchors, &mut targets, &anchor.literal, anchor.next, false, target)?;
            }
        }
        for (word, rules) in words {
            let target = Target::Near { rules, whole: word.len() < 5 };
            add(&mut anchors, &mut targets, word.as_bytes(), Class::visible(), true, target)?;
        }
        for (text, folded, start, needs) in STARTS {
            if needs.iter().any(|structure| structures.contains_key(structure)) {
                add(&mut anchors, &mut targets, text.as_bytes(), Class::visible(), *folded, Target::Start(*start))?;
            }
        }
        for keyword in generic::KEYWORDS {
            let rule = if keyword.kind == Kind::Password { Structure::Password } else { Structure::Entropy };
            if structures.contains_key(&rule) {
                let target = Target::Generic { kind: keyword.kind, whole: keyword.whole };
                add(&mut anchors, &mut targets, keyword.word.as_bytes(), Class::visible(), true, target)?;
            }
        }
        anchors.finish();
        let allow = allow.iter().map(|text| Allowed::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { rules, anchors, targets, patterns, structures, allow, entropy })
    }

    /// The rules, in the order that [`Hit::rule`] counts.
    pub(crate) fn rules(&self) -> &[Compiled] {
        &self.rules
    }

    /// Every secret in a payload, per text, joined where they overlap.
    pub(crate) fn payload(&self, texts: &[Text]) -> Vec<(usize, Hit)> {
        let mut out = Vec::new();
        let mut hits = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            self.text(&text.value, &mut hits);
            self.decoded(&text.value, &mut hits);
            self.named(&text.pointer, &text.value, &mut hits);
            if let Some(name) = sibling_name(texts, index) {
                self.named(name, &text.value, &mut hits);
            }
            self.settle(&text.value, &mut hits);
            out.extend(hits.drain(..).map(|hit| (index, hit)));
        }
        self.kubernetes_objects(texts, &mut out);
        out
    }

    /// Every secret in one text, or in a member's name.
    pub(crate) fn alone(&self, text: &str) -> Vec<Hit> {
        let mut hits = Vec::new();
        self.text(text, &mut hits);
        self.settle(text, &mut hits);
        hits
    }

    /// Every secret in what a reader makes of the text: without look-alike and invisible characters, escapes undone, base64
    /// and hex decoded. What is found is placed where it was made from.
    fn decoded(&self, text: &str, hits: &mut Vec<Hit>) {
        let views = Views::new(text, &Limits::default());
        let mut found = Vec::new();
        // What was found in the text itself needs no other form of it; ends are in order once those in between are gone.
        let mut known: Vec<Range<usize>> = hits.iter().map(|hit| hit.range.clone()).collect();
        known.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        known.dedup_by(|next, kept| next.end <= kept.end);
        let is_known = |range: &Range<usize>| {
            let at = known.partition_point(|known| known.end <= range.start);
            known.get(at).is_some_and(|known| known.start < range.end)
        };
        for (at, view) in views.iter() {
            let same = at == 0 && matches!(view.text, Cow::Borrowed(_));
            if same || view.kind == ViewKind::Joined {
                continue;
            }
            self.text(&view.text, &mut found);
            let placed = found.drain(..).map(|hit| Hit { range: views.origin(at, hit.range.clone()), ..hit });
            hits.extend(placed.filter(|hit| !is_known(&hit.range)));
        }
    }

    fn text(&self, text: &str, hits: &mut Vec<Hit>) {
        let bytes = text.as_bytes();
        let mut kubernetes = false;
        let mut crowd = Crowd::default();
        self.anchors.scan(bytes, |target, start, end| match self.targets.get(target) {
            Some(Target::Form { rule, form, lead, strict }) => {
                let begin = start.checked_sub(*lead);
                hits.extend(begin.and_then(|begin| self.form(bytes, *rule, *form, begin, *strict)));
            }
            Some(Target::Near { rules, whole }) if !*whole || is_whole(bytes, start, end, false) => {
                if let Some(value) = crowd.value(bytes, &(start..end), true) {
                    hits.extend(rules.iter().filter_map(|rule| self.near_value(bytes, *rule, &value.range)));
                }
            }
            Some(Target::Generic { kind, whole }) if !*whole || is_whole(bytes, start, end, true) => {
                if let Some(value) = crowd.value(bytes, &(start..end), false) {
                    let name = name_around(bytes, &(start..end));
                    hits.extend(self.generic_value(*kind, name, bytes, value.range, value.quoted));
                }
            }
            Some(Target::Start(begin)) => {
                let first = !(matches!(begin, Start::Kubernetes) && std::mem::replace(&mut kubernetes, true));
                self.start(bytes, *begin, start, end, first, hits);
            }
            _ => {}
        });
        for index in &self.patterns {
            let Some((regex, rule)) = self.rules.get(*index).and_then(|rule| Some((rule.regex.as_ref()?, rule))) else {
                continue;
            };
            for captures in regex.captures_iter(text) {
                let secret = captures.get(1).or_else(|| captures.get(0)).map(|found| found.range());
                hits.extend(secret.map(|range| Hit { range, rule: *index, score: rule.score }));
            }
        }
        let ids: Vec<_> =
            hits.iter().filter(|hit| self.is(hit.rule, "aws_access_key_id")).map(|hit| hit.range.clone()).collect();
        if let Some(rule) =
            self.rules.iter().position(|rule| rule.id == "aws_secret_access_key").filter(|_| !ids.is_empty())
        {
            let secrets = ids.iter().filter_map(|id| structure::aws_secret_near(bytes, id));
            hits.extend(secrets.map(|range| Hit { range, rule, score: 0.9 }));
        }
    }

    fn is(&self, rule: usize, id: &str) -> bool {
        self.rules.get(rule).is_some_and(|rule| rule.id == id)
    }

    fn form(&self, bytes: &[u8], index: usize, form: usize, start: usize, strict: bool) -> Option<Hit> {
        let rule = self.rules.get(index)?;
        let Found { whole, secret: mut range, goes_on, spare } = rule.forms.get(form)?.find_at(bytes, start)?;
        let summed = matches!(rule.check, Check::Crc62 | Check::GrafanaCrc);
        let alone = !goes_on && begins_token(bytes, start, strict) && !(strict && in_encoding(bytes, &whole));
        if !alone && !summed {
            return None;
        }
        let mut score = score(rule, bytes.get(whole.clone())?, bytes.get(range.clone())?)?;
        // A right checksum is no accident, whatever stands around the token. Its shortest form counts too: letters may have
        // been put behind it.
        let mut sure = summed && score >= 0.99;
        if summed && !sure && spare > 0 && range.end == whole.end {
            let (short, secret) = (whole.start..whole.end - spare, range.start..range.end - spare);
            if let Some(better) =
                self::score(rule, bytes.get(short)?, bytes.get(secret.clone())?).filter(|sum| *sum >= 0.99)
            {
                (score, sure, range) = (better, true, secret);
            }
        }
        let secret = bytes.get(range.clone())?;
        (sure || (alone && !is_placeholder(secret))).then_some(Hit { range, rule: index, score })
    }

    fn near_value(&self, bytes: &[u8], index: usize, range: &Range<usize>) -> Option<Hit> {
        let rule = self.rules.get(index)?;
        let value = bytes.get(range.clone())?;
        #[cfg(test)]
        crate::tests::looked_at(value.len());
        let of = |value: &[u8]| rule.forms.iter().find_map(|form| form.match_whole(value).map(|secret| (form, secret)));
        // The name says what it is: case, and which sign stands for the last two digits of base64, are not looked at.
        let (form, secret) = of(value).or_else(|| {
            let even = |byte: &u8| if *byte == b'=' { b'_' } else { byte.to_ascii_lowercase() };
            (value.len() <= LONGEST_NEAR).then(|| of(&value.iter().map(even).collect::<Vec<u8>>())).flatten()
        })?;
        let score = score(rule, value, value)?;
        let plain = form.literal_len() < 3 || form.literal_len() == 4;
        if is_placeholder(value) || (plain && !generic::is_irregular(value)) {
            return None;
        }
        Some(Hit { range: range.start + secret.start..range.start + secret.end, rule: index, score })
    }

    fn generic_value(&self, kind: Kind, name: &[u8], bytes: &[u8], range: Range<usize>, quoted: bool) -> Option<Hit> {
        #[cfg(test)]
        crate::tests::looked_at(name.len() + range.len());
        let structure = if kind == Kind::Password { Structure::Password } else { Structure::Entropy };
        let rule = *self.structures.get(&structure)?;
        let score = generic::judge(kind, name, bytes.get(range.clone())?, quoted, self.entropy)?;
        Some(Hit { range, rule, score })
    }

    fn start(&self, bytes: &[u8], what: Start, start: usize, end: usize, first: bool, hits: &mut Vec<Hit>) {
        // A key block without an end covers what follows it.
        if matches!(what, Start::Pem) && hits.last().is_some_and(|hit| hit.range.contains(&start)) {
            return;
        }
        let mut push = |structure: Structure, range: Option<Range<usize>>| {
            if let (Some(rule), Some(range)) = (self.structures.get(&structure), range) {
                let score = self.rules.get(*rule).map_or(0.0, |rule| rule.score);
                hits.push(Hit { range, rule: *rule, score });
            }
        };
        match what {
            Start::Pem => push(Structure::KeyBlock, structure::key_block(bytes, start)),
            Start::Putty => push(Structure::KeyBlock, structure::putty(bytes, start)),
            Start::Address => {
                if let Some((range, store)) = structure::address(bytes, start) {
                    push(if store { Structure::Connection } else { Structure::UrlPassword }, Some(range));
                }
            }
            Start::WebToken => {
                if begins_token(bytes, start, true) {
                    push(Structure::WebToken, structure::web_token(bytes, start));
                }
            }
            Start::Basic => push(Structure::Basic, structure::basic(bytes, end)),
            Start::Bearer => push(Structure::Bearer, structure::bearer(bytes, end)),
            Start::Curl => push(Structure::Curl, structure::curl_user(bytes, end)),
            Start::Netrc => push(Structure::Netrc, structure::netrc(bytes, end)),
            // Once for the whole text, not for every such line.
            Start::Kubernetes if first => {
                for range in structure::kubernetes(bytes) {
                    push(Structure::Kubernetes, Some(range));
                }
            }
            Start::Kubernetes => {}
        }
    }

    /// A whole text under a name: the pointer's member, or a neighbour called `name`.
    fn named(&self, name: &str, value: &str, hits: &mut Vec<Hit>) {
        let bytes = value.as_bytes();
        let blank = |byte: &u8| byte.is_ascii_whitespace();
        let from = value::skip_scheme(bytes, bytes.iter().take_while(|byte| blank(byte)).count());
        let to = bytes.len() - bytes.iter().rev().take_while(|byte| blank(byte)).count();
        if from + 4 > to || to - from > 4096 || bytes.get(from..to).is_none_or(|value| value.iter().any(blank)) {
            return;
        }
        let name = name.as_bytes();
        let own = own_name(name);
        self.anchors.scan(name, |target, start, end| match self.targets.get(target) {
            Some(Target::Near { rules, whole }) if !*whole || is_whole(name, start, end, false) => {
                hits.extend(rules.iter().filter_map(|rule| self.near_value(bytes, *rule, &(from..to))));
            }
            Some(Target::Generic { kind, whole })
                if start >= own.start && (!*whole || is_whole(name, start, end, true)) =>
            {
                let own = name.get(own.clone()).unwrap_or_default();
                hits.extend(self.generic_value(*kind, own, bytes, from..to, true));
            }
            _ => {}
        });
    }

    /// Kubernetes secrets as JSON objects: `kind` is `Secret`, everything under `data` and `stringData` is one.
    fn kubernetes_objects(&self, texts: &[Text], out: &mut Vec<(usize, Hit)>) {
        let Some(rule) = self.structures.get(&Structure::Kubernetes) else { return };
        let kinds = texts.iter().filter(|text| text.value == "Secret");
        let objects: BTreeSet<&str> = kinds.filter_map(|text| text.pointer.strip_suffix("/kind")).collect();
        if objects.is_empty() {
            return;
        }
        for (index, text) in texts.iter().enumerate() {
            let holder = |member: &str| {
                text.pointer
                    .match_indices(member)
                    .any(|(at, _)| objects.contains(text.pointer.get(..at).unwrap_or("?")))
            };
            let data = holder("/data/") || holder("/stringData/");
            if data && !text.value.is_empty() && !is_placeholder(text.value.as_bytes()) {
                out.push((index, Hit { range: 0..text.value.len(), rule: *rule, score: 0.85 }));
            }
        }
    }

    /// A rule with a format of its own names a hit before those that go by the value's name.
    fn rank(&self, hit: &Hit) -> (bool, f32) {
        let structure = self.rules.get(hit.rule).and_then(|rule| rule.structure);
        let generic = matches!(structure, Some(Structure::Password | Structure::Entropy | Structure::Bearer));
        (!generic, hit.score)
    }

    /// Drops what is let through and joins what overlaps: the surest rule names the whole.
    fn settle(&self, text: &str, hits: &mut Vec<Hit>) {
        hits.retain(|hit| {
            text.get(hit.range.clone())
                .is_some_and(|value| !value.is_empty() && !self.allow.iter().any(|allow| allow.lets(value)))
        });
        hits.sort_by(|a, b| {
            (a.range.start, b.range.end, a.rule)
                .cmp(&(b.range.start, a.range.end, b.rule))
                .then(b.score.total_cmp(&a.score))
        });
        hits.dedup_by(|next, kept| {
            let joined = next.range.start < kept.range.end;
            if joined {
                kept.range.end = kept.range.end.max(next.range.end);
                if self.rank(next) > self.rank(kept) {
                    kept.rule = next.rule;
                }
                kept.score = kept.score.max(next.score);
            }
            joined
        });
    }
}

/// Names one after the other in front of one value, as in `password=password=…`: each would judge all that follows again.
#[derive(Default)]
struct Crowd {
    end: usize,
    count: usize,
    /// Bytes that end no value.
    plain: Range<usize>,
}

impl Crowd {
    /// Most names whose values reach into each other.
    const MOST: usize = 8;

    /// The value of the name at `name`, unless too many names before it reach into the same one.
    fn value(&mut self, bytes: &[u8], name: &Range<usize>, loose: bool) -> Option<Value> {
        if name.start < self.end && self.count >= Self::MOST {
            return None;
        }
        let value = value::after(bytes, name, loose, &mut self.plain)?;
        if value.range.start >= self.end {
            self.count = 0;
        }
        self.count += 1;
        self.end = self.end.max(value.range.end);
        Some(value)
    }
}

impl Allowed {
    fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim_matches('*');
        if inner.is_empty() || inner.contains('*') {
            return Err(format!("allow: `{text}` must be a value, with one `*` at its start or end at most"));
        }
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (None, None) => Ok(Self::Exact(text.to_owned())),
            (None, Some(prefix)) => Ok(Self::Prefix(prefix.to_owned())),
            (Some(suffix), None) => Ok(Self::Suffix(suffix.to_owned())),
            (Some(_), Some(_)) => {
                Err(format!("allow: `{text}` must be a value, with one `*` at its start or end at most"))
            }
        }
    }

    fn lets(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => value == text,
            Self::Prefix(text) => value.starts_with(text),
            Self::Suffix(text) => value.ends_with(text),
        }
    }
}

fn add(
    anchors: &mut Anchors,
    targets: &mut Vec<Target>,
    text: &[u8],
    next: Class,
    folded: bool,
    target: Target,
) -> Result<(), String> {
    if !anchors.add(text, next, folded, targets.len()) {
        return Err(format!(
            "`{}` is too short to look for, or there are too many rules",
            String::from_utf8_lossy(text)
        ));
    }
    targets.push(target);
    Ok(())
}

/// The score of a match, if it passes the rule's check.
fn score(rule: &Compiled, whole: &[u8], secret: &[u8]) -> Option<f32> {
    let sum = |right: bool| if right { rule.score.max(0.99) } else { rule.score.min(0.7) };
    let mixed = || secret.iter().any(u8::is_ascii_digit) && secret.iter().any(u8::is_ascii_alphabetic);
    match rule.check {
        Check::None => Some(rule.score),
        Check::Mixed => mixed().then_some(rule.score),
        Check::HighEntropy => {
            let least = if secret.len() >= 40 { 4.0 } else { 3.2 };
            let cases =
                secret.iter().any(u8::is_ascii_lowercase) || secret.iter().all(|byte| !byte.is_ascii_alphabetic());
            (mixed() && cases && generic::entropy(secret) >= least).then_some(rule.score)
        }
        Check::Crc62 => Some(sum(checksum::crc62(whole))),
        Check::GrafanaCrc => Some(sum(checksum::grafana(whole))),
        Check::Bech32 => Some(sum(checksum::bech32(whole))),
        Check::UserPassword => {
            checksum::base64(secret).is_some_and(|decoded| checksum::user_password(&decoded)).then_some(rule.score)
        }
        Check::Discord => checksum::discord(whole).then_some(rule.score),
        Check::WebToken => {
            let token = checksum::base64(secret).and_then(|token| structure::web_token(&token, 0));
            token.is_some().then_some(rule.score)
        }
    }
}

/// Whether a token may begin here: not in the middle of a word. Escapes (`%3D`, `\n`) do not count as letters.
fn begins_token(bytes: &[u8], start: usize, strict: bool) -> bool {
    if !bytes.get(start).is_some_and(u8::is_ascii_alphanumeric) {
        return true;
    }
    let before = bytes.get(..start).unwrap_or_default();
    match before {
        [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
        [.., b'\\', b'n' | b'r' | b't'] => true,
        [.., last] => !(last.is_ascii_alphanumeric() || strict && b"-_".contains(last)),
        [] => true,
    }
}

/// Whether the token is a piece of an encoded file, which holds short beginnings of tokens by chance: of a run of base64 that is
/// much longer than any path, or of a line of base64 beside another.
fn in_encoding(bytes: &[u8], token: &Range<usize>) -> bool {
    const LONGEST_PATH: usize = 200;
    const LINE: usize = 60;
    let of_run = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    let before = bytes.get(..token.start).unwrap_or_default();
    let behind = bytes.get(token.end..).unwrap_or_default();
    let start = token.start - before.iter().rev().take_while(of_run).count();
    let end = token.end + behind.iter().take_while(of_run).count();
    if end - start == token.len()
        || !bytes.get(token.clone()).is_some_and(|token| token.iter().all(|byte| of_run(&byte)))
    {
        return false;
    }
    if end - start > LONGEST_PATH {
        return true;
    }
    let before = bytes.get(..start).unwrap_or_default();
    let behind = bytes.get(end..).unwrap_or_default();
    let line_before = match before {
        [before @ .., b'\r', b'\n'] | [before @ .., b'\n'] => before.iter().rev().take_while(of_run).count(),
        _ => 0,
    };
    let line_behind = match behind {
        [b'\r', b'\n', behind @ ..] | [b'\n', behind @ ..] => behind.iter().take_while(of_run).count(),
        _ => 0,
    };
    end - start >= LINE && line_before.max(line_behind) >= LINE
}

/// Whether no letter stands before (or, if `after`, behind) the word, other than where camel case starts a new one.
fn is_whole(bytes: &[u8], start: usize, end: usize, after: bool) -> bool {
    let first = bytes.get(start).copied().unwrap_or_default();
    let before = start.checked_sub(1).and_then(|at| bytes.get(at)).copied().unwrap_or_default();
    let camel = first.is_ascii_uppercase() && before.is_ascii_lowercase();
    let behind = bytes.get(end).copied().unwrap_or_default();
    (camel || !before.is_ascii_alphabetic()) && !(after && behind.is_ascii_lowercase())
}

/// The whole name around a keyword.
fn name_around<'a>(bytes: &'a [u8], keyword: &Range<usize>) -> &'a [u8] {
    let part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    let before = bytes.get(..keyword.start).unwrap_or_default().iter().rev().take(48).take_while(part).count();
    let behind = bytes.get(keyword.end..).unwrap_or_default().iter().take(48).take_while(part).count();
    bytes.get(keyword.start - before..keyword.end + behind).unwrap_or_default()
}

/// The last member name of a pointer, array positions skipped.
fn own_name(pointer: &[u8]) -> Range<usize> {
    let mut end = pointer.len();
    while let Some(slash) = pointer.get(..end).and_then(|rest| rest.iter().rposition(|byte| *byte == b'/')) {
        let name = pointer.get(slash + 1..end).unwrap_or_default();
        if !name.is_empty() && !name.iter().all(u8::is_ascii_digit) {
            return slash + 1..end;
        }
        end = slash;
    }
    0..end
}

/// The name of `{"name": "API_KEY", "value": "…"}`, for the text that is the value.
fn sibling_name(texts: &[Text], index: usize) -> Option<&str> {
    let object = texts.get(index)?.pointer.strip_suffix("/value")?;
    let beside = [index.checked_sub(1), index.checked_add(1)];
    beside.into_iter().flatten().filter_map(|index| texts.get(index)).find_map(|text| {
        let name = text.pointer.strip_prefix(object)?;
        ["/name", "/key", "/header", "/Name", "/Key"].contains(&name).then_some(text.value.as_str())
    })
}
