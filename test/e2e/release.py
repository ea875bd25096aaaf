"""Which Prosody is tested: the installed one, or the 13 that scripts/prosody13 unpacks beside a 12."""

import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
INSTALLED = 13 if os.path.exists("/usr/lib/prosody/loader.lua") else 12
WANTED = os.environ.get("PROSODY") or str(INSTALLED)


def _folder():
    if WANTED not in ("12", "13"):
        sys.exit("PROSODY must be 12 or 13")
    if VERSION == INSTALLED:
        return os.path.dirname(shutil.which("prosody") or sys.exit("no prosody in the PATH"))
    if VERSION == 12:
        sys.exit("PROSODY=12: the installed Prosody is a 13")
    found = subprocess.run(HERE.parent.parent / "scripts/prosody13", stdout=subprocess.PIPE, text=True, check=True)
    return f"{found.stdout.strip()}/usr/bin"


VERSION = int(WANTED) if WANTED.isdigit() else None
PROGRAMS = _folder()  # where its prosody and prosodyctl are
