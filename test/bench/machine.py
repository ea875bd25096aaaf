"""The machine and the versions, in a sentence or two."""

import datetime
import os
import pathlib
import platform
import re
import resource
import subprocess
import time

from process import HERE, PROSODY_LIB, lua


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


def prosody():
    return pathlib.Path(f"{PROSODY_LIB}/prosody.version").read_text().strip()


def describe():
    commit = output("git", "describe", "--always", "--dirty") or "unknown"
    return (f"{datetime.date.today()}, commit {commit}; {processor()}, {os.cpu_count()} cores, Linux {platform.release()}; "
            f"{output(lua(), '-v').split('  ')[0]}, Prosody {prosody()}, lua-event {package('lua-event')}, "
            f"{output('openssl', 'version').split(' (')[0]}, {output(os.environ.get('GO', 'go'), 'version').removeprefix('go version ')}")


def _own_seconds():
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def _busy_seconds():
    user, nice, system, _, _, irq, softirq, steal = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Others:
    """What other processes, and other guests of the same host, take of the processors from now on."""

    def __init__(self):
        self.start, self.used = time.monotonic(), _busy_seconds() - _own_seconds()

    def share(self):
        used = _busy_seconds() - _own_seconds() - self.used
        return max(0, used) / (time.monotonic() - self.start) / os.cpu_count()
