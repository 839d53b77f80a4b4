"""Checks a chain of Clavenar's version 1 by the written rule, with nothing but the standard library: python
clavenar_chain.py FILE.sqlite. Prints one JSON object: the rows, what the check came to, and what it comes to after each of
some changes to a copy."""
import hashlib
import json
import sqlite3
import sys
import uuid
from datetime import datetime

HASHED = ("id", "timestamp", "agent_id", "method", "intent_category", "authorized", "reasoning", "policy_decision", "seq",
          "prev_hash")
TABLES = ["entries", "pendings", "server_execution_outbox", "server_executions"]


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def entry_hash(row):
    members = {name: row[name] for name in HASHED}
    # The text is kept with +00:00 and hashed with Z; fractions have 0, 3, 6 or 9 digits.
    datetime.fromisoformat(row["timestamp"])
    assert row["timestamp"].endswith("+00:00"), row["timestamp"]
    members["timestamp"] = row["timestamp"].removesuffix("+00:00") + "Z"
    members["authorized"] = bool(row["authorized"])
    decision = row["policy_decision"]
    members["policy_decision"] = None if decision is None else json.loads(compact_sorted(json.loads(decision)))
    return hashlib.sha256(f"{row['prev_hash']}|{compact(members)}".encode()).hexdigest()


def compact_sorted(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def verify(database):
    database.row_factory = sqlite3.Row
    previous, count = "0" * 64, 0
    for row in database.execute("SELECT * FROM entries ORDER BY seq ASC"):
        if row["chain_version"] != 1:
            return {"valid": False, "entries_checked": count, "unsupported_chain_version": row["chain_version"]}
        if row["prev_hash"] != previous or entry_hash(row) != row["entry_hash"]:
            return {"valid": False, "entries_checked": count, "first_invalid_seq": row["seq"]}
        previous, count = row["entry_hash"], count + 1
    return {"valid": True, "entries_checked": count, "first_invalid_seq": None}


def tampered(database, *statements):
    copy = sqlite3.connect(":memory:")
    database.backup(copy)
    for statement in statements:
        assert copy.execute(statement).rowcount > 0, statement
    return verify(copy)


def main():
    database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")]
    assert tables == TABLES, tables
    result = verify(database)
    rows = [dict(row) for row in database.execute("SELECT * FROM entries ORDER BY seq")]
    for row in rows:
        assert uuid.UUID(row["id"]).version == 4 and str(uuid.UUID(row["id"])) == row["id"], row["id"]
        row["policy_decision"] = json.loads(row["policy_decision"])
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    changes = {
        "reasoning": ["UPDATE entries SET reasoning = reasoning || '.' WHERE seq = 3"],
        "authorized": ["UPDATE entries SET authorized = 1 - authorized WHERE seq = 2"],
        "agent": ["UPDATE entries SET agent_id = 'somebody' WHERE seq = 1"],
        "time": ["UPDATE entries SET timestamp = '2001-01-01T00:00:00+00:00' WHERE seq = 4"],
        "policy_decision": ["UPDATE entries SET policy_decision = '{\"allow\":true}' WHERE seq = 2"],
        "a row less": ["DELETE FROM entries WHERE seq = 2"],
        "two rows swapped": ["UPDATE entries SET seq = -1 WHERE seq = 2", "UPDATE entries SET seq = 2 WHERE seq = 3",
                             "UPDATE entries SET seq = 3 WHERE seq = -1"],
        "its own hash": ["UPDATE entries SET entry_hash = prev_hash WHERE seq = 3"],
        "another version": ["UPDATE entries SET chain_version = 9 WHERE seq = 3"],
    }
    after = {name: tampered(database, *statements) for name, statements in changes.items()}
    print(json.dumps({"result": result, "rows": rows, "after": after}))


main()
