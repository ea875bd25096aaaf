"""The machine and the versions, in a sentence or two."""

import datetime
import os
import pathlib
import platform
import re
import subprocess

from process import HERE, lua


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=HERE).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def processor():
    found = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return found.group(1) if found else platform.machine()


def package(name):
    return output("dpkg-query", "-Wf", "${Version}", name) or "of unknown version"


def describe():
    commit = output("git", "describe", "--always", "--dirty") or "unknown"
    return (f"{datetime.date.today()}, commit {commit}; {processor()}, {os.cpu_count()} cores, Linux {platform.release()}; "
            f"{output(lua(), '-v').split('  ')[0]}, Prosody {package('prosody')}, lua-event {package('lua-event')}, "
            f"OpenSSL {package('libssl3')}, {output(os.environ.get('GO', 'go'), 'version').removeprefix('go version ')}")
