//! The power is cut: a traced run is replayed, and only what was synced is kept.
//!
//! The writer runs under `strace`. Its trace says what was written where and what was synced when; from it the disk is
//! rebuilt as it may look at any moment, by two rules:
//!
//! - *only synced*: a write counts if it had ended before an `fsync` or `fdatasync` of its file began; a name counts if its
//!   folder was synced after it. `sync_file_range` counts nothing, which is what its manual says.
//! - *some survive*: besides, any 4 KiB piece of any later write may have reached the disk, in any order.
//!
//! Each picture is opened as a ledger: every entry acknowledged before the cut must be there. As proof that the simulator
//! can fail, the same trace is replayed as if the data file had never been synced, which is what sled alone does.
//!
//! Long form: `LEDGER_LONG=1 cargo test -p portcullis-ledger --test power_cut`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

mod common;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::child::{self, Ack};
use common::{Dice, long};

const CALLS: &str = "openat,pwrite64,write,lseek,ftruncate,fallocate,fsync,fdatasync,sync_file_range,rename,renameat,\
                     renameat2,unlink,unlinkat,mkdir,mkdirat,sync,syncfs";

#[test]
fn child() {
    child::run_if_child();
}

#[test]
fn acknowledged_entries_survive_a_power_cut() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("data");
    fs::create_dir(&folder).unwrap();
    let entries = if long() { 1000 } else { 120 };
    // The second run opens what the first left when it was killed, so that recovery is traced too.
    let traces: Vec<PathBuf> = (0..2).map(|run| scratch.path().join(format!("trace-{run}"))).collect();
    let mut events = Vec::new();
    for trace in &traces {
        record(trace, &folder, entries);
        events.extend(read_trace(trace));
    }
    let events: Vec<Event> = events.into_iter().enumerate().map(renumber).collect();
    let seed = u64::from(std::process::id());
    let mut dice = Dice(seed);
    let images = if long() { 150 } else { 9 };
    let ack_places: Vec<usize> =
        (0..events.len()).filter(|place| matches!(events[*place].what, What::Say(_))).collect();
    assert!(ack_places.len() >= 2 * entries, "only {} acknowledgements were traced", ack_places.len());

    let picture = scratch.path().join("picture");
    let mut lost_without_sync = 0;
    for image in 0..images {
        // Right after an acknowledgement, or anywhere.
        let cut = match image % 3 {
            0 => ack_places[dice.below(ack_places.len() as u64) as usize] + 1,
            1 => *ack_places.last().unwrap() + 1,
            _ => dice.below(events.len() as u64) as usize,
        };
        let some_survive = (image % 2 == 1).then_some(Dice(seed ^ image));
        let (disk, acks) = replay(&events[..cut], &folder, Rules { sync_data: true });
        disk.draw(&picture, some_survive);
        child::check(&picture, &acks).unwrap_or_else(|error| {
            panic!("cut at {cut} of {}, image {image}, seed {seed}, {} acknowledged: {error}", events.len(), acks.len())
        });
        if image < 2 {
            let cut = ack_places[ack_places.len() - 1 - image as usize] + 1;
            let (disk, acks) = replay(&events[..cut], &folder, Rules { sync_data: false });
            disk.draw(&picture, None);
            lost_without_sync += u32::from(child::check(&picture, &acks).is_err());
        }
    }
    assert_eq!(
        lost_without_sync, 2,
        "without fdatasync acknowledged entries must be lost, or the simulator sees nothing"
    );
}

#[test]
fn a_write_during_which_the_process_was_killed_is_what_its_file_shows() {
    let scratch = tempfile::tempdir().unwrap();
    let (file, trace) = (scratch.path().join("db"), scratch.path().join("trace"));
    fs::write(&file, "abcde").unwrap();
    let name = file.to_str().unwrap();
    for line in [
        format!("7 pwrite64(5<{name}>, \"\\x78\\x78\\x78\", 3, 1 <unfinished ...>) = ?"),
        format!("7 pwrite64(5<{name}>, \"\\x78\\x78\\x78\", 3, 1 <unfinished ...>\n8 <... pwrite64 resumed>) = 3"),
        format!("7 pwrite64(5<{name}>, \"\\x78\\x78\\x78\", 3, 1 <unfinished ...>\n7 <... pwrite64 resumed>)  = ?"),
    ] {
        fs::write(&trace, line + "\n7 +++ killed by SIGKILL +++\n").unwrap();
        let events = read_trace(&trace);
        let [Event { what: What::Write { path, offset, data, .. }, .. }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!((path, *offset, data.as_slice()), (&file, Some(1), b"bcd".as_slice()));
    }
}

/// Runs the writer under strace until it has acknowledged so many entries, and kills it.
fn record(trace: &Path, folder: &Path, entries: usize) {
    let strace = ["strace", "-f", "-y", "-xx", "-s", "33554432", "-o", trace.to_str().unwrap(), "-e"];
    let calls = format!("trace={CALLS}");
    let wrapper: Vec<&str> = strace.into_iter().chain([calls.as_str(), "--"]).collect();
    let mut command = child::command(&wrapper, folder, 8);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| {
        panic!("the power-cut simulator needs strace ({error}); install it: apt-get install strace, or cargo xtask up")
    });
    let output = BufReader::new(child.stdout.take().unwrap());
    let acks = output.lines().map_while(Result::ok).filter_map(|line| Ack::parse(&line)).take(entries).count();
    // strace kills what it traces when it is killed itself with SIGTERM or SIGINT; the writer is its only child.
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    for pid in children.split_whitespace() {
        std::process::Command::new("kill").args(["-9", pid]).status().unwrap();
    }
    child.wait().unwrap();
    if acks < entries {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut text).unwrap();
        panic!("the traced writer ended after {acks} entries (may ptrace be used here?): {text}");
    }
}

/// A system call that succeeded.
#[derive(Debug)]
struct Event {
    /// How many had ended when it began.
    began: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Open { path: PathBuf, fd: i32, create: bool, truncate: bool },
    Write { path: PathBuf, fd: i32, offset: Option<u64>, data: Vec<u8> },
    Seek { path: PathBuf, fd: i32, offset: u64 },
    Resize { path: PathBuf, length: u64, shrink: bool },
    Sync { path: PathBuf },
    SyncAll,
    Rename { from: PathBuf, to: PathBuf },
    Unlink { path: PathBuf },
    Mkdir { path: PathBuf },
    Say(Ack),
}

/// Puts the events of several traces one after the other.
fn renumber((place, mut event): (usize, Event)) -> Event {
    event.began = place.saturating_sub(event.began);
    event
}

/// Reads a trace, before anything else happens to the files. `began` of an event is how many events ended while it ran.
fn read_trace(path: &Path) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut killed = Vec::new();
    let mut unfinished: HashMap<String, (String, usize)> = HashMap::new();
    for line in BufReader::new(fs::File::open(path).unwrap()).split(b'\n') {
        let line = String::from_utf8(line.unwrap()).unwrap();
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begin) = rest.strip_suffix(" <unfinished ...>").or(rest.strip_suffix("<unfinished ...>")) {
            unfinished.insert(pid.to_owned(), (begin.to_owned(), events.len()));
            continue;
        }
        let (text, began) = match rest.strip_prefix("<... ") {
            Some(rest) => {
                let Some((begin, began)) = unfinished.remove(pid) else { continue };
                let (_, end) = rest.split_once(" resumed>").unwrap();
                (begin + end, began)
            }
            None => (rest.to_owned(), events.len()),
        };
        if text.trim_end().ends_with("= ?") {
            killed.push(text);
        } else if let Some(what) = parse(&text) {
            let during = events.len() - began;
            events.push(Event { began: during, what });
        }
    }
    killed.extend(unfinished.into_values().map(|(begin, _)| begin + ") = ?"));
    events.extend(killed.iter().filter_map(|text| Some(Event { began: 0, what: found(text)? })));
    events
}

/// A write during which the process was killed: its file shows how much of it happened, and the next run finds that.
fn found(text: &str) -> Option<What> {
    let text = text.replace(" <unfinished ...>", "").replace("= ?", "= 2147483647");
    let What::Write { path, fd, offset: Some(offset), data } = parse(&text)? else { return None };
    let bytes = fs::read(&path).ok()?;
    let start = bytes.len().min(offset as usize);
    let end = bytes.len().min(start + data.len());
    Some(What::Write { path, fd, offset: Some(offset), data: bytes[start..end].to_vec() })
}

fn parse(text: &str) -> Option<What> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(") ").or_else(|| rest.rsplit_once(')'))?;
    let result = result.trim_start().strip_prefix("= ")?;
    let digits = result.split(|c: char| !c.is_ascii_digit() && c != '-').next()?;
    let result_number: i64 = digits.parse().ok().filter(|number| *number >= 0)?;
    let arguments = split_arguments(arguments);
    let argument = |place: usize| arguments.get(place).map(String::as_str);
    let file = |place: usize| argument(place).and_then(descriptor);
    let string = |place: usize| argument(place).and_then(quoted);
    let path_string = |place: usize| string(place).map(|bytes| PathBuf::from(String::from_utf8(bytes).unwrap()));
    let number = |place: usize| argument(place).and_then(|word| word.parse::<u64>().ok());
    Some(match name {
        "openat" => {
            let flags = argument(2)?;
            What::Open {
                path: descriptor(result).map(|(_, path)| path)?,
                fd: i32::try_from(result_number).ok()?,
                create: flags.contains("O_CREAT"),
                truncate: flags.contains("O_TRUNC"),
            }
        }
        "pwrite64" | "write" => {
            let (fd, path) = file(0)?;
            let mut data = string(1)?;
            data.truncate(usize::try_from(result_number).ok()?);
            if fd == 1 {
                return Ack::parse(std::str::from_utf8(&data).ok()?.trim_end()).map(What::Say);
            }
            What::Write { path, fd, offset: if name == "write" { None } else { Some(number(3)?) }, data }
        }
        "lseek" => {
            let (fd, path) = file(0)?;
            What::Seek { path, fd, offset: u64::try_from(result_number).ok()? }
        }
        "ftruncate" => What::Resize { path: file(0)?.1, length: number(1)?, shrink: true },
        "fallocate" if !argument(1)?.contains("KEEP_SIZE") => {
            What::Resize { path: file(0)?.1, length: number(2)? + number(3)?, shrink: false }
        }
        "fsync" | "fdatasync" => What::Sync { path: file(0)?.1 },
        "sync" | "syncfs" => What::SyncAll,
        "rename" => What::Rename { from: path_string(0)?, to: path_string(1)? },
        "renameat" | "renameat2" => What::Rename { from: path_string(1)?, to: path_string(3)? },
        "unlink" => What::Unlink { path: path_string(0)? },
        "unlinkat" => What::Unlink { path: path_string(1)? },
        "mkdir" => What::Mkdir { path: path_string(0)? },
        "mkdirat" => What::Mkdir { path: path_string(1)? },
        _ => return None,
    })
}

/// Splits at commas outside quotes and angle brackets.
fn split_arguments(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let (mut quoted, mut angle) = (false, false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            ',' if !quoted && !angle => {
                out.push(String::new());
                continue;
            }
            ' ' if !quoted && !angle && out.last().is_some_and(String::is_empty) => continue,
            _ => {}
        }
        out.last_mut().unwrap().push(c);
    }
    out
}

/// `5</a/path>`, the path plain or in hexadecimal.
fn descriptor(text: &str) -> Option<(i32, PathBuf)> {
    let (fd, rest) = text.split_once('<')?;
    let path = rest.split_once('>')?.0;
    let path = if path.contains("\\x") { String::from_utf8(unescape(path)).ok()? } else { path.to_owned() };
    Some((fd.trim().parse().ok()?, PathBuf::from(path.trim_end_matches(" (deleted)"))))
}

fn quoted(text: &str) -> Option<Vec<u8>> {
    assert!(!text.ends_with("..."), "strace cut a string");
    Some(unescape(text.strip_prefix('"')?.strip_suffix('"')?))
}

fn unescape(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|hex| u8::from_str_radix(&hex[..2], 16).unwrap()).collect()
}

/// What counts as durable.
#[derive(Clone, Copy)]
struct Rules {
    /// Whether syncs of sled's data file count.
    sync_data: bool,
}

/// Files with their names, in memory and on the platter.
#[derive(Default)]
struct Disk {
    root: PathBuf,
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, Named>,
    pending_names: Vec<(usize, Naming)>,
    seeks: HashMap<(PathBuf, i32), u64>,
}

#[derive(Default)]
struct Content {
    durable: Vec<u8>,
    pending: Vec<(usize, Change)>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, data: Vec<u8> },
    Resize { length: u64, shrink: bool },
}

#[derive(Clone, Copy)]
enum Named {
    Folder,
    File(usize),
}

#[derive(Clone)]
enum Naming {
    Add(PathBuf, Named),
    Remove(PathBuf),
    Move(PathBuf, PathBuf),
}

impl Naming {
    fn folder(&self) -> &Path {
        let (Self::Add(path, _) | Self::Remove(path) | Self::Move(_, path)) = self;
        path.parent().unwrap()
    }
}

fn apply(change: &Change, bytes: &mut Vec<u8>) {
    match change {
        Change::Write { offset, data } => {
            let offset = *offset as usize;
            if bytes.len() < offset + data.len() {
                bytes.resize(offset + data.len(), 0);
            }
            bytes[offset..offset + data.len()].copy_from_slice(data);
        }
        Change::Resize { length, shrink } => {
            if *shrink || bytes.len() < *length as usize {
                bytes.resize(*length as usize, 0);
            }
        }
    }
}

fn rename(naming: Naming, names: &mut BTreeMap<PathBuf, Named>) {
    match naming {
        Naming::Add(path, named) => drop(names.insert(path, named)),
        Naming::Remove(path) => drop(names.remove(&path)),
        Naming::Move(from, to) => move_all(names, &from, &to),
    }
}

/// Moves a name, and if it is a folder all names in it.
fn move_all<T>(names: &mut BTreeMap<PathBuf, T>, from: &Path, to: &Path) {
    let moved: Vec<PathBuf> = names.keys().filter(|path| path.starts_with(from)).cloned().collect();
    for path in moved {
        let rest = path.strip_prefix(from).unwrap();
        let target = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
        let named = names.remove(&path).unwrap();
        names.insert(target, named);
    }
}

/// The disk after these events, and what was acknowledged by then.
fn replay(events: &[Event], root: &Path, rules: Rules) -> (Disk, Vec<Ack>) {
    let mut disk = Disk { root: root.to_owned(), ..Disk::default() };
    let mut acks = Vec::new();
    for (now, event) in events.iter().enumerate() {
        match &event.what {
            What::Say(ack) => acks.push(ack.clone()),
            What::Open { path, fd, create, truncate } => {
                if !path.starts_with(root) || path.is_dir() {
                    continue;
                }
                disk.seeks.insert((path.clone(), *fd), 0);
                if let Some(file) = disk.names.get(path) {
                    if *truncate {
                        disk.files[*file].pending.push((now, Change::Resize { length: 0, shrink: true }));
                    }
                } else if *create {
                    disk.files.push(Content::default());
                    let file = disk.files.len() - 1;
                    disk.names.insert(path.clone(), file);
                    disk.pending_names.push((now, Naming::Add(path.clone(), Named::File(file))));
                }
            }
            What::Write { path, fd, offset, data } => {
                let Some(file) = disk.names.get(path) else { continue };
                let offset = offset.unwrap_or_else(|| {
                    let place = disk.seeks.entry((path.clone(), *fd)).or_default();
                    *place += data.len() as u64;
                    *place - data.len() as u64
                });
                disk.files[*file].pending.push((now, Change::Write { offset, data: data.clone() }));
            }
            What::Seek { path, fd, offset } => drop(disk.seeks.insert((path.clone(), *fd), *offset)),
            What::Resize { path, length, shrink } => {
                let Some(file) = disk.names.get(path) else { continue };
                disk.files[*file].pending.push((now, Change::Resize { length: *length, shrink: *shrink }));
            }
            What::Sync { path } => {
                if !rules.sync_data && path.ends_with("ledger/db") {
                    continue;
                }
                disk.sync(path, event.began);
            }
            What::SyncAll => panic!("the writer must not sync the whole machine"),
            What::Rename { from, to } => {
                if from.starts_with(root) {
                    move_all(&mut disk.names, from, to);
                    disk.pending_names.push((now, Naming::Move(from.clone(), to.clone())));
                }
            }
            What::Unlink { path } => {
                if disk.names.remove(path).is_some() {
                    disk.pending_names.push((now, Naming::Remove(path.clone())));
                }
            }
            What::Mkdir { path } => {
                if path.starts_with(root) {
                    disk.pending_names.push((now, Naming::Add(path.clone(), Named::Folder)));
                }
            }
        }
    }
    (disk, acks)
}

impl Disk {
    /// Makes durable what had ended before the sync began.
    fn sync(&mut self, path: &Path, began: usize) {
        if let Some(file) = self.names.get(path) {
            let Content { durable, pending } = &mut self.files[*file];
            pending.retain(|(ended, change)| {
                let covered = *ended < began;
                if covered {
                    apply(change, durable);
                }
                !covered
            });
            return;
        }
        for (ended, naming) in std::mem::take(&mut self.pending_names) {
            if ended < began && naming.folder() == path {
                rename(naming, &mut self.durable_names);
            } else {
                self.pending_names.push((ended, naming));
            }
        }
    }

    /// Writes the picture of the disk into a folder.
    fn draw(mut self, picture: &Path, some_survive: Option<Dice>) {
        if let Some(mut dice) = some_survive {
            for (_, naming) in std::mem::take(&mut self.pending_names) {
                // Names of one folder are journalled in order: once one is lost, the later ones are.
                if dice.below(3) == 0 {
                    break;
                }
                rename(naming, &mut self.durable_names);
            }
            for Content { durable, pending } in &mut self.files {
                for (_, change) in std::mem::take(pending) {
                    let Change::Write { offset, data } = &change else {
                        if dice.below(2) == 0 {
                            apply(&change, durable);
                        }
                        continue;
                    };
                    for (index, piece) in data.chunks(4096).enumerate() {
                        if dice.below(2) == 0 {
                            let offset = offset + 4096 * index as u64;
                            apply(&Change::Write { offset, data: piece.to_vec() }, durable);
                        }
                    }
                }
            }
        }
        if picture.exists() {
            fs::remove_dir_all(picture).unwrap();
        }
        fs::create_dir_all(picture).unwrap();
        for (path, named) in &self.durable_names {
            let target = picture.join(path.strip_prefix(&self.root).unwrap());
            match named {
                Named::Folder => fs::create_dir_all(target).unwrap(),
                Named::File(file) => {
                    // A file whose folder was lost is lost.
                    if target.parent().unwrap().is_dir() {
                        fs::write(target, &self.files[*file].durable).unwrap();
                    }
                }
            }
        }
    }
}
