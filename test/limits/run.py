#!/usr/bin/env python3
"""Load the module under limits of the host: it serves, or require says which limit.

    run.py nproc FROM-TO [--processors 2,16,64] [--seconds 2]    RLIMIT_NPROC
    run.py pids  FROM-TO ...                                     pids.max of a cgroup, version 1 or 2
    run.py as    FROM-TO[:STEP] ...                              RLIMIT_AS, in MB
    run.py data  FROM-TO[:STEP] ...                              RLIMIT_DATA, in MB
    run.py files FROM-TO ...                                     RLIMIT_NOFILE
    run.py short                                                 some of each, for test/run

Each limit is tried with 50 TLS logins at once, then as many seconds of load. To
limit tasks, root is needed: the server runs as a user that has no others.
"""
import argparse
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
CPATH = f"{HERE.parent.parent}/build/?.so"
USER = 61234  # nobody's
AT_ONCE = 50
REFUSED = {"nproc": "RLIMIT_NPROC is", "pids": "pids.max is", "as": "RLIMIT_AS allows",
           "data": "RLIMIT_DATA allows", "files": "RLIMIT_NOFILE is"}
MOST_THREADS = 16


def make_pem(folder):
    """A self-signed certificate and its key, for the server's user."""
    pem = f"{folder}/server.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
                    "-keyout", f"{folder}/key", "-out", f"{folder}/crt"], check=True, capture_output=True)
    pathlib.Path(pem).write_text(pathlib.Path(f"{folder}/crt").read_text() + pathlib.Path(f"{folder}/key").read_text())
    os.chmod(folder, 0o755)
    os.chmod(pem, 0o644)
    return pem


class Cgroup:
    """A cgroup whose pids.max is set, and into which a process goes."""

    def __init__(self):
        for root in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
            self.path = pathlib.Path(root, "server_go_limits")
            try:
                self.path.mkdir(exist_ok=True)
                if (self.path / "pids.max").exists():
                    return
                self.path.rmdir()
            except OSError:
                pass
        raise SystemExit("no cgroup with pids.max can be made here")

    def limit(self, n):
        (self.path / "pids.max").write_text(str(n))

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self):
        for _ in range(100):
            try:
                return self.path.rmdir()
            except OSError:
                time.sleep(0.05)


def start(kind, limit, processors, pem, cgroup):
    command = ["lua5.4", f"{HERE}/server.lua", CPATH, pem]
    enter = None
    if kind == "nproc":
        command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
                   "prlimit", f"--nproc={limit}"] + command
    elif kind == "pids":
        cgroup.limit(limit)
        enter = cgroup.enter
    elif kind in ("as", "data"):
        command = ["prlimit", f"--{kind}={limit << 20}"] + command
    elif kind == "files":
        command = ["prlimit", f"--nofile={limit}"] + command
    return subprocess.Popen(command, env=dict(os.environ, GOMAXPROCS=str(processors)), text=True, preexec_fn=enter,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def login(port, messages=1):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 20) as plain, context.wrap_socket(plain) as s:
        for _ in range(messages):
            s.sendall(b"x" * 1000)
            got = 0
            while got < 1000:
                data = s.recv(1000)
                if not data:
                    raise OSError("closed")
                got += len(data)


def at_once(port, n, action):
    """Runs action n times at once; returns what went wrong."""
    errors = []

    def run():
        try:
            action()
        except OSError as e:
            errors.append(repr(e))
    threads = [threading.Thread(target=run) for _ in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return errors


def load(port, seconds):
    until = time.monotonic() + seconds

    def clients():
        while time.monotonic() < until:
            login(port, 20)
    return at_once(port, 12, clients)


def threads_of(pid):
    return int(re.search(r"Threads:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def serve(server, kind, port, seconds):
    """What is wrong with a server that has started; None if nothing is."""
    errors = at_once(port, AT_ONCE, lambda: login(port)) if kind != "files" else []
    errors += load(port, seconds) if kind != "files" else []
    if kind == "files":
        time.sleep(0.3)  # it cannot serve many, and needs none to find out that it is short of them
    if server.poll() is None and threads_of(server.pid) > MOST_THREADS:
        errors.append(f"{threads_of(server.pid)} threads")
    server.send_signal(signal.SIGTERM)
    try:
        out, err = server.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        server.kill()
        return "it hangs"
    if server.returncode != 0 or err:
        return f"status {server.returncode}: {err[:500]}"
    return errors[0] if errors else None


def attempt(kind, limit, processors, seconds, pem, cgroup):
    """Returns "refused" or "serves", and what is wrong or None."""
    server = start(kind, limit, processors, pem, cgroup)
    word, _, rest = server.stdout.readline().strip().partition(" ")
    if word == "port":
        return "serves", serve(server, kind, int(rest), seconds)
    out, err = server.communicate(timeout=30)
    if word == "refused" and server.returncode == 0 and not err and REFUSED[kind] in rest:
        return "refused", None
    # So little that Lua itself does not start: no matter of ours.
    if kind in ("as", "data", "files") and not re.search(r"server|fatal|runtime", rest + err):
        return "nothing runs", None
    return "fails", f"status {server.returncode}: {rest} {err[:500]}"


def sweep(kind, limits, processors, seconds, pem):
    cgroup = Cgroup() if kind == "pids" else None
    failed = 0
    for p in processors:
        seen = []
        for limit in limits:
            outcome, wrong = attempt(kind, limit, p, seconds, pem, cgroup)
            if wrong:
                failed += 1
                print(f"{kind} {limit}, GOMAXPROCS {p}: {outcome}, but {wrong}", flush=True)
            if not seen or seen[-1][0] != outcome:
                seen.append([outcome, limit, limit])
            seen[-1][2] = limit
        print(f"{kind}, GOMAXPROCS {p}:", ", ".join(f"{a} to {b} {o}" for o, a, b in seen), flush=True)
    if cgroup:
        cgroup.remove()
    return failed


def parse_range(text):
    ends, _, step = text.partition(":")
    first, _, last = ends.partition("-")
    return range(int(first), int(last or first) + 1, int(step or 1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=[*REFUSED, "short"])
    parser.add_argument("limits", nargs="?", default="1-40", type=parse_range)
    parser.add_argument("--processors", default="2,16,64")
    parser.add_argument("--seconds", type=float, default=2)
    a = parser.parse_args()
    processors = [int(p) for p in a.processors.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        pem = make_pem(folder)
        if a.kind != "short":
            return sweep(a.kind, a.limits, processors, a.seconds, pem)
        failed = 0
        if os.getuid() == 0:
            failed += sweep("nproc", (1, 2, 3, 6, 7, 10, 11, 12, 16), [2, 64], 0.3, pem)
        else:
            print("nproc: not tried, because that takes root")
        failed += sweep("as", range(200, 1801, 200), [2], 0.3, pem)
        failed += sweep("data", range(64, 513, 112), [2], 0.3, pem)
        failed += sweep("files", range(3, 24, 2), [2], 0, pem)
        return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
