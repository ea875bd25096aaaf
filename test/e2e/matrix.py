#!/usr/bin/env python3
"""Every part of the test (but the soak) on Prosody 12 and 13, each on epoll and on go; a table of the outcomes in Markdown:

    test/e2e/matrix.py [PART...]

PROSODY     only that one: 12 or 13
BACKEND     only that one: epoll or go
E2E_LOGS    the folder for what each run says (default: build/e2e)

The exit status is 0 if each run came to its end and no check failed.
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys

import main
import release

HERE = pathlib.Path(__file__).resolve().parent
LOGS = pathlib.Path(os.environ.get("E2E_LOGS") or HERE.parent.parent / "build/e2e")
VERSIONS = [release.VERSION] if "PROSODY" in os.environ else sorted({release.INSTALLED, 13})
BACKENDS = os.environ.get("BACKEND", "epoll go").split()
COLUMNS = [(version, backend) for version in VERSIONS for backend in BACKENDS]
RUN_SECONDS = 400
OUTCOME = re.compile(r"(ok|not ok) - (.*) \([0-9.]+ s\)")
SUM = re.compile(r"[0-9]+ passed, [0-9]+ failed")


def run(part, version, backend):
    """Run one part; return the outcome of each check, and whether it came to its end."""
    log = LOGS / f"{part}-{version}-{backend}.log"
    environment = os.environ | {"PROSODY": str(version), "BACKEND": backend}
    with open(log, "w") as file, contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run([HERE / "run", part], stdout=file, stderr=subprocess.STDOUT, env=environment, timeout=RUN_SECONDS)
    lines = log.read_text().splitlines()
    complete = bool(lines) and bool(SUM.fullmatch(lines[-1]))
    found = [OUTCOME.fullmatch(line) for line in lines]
    outcomes = {match[2]: match[1] for match in found if match}
    report(f"{part} on {version}, {backend}: {lines[-1] if complete else 'came to no end'}")
    if not complete or "not ok" in outcomes.values():
        report(*(line for line in lines if not line.startswith("ok - ")))
    return outcomes, complete


def report(*lines):
    print(*lines, sep="\n", file=sys.stderr, flush=True)


def table(part, outcomes):
    """One row for each check, in the order in which they were tried."""
    checks = dict.fromkeys(check for found in outcomes for check in found)
    yield f"| {part} | " + " | ".join(f"{version}, {backend}" for version, backend in COLUMNS) + " |"
    yield "| --- |" + " --- |" * len(COLUMNS)
    for check in checks:
        yield f"| {check} | " + " | ".join(found.get(check, "-") for found in outcomes) + " |"
    passed = (sum(word == "ok" for word in found.values()) for found in outcomes)
    yield f"| **passed of {len(checks)}** | " + " | ".join(map(str, passed)) + " |\n"


def main_program():
    parts = sys.argv[1:] or [part for part in main.PARTS if part != "soak"]
    LOGS.mkdir(parents=True, exist_ok=True)
    good, tables = True, []
    for part in parts:
        results = [run(part, *column) for column in COLUMNS]
        outcomes = [found for found, _ in results]
        tables += table(part, outcomes)
        good = good and all(complete and set(found.values()) == {"ok"} for found, complete in results)
    print("\n".join(tables))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main_program()
