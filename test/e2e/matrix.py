#!/usr/bin/env python3
"""Every part of the test (but the soak) on each Prosody, on epoll and on go; the outcomes as tables in Markdown:

    test/e2e/matrix.py [PART...]

PROSODY     the Prosodys, by the names that scripts/prosody knows (default: installed 13.0.1 newest)
BACKEND     the backends (default: epoll go)
E2E_LOGS    the folder for what each run says (default: build/e2e)

The last table has the sums. A part may skip a backend, and says why. The exit status is 0 if each other run came
to its end and no check failed.
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys

import main
import prosodys

HERE = pathlib.Path(__file__).resolve().parent
LOGS = pathlib.Path(os.environ.get("E2E_LOGS") or HERE.parent.parent / "build/e2e")
NAMES = (os.environ.get("PROSODY") or "installed 13.0.1 newest").split()
BACKENDS = (os.environ.get("BACKEND") or "epoll go").split()
RUN_SECONDS = 400
OUTCOME = re.compile(r"(ok|not ok) - (.*) \([0-9.]+ s\)")
SUM = re.compile(r"[0-9]+ passed, [0-9]+ failed|skipped: .+")


def run(part, version, backend):
    """Run one part; return the outcome of each check, and whether it came to its end."""
    log = LOGS / f"{part}-{version}-{backend}.log"
    environment = os.environ | {"PROSODY": version, "BACKEND": backend}
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


def table(first, columns, rows):
    """A row is its name and a cell for each column."""
    yield f"| {first} | " + " | ".join(f"{version}, {backend}" for version, backend in columns) + " |"
    yield "| --- |" + " --- |" * len(columns)
    for name, cells in rows:
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""


def checks_of(outcomes):
    """One row for each check, in the order in which they were tried."""
    for check in dict.fromkeys(check for found in outcomes for check in found):
        yield check, [found.get(check, "-") for found in outcomes]


def sums_of(results):
    """One row for each part: how many of the checks that were tried have passed."""
    for part, outcomes in results.items():
        passed = [sum(word == "ok" for word in found.values()) for found, _ in outcomes]
        yield part, [(f"{good} of {len(found)}" if found else "-") + ("" if complete else ", no end")
                     for good, (found, complete) in zip(passed, outcomes)]


def main_program():
    parts = sys.argv[1:] or [part for part in main.PARTS if part != "soak"]
    versions = dict.fromkeys(prosodys.version(prosodys.folder(name)) for name in NAMES)
    columns = [(version, backend) for version in versions for backend in BACKENDS]
    LOGS.mkdir(parents=True, exist_ok=True)
    results = {part: [run(part, *column) for column in columns] for part in parts}
    for part, outcomes in results.items():
        print(*table(part, columns, checks_of([found for found, _ in outcomes])), sep="\n")
    print(*table("passed", columns, sums_of(results)), sep="\n")
    good = all(complete and set(found.values()) <= {"ok"} for outcomes in results.values() for found, complete in outcomes)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main_program()
