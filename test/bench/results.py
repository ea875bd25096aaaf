"""What a run leaves in build/bench: the table, and the figures that the chart is drawn from."""

import json
import sys

from process import HERE

FOLDER = HERE.parent.parent / "build" / "bench"


def keep(name, lines, rows):
    FOLDER.mkdir(parents=True, exist_ok=True)
    table = FOLDER / f"{name}.md"
    table.write_text("\n".join(lines) + "\n")
    (FOLDER / f"{name}.json").write_text(json.dumps([row.summary() for row in rows], indent=1))
    print(f"kept in {table}", file=sys.stderr)


def table(name):
    return (FOLDER / f"{name}.md").read_text()


def summaries(name):
    return json.loads((FOLDER / f"{name}.json").read_text())
