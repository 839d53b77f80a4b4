#!/usr/bin/env python3
"""Runs the conformance suites against a server directly and through a proxy, and compares every single check.

Prints a table and writes `report.json`. Exit code 0: both sides gave the same; 1: they did not, or a side was unsteady,
or the fixture missed its baseline. See README.md for examples.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import peers

SUITES = {
    "0.1-active": ("conformance-0.1", ["--suite", "active"]),
    "0.1-pending": ("conformance-0.1", ["--suite", "pending"]),
    "2025-11-25": ("conformance-0.2", ["--requirements", "2025-11-25"]),
    "2026-07-28": ("conformance-0.2", ["--requirements", "2026-07-28"]),
}
BASELINE = {"0.1-active": (40, 0), "0.1-pending": (4, 0), "2025-11-25": (70, 0), "2026-07-28": (120, 0)}
"""Scored checks that the fixture passes and fails without a proxy."""

LIMIT = 900
"""Seconds that one run of one suite may take."""

STATUSES = ("SUCCESS", "FAILURE", "WARNING", "SKIPPED", "INFO")
WORDS = {"SUCCESS": "passed", "FAILURE": "failed", "WARNING": "warnings", "SKIPPED": "skipped"}
CHANGING = [
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\b\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT"), "TIME"),
    (re.compile(r"(localhost|127\.0\.0\.1):\d+"), "HOST"),
    (re.compile(r'("(?:last-?)?event-?id(?:used)?": )"\d+"', re.IGNORECASE), r'\1"EVENT"'),
    (re.compile(r'("id": )"\d+"'), r'\1"EVENT"'),
    (re.compile(r'(subscriptionId": )\d{13}'), r"\1TIME"),
    (re.compile(r'(inspectedNotificationCount": )[1-9]\d*'), r"\1SOME"),
    (re.compile(r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b"), "ID"),
]
"""What differs from run to run in the details of a check."""

REFUSAL = [
    (re.compile(r'("code": -320(?:20|22),(?: "data": \{[^{}]*\},)? "message": )"(?:[^"\\]|\\.)*"'), r"\1WORDS"),
    (re.compile(r'("code": -32602, "message": )"params\._meta (?:[^"\\]|\\.)*"'), r"\1WORDS"),
]
"""Refusals that a proxy must make itself, in words of its own: headers that contradict the body, a revision that nobody
speaks, a request that does not say its revision. Status, code and data stay."""

EXPECTED = {
    ("dns-rebinding-protection", "localhost-host-rebinding-rejected"): "a proxy refuses a forged host in its own words",
    ("server-sse-polling", "incoming-response"): "headers of a connection are the affair of its two ends",
    ("server-sse-polling", "incoming-sse-event"): "an empty event begins a stream that is taken up before the answer",
}
"""Checks whose details may differ, and why. Their status may not."""

OWN = {
    ("tasks-capability-negotiation", "tasks-extension-advertised"): "Portcullis has tasks of its own, for parked calls",
}
"""Checks that the server alone fails and that pass behind a proxy which has the feature itself, and why."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", action="append", choices=SUITES, help="default: all of them")
    parser.add_argument("--scenario", help="only this one of each suite")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each suite on each side (default 2)")
    parser.add_argument("--direct", metavar="URL", help="server to test (default: the fixture, started here)")
    parser.add_argument("--reference", action="store_true", help="test server-everything instead of the fixture")
    parser.add_argument("--through", metavar="URL", help="the same server behind a proxy that runs already")
    parser.add_argument("--binary", type=pathlib.Path, help="Portcullis to start in front of the server")
    parser.add_argument("--config", type=pathlib.Path, help="its configuration (default: its own)")
    parser.add_argument("--data", type=pathlib.Path, help="its data folder (default: one in the folder for results)")
    parser.add_argument("--fresh", action="store_true", help="start the servers anew for each repeat")
    parser.add_argument("--token", help="bearer token for every request of the suites")
    parser.add_argument("--out", type=pathlib.Path, default=peers.OUT / "run", help="folder for results and logs")
    chosen = parser.parse_args()
    if chosen.through and not chosen.direct:
        parser.error("--through needs --direct: the same server without the proxy")
    if chosen.through and chosen.binary:
        parser.error("--through and --binary exclude each other")
    return chosen


def main():
    chosen = arguments()
    peers.install()
    out = chosen.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    report = {"suites": {}, "same": True}
    names = ["direct"] + (["through"] if chosen.through or chosen.binary else [])
    own = chosen.direct is None and not chosen.reference and chosen.scenario is None
    with contextlib.ExitStack() as stack:
        kept = None if chosen.fresh else start(stack, chosen, out)
        for suite in chosen.suite or SUITES:
            runs = {side: [] for side in names}
            for at in range(chosen.repeat):
                with contextlib.ExitStack() as once:
                    sides = kept or start(once, chosen, out)
                    # Side by side, so that a slow moment of the machine hits both.
                    for side in names:
                        folder = out / suite / f"{side}-{at + 1}"
                        runs[side].append(run(suite, sides[side], folder, chosen.scenario, chosen.token))
            result = judge(suite, runs, BASELINE[suite] if own else None)
            report["suites"][suite] = result
            report["same"] = report["same"] and result["same"]
            show(suite, result)
    (out / "report.json").write_text(json.dumps(report, indent=1))
    print(f"\n{'no difference' if report['same'] else 'NOT THE SAME'}; details in {shown(out / 'report.json')}")
    return 0 if report["same"] else 1


def start(stack, chosen, out):
    """The addresses of both sides; what is not there already is started."""
    direct = chosen.direct
    if direct is None:
        direct = stack.enter_context(peers.reference(out) if chosen.reference else peers.fixture(out))
    through = chosen.through
    if chosen.binary:
        through = stack.enter_context(peers.portcullis(chosen.binary.resolve(), direct, out, chosen.config, chosen.data))
    return {"direct": direct, "through": through}


def run(suite, url, folder, scenario, token):
    """One run of one suite: its checks by scenario, name and number, and how long it took."""
    package, what = SUITES[suite]
    if scenario:
        # The revision stays that of the suite.
        what = ["--scenario", scenario] + (["--spec-version", suite] if "--requirements" in what else [])
    folder.mkdir(parents=True)
    program = peers.PACKAGES / package / "dist/index.js"
    command = [peers.NODE, program, "server", "--url", url, *what, "-o", folder / "results"]
    environment = dict(os.environ)
    if token:
        environment["NODE_OPTIONS"] = f"--import={(peers.HERE / 'token.mjs').as_uri()}"
        environment["CONFORMANCE_TOKEN"] = token
    begin = time.monotonic()
    with (folder / "log").open("wb") as log:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, timeout=LIMIT
            )
            code = done.returncode
        except subprocess.TimeoutExpired:
            code = None
    return {"exit": code, "seconds": round(time.monotonic() - begin, 1), "checks": read(folder / "results")}


def read(results):
    checks = {}
    for file in sorted(results.glob("*/checks.json")):
        scenario = re.sub(r"^server-|-\d{4}-\d\d-\d\dT[\d-]+Z$", "", file.parent.name)
        numbers = {}
        for check in json.loads(file.read_text()):
            name = f"{check['id']} {check.get('name', '')}"
            numbers[name] = number = numbers.get(name, 0) + 1
            checks[scenario, name, number] = {
                "status": check["status"],
                "message": plain(check.get("errorMessage") or ""),
                "details": plain(json.dumps(check.get("details"), sort_keys=True)),
            }
    return checks


def plain(words):
    for pattern, name in CHANGING + REFUSAL:
        words = pattern.sub(name, words)
    return words


def scored(suite):
    """The scenarios that count, if the suite says which; else none, and all count."""
    package, what = SUITES[suite]
    if what[0] != "--requirements":
        return None
    lines = (peers.PACKAGES / package / "requirements" / f"{what[1]}.yaml").read_text().splitlines()
    wanted, inside = set(), False
    for line in lines:
        if line and not line[0].isspace() and not line.startswith("#"):
            inside = line == "server:"
        elif inside and line.startswith("  - "):
            wanted.add(line[4:].strip())
    return wanted


def judge(suite, runs, baseline):
    count = scored(suite)
    counts = {}
    for side, repeats in runs.items():
        counts[side] = []
        for one in repeats:
            total, own = dict.fromkeys(STATUSES, 0), dict.fromkeys(STATUSES, 0)
            for (scenario, _, _), check in one["checks"].items():
                total[check["status"]] += 1
                if count is None or scenario in count:
                    own[check["status"]] += 1
            counts[side].append({"exit": one["exit"], "seconds": one["seconds"], "all": total, "scored": own})
    result = {"counts": counts, "differences": [], "unsteady": [], "details": [], "expected": [], "missed": None}
    every = sorted({key for repeats in runs.values() for one in repeats for key in one["checks"]})
    for key in every:
        seen = {side: [one["checks"].get(key) for one in repeats] for side, repeats in runs.items()}
        compare(key, seen, count is None or key[0] in count, result)
    first = counts["direct"][0]["scored"]
    if baseline and any((one["scored"]["SUCCESS"], one["scored"]["FAILURE"]) != baseline for one in counts["direct"]):
        result["missed"] = f"the fixture has {first['SUCCESS']}/{first['FAILURE']}, not {baseline[0]}/{baseline[1]}"
    if not all(one["checks"] for repeats in runs.values() for one in repeats):
        result["missed"] = "a run brought no checks at all: see its log"
    result["same"] = not (result["differences"] or result["unsteady"] or result["details"] or result["missed"])
    return result


def compare(key, seen, counts, result):
    scenario, name, number = key
    row = {"scenario": scenario, "check": name, "number": number, "scored": counts}
    # What is only told, not checked, may be there or not: the empty event of a stream that is taken up early, for instance.
    known = {side: [check["status"] if check else "absent" for check in all] for side, all in seen.items()}
    known = {side: ["absent" if status == "INFO" else status for status in all] for side, all in known.items()}
    statuses = {side: sorted(set(all)) for side, all in known.items()}
    for side, all in statuses.items():
        if len(all) > 1:
            result["unsteady"].append({**row, "side": side, "statuses": known[side]})
    if "through" not in seen:
        return
    if statuses["direct"] != statuses["through"]:
        own = OWN.get((scenario, name.split()[0]))
        if own and (statuses["direct"], statuses["through"]) == (["FAILURE"], ["SUCCESS"]):
            result["expected"].append({**row, **statuses, "reason": own})
            return
        messages = [check["message"] for check in seen["through"] if check and check["message"]]
        messages = messages or [check["message"] for check in seen["direct"] if check and check["message"]]
        result["differences"].append({**row, **statuses, "message": messages[0] if messages else ""})
        return
    details = {side: {check["details"] for check in all if check} for side, all in seen.items()}
    # What varies without a proxy says nothing about the proxy.
    if len(details["direct"]) == 1 and details["through"] - details["direct"]:
        one = details["direct"].pop()
        other = min(details["through"] - {one})
        reason = EXPECTED.get((scenario, name.split()[0]))
        result["expected" if reason else "details"].append({**row, "direct": one, "through": other, "reason": reason})


def show(suite, result):
    print(f"\n{suite}")
    for side, runs in result["counts"].items():
        for at, one in enumerate(runs, 1):
            own, every = one["scored"], one["all"]
            scored = f"scored {own['SUCCESS']} passed, {own['FAILURE']} failed"
            total = ", ".join(f"{every[status]} {word}" for status, word in WORDS.items())
            print(f"  {side:8} {at}: {scored}; all {total}; exit {one['exit']}, {one['seconds']} s")
    if result["missed"]:
        print(f"  MISSED: {result['missed']}")
    for row in result["unsteady"]:
        print(f"  UNSTEADY {row['side']}: {place(row)}: {' '.join(row['statuses'])}")
    for row in result["differences"]:
        was, now = "/".join(row["direct"]), "/".join(row["through"])
        mark = "" if row["scored"] else " (not scored)"
        print(f"  DIFFERS: {place(row)}{mark}: {was} -> {now}: {row['message'][:160]}")
    for row in result["expected"]:
        print(f"  as expected: {place(row)}: {row['reason']}")
    for row in result["details"]:
        print(f"  DETAILS: {place(row)}: {before_and_after(row)}")


def place(row):
    return f"{row['scenario']}, {row['check']} #{row['number']}"


def before_and_after(row):
    """The place where the two texts part."""
    one, other = row["direct"], row["through"]
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    begin = max(0, at - 40)
    return f"…{one[begin : at + 40]}… -> …{other[begin : at + 40]}…"


def shown(path):
    return os.path.relpath(path)


if __name__ == "__main__":
    sys.exit(main())
