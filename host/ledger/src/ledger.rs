use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use portcullis_ledger_verify::{End, FORMAT, FORMAT_VERSION, Head, Header, Line, Report, Row, Verifier};
use portcullis_model::{Digest, Draft, Entry, leaf_hash};
use uuid::Uuid;

use crate::config::{Evidence, LedgerConfig};
use crate::error::{AppendError, ExportError, OpenError, ReadError};
use crate::folder::Folder;
use crate::heads::{HeadFile, Heads};
use crate::layout::{self, TenantId};
use crate::metrics::{Counters, Metrics};
use crate::queue::{Bounds, Job, Queue, Work};
use crate::rows;
use crate::store::{Batch, SledStore, Store, StoreError, after, long_value};
use crate::tenants::{Tail, Tenant, Tenants};
use crate::vault::{SALT, Vault, VaultError, commitment};
use crate::writer::{Ended, Shared, now_ms, run};

/// Most bytes of sealed evidence, a kept answer or a record's value.
const MAX_ATTACHMENT: usize = 8 << 20;
/// Most bytes of a record's key.
const MAX_RECORD_KEY: usize = 1024;
/// Entries verified together.
const VERIFY_CHUNK: usize = 8192;

/// The log of every tenant of one data folder. Cheap to clone; all clones are one ledger.
///
/// It is closed in order by [`close`](Self::close), or when the last clone is dropped, which waits for what is queued.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    evidence: Evidence,
    writer: Option<JoinHandle<()>>,
    _folder: Folder,
}

/// What an append is answered with: the entry is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Owner of the log.
    pub tenant: Arc<str>,
    /// Number of the entry.
    pub seq: u64,
    /// Its leaf hash.
    pub hash: Digest,
    /// Its time, in milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// An entry read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// The entry.
    pub entry: Entry,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
    /// Its leaf hash.
    pub hash: Digest,
}

/// What is written with an entry, in the same atomic group.
#[derive(Clone, Debug)]
pub enum Attachment {
    /// The answer to keep for a caller that asks again with the same id.
    Answer {
        /// The id that the caller chose.
        id: Uuid,
        /// Digest of its request: another request under the same id is another matter.
        request: Digest,
        /// The answer, at most 8 MiB.
        answer: Vec<u8>,
        /// How long it is kept.
        ttl: Duration,
    },
    /// What a plugin was told during the call of this entry ([`Ledger::told`]).
    Told {
        /// SHA-256 of it: what the entry says of it.
        digest: Digest,
        /// The text, at most 8 MiB.
        told: Arc<str>,
        /// How long it is kept.
        ttl: Duration,
    },
    /// A record of another part, for instance a parked call.
    Record(Record),
    /// What is kept of this entry's payload, instead of what the configuration says.
    Evidence(Evidence),
}

/// A small fact of another part, kept encrypted beside the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// 1 to 1024 bytes without NUL. Not encrypted.
    pub key: Vec<u8>,
    /// At most 8 MiB; `None` removes the record.
    pub value: Option<Vec<u8>>,
}

/// Key and value of a record.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// A kept answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Digest of the request that was answered.
    pub request: Digest,
    /// The answer.
    pub answer: Vec<u8>,
}

impl Ledger {
    /// Opens or creates the ledger of a data folder, and checks that it has not gone back since it was last used.
    ///
    /// # Errors
    /// See [`OpenError`]; every refusal leaves the folder as it is.
    pub fn open(config: LedgerConfig) -> Result<Self, OpenError> {
        let folder = Folder::open(&config.folder)?;
        let path = folder.store();
        let store = SledStore::open(&path, config.cache_bytes);
        let store = store.map_err(|source| OpenError::Store { path, source })?;
        Self::start(&config, folder, Arc::new(store))
    }

    fn start(config: &LedgerConfig, folder: Folder, store: Arc<dyn Store>) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Store { path: folder.store(), source };
        let fresh = store.last(&[], &[u8::MAX]).map_err(failed)?.is_none();
        let keys = folder.keys();
        let vault = Vault::open(&keys, fresh).map_err(|source| OpenError::Keys { path: keys, source })?;
        let heads = HeadFile::new(folder.heads());
        let found = stored_heads(&*store, failed)?;
        check_heads(config, &*store, &vault, &heads, fresh, failed)?;
        let shared = Arc::new(Shared {
            store,
            vault,
            tenants: Tenants::new(found),
            queue: Queue::new(Bounds { jobs: config.queue, bytes: config.queue_bytes, wait: config.queue_wait }),
            heads,
            counters: Counters::default(),
            gather: config.gather,
            stalled: AtomicBool::new(false),
            busy_since: AtomicU64::new(0),
            opened: Instant::now(),
            ended: Mutex::new(Ended::default()),
        });
        let writer = thread::Builder::new().name("ledger".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared)
        });
        let writer = Some(writer.map_err(OpenError::Thread)?);
        Ok(Self { inner: Arc::new(Inner { shared, evidence: config.evidence, writer, _folder: folder }) })
    }

    /// Appends an entry; answered when it is on the disk.
    ///
    /// # Errors
    /// See [`AppendError`]. On every error what the entry is for must not happen.
    pub async fn append(&self, draft: Draft) -> Result<Receipt, AppendError> {
        self.append_with(draft, Vec::new()).await
    }

    /// Appends an entry and writes attachments with it: all of it or nothing.
    ///
    /// # Errors
    /// See [`AppendError`]. On every error what the entry is for must not happen.
    pub async fn append_with(&self, draft: Draft, attach: Vec<Attachment>) -> Result<Receipt, AppendError> {
        let (job, answer) = self.prepare(draft, attach)?;
        self.push(job)?;
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// Writes records without an entry; answered when they are on the disk.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn put_records(&self, records: Vec<Record>) -> Result<(), AppendError> {
        let mut beside = Batch::default();
        for record in &records {
            self.put_record(record, &mut beside)?;
        }
        self.write(beside).await
    }

    /// Hands records to the writer without waiting: they are on the disk with one of the next groups, in the order of the
    /// calls.
    ///
    /// # Errors
    /// See [`AppendError`]. A failure of the disk itself is seen by the next append.
    pub fn put_records_later(&self, records: &[Record]) -> Result<(), AppendError> {
        let mut beside = Batch::default();
        for record in records {
            self.put_record(record, &mut beside)?;
        }
        self.push(writes(beside, None))
    }

    /// The last entry of a tenant; `None` if there is none.
    #[must_use]
    pub fn head(&self, tenant: &str) -> Option<Head> {
        let tenant = self.inner.shared.tenants.get(tenant)?;
        let (seq, hash) = tenant.durable()?;
        Some(Head { tenant: Arc::clone(&tenant.name), seq, hash })
    }

    /// The tenants that have entries, sorted.
    #[must_use]
    pub fn tenants(&self) -> Vec<Arc<str>> {
        self.inner.shared.tenants.names()
    }

    /// At most `limit` entries from number `from` on. Blocks.
    ///
    /// # Errors
    /// The store fails or holds something damaged.
    pub fn entries(&self, tenant: &str, from: u64, limit: usize) -> Result<Vec<StoredEntry>, ReadError> {
        let mut out = Vec::new();
        self.rows(tenant, from, limit, &mut |bytes| out.push(bytes.to_vec()))?;
        out.into_iter().map(stored).collect()
    }

    /// One entry. Blocks.
    ///
    /// # Errors
    /// The store fails or holds something damaged.
    pub fn entry(&self, tenant: &str, seq: u64) -> Result<Option<StoredEntry>, ReadError> {
        Ok(self.entries(tenant, seq, 1)?.pop())
    }

    /// The answer kept under an id, while its time lasts. Blocks for a lookup.
    ///
    /// # Errors
    /// The store fails, or the answer cannot be opened.
    pub fn kept_answer(&self, tenant: &str, id: Uuid) -> Result<Option<Kept>, ReadError> {
        let shared = &self.inner.shared;
        let Some(tenant) = shared.tenants.get(tenant) else { return Ok(None) };
        let Some(value) = long_value(&*shared.store, &layout::answer(tenant.id, id))? else { return Ok(None) };
        let cut = || ReadError::Damaged("a kept answer is cut short".to_owned());
        let (end, sealed) = value.split_first_chunk::<8>().ok_or_else(cut)?;
        if u64::from_be_bytes(*end) <= now_ms() {
            return Ok(None);
        }
        let plain = tenant.keys(&shared.vault)?.open_answer(tenant.id, id, sealed)?;
        let (request, answer) = plain.split_first_chunk::<32>().ok_or_else(cut)?;
        Ok(Some(Kept { request: Digest(*request), answer: answer.to_vec() }))
    }

    /// What a plugin of the tenant was told, by the digest in an entry, while it is kept. Checked against the digest. Blocks for
    /// a lookup.
    ///
    /// # Errors
    /// The store fails, or what it holds cannot be opened or is not what has this digest.
    pub fn told(&self, tenant: &str, digest: Digest) -> Result<Option<Vec<u8>>, ReadError> {
        let shared = &self.inner.shared;
        let Some(owner) = shared.tenants.get(tenant) else { return Ok(None) };
        let id = owner.keys(&shared.vault)?.told_id(&digest);
        let Some(Kept { answer, .. }) = self.kept_answer(tenant, id)? else { return Ok(None) };
        if Digest::of(&answer) != digest {
            return Err(ReadError::Damaged("what is kept is not what has this digest".to_owned()));
        }
        Ok(Some(answer))
    }

    /// One record. Blocks.
    ///
    /// # Errors
    /// The store fails, or the record cannot be opened.
    pub fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let shared = &self.inner.shared;
        let sealed = long_value(&*shared.store, &layout::record(key))?;
        Ok(sealed.map(|sealed| shared.vault.open_record(key, &sealed)).transpose()?)
    }

    /// The records whose keys begin with `prefix`, in the order of their keys. Blocks.
    ///
    /// # Errors
    /// The store fails, or a record cannot be opened.
    pub fn records(&self, prefix: &[u8]) -> Result<Vec<KeyValue>, ReadError> {
        let begin = layout::records(prefix);
        let mut keys = Vec::new();
        self.inner.shared.store.scan(&begin, &after(&begin), &mut |key, _| {
            if let Some(key) = layout::record_key(key)
                && keys.last().is_none_or(|last| last != key)
            {
                keys.push(key.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        let read = keys.into_iter().map(|key| Ok(self.record(&key)?.map(|value| (key, value))));
        read.filter_map(Result::transpose).collect()
    }

    /// The payload of an entry, if it was sealed and its key still lives. Checked against the entry's commitment. Blocks.
    ///
    /// # Errors
    /// The store fails, the key was destroyed, or the sealed bytes are not those of the entry.
    pub fn open_evidence(&self, tenant: &str, seq: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let shared = &self.inner.shared;
        let (Some(owner), Some(StoredEntry { entry, .. })) = (shared.tenants.get(tenant), self.entry(tenant, seq)?)
        else {
            return Ok(None);
        };
        let Some(sealed) = long_value(&*shared.store, &layout::evidence(owner.id, seq))? else { return Ok(None) };
        let plain = owner.keys(&shared.vault)?.open_evidence(owner.id, &entry, &sealed)?;
        let (salt, payload) = plain.split_first_chunk::<SALT>().ok_or(VaultError::Unsealed)?;
        if entry.commitment != Some(commitment(salt, payload)) {
            return Err(ReadError::Damaged("the evidence is not what the entry commits to".to_owned()));
        }
        Ok(Some(payload.to_vec()))
    }

    /// The salt of an entry's commitment: with it, whoever holds the payload can show that the entry is about it. Blocks.
    ///
    /// # Errors
    /// The store fails, or the tenant's key cannot be used. After an erasure the salt is another one, and shows nothing.
    pub fn salt(&self, tenant: &str, seq: u64) -> Result<Option<[u8; SALT]>, ReadError> {
        let (Some(owner), Some(StoredEntry { entry, .. })) =
            (self.inner.shared.tenants.get(tenant), self.entry(tenant, seq)?)
        else {
            return Ok(None);
        };
        Ok(Some(owner.keys(&self.inner.shared.vault)?.salt(&entry)))
    }

    /// Erases what the log of a tenant refers to: its key is destroyed, sealed evidence and kept answers are removed. The
    /// entries stay and verify; what they commit to can no longer be opened or guessed. `draft` is the entry that
    /// records it ([`portcullis_model::EntryKind::Erasure`]) and is durable before anything is destroyed.
    ///
    /// # Errors
    /// The entry is not recorded, or the key or the removal fails; then it can be called again.
    pub async fn erase(&self, draft: Draft) -> Result<Receipt, AppendError> {
        let receipt = self.append(draft).await?;
        let shared = &self.inner.shared;
        let tenant = shared.tenants.get_or_add(&receipt.tenant);
        tenant.replace_keys(&shared.vault).map_err(|source| keys_error(&tenant, source))?;
        for prefix in [layout::all_evidence(tenant.id), layout::all_answers(tenant.id)] {
            loop {
                let mut batch = Batch::default();
                let scanned = shared.store.scan(&prefix, &after(&prefix), &mut |key, _| {
                    batch.remove(key.to_vec());
                    if batch.writes.len() < 1000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                });
                scanned.map_err(|error| AppendError::Poisoned { cause: error.to_string().into() })?;
                if batch.writes.is_empty() {
                    break;
                }
                self.write(batch).await?;
            }
        }
        Ok(receipt)
    }

    /// Verifies the whole log of a tenant up to its present head. Blocks, for about a microsecond an entry.
    ///
    /// # Errors
    /// The store fails. A log that is wrong is not an error but a report with a fault.
    pub fn verify(&self, tenant: &str) -> Result<Report, ReadError> {
        let head = self.head(tenant);
        let mut verifier = Verifier::new(Some(tenant));
        let mut next = 0;
        while let Some(left) = head.as_ref().map(|head| (head.seq + 1).saturating_sub(next)).filter(|left| *left > 0) {
            let mut chunk = Vec::new();
            let limit = usize::try_from(left).unwrap_or(usize::MAX).min(VERIFY_CHUNK);
            self.rows(tenant, next, limit, &mut |bytes| chunk.push(bytes.to_vec()))?;
            if chunk.is_empty() || !verifier.push_all(&chunk) {
                break;
            }
            next += chunk.len() as u64;
        }
        if let Some(head) = &head {
            verifier.expect_head(head);
        }
        Ok(verifier.finish())
    }

    /// Writes the log of a tenant as a file that `portcullis-ledger-verify` reads; returns the head it ends with. Blocks.
    ///
    /// # Errors
    /// The store or the output fails.
    pub fn export(&self, tenant: &str, out: &mut dyn Write) -> Result<Option<Head>, ExportError> {
        let head = self.head(tenant);
        let header = Header {
            format: FORMAT.to_owned(),
            version: FORMAT_VERSION,
            tenant: tenant.into(),
            from: 0,
            prev: Digest::default(),
        };
        write_line(out, &header)?;
        let mut next = 0;
        while head.as_ref().is_some_and(|head| next <= head.seq) {
            let mut chunk = Vec::new();
            self.rows(tenant, next, VERIFY_CHUNK, &mut |bytes| chunk.push(Row::new(bytes)))?;
            if chunk.is_empty() {
                break;
            }
            for row in chunk {
                // What came after the head was taken is for the next export.
                if head.as_ref().is_some_and(|head| next <= head.seq) {
                    write_line(out, &Line::Row(row))?;
                }
                next += 1;
            }
        }
        write_line(out, &Line::End(End { head: head.clone() }))?;
        out.flush()?;
        Ok(head)
    }

    /// Whether appends are taken and the disk answers.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.trouble().is_none()
    }

    /// Why appends are not taken, for readiness and the operator.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let shared = &self.inner.shared;
        let stalled = || shared.stalled.load(Relaxed).then(|| "the disk has not answered for seconds".to_owned());
        shared.queue.closed().map(|error| error.to_string()).or_else(stalled)
    }

    /// What was done so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let shared = &self.inner.shared;
        let counters = &shared.counters;
        let (waiting, waiting_bytes) = shared.queue.waiting();
        Metrics {
            entries: counters.entries.load(Relaxed),
            entry_bytes: counters.entry_bytes.load(Relaxed),
            groups: counters.groups.load(Relaxed),
            refused: counters.refused.load(Relaxed),
            expired: counters.expired.load(Relaxed),
            waiting: waiting as u64,
            waiting_bytes: waiting_bytes as u64,
            store_bytes: shared.store.size(),
            tenants: shared.tenants.names().len() as u64,
            healthy: self.is_healthy(),
            commit: counters.commit.read(),
            sync: counters.sync.read(),
            append: counters.append.read(),
        }
    }

    /// Takes no further appends and waits until everything queued and the head file are on the disk.
    pub async fn close(self) {
        let shared = &self.inner.shared;
        shared.queue.close();
        let ended = {
            let mut ended = shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
            let (sender, receiver) = oneshot::channel();
            if !ended.done {
                ended.waiting.push(sender);
            }
            receiver
        };
        // An error says that the writer had ended already.
        let _ = ended.await;
    }

    /// The caller's share of the work: everything that does not depend on the entry's place.
    fn prepare(&self, draft: Draft, attach: Vec<Attachment>) -> Result<(Job, Answer), AppendError> {
        let shared = &self.inner.shared;
        let (payload, call, time_ms) = (draft.payload.clone(), draft.call_digest, draft.time_ms);
        let mut entry = draft.into_entry(None, None);
        // Before anything is made for the tenant: its name must be one that can be recorded.
        entry.check()?;
        let tenant = shared.tenants.get_or_add(&entry.tenant);
        let keys = tenant.keys(&shared.vault).map_err(|source| keys_error(&tenant, source))?;
        entry.call = call.map(|call| keys.bind(&call));
        let mut beside = Batch::default();
        let mut kind = self.inner.evidence;
        let keep = |beside: &mut Batch, id, request: Digest, answer: &[u8], ttl: Duration| {
            fits("a kept answer", answer)?;
            let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            let end = now_ms().saturating_add(ttl);
            let sealed = keys.seal_answer(tenant.id, id, &[&request.0[..], answer].concat());
            let sealed = sealed.map_err(|source| keys_error(&tenant, source))?;
            let value = [&end.to_be_bytes()[..], &sealed].concat();
            let place = layout::answer(tenant.id, id);
            beside.clear_long(&place);
            beside.put_long(&place, &value);
            beside.put(layout::expiry(end, tenant.id, id), Vec::new());
            Ok::<_, AppendError>(())
        };
        for attachment in attach {
            match attachment {
                Attachment::Evidence(evidence) => kind = evidence,
                Attachment::Record(record) => self.put_record(&record, &mut beside)?,
                Attachment::Answer { id, request, answer, ttl } => keep(&mut beside, id, request, &answer, ttl)?,
                Attachment::Told { digest, told, ttl } => {
                    keep(&mut beside, keys.told_id(&digest), digest, told.as_bytes(), ttl)?;
                }
            }
        }
        let mut evidence = None;
        if let Some(payload) = payload {
            let canonical = payload.canonical();
            let salt = keys.salt(&entry);
            entry.commitment = Some(commitment(&salt, canonical));
            if kind == Evidence::Sealed {
                fits("evidence", canonical)?;
                let sealed = keys.seal_evidence(tenant.id, &entry, &[&salt[..], canonical].concat());
                evidence = Some(sealed.map_err(|source| keys_error(&tenant, source))?);
            }
        }
        let body = entry.body()?;
        let size = body.size() + evidence.as_ref().map_or(0, Vec::len) + beside.size();
        let (answer, receiver) = oneshot::channel();
        let work = Work::Entry { tenant, time_ms, body, evidence, answer };
        Ok((Job { work, beside, size, queued: Instant::now() }, receiver))
    }

    fn put_record(&self, record: &Record, batch: &mut Batch) -> Result<(), AppendError> {
        let Record { key, value } = record;
        if key.is_empty() || key.len() > MAX_RECORD_KEY || key.contains(&0) {
            return Err(AppendError::RecordKey);
        }
        let place = layout::record(key);
        // Pieces of a longer value before it would stay behind.
        batch.clear_long(&place);
        if let Some(value) = value {
            fits("a record", value)?;
            let sealed = self.inner.shared.vault.seal_record(key, value);
            let sealed =
                sealed.map_err(|source| AppendError::Keys { tenant: "(records)".into(), source: Arc::new(source) })?;
            batch.put_long(&place, &sealed);
        }
        Ok(())
    }

    async fn write(&self, beside: Batch) -> Result<(), AppendError> {
        let (answer, receiver) = oneshot::channel();
        self.push(writes(beside, Some(answer)))?;
        receiver.await.unwrap_or_else(|_| Err(self.ended()))
    }

    fn push(&self, job: Job) -> Result<(), AppendError> {
        self.inner.shared.queue.push(job).inspect_err(|error| {
            if matches!(error, AppendError::Busy { .. }) {
                self.inner.shared.counters.refused.fetch_add(1, Relaxed);
            }
        })
    }

    /// What to say when the writer went away without an answer.
    fn ended(&self) -> AppendError {
        let closed = self.inner.shared.queue.closed();
        closed.unwrap_or(AppendError::Poisoned { cause: "the writer ended without an answer".into() })
    }

    fn rows(&self, tenant: &str, from: u64, limit: usize, visit: &mut dyn FnMut(&[u8])) -> Result<(), ReadError> {
        let Some(tenant) = self.inner.shared.tenants.get(tenant) else { return Ok(()) };
        let Some((last, _)) = tenant.durable() else { return Ok(()) };
        let mut left = limit;
        if left == 0 || from > last {
            return Ok(());
        }
        rows::visit(&*self.inner.shared.store, tenant.id, from, &mut |seq, bytes| {
            // What is stored but not yet durable is not shown.
            if seq > last {
                return ControlFlow::Break(());
            }
            visit(bytes);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(())
    }
}

type Answer = oneshot::Receiver<Result<Receipt, AppendError>>;

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("trouble", &self.trouble()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been caught and reported inside.
            let _ = writer.join();
        }
    }
}

/// Reads the heads that the store itself holds and compares each with the last entries.
fn stored_heads(
    store: &dyn Store,
    failed: impl Fn(StoreError) -> OpenError + Copy,
) -> Result<Vec<(Arc<str>, Tail)>, OpenError> {
    let mut raw = Vec::new();
    let scanned = store.scan(layout::HEADS, &after(layout::HEADS), &mut |key, value| {
        raw.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    scanned.map_err(failed)?;
    let mut out = Vec::with_capacity(raw.len());
    for (key, value) in raw {
        let (name, tail) = parse_head(&value)
            .filter(|(name, _)| layout::head(TenantId::of(name)) == key)
            .ok_or_else(|| damaged("(unknown)", "a head cannot be read"))?;
        let id = TenantId::of(&name);
        let begin = rows::last_bundle(store, id).map_err(failed)?;
        let begin = begin.ok_or_else(|| damaged(&name, "it has a head and no entries"))?;
        let mut last: Option<(Entry, Digest)> = None;
        let mut fault = None;
        let visited = rows::visit(store, id, begin, &mut |_, bytes| match Entry::decode(bytes) {
            Ok(entry) if last.as_ref().is_none_or(|(_, hash)| entry.prev == *hash) => {
                last = Some((entry, leaf_hash(bytes)));
                ControlFlow::Continue(())
            }
            Ok(entry) => {
                fault = Some(format!("entry {} does not name the one before", entry.seq));
                ControlFlow::Break(())
            }
            Err(error) => {
                fault = Some(error.to_string());
                ControlFlow::Break(())
            }
        });
        visited.map_err(failed)?;
        if let Some(reason) = fault {
            return Err(damaged(&name, &reason));
        }
        let found = last.map(|(entry, hash)| (entry.seq, hash));
        if found != Some(tail) {
            return Err(damaged(&name, &format!("its head names entry {}, its last entry is another", tail.0)));
        }
        out.push((name, tail));
    }
    Ok(out)
}

/// Compares the store with the head file, which was written after what it names was durable.
fn check_heads(
    config: &LedgerConfig,
    store: &dyn Store,
    vault: &Vault,
    file: &HeadFile,
    fresh: bool,
    failed: impl Fn(StoreError) -> OpenError + Copy,
) -> Result<(), OpenError> {
    if config.adopt {
        let aside = file.put_aside().map_err(|error| OpenError::HeadFile {
            path: file.path().to_owned(),
            reason: format!("cannot be put aside ({error})"),
        })?;
        if let Some(aside) = aside {
            tracing::warn!(aside = %aside.display(), "the log was taken as it is; the old head file was put aside");
        }
        return Ok(());
    }
    let Some(heads) = file.read(vault)? else {
        return if fresh {
            file.write(vault, &Heads::new()).map_err(|source| OpenError::Folder {
                path: file.path().to_owned(),
                what: "writing the head file",
                source,
            })
        } else {
            Err(OpenError::HeadFile { path: file.path().to_owned(), reason: "is missing".to_owned() })
        };
    };
    for (id, (seen, expected)) in heads {
        let head = store.get(&layout::head(id)).map_err(failed)?.and_then(|value| parse_head(&value));
        let name = head.as_ref().map_or_else(|| id.hex(), |(name, _)| name.to_string());
        let end = match &head {
            None => Some("before its first entry".to_owned()),
            Some((_, (seq, _))) => (*seq < seen).then(|| format!("with entry {seq}")),
        };
        if let Some(end) = end {
            return Err(OpenError::WentBack { path: file.path().to_owned(), tenant: name, seen, end });
        }
        let bytes = rows::entry(store, id, seen).map_err(failed)?;
        let found = bytes.map(|bytes| leaf_hash(&bytes)).ok_or_else(|| damaged(&name, "an entry is missing"))?;
        if found != expected {
            return Err(OpenError::Forked { path: file.path().to_owned(), tenant: name, seq: seen, found, expected });
        }
    }
    Ok(())
}

fn parse_head(value: &[u8]) -> Option<(Arc<str>, Tail)> {
    let (seq, rest) = value.split_first_chunk::<8>()?;
    let (hash, name) = rest.split_first_chunk::<32>()?;
    Some((std::str::from_utf8(name).ok()?.into(), (u64::from_be_bytes(*seq), Digest(*hash))))
}

fn damaged(tenant: &str, reason: &str) -> OpenError {
    OpenError::Damaged { tenant: tenant.to_owned(), reason: reason.to_owned() }
}

fn stored(bytes: Vec<u8>) -> Result<StoredEntry, ReadError> {
    let entry = Entry::decode(&bytes).map_err(|error| ReadError::Damaged(error.to_string()))?;
    Ok(StoredEntry { entry, hash: leaf_hash(&bytes), bytes })
}

fn writes(beside: Batch, answer: Option<oneshot::Sender<Result<(), AppendError>>>) -> Job {
    Job { size: beside.size(), beside, work: Work::Writes { answer }, queued: Instant::now() }
}

fn fits(what: &'static str, bytes: &[u8]) -> Result<(), AppendError> {
    let length = bytes.len();
    if length > MAX_ATTACHMENT {
        return Err(AppendError::TooLarge { what, length, most: MAX_ATTACHMENT });
    }
    Ok(())
}

fn keys_error(tenant: &Tenant, source: VaultError) -> AppendError {
    AppendError::Keys { tenant: Arc::clone(&tenant.name), source: Arc::new(source) }
}

fn write_line(out: &mut dyn Write, line: &impl serde::Serialize) -> Result<(), ExportError> {
    serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

#[cfg(test)]
mod tests;
