"""The versions of Prosody that scripts/prosody knows."""

import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts/prosody"


def folder(name):
    """Below it are usr/bin/prosody and usr/lib/prosody of the version of that name; it is fetched if need be."""
    found = subprocess.run([SCRIPT, name], stdout=subprocess.PIPE, text=True)
    return pathlib.Path(found.stdout.strip()) if found.returncode == 0 else sys.exit(f"no Prosody {name} here")


def version(root):
    """Of the Prosody below that folder, such as 0.12.3 or 13.0.7."""
    return (root / "usr/lib/prosody/prosody.version").read_text().strip()
