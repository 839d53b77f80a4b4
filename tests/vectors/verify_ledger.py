#!/usr/bin/env python3
"""Verifies an exported ledger with nothing but Python's standard library.

    verify_ledger.py EXPORT.jsonl       exit 0 good, 2 bad, 1 could not check
    verify_ledger.py --vectors FOLDER   checks the golden vectors in FOLDER

Written apart from the Rust verifier, after docs/ledger-format.md, so that the two check each other.
"""
import base64
import hashlib
import json
import pathlib
import sys
import uuid

ZERO = bytes(32)
KINDS = ["decision", "outcome", "refusal", "activation", "approval", "erasure", "trial"]
DOORS = ["inspect", "mcp", "clavenar", "arden", "control"]
PHASES = ["call", "result", "listing", "message"]
MODES = ["enforce", "observe"]
DECISIONS = ["allow", "redact", "review", "deny"]
OUTCOMES = ["answered", "failed", "cancelled", "disconnected", "uncertain"]


class Bad(Exception):
    """The log is not what it claims to be."""


class Unchecked(Exception):
    """The input is not an export."""


class Reader:
    """Reads CBOR in its core deterministic form (RFC 8949 section 4.2.1) and refuses every other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        piece = self.data[self.at:self.at + count]
        if len(piece) != count:
            raise Bad("the entry is cut short")
        self.at += count
        return piece

    def head(self):
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if info < 24:
            return major, info
        if info > 27:
            raise Bad("indefinite or reserved length")
        size = 1 << (info - 24)
        value = int.from_bytes(self.take(size), "big")
        if value < (24 if size == 1 else 1 << (4 * size)):
            raise Bad("an integer is not in its shortest form")
        return major, value

    def peek(self):
        """The major type of what comes next."""
        if self.at >= len(self.data):
            raise Bad("the entry is cut short")
        return self.data[self.at] >> 5

    def expect(self, major, what):
        found, value = self.head()
        if found != major:
            raise Bad(f"{what}: major type {found} instead of {major}")
        return value

    def uint(self, what="integer"):
        return self.expect(0, what)

    def bytes(self, length, what):
        found = self.expect(2, what)
        if found != length:
            raise Bad(f"{what}: {found} bytes instead of {length}")
        return self.take(found)

    def text(self, most, what):
        length = self.expect(3, what)
        if length > most:
            raise Bad(f"{what}: longer than {most} bytes")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Bad(f"{what}: {error}") from error

    def word(self, words, what):
        value = self.uint(what)
        if value >= len(words):
            raise Bad(f"{what}: unknown code {value}")
        return words[value]

    def array(self, what):
        return self.expect(4, what)

    def items(self, what, read):
        count = self.array(what)
        if not 1 <= count <= 64:
            raise Bad(f"{what}: {count} items")
        return [read() for _ in range(count)]

    def digest(self, what):
        return "sha256:" + self.bytes(32, what).hex()

    def uuid(self, what):
        return str(uuid.UUID(bytes=self.bytes(16, what)))

    def reason(self):
        if self.array("reason") != 2:
            raise Bad("reason: not two parts")
        return {"code": self.text(128, "code"), "plugin": self.text(128, "plugin")}

    def finding(self):
        if self.array("finding") != 3:
            raise Bad("finding: not three parts")
        out = {"plugin": self.text(128, "plugin"), "category": self.text(128, "category"), "score": self.uint("score")}
        if out["score"] > 1000:
            raise Bad("score above 1000")
        return out

    def plugin(self):
        parts = self.array("plugin")
        if parts not in (3, 4, 5):
            raise Bad("plugin: not three to five parts")
        out = {"name": self.text(128, "name"), "digest": self.digest("digest"), "fuel": self.uint("fuel")}
        # The fourth part says by its type which of the two it is: text is a fault, bytes are the answers.
        faulty = parts == 5 or (parts == 4 and self.peek() == 3)
        if faulty:
            out["fault"] = self.text(128, "fault")
        if parts == 5 or (parts == 4 and not faulty):
            out["answers"] = self.digest("answers")
        return out


def decode(data):
    """The entry in the bytes, as the JSON form of an entry."""
    if len(data) > 65535:
        raise Bad("longer than 65535 bytes")
    r = Reader(data)
    fields = {
        0: ("schema", r.uint),
        1: ("seq", r.uint),
        2: ("prev", lambda: r.digest("prev")),
        3: ("tenant", lambda: r.text(256, "tenant")),
        4: ("kind", lambda: r.word(KINDS, "kind")),
        5: ("id", lambda: r.uuid("id")),
        6: ("time_ms", r.uint),
        7: ("agent", lambda: r.text(256, "agent")),
        8: ("session", lambda: r.text(256, "session")),
        9: ("door", lambda: r.word(DOORS, "door")),
        10: ("upstream", lambda: r.text(256, "upstream")),
        11: ("tool", lambda: r.text(1024, "tool")),
        12: ("phase", lambda: r.word(PHASES, "phase")),
        13: ("mode", lambda: r.word(MODES, "mode")),
        14: ("decision", lambda: r.word(DECISIONS, "decision")),
        15: ("reasons", lambda: r.items("reasons", r.reason)),
        16: ("findings", lambda: r.items("findings", r.finding)),
        17: ("plugins", lambda: r.items("plugins", r.plugin)),
        18: ("generation", lambda: r.digest("generation")),
        19: ("approval", lambda: r.uuid("approval")),
        20: ("outcome", lambda: r.word(OUTCOMES, "outcome")),
        21: ("duration_ms", r.uint),
        22: ("call", lambda: r.digest("call")),
        23: ("commitment", lambda: r.digest("commitment")),
        24: ("note", lambda: r.text(4096, "note")),
        25: ("reasons_total", r.uint),
        26: ("findings_total", r.uint),
        27: ("plugins_total", r.uint),
    }
    entry, last = {}, -1
    for _ in range(r.expect(5, "entry")):
        key = r.uint("key")
        if key <= last or key not in fields:
            raise Bad(f"key {key} is unknown or out of order")
        last = key
        name, read = fields[key]
        entry[name] = read()
        if name == "schema" and entry["schema"] != 1:
            raise Bad(f"schema {entry['schema']} is not known")
    if r.at != len(data):
        raise Bad("bytes after the entry")
    for name in ("schema", "seq", "prev", "tenant", "kind", "id", "time_ms", "agent", "door", "phase", "mode"):
        if name not in entry:
            raise Bad(f"{name} is missing")
    if not entry["tenant"] or not entry["agent"]:
        raise Bad("tenant or agent is empty")
    for name in ("reasons", "findings", "plugins"):
        kept, total = len(entry.get(name, [])), entry.get(name + "_total")
        if total is not None and not kept < total < 1 << 32:
            raise Bad(f"{name}_total is not larger than the number of {name}")
        entry[name + "_total"] = kept if total is None else total
    return entry


def leaf(data):
    return hashlib.sha256(b"\x00" + data).digest()


class Log:
    """Follows the chain of one tenant."""

    def __init__(self, tenant, seq=0, prev=ZERO):
        self.tenant, self.seq, self.prev, self.count = tenant, seq, prev, 0

    def push(self, data):
        entry = decode(data)
        if entry["tenant"] != self.tenant:
            raise Bad(f"entry {self.seq} belongs to {entry['tenant']!r}")
        if entry["seq"] != self.seq:
            raise Bad(f"entry {self.seq} carries number {entry['seq']}")
        if entry["prev"] != "sha256:" + self.prev.hex():
            raise Bad(f"entry {self.seq} does not name the entry before it")
        self.prev = leaf(data)
        self.seq += 1
        self.count += 1
        return entry

    def end(self, head):
        if head is None:
            if self.count:
                raise Bad("entries, but no head")
            return
        found = {"tenant": self.tenant, "seq": self.seq - 1, "hash": "sha256:" + self.prev.hex()}
        if head != found or not self.count:
            raise Bad(f"the head says {head}, the log ends with {found}")


def verify_export(path):
    """Verifies one export; returns the log."""
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    if lines.pop() != b"" or len(lines) < 2:
        raise Unchecked("the file is cut")
    try:
        rows = [json.loads(line) for line in lines]
        header, rows, last = rows[0], rows[1:-1], rows[-1]
        if header["format"] != "portcullis ledger export" or header["version"] != 1:
            raise Unchecked("not an export of a version that is known here")
        log = Log(header["tenant"], header["from"], bytes.fromhex(header["prev"].removeprefix("sha256:")))
        entries = [base64.b64decode(row["entry"], validate=True) for row in rows]
        head = last["head"]
    except (ValueError, KeyError, TypeError) as error:
        raise Unchecked(f"not an export: {error!r}") from error
    for data in entries:
        log.push(data)
    log.end(head)
    return log


def verify_chain(path):
    """Checks the entries of a file of vectors; returns how many there are."""
    chain = json.loads(path.read_text("utf-8"))
    log = Log("acme")
    for row in chain["entries"]:
        data = bytes.fromhex(row["bytes"])
        entry = log.push(data)
        if entry != row["entry"]:
            raise Bad(f"entry {entry['seq']} reads as {entry}, expected {row['entry']}")
        if row["hash"] != "sha256:" + leaf(data).hex():
            raise Bad(f"entry {entry['seq']} has another hash")
        for bit in range(len(data) * 8):
            spoiled = bytearray(data)
            spoiled[bit // 8] ^= 1 << bit % 8
            if leaf(bytes(spoiled)) == leaf(data):
                raise Bad("a flipped bit does not show")
    log.end(chain["head"])
    return len(chain["entries"])


def verify_vectors(folder):
    """Checks the golden vectors of a folder; returns how many there are."""
    folder = pathlib.Path(folder)
    good = sum(verify_chain(folder / name) for name in ("chain.json", "answers.json"))
    refused = json.loads((folder / "refused.json").read_text("utf-8"))["entries"]
    for row in refused:
        try:
            decode(bytes.fromhex(row["bytes"]))
        except Bad:
            continue
        raise Bad(f"accepted although {row['why']}")
    verify_export(folder / "export.jsonl")
    return good + len(refused)


def main(words):
    if len(words) == 2 and words[0] == "--vectors":
        print(f"good: {verify_vectors(words[1])} vectors")
    elif len(words) == 1 and not words[0].startswith("-"):
        log = verify_export(words[0])
        print(f"good: log of {log.tenant}: {log.count} entries, last {log.seq - 1} sha256:{log.prev.hex()}")
    else:
        raise Unchecked(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Bad as error:
        print(f"BAD: {error}")
        sys.exit(2)
    except (Unchecked, OSError) as error:
        print(f"could not check: {error}", file=sys.stderr)
        sys.exit(1)
