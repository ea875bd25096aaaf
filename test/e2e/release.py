"""Which Prosody is tested: the one of the name in PROSODY (default: the installed one)."""

import os

import prosodys

ROOT = prosodys.folder(os.environ.get("PROSODY") or "installed")
PROGRAMS = str(ROOT / "usr/bin")  # where its prosody and prosodyctl are
LIB = str(ROOT / "usr/lib/prosody")
VERSION = prosodys.version(ROOT)
SERIES = 12 if VERSION.startswith("0.12.") else 13
