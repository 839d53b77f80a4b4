//! JSON as the pipeline needs it: parsed once, strictly, with the place of every value in the original text.
//!
//! The syntax is checked by the `jiter` crate. On top of it this module refuses what different parsers read differently
//! (duplicate members) and what is made to exhaust them (depth, number of values), keeps numbers as they were written,
//! and remembers where each value stands, so that a redaction changes only the strings it names.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use jiter::{Jiter, Peek};

use crate::{Digest, Replacement};

/// Deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 64;
/// Most values (members and items of all containers together).
const MAX_VALUES: usize = 250_000;
/// Most bytes of the pointers of all strings together. A long name counts for each string below it: each is handed out
/// with its whole pointer, so without this bound a few MiB would become hundreds of GiB.
const MAX_POINTERS: usize = 16 * 1024 * 1024;
/// About how long the position of an item is in a pointer.
const POSITION: usize = 7;
/// How names begin by which serde_json passes numbers and raw texts through its own values.
const RESERVED_NAME: &str = "$serde_json::private::";
/// Objects up to this size are searched for duplicates without a hash set.
const SMALL_OBJECT: usize = 12;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, kept as written.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// Why a text is not a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentFault {
    /// Not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// Not JSON.
    #[error("{0}")]
    Syntax(String),
    /// The same member twice in one object. The name is not repeated: it may be sensitive.
    #[error("duplicate member in an object")]
    DuplicateMember,
    /// A member whose name stands for something else in a JSON library that plugins use: they would read another value.
    #[error("a member with a reserved name")]
    ReservedName,
    /// More than 64 levels of nesting.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// More than 250,000 values.
    #[error("more than {MAX_VALUES} values")]
    Values,
    /// Names so long that the places of the strings below them cannot all be told.
    #[error("the names of members around its strings are too long: more than {MAX_POINTERS} bytes in all")]
    Pointers,
    /// Longer than 4 GiB, which offsets do not hold.
    #[error("longer than 4 GiB")]
    Size,
}

/// A fault and where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {offset}")]
pub struct DocumentError {
    /// What is wrong.
    pub fault: DocumentFault,
    /// Byte offset in the text.
    pub offset: usize,
}

/// One string of the document, decoded, with its RFC 6901 pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// RFC 6901 pointer.
    pub pointer: String,
    /// The decoded string.
    pub value: String,
}

/// One string of the document and the text to put in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<'a> {
    /// The string to replace.
    pub target: Value<'a>,
    /// Its new, decoded content.
    pub value: String,
}

/// Why replacements could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No string stands at the pointer.
    #[error("no string at the replacement's pointer")]
    NoSuchText,
    /// The range leaves the string or splits a character.
    #[error("a replacement's range is outside its string or splits a character")]
    Range,
    /// The edited text does not parse: it grew past a limit.
    #[error("the redacted text is not a document: {0}")]
    Result(#[from] DocumentError),
}

#[derive(Clone, Debug)]
struct Node {
    start: u32,
    end: u32,
    /// Index of the first node after this one and everything in it.
    next: u32,
    kind: Kind,
    /// Name of the member, if the parent is an object.
    name: Option<Box<str>>,
    /// Content of a string that holds escapes.
    decoded: Option<Box<str>>,
}

/// A parsed JSON text. Immutable; cheap to share behind an [`Arc`].
#[derive(Debug)]
pub struct Document {
    text: String,
    nodes: Vec<Node>,
    texts: OnceLock<Arc<[Text]>>,
    names: OnceLock<Arc<[String]>>,
    canonical: OnceLock<Vec<u8>>,
    digest: OnceLock<Digest>,
}

/// One value of a document.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    document: &'a Document,
    index: usize,
}

impl Document {
    /// Parses a whole text: one JSON value, optionally between white space.
    ///
    /// # Errors
    /// Syntax, invalid UTF-8, a duplicate member, more than 64 levels, more than 250,000 values, or more than 16 MiB of
    /// pointers.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self, DocumentError> {
        let text = String::from_utf8(bytes.into())
            .map_err(|error| DocumentError { fault: DocumentFault::Utf8, offset: error.utf8_error().valid_up_to() })?;
        if u32::try_from(text.len()).is_err() {
            return Err(DocumentError { fault: DocumentFault::Size, offset: 0 });
        }
        let (bytes, jiter) = (text.as_bytes(), Jiter::new(text.as_bytes()));
        let mut parser = Parser { bytes, jiter, nodes: Vec::with_capacity(16), pointer: 0, pointers: 0 };
        let first = parser.peek()?;
        parser.value(first, None, 0)?;
        let Parser { mut jiter, nodes, .. } = parser;
        jiter.finish().map_err(|error| syntax(&error))?;
        Ok(Self::assemble(text, nodes))
    }

    fn assemble(text: String, nodes: Vec<Node>) -> Self {
        Self {
            text,
            nodes,
            texts: OnceLock::new(),
            names: OnceLock::new(),
            canonical: OnceLock::new(),
            digest: OnceLock::new(),
        }
    }

    /// The empty object, `{}`.
    #[must_use]
    pub fn empty() -> Self {
        let node = Node { start: 0, end: 2, next: 1, kind: Kind::Object, name: None, decoded: None };
        Self::assemble("{}".to_owned(), vec![node])
    }

    /// A document that holds one string.
    #[must_use]
    pub fn string(value: &str) -> Self {
        let text = serde_json::Value::from(value).to_string();
        let decoded = text.contains('\\').then(|| Box::from(value));
        // A text of more than 4 GiB cannot come from a door: bodies are capped far below.
        let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let node = Node { start: 0, end, next: 1, kind: Kind::String, name: None, decoded };
        Self::assemble(text, vec![node])
    }

    /// The text exactly as received.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.text
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value { document: self, index: 0 }
    }

    /// Every string in document order, member names excluded. Built at the first use.
    pub fn texts(&self) -> &Arc<[Text]> {
        self.texts.get_or_init(|| {
            let mut out = Vec::new();
            each_text(self.root(), &mut String::new(), &mut |pointer, value| {
                let text = value.as_str().unwrap_or_default().to_owned();
                out.push(Text { pointer: pointer.to_owned(), value: text });
            });
            out.into()
        })
    }

    /// Every distinct member name, in order of first appearance. Built at the first use.
    pub fn names(&self) -> &Arc<[String]> {
        self.names.get_or_init(|| {
            let mut seen = HashSet::new();
            let values = (0..self.nodes.len()).map(|index| Value { document: self, index });
            values.filter_map(Value::name).filter(|name| seen.insert(*name)).map(str::to_owned).collect()
        })
    }

    /// The value at an RFC 6901 pointer.
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> Option<Value<'_>> {
        let mut value = self.root();
        if pointer.is_empty() {
            return Some(value);
        }
        for token in pointer.strip_prefix('/')?.split('/') {
            let token = token.replace("~1", "/").replace("~0", "~");
            value = match value.kind() {
                Kind::Object => value.get(&token)?,
                Kind::Array if token == "0" || !token.starts_with('0') => value.items().nth(token.parse().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// Canonical bytes: no white space, members sorted as RFC 8785 does (by UTF-16 code units), strings escaped as RFC
    /// 8785 does, numbers *as written* (RFC 8785 would round them to doubles and lose digits).
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        self.canonical.get_or_init(|| {
            let mut out = Vec::with_capacity(self.text.len());
            canonicalise(self.root(), &mut out);
            out
        })
    }

    /// SHA-256 of [`canonical`](Self::canonical).
    #[must_use]
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(self.canonical()))
    }

    /// The text with the given strings replaced; every other byte stays as it was.
    ///
    /// Edits of the same string: the first one counts.
    #[must_use]
    pub fn splice(&self, edits: &[Edit<'_>]) -> String {
        let mut edits: Vec<_> = edits.iter().collect();
        edits.sort_by_key(|edit| edit.target.range().start);
        let mut out = String::with_capacity(self.text.len());
        let mut done = 0;
        for edit in edits {
            let range = edit.target.range();
            if let Some(before) = self.text.get(done..range.start) {
                out.push_str(before);
                out.push_str(&serde_json::Value::from(edit.value.as_str()).to_string());
                done = range.end;
            }
        }
        out.push_str(self.text.get(done..).unwrap_or_default());
        out
    }

    /// Makes replacements in strings. Overlapping and touching spans of one string become one span, filled with the
    /// value of the span that starts first (of those, the longest).
    ///
    /// # Errors
    /// A pointer without a string, a range outside it or inside a character.
    pub fn replace(&self, replacements: &[Replacement]) -> Result<Self, EditError> {
        let mut order: Vec<&Replacement> = replacements.iter().collect();
        order.sort_by(|a, b| {
            let key = |r: &Replacement| (r.span.start, std::cmp::Reverse(r.span.end));
            a.span.pointer.cmp(&b.span.pointer).then_with(|| key(a).cmp(&key(b)))
        });
        // All strings are found in one walk: looking up each pointer would take time for every item before it.
        let mut targets: HashMap<&str, Option<Value<'_>>> =
            order.iter().map(|replacement| (replacement.span.pointer.as_str(), None)).collect();
        each_text(self.root(), &mut String::new(), &mut |pointer, value| {
            if let Some(target) = targets.get_mut(pointer) {
                *target = Some(value);
            }
        });
        let mut edits = Vec::new();
        for group in order.chunk_by(|a, b| a.span.pointer == b.span.pointer) {
            let Some(first) = group.first() else { continue };
            let target = targets.get(first.span.pointer.as_str()).copied().flatten().ok_or(EditError::NoSuchText)?;
            let text = target.as_str().ok_or(EditError::NoSuchText)?;
            edits.push(Edit { target, value: replace_in(text, group)? });
        }
        Ok(Self::parse(self.splice(&edits))?)
    }
}

/// `group` is sorted by start and names one string only.
fn replace_in(text: &str, group: &[&Replacement]) -> Result<String, EditError> {
    let mut merged: Vec<(usize, usize, &str)> = Vec::new();
    for replacement in group {
        let (start, end) = (replacement.span.start as usize, replacement.span.end as usize);
        if text.get(start..end).is_none() {
            return Err(EditError::Range);
        }
        match merged.last_mut() {
            Some(last) if start < last.1 || (start == last.1 && replacement.value == last.2) => {
                last.1 = last.1.max(end)
            }
            _ => merged.push((start, end, &replacement.value)),
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end, value) in merged {
        out.push_str(text.get(done..start).ok_or(EditError::Range)?);
        out.push_str(value);
        done = end;
    }
    out.push_str(text.get(done..).ok_or(EditError::Range)?);
    Ok(out)
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.document, other.document) && self.index == other.index
    }
}

impl Eq for Value<'_> {}

/// The members of an object, in order.
#[derive(Debug)]
pub struct Members<'a> {
    document: &'a Document,
    next: usize,
    end: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let value = Value { document: self.document, index: self.next };
        self.next = value.node().map_or(self.end, |node| node.next as usize);
        Some(value)
    }
}

impl<'a> Value<'a> {
    fn node(self) -> Option<&'a Node> {
        self.document.nodes.get(self.index)
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.node().map_or(Kind::Null, |node| node.kind)
    }

    /// Where it stands in [`Document::raw`], in bytes; for a string the quotes are included.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.node().map_or(0..0, |node| node.start as usize..node.end as usize)
    }

    /// Its JSON text as written.
    #[must_use]
    pub fn raw(self) -> &'a str {
        self.document.text.get(self.range()).unwrap_or_default()
    }

    /// The name under which it stands in its object.
    #[must_use]
    pub fn name(self) -> Option<&'a str> {
        self.node()?.name.as_deref()
    }

    /// The decoded string, if it is one.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        let node = self.node()?;
        match (node.kind, &node.decoded) {
            (Kind::String, Some(decoded)) => Some(decoded),
            (Kind::String, None) => {
                self.document.text.get(node.start as usize + 1..(node.end as usize).checked_sub(1)?)
            }
            _ => None,
        }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw() == "true")
    }

    /// The number as an unsigned integer, if it is written as one.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        (self.kind() == Kind::Number).then(|| self.raw().parse().ok()).flatten()
    }

    /// The member with this name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.members().find(|member| member.name() == Some(name))
    }

    /// The members of an object, in order; nothing for other values.
    #[must_use]
    pub fn members(self) -> Members<'a> {
        self.children(Kind::Object)
    }

    /// The items of an array, in order; nothing for other values.
    #[must_use]
    pub fn items(self) -> Members<'a> {
        self.children(Kind::Array)
    }

    fn children(self, kind: Kind) -> Members<'a> {
        match self.node() {
            Some(node) if node.kind == kind => {
                Members { document: self.document, next: self.index + 1, end: node.next as usize }
            }
            _ => Members { document: self.document, next: 0, end: 0 },
        }
    }

    /// This value as a document of its own, without parsing again.
    #[must_use]
    pub fn to_document(self) -> Document {
        let Some(root) = self.node() else { return Document::empty() };
        let (offset, first) = (root.start, self.index);
        let nodes = self.document.nodes.get(first..root.next as usize).unwrap_or_default();
        let shift = |at: u32| at.saturating_sub(offset);
        let nodes = nodes.iter().enumerate().map(|(position, node)| Node {
            start: shift(node.start),
            end: shift(node.end),
            next: node.next.saturating_sub(u32::try_from(first).unwrap_or(0)),
            kind: node.kind,
            name: if position == 0 { None } else { node.name.clone() },
            decoded: node.decoded.clone(),
        });
        Document::assemble(self.raw().to_owned(), nodes.collect())
    }
}

struct Parser<'j> {
    bytes: &'j [u8],
    jiter: Jiter<'j>,
    nodes: Vec<Node>,
    /// About how long the pointer of the present value is, and those of all strings so far together.
    pointer: usize,
    pointers: usize,
}

fn syntax(error: &jiter::JiterError) -> DocumentError {
    DocumentError { fault: DocumentFault::Syntax(error.error_type.to_string()), offset: error.index }
}

/// Offsets fit: the length of the text was checked.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<'j> Parser<'j> {
    fn fault<T>(&self, fault: DocumentFault) -> Result<T, DocumentError> {
        Err(DocumentError { fault, offset: self.jiter.current_index() })
    }

    fn peek(&mut self) -> Result<Peek, DocumentError> {
        self.jiter.peek().map_err(|error| syntax(&error))
    }

    fn value(&mut self, peek: Peek, name: Option<Box<str>>, depth: usize) -> Result<(), DocumentError> {
        if self.nodes.len() >= MAX_VALUES {
            return self.fault(DocumentFault::Values);
        }
        let index = self.nodes.len();
        let start = self.jiter.current_index();
        self.nodes.push(Node { start: offset(start), end: 0, next: 0, kind: Kind::Null, name, decoded: None });
        let mut decoded = None;
        let kind = match peek {
            Peek::Null => {
                self.jiter.known_null().map_err(|error| syntax(&error))?;
                Kind::Null
            }
            Peek::True | Peek::False => {
                self.jiter.known_bool(peek).map_err(|error| syntax(&error))?;
                Kind::Bool
            }
            Peek::String => {
                self.pointers = self.pointers.saturating_add(self.pointer);
                if self.pointers > MAX_POINTERS {
                    return self.fault(DocumentFault::Pointers);
                }
                let length = self.jiter.known_str().map_err(|error| syntax(&error))?.len();
                let end = self.jiter.current_index();
                // Without escapes the content is a slice of the text; the decoded length tells without a search.
                if end - start != length + 2 {
                    decoded = Some(self.decoded(start..end)?);
                }
                Kind::String
            }
            Peek::Array => {
                self.array(depth + 1)?;
                Kind::Array
            }
            Peek::Object => {
                self.object(depth + 1)?;
                Kind::Object
            }
            peek if peek.is_num() => {
                self.jiter.known_number_bytes(peek).map_err(|error| syntax(&error))?;
                Kind::Number
            }
            _ => return self.fault(DocumentFault::Syntax("expected a JSON value".to_owned())),
        };
        let (end, next) = (offset(self.jiter.current_index()), offset(self.nodes.len()));
        if let Some(node) = self.nodes.get_mut(index) {
            *node = Node { end, next, kind, decoded, name: node.name.take(), start: node.start };
        }
        Ok(())
    }

    /// The content of the string that stands at `range`, with its escapes undone.
    fn decoded(&self, range: Range<usize>) -> Result<Box<str>, DocumentError> {
        let written = self.bytes.get(range).unwrap_or_default();
        Ok(Jiter::new(written).next_str().map_err(|error| syntax(&error))?.into())
    }

    fn array(&mut self, depth: usize) -> Result<(), DocumentError> {
        if depth > MAX_DEPTH {
            return self.fault(DocumentFault::Depth);
        }
        let outside = self.pointer;
        self.pointer += POSITION;
        let mut item = self.jiter.known_array().map_err(|error| syntax(&error))?;
        while let Some(peek) = item {
            self.value(peek, None, depth)?;
            item = self.jiter.array_step().map_err(|error| syntax(&error))?;
        }
        self.pointer = outside;
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), DocumentError> {
        if depth > MAX_DEPTH {
            return self.fault(DocumentFault::Depth);
        }
        let parent = self.nodes.len();
        let mut many: Option<HashSet<Box<str>>> = None;
        let mut count = 0_usize;
        let mut member = self.jiter.known_object().map_err(|error| syntax(&error))?.map(Box::<str>::from);
        while let Some(name) = member {
            let duplicate = match &mut many {
                Some(names) => !names.insert(name.clone()),
                None => self.siblings(parent).any(|sibling| *sibling == *name),
            };
            if duplicate {
                return self.fault(DocumentFault::DuplicateMember);
            }
            if name.starts_with(RESERVED_NAME) {
                return self.fault(DocumentFault::ReservedName);
            }
            count += 1;
            if count == SMALL_OBJECT && many.is_none() {
                let mut names: HashSet<Box<str>> = self.siblings(parent).map(Box::from).collect();
                names.insert(name.clone());
                many = Some(names);
            }
            let peek = self.peek()?;
            let outside = self.pointer;
            // A slash in front; `~` and `/` are written with two bytes.
            self.pointer += 1 + name.len() + name.bytes().filter(|byte| matches!(byte, b'~' | b'/')).count();
            self.value(peek, Some(name), depth)?;
            self.pointer = outside;
            member = self.jiter.next_key().map_err(|error| syntax(&error))?.map(Box::<str>::from);
        }
        Ok(())
    }

    /// Names of the members of the object whose first child is node `at`.
    fn siblings(&self, mut at: usize) -> impl Iterator<Item = &str> {
        std::iter::from_fn(move || {
            let node = self.nodes.get(at)?;
            at = node.next as usize;
            node.name.as_deref()
        })
    }
}

/// Shows every string of `value`, which stands at `pointer`, with its own pointer, in document order.
fn each_text<'a>(value: Value<'a>, pointer: &mut String, show: &mut impl FnMut(&str, Value<'a>)) {
    let length = pointer.len();
    match value.kind() {
        Kind::String => show(pointer, value),
        Kind::Array => {
            for (position, item) in value.items().enumerate() {
                pointer.push('/');
                pointer.push_str(&position.to_string());
                each_text(item, pointer, show);
                pointer.truncate(length);
            }
        }
        Kind::Object => {
            for member in value.members() {
                pointer.push('/');
                for character in member.name().unwrap_or_default().chars() {
                    match character {
                        '~' => pointer.push_str("~0"),
                        '/' => pointer.push_str("~1"),
                        other => pointer.push(other),
                    }
                }
                each_text(member, pointer, show);
                pointer.truncate(length);
            }
        }
        Kind::Null | Kind::Bool | Kind::Number => {}
    }
}

fn canonicalise(value: Value<'_>, out: &mut Vec<u8>) {
    match value.kind() {
        Kind::Array => {
            out.push(b'[');
            for (position, item) in value.items().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                canonicalise(item, out);
            }
            out.push(b']');
        }
        Kind::Object => {
            let mut members: Vec<_> = value.members().collect();
            members.sort_by(|a, b| {
                let units = |value: &Value<'_>| value.name().unwrap_or_default().encode_utf16().collect::<Vec<_>>();
                units(a).cmp(&units(b))
            });
            out.push(b'{');
            for (position, member) in members.into_iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                escape(member.name().unwrap_or_default(), out);
                out.push(b':');
                canonicalise(member, out);
            }
            out.push(b'}');
        }
        Kind::String => escape(value.as_str().unwrap_or_default(), out),
        Kind::Null | Kind::Bool | Kind::Number => out.extend_from_slice(value.raw().as_bytes()),
    }
}

/// serde_json escapes exactly as RFC 8785 section 3.2.2.2 asks.
fn escape(text: &str, out: &mut Vec<u8>) {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests;
