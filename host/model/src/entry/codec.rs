//! Canonical bytes of an entry: CBOR in the core deterministic form of RFC 8949 section 4.2.1.
//!
//! One map, keys ascending, definite lengths, shortest integers, no floats, no tags; what is absent or empty is left out.
//! `docs/ledger-format.md` describes the same for people with another CBOR library.
//!
//! | Key | Field | Type |
//! |---|---|---|
//! | 0 | `schema` | 1 |
//! | 1 | `seq` | uint |
//! | 2 | `prev` | 32 bytes |
//! | 3 | `tenant` | text, 1 to 256 bytes |
//! | 4 | `kind` | 0 decision, 1 outcome, 2 refusal, 3 activation, 4 approval, 5 erasure, 6 trial |
//! | 5 | `id` | 16 bytes |
//! | 6 | `time_ms` | uint |
//! | 7 | `agent` | text, 1 to 256 bytes |
//! | 8 | `session` | text, at most 256 bytes |
//! | 9 | `door` | 0 inspect, 1 mcp, 2 clavenar, 3 arden, 4 control |
//! | 10 | `upstream` | text, at most 256 bytes |
//! | 11 | `tool` | text, at most 1024 bytes |
//! | 12 | `phase` | 0 call, 1 result, 2 listing, 3 message |
//! | 13 | `mode` | 0 enforce, 1 observe |
//! | 14 | `decision` | 0 allow, 1 redact, 2 review, 3 deny |
//! | 15 | `reasons` | array of 1 to 64 `[code, plugin]`, texts of at most 128 bytes |
//! | 16 | `findings` | array of 1 to 64 `[plugin, category, score 0..1000]`, texts of at most 128 bytes |
//! | 17 | `plugins` | array of 1 to 64 `[name, digest, fuel]`, then a text if there is a `fault`, then 32 bytes if there are `answers`; texts of at most 128 bytes |
//! | 18 | `generation` | 32 bytes |
//! | 19 | `approval` | 16 bytes |
//! | 20 | `outcome` | 0 answered, 1 failed, 2 cancelled, 3 disconnected, 4 uncertain |
//! | 21 | `duration_ms` | uint |
//! | 22 | `call` | 32 bytes |
//! | 23 | `commitment` | 32 bytes |
//! | 24 | `note` | text, at most 4096 bytes |
//! | 25 | `reasons_total` | uint, only if larger than the number of `reasons` |
//! | 26 | `findings_total` | uint, only if larger than the number of `findings` |
//! | 27 | `plugins_total` | uint, only if larger than the number of `plugins` |

use std::convert::Infallible;
use std::sync::Arc;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use uuid::Uuid;

use super::{Door, Draft, Entry, EntryFinding, EntryKind, EntryPlugin, EntryReason, MAX_ENTRY, Outcome, SCHEMA};
use crate::{Decision, Digest, Mode, Phase};

/// Longest tenant, agent, session and upstream names, in bytes.
const MAX_NAME: usize = 256;
/// Longest tool name, in bytes.
const MAX_TOOL: usize = 1024;
/// Longest code, category, fault and plugin name, in bytes.
const MAX_WORD: usize = 128;
/// Longest note, in bytes.
const MAX_NOTE: usize = 4096;
/// Most reasons, findings and plugins of one entry.
const MAX_ITEMS: usize = 64;

/// Fields that every entry has.
const REQUIRED: u64 = 11;

const KINDS: [EntryKind; 7] = [
    EntryKind::Decision,
    EntryKind::Outcome,
    EntryKind::Refusal,
    EntryKind::Activation,
    EntryKind::Approval,
    EntryKind::Erasure,
    EntryKind::Trial,
];
const DOORS: [Door; 5] = [Door::Inspect, Door::Mcp, Door::Clavenar, Door::Arden, Door::Control];
const PHASES: [Phase; 4] = [Phase::Call, Phase::Result, Phase::Listing, Phase::Message];
const MODES: [Mode; 2] = [Mode::Enforce, Mode::Observe];
const DECISIONS: [Decision; 4] = [Decision::Allow, Decision::Redact, Decision::Review, Decision::Deny];
const OUTCOMES: [Outcome; 5] =
    [Outcome::Answered, Outcome::Failed, Outcome::Cancelled, Outcome::Disconnected, Outcome::Uncertain];

/// Why an entry cannot be encoded, or why bytes are not an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A field that names something is longer than it may be; it is not cut, since two names could become one.
    #[error("{field} holds {length} bytes, at most {most} are allowed")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The most it may hold.
        most: usize,
    },
    /// More items than an entry may hold.
    #[error("{field} holds {count} items, at most {MAX_ITEMS} are allowed")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A field that must say something is empty.
    #[error("{field} is empty")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// A value outside its range: a score above 1000, a total below the number of items, an unknown code.
    #[error("{field} holds {value}, which has no meaning")]
    Range {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// The whole entry is longer than [`MAX_ENTRY`].
    #[error("the entry takes {0} bytes, at most {MAX_ENTRY} are allowed")]
    Size(usize),
    /// The entry was written in a format that this build does not know.
    #[error("entry format {0} is newer than this build, which reads format {SCHEMA}")]
    Schema(u64),
    /// The bytes are not CBOR, or not the map that an entry is.
    #[error("not an entry: {0}")]
    Malformed(String),
    /// The encoder failed, which it does not when it writes to memory.
    #[error("the entry could not be encoded: {0}")]
    Encoder(String),
    /// A field is missing.
    #[error("not an entry: {0} is missing")]
    Missing(&'static str),
    /// The bytes mean an entry, but it would have been written with other bytes.
    #[error("the bytes are not the canonical encoding of the entry they hold")]
    NotCanonical,
}

/// An entry encoded but for its place in the log, so that the one writer of a log has only to number and to chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryBody {
    /// How many fields the whole entry has.
    fields: u64,
    /// The encoded fields after `prev`.
    tail: Vec<u8>,
}

impl EntryBody {
    /// Longest head: map header, `schema`, `seq` and `prev`.
    const HEAD: usize = 2 + 2 + 10 + 35;

    /// Appends the canonical bytes of the entry at this place of the log.
    ///
    /// # Errors
    /// [`EntryError::Encoder`], which writing to memory does not give.
    pub fn write(&self, seq: u64, prev: &Digest, out: &mut Vec<u8>) -> Result<(), EntryError> {
        out.reserve(self.size());
        write_head(&mut Encoder::new(&mut *out), self.fields, seq, prev)?;
        out.extend_from_slice(&self.tail);
        Ok(())
    }

    /// Bytes the encoded entry takes at most.
    #[must_use]
    pub fn size(&self) -> usize {
        self.tail.len() + Self::HEAD
    }
}

impl Draft {
    /// The entry this draft becomes, with `seq` 0 and `prev` zero until the writer places it.
    ///
    /// Notes, codes, categories and plugin names are cut at their limits, lists at 64 items (findings: the strongest), with
    /// the totals kept. Names of tenant, agent, session, upstream and tool are never cut: encoding refuses them.
    #[must_use]
    pub fn into_entry(self, call: Option<Digest>, commitment: Option<Digest>) -> Entry {
        let Self { mut reasons, mut findings, mut plugins, mut note, .. } = self;
        let [reasons_total, findings_total, plugins_total] =
            [reasons.len(), findings.len(), plugins.len()].map(|length| u32::try_from(length).unwrap_or(u32::MAX));
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.score));
        reasons.truncate(MAX_ITEMS);
        findings.truncate(MAX_ITEMS);
        plugins.truncate(MAX_ITEMS);
        for reason in &mut reasons {
            cut(&mut reason.code, MAX_WORD);
            cut(&mut reason.plugin, MAX_WORD);
        }
        for finding in &mut findings {
            cut(&mut finding.plugin, MAX_WORD);
            cut(&mut finding.category, MAX_WORD);
            finding.score = finding.score.min(1000);
        }
        for plugin in &mut plugins {
            if plugin.name.len() > MAX_WORD {
                plugin.name = prefix(&plugin.name, MAX_WORD).into();
            }
            if let Some(fault) = &mut plugin.fault {
                cut(fault, MAX_WORD);
            }
        }
        if let Some(note) = &mut note {
            cut(note, MAX_NOTE);
        }
        Entry {
            schema: SCHEMA,
            tenant: self.tenant,
            seq: 0,
            prev: Digest::default(),
            kind: self.kind,
            id: self.id,
            time_ms: self.time_ms,
            agent: self.agent,
            session: self.session,
            door: self.door,
            upstream: self.upstream,
            tool: self.tool,
            phase: self.phase,
            mode: self.mode,
            decision: self.decision,
            reasons,
            reasons_total,
            findings,
            findings_total,
            plugins,
            plugins_total,
            generation: self.generation,
            approval: self.approval,
            outcome: self.outcome,
            duration_ms: self.duration_ms,
            call,
            commitment,
            note,
        }
    }
}

impl Entry {
    /// The canonical bytes.
    ///
    /// # Errors
    /// A field is longer than it may be, or empty where it must not be, or out of its range.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        let mut out = Vec::new();
        self.body()?.write(self.seq, &self.prev, &mut out)?;
        Ok(out)
    }

    /// Everything of the canonical bytes but the place in the log.
    ///
    /// # Errors
    /// As [`Entry::encode`].
    pub fn body(&self) -> Result<EntryBody, EntryError> {
        self.check()?;
        let mut tail = Vec::with_capacity(512);
        self.write_tail(&mut Encoder::new(&mut tail))?;
        let body = EntryBody { fields: self.fields(), tail };
        if body.size() > MAX_ENTRY { Err(EntryError::Size(body.size())) } else { Ok(body) }
    }

    /// Reads canonical bytes; refuses everything that [`Entry::encode`] would not have written.
    ///
    /// # Errors
    /// Not CBOR, not an entry, a newer format, a value out of range, or not the canonical form.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut scratch = Vec::new();
        Self::decode_with(bytes, &mut scratch)
    }

    /// [`Entry::decode`] with a buffer to work in, for readers of many entries.
    ///
    /// # Errors
    /// As [`Entry::decode`].
    pub fn decode_with(bytes: &[u8], scratch: &mut Vec<u8>) -> Result<Self, EntryError> {
        if bytes.len() > MAX_ENTRY {
            return Err(EntryError::Size(bytes.len()));
        }
        let entry = read(bytes)?;
        entry.check()?;
        scratch.clear();
        let mut encoder = Encoder::new(&mut *scratch);
        write_head(&mut encoder, entry.fields(), entry.seq, &entry.prev)?;
        entry.write_tail(&mut encoder)?;
        if scratch.as_slice() == bytes { Ok(entry) } else { Err(EntryError::NotCanonical) }
    }

    /// Whether it can be encoded: every field within its bounds.
    ///
    /// # Errors
    /// As [`Entry::encode`].
    pub fn check(&self) -> Result<(), EntryError> {
        if self.schema != SCHEMA {
            return Err(EntryError::Schema(self.schema.into()));
        }
        name("tenant", &self.tenant)?;
        name("agent", &self.agent)?;
        at_most("session", self.session.as_deref(), MAX_NAME)?;
        at_most("upstream", self.upstream.as_deref(), MAX_NAME)?;
        at_most("tool", self.tool.as_deref(), MAX_TOOL)?;
        at_most("note", self.note.as_deref(), MAX_NOTE)?;
        items("reasons", self.reasons.len(), self.reasons_total)?;
        items("findings", self.findings.len(), self.findings_total)?;
        items("plugins", self.plugins.len(), self.plugins_total)?;
        for EntryReason { code, plugin } in &self.reasons {
            at_most("reasons.code", Some(code), MAX_WORD)?;
            at_most("reasons.plugin", Some(plugin), MAX_WORD)?;
        }
        for EntryFinding { plugin, category, score } in &self.findings {
            at_most("findings.plugin", Some(plugin), MAX_WORD)?;
            at_most("findings.category", Some(category), MAX_WORD)?;
            if *score > 1000 {
                return Err(EntryError::Range { field: "findings.score", value: (*score).into() });
            }
        }
        for EntryPlugin { name, fault, .. } in &self.plugins {
            at_most("plugins.name", Some(name), MAX_WORD)?;
            at_most("plugins.fault", fault.as_deref(), MAX_WORD)?;
        }
        Ok(())
    }

    fn fields(&self) -> u64 {
        let optional = [
            self.session.is_some(),
            self.upstream.is_some(),
            self.tool.is_some(),
            self.decision.is_some(),
            !self.reasons.is_empty(),
            !self.findings.is_empty(),
            !self.plugins.is_empty(),
            self.generation.is_some(),
            self.approval.is_some(),
            self.outcome.is_some(),
            self.duration_ms.is_some(),
            self.call.is_some(),
            self.commitment.is_some(),
            self.note.is_some(),
            more(self.reasons_total, self.reasons.len()),
            more(self.findings_total, self.findings.len()),
            more(self.plugins_total, self.plugins.len()),
        ];
        REQUIRED + optional.into_iter().map(u64::from).sum::<u64>()
    }

    fn write_tail(&self, out: &mut Encoder<&mut Vec<u8>>) -> Result<(), minicbor::encode::Error<Infallible>> {
        out.u8(3)?.str(&self.tenant)?;
        out.u8(4)?.u8(self.kind as u8)?;
        out.u8(5)?.bytes(self.id.as_bytes())?;
        out.u8(6)?.u64(self.time_ms)?;
        out.u8(7)?.str(&self.agent)?;
        if let Some(session) = &self.session {
            out.u8(8)?.str(session)?;
        }
        out.u8(9)?.u8(self.door as u8)?;
        if let Some(upstream) = &self.upstream {
            out.u8(10)?.str(upstream)?;
        }
        if let Some(tool) = &self.tool {
            out.u8(11)?.str(tool)?;
        }
        out.u8(12)?.u8(self.phase as u8)?;
        out.u8(13)?.u8(self.mode as u8)?;
        if let Some(decision) = self.decision {
            out.u8(14)?.u8(decision as u8)?;
        }
        if !self.reasons.is_empty() {
            out.u8(15)?.array(self.reasons.len() as u64)?;
            for EntryReason { code, plugin } in &self.reasons {
                out.array(2)?.str(code)?.str(plugin)?;
            }
        }
        if !self.findings.is_empty() {
            out.u8(16)?.array(self.findings.len() as u64)?;
            for EntryFinding { plugin, category, score } in &self.findings {
                out.array(3)?.str(plugin)?.str(category)?.u16(*score)?;
            }
        }
        if !self.plugins.is_empty() {
            out.u8(17)?.array(self.plugins.len() as u64)?;
            for EntryPlugin { name, digest, fuel, fault, answers } in &self.plugins {
                let more = u64::from(fault.is_some()) + u64::from(answers.is_some());
                out.array(3 + more)?.str(name)?.bytes(&digest.0)?.u64(*fuel)?;
                if let Some(fault) = fault {
                    out.str(fault)?;
                }
                if let Some(answers) = answers {
                    out.bytes(&answers.0)?;
                }
            }
        }
        if let Some(generation) = &self.generation {
            out.u8(18)?.bytes(&generation.0)?;
        }
        if let Some(approval) = &self.approval {
            out.u8(19)?.bytes(approval.as_bytes())?;
        }
        if let Some(outcome) = self.outcome {
            out.u8(20)?.u8(outcome as u8)?;
        }
        if let Some(duration_ms) = self.duration_ms {
            out.u8(21)?.u64(duration_ms)?;
        }
        if let Some(call) = &self.call {
            out.u8(22)?.bytes(&call.0)?;
        }
        if let Some(commitment) = &self.commitment {
            out.u8(23)?.bytes(&commitment.0)?;
        }
        if let Some(note) = &self.note {
            out.u8(24)?.str(note)?;
        }
        let totals = [
            (25, self.reasons_total, self.reasons.len()),
            (26, self.findings_total, self.findings.len()),
            (27, self.plugins_total, self.plugins.len()),
        ];
        for (key, total, kept) in totals {
            if more(total, kept) {
                out.u8(key)?.u32(total)?;
            }
        }
        Ok(())
    }
}

fn write_head(
    out: &mut Encoder<&mut Vec<u8>>,
    fields: u64,
    seq: u64,
    prev: &Digest,
) -> Result<(), minicbor::encode::Error<Infallible>> {
    out.map(fields)?.u8(0)?.u8(SCHEMA)?.u8(1)?.u64(seq)?.u8(2)?.bytes(&prev.0)?;
    Ok(())
}

/// Reads the map; whether it was written canonically is for the caller to see by writing it again.
fn read(bytes: &[u8]) -> Result<Entry, EntryError> {
    let mut input = Decoder::new(bytes);
    let fields = input.map()?.ok_or(EntryError::NotCanonical)?;
    let mut raw = Fields::default();
    for _ in 0..fields {
        let key = input.u8()?;
        raw.read(key, &mut input)?;
    }
    if input.position() != bytes.len() {
        return Err(EntryError::Malformed("bytes after the end of the entry".to_owned()));
    }
    raw.finish()
}

/// What has been read so far.
#[derive(Default)]
struct Fields {
    seq: Option<u64>,
    prev: Option<Digest>,
    tenant: Option<Arc<str>>,
    kind: Option<EntryKind>,
    id: Option<Uuid>,
    time_ms: Option<u64>,
    agent: Option<Arc<str>>,
    session: Option<Arc<str>>,
    door: Option<Door>,
    upstream: Option<Arc<str>>,
    tool: Option<Arc<str>>,
    phase: Option<Phase>,
    mode: Option<Mode>,
    decision: Option<Decision>,
    reasons: Vec<EntryReason>,
    findings: Vec<EntryFinding>,
    plugins: Vec<EntryPlugin>,
    generation: Option<Digest>,
    approval: Option<Uuid>,
    outcome: Option<Outcome>,
    duration_ms: Option<u64>,
    call: Option<Digest>,
    commitment: Option<Digest>,
    note: Option<String>,
    reasons_total: Option<u32>,
    findings_total: Option<u32>,
    plugins_total: Option<u32>,
    schema: Option<u8>,
}

impl Fields {
    fn read(&mut self, key: u8, input: &mut Decoder<'_>) -> Result<(), EntryError> {
        match key {
            0 => {
                let schema = input.u64()?;
                if schema != u64::from(SCHEMA) {
                    return Err(EntryError::Schema(schema));
                }
                self.schema = Some(SCHEMA);
            }
            1 => self.seq = Some(input.u64()?),
            2 => self.prev = Some(digest(input)?),
            3 => self.tenant = Some(input.str()?.into()),
            4 => self.kind = Some(code("kind", &KINDS, input)?),
            5 => self.id = Some(uuid(input)?),
            6 => self.time_ms = Some(input.u64()?),
            7 => self.agent = Some(input.str()?.into()),
            8 => self.session = Some(input.str()?.into()),
            9 => self.door = Some(code("door", &DOORS, input)?),
            10 => self.upstream = Some(input.str()?.into()),
            11 => self.tool = Some(input.str()?.into()),
            12 => self.phase = Some(code("phase", &PHASES, input)?),
            13 => self.mode = Some(code("mode", &MODES, input)?),
            14 => self.decision = Some(code("decision", &DECISIONS, input)?),
            15 => {
                self.reasons = list("reasons", input, |input| {
                    exactly(input, 2)?;
                    Ok(EntryReason { code: input.str()?.to_owned(), plugin: input.str()?.to_owned() })
                })?;
            }
            16 => {
                self.findings = list("findings", input, |input| {
                    exactly(input, 3)?;
                    let [plugin, category] = [input.str()?.to_owned(), input.str()?.to_owned()];
                    Ok(EntryFinding { plugin, category, score: input.u16()? })
                })?;
            }
            17 => {
                self.plugins = list("plugins", input, |input| {
                    let length = input.array()?.ok_or(EntryError::NotCanonical)?;
                    if !(3..=5).contains(&length) {
                        return Err(EntryError::Range { field: "plugins", value: length });
                    }
                    let (name, component, fuel) = (input.str()?.into(), digest(input)?, input.u64()?);
                    // The fourth part says by its type which of the two it is.
                    let faulty = length == 5 || (length == 4 && input.datatype()? == Type::String);
                    let fault = if faulty { Some(input.str()?.to_owned()) } else { None };
                    let answered = length == 5 || (length == 4 && !faulty);
                    let answers = if answered { Some(digest(input)?) } else { None };
                    Ok(EntryPlugin { name, digest: component, fuel, fault, answers })
                })?;
            }
            18 => self.generation = Some(digest(input)?),
            19 => self.approval = Some(uuid(input)?),
            20 => self.outcome = Some(code("outcome", &OUTCOMES, input)?),
            21 => self.duration_ms = Some(input.u64()?),
            22 => self.call = Some(digest(input)?),
            23 => self.commitment = Some(digest(input)?),
            24 => self.note = Some(input.str()?.to_owned()),
            25 => self.reasons_total = Some(input.u32()?),
            26 => self.findings_total = Some(input.u32()?),
            27 => self.plugins_total = Some(input.u32()?),
            other => return Err(EntryError::Range { field: "key", value: other.into() }),
        }
        Ok(())
    }

    fn finish(self) -> Result<Entry, EntryError> {
        fn kept<T>(items: &[T], total: Option<u32>) -> u32 {
            total.unwrap_or(u32::try_from(items.len()).unwrap_or(u32::MAX))
        }
        let missing = EntryError::Missing;
        Ok(Entry {
            schema: self.schema.ok_or(missing("schema"))?,
            tenant: self.tenant.ok_or(missing("tenant"))?,
            seq: self.seq.ok_or(missing("seq"))?,
            prev: self.prev.ok_or(missing("prev"))?,
            kind: self.kind.ok_or(missing("kind"))?,
            id: self.id.ok_or(missing("id"))?,
            time_ms: self.time_ms.ok_or(missing("time_ms"))?,
            agent: self.agent.ok_or(missing("agent"))?,
            session: self.session,
            door: self.door.ok_or(missing("door"))?,
            upstream: self.upstream,
            tool: self.tool,
            phase: self.phase.ok_or(missing("phase"))?,
            mode: self.mode.ok_or(missing("mode"))?,
            decision: self.decision,
            reasons_total: kept(&self.reasons, self.reasons_total),
            reasons: self.reasons,
            findings_total: kept(&self.findings, self.findings_total),
            findings: self.findings,
            plugins_total: kept(&self.plugins, self.plugins_total),
            plugins: self.plugins,
            generation: self.generation,
            approval: self.approval,
            outcome: self.outcome,
            duration_ms: self.duration_ms,
            call: self.call,
            commitment: self.commitment,
            note: self.note,
        })
    }
}

impl From<minicbor::decode::Error> for EntryError {
    fn from(error: minicbor::decode::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<minicbor::encode::Error<Infallible>> for EntryError {
    fn from(error: minicbor::encode::Error<Infallible>) -> Self {
        Self::Encoder(error.to_string())
    }
}

fn digest(input: &mut Decoder<'_>) -> Result<Digest, EntryError> {
    let bytes = input.bytes()?;
    bytes.try_into().map(Digest).map_err(|_| EntryError::Malformed(format!("a digest of {} bytes", bytes.len())))
}

fn uuid(input: &mut Decoder<'_>) -> Result<Uuid, EntryError> {
    let bytes = input.bytes()?;
    Uuid::from_slice(bytes).map_err(|_| EntryError::Malformed(format!("an id of {} bytes", bytes.len())))
}

fn code<T: Copy>(field: &'static str, words: &[T], input: &mut Decoder<'_>) -> Result<T, EntryError> {
    let value = input.u64()?;
    let index = usize::try_from(value).unwrap_or(usize::MAX);
    words.get(index).copied().ok_or(EntryError::Range { field, value })
}

fn list<T>(
    field: &'static str,
    input: &mut Decoder<'_>,
    item: impl Fn(&mut Decoder<'_>) -> Result<T, EntryError>,
) -> Result<Vec<T>, EntryError> {
    let length = input.array()?.ok_or(EntryError::NotCanonical)?;
    let count = usize::try_from(length).unwrap_or(usize::MAX);
    if count > MAX_ITEMS {
        return Err(EntryError::TooMany { field, count });
    }
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        out.push(item(input)?);
    }
    Ok(out)
}

fn exactly(input: &mut Decoder<'_>, length: u64) -> Result<(), EntryError> {
    match input.array()? {
        Some(found) if found == length => Ok(()),
        found => Err(EntryError::Malformed(format!("an item of {found:?} parts instead of {length}"))),
    }
}

fn more(total: u32, kept: usize) -> bool {
    usize::try_from(total).is_ok_and(|total| total > kept)
}

fn name(field: &'static str, text: &str) -> Result<(), EntryError> {
    if text.is_empty() { Err(EntryError::Empty { field }) } else { at_most(field, Some(text), MAX_NAME) }
}

fn at_most(field: &'static str, text: Option<&str>, most: usize) -> Result<(), EntryError> {
    match text {
        Some(text) if text.len() > most => Err(EntryError::TooLong { field, length: text.len(), most }),
        _ => Ok(()),
    }
}

fn items(field: &'static str, count: usize, total: u32) -> Result<(), EntryError> {
    if count > MAX_ITEMS {
        return Err(EntryError::TooMany { field, count });
    }
    if usize::try_from(total).is_ok_and(|total| total < count) {
        return Err(EntryError::Range { field, value: total.into() });
    }
    Ok(())
}

/// The longest beginning of at most `most` bytes that ends between characters.
fn prefix(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

fn cut(text: &mut String, most: usize) {
    text.truncate(prefix(text, most).len());
}

#[cfg(test)]
mod tests;
