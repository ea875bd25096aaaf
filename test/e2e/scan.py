"""Run testssl.sh against both backends and put what it says side by side."""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

import authority
import server

BACKENDS = "epoll", "go"
NAME = "scan.example.net"
PORTS = {"c2s direct TLS": "c2s_direct_port", "HTTPS": "https_port"}
# What testssl.sh calls how bad it is; the rest (INFO, OK, ...) is not bad.
BAD = {"WARN": 1, "LOW": 2, "MEDIUM": 3, "HIGH": 4, "CRITICAL": 5, "FATAL": 6}
# Says something about the run, the clock or the certificate, and must differ.
ITS_OWN = re.compile(r"scanTime|engine_problem|cert_(serial|fingerprint|notBefore|notAfter|validity|expiration)"
                     r"|TLS_timestamp|clock_skew|HTTP_clock|cert <|^cert$|rating_|^service$|ip$")


async def start(backend, folder, closing):
    for part in ("certs", "default"):
        (folder / part).mkdir(parents=True)
    issuer = authority.Authority(folder / "authority.pem")
    issuer.issue(folder / "certs", NAME, key="rsa")
    issuer.issue(folder / "default", "default", valid_for=NAME, key="rsa")
    prosody = server.Prosody(
        backend, folder, "tls.cfg.lua.in", ("c2s", "c2s_direct", "s2s", "s2s_direct", "https", "multiplex"),
        {"dns_port": 9, "authority": issuer.file, "hosts": f'"{NAME}"', "by_dialback": "", "connect_timeout": 20})
    closing.push_async_callback(prosody.kill)
    await prosody.start()
    await asyncio.wait_for(prosody.logged("Activated service 'https' on [127.0.0.1]"), 10)
    return prosody


async def scan(prosody, port):
    program = shutil.which("testssl") or shutil.which("testssl.sh") or sys.exit("testssl.sh is not installed")
    report = prosody.folder / f"{port}.json"
    with open(prosody.folder / f"{port}.log", "wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1",
            "--add-ca", str(prosody.folder / "authority.pem"), "--jsonfile", str(report), f"{NAME}:{port}",
            env=os.environ | {"HOME": str(prosody.folder)}, cwd=prosody.folder, stdin=asyncio.subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True, preexec_fn=server.die_with_parent)
        try:
            await asyncio.wait_for(process.wait(), 900)
        finally:
            server.kill_group(process)
    found = {}
    for item in json.loads(report.read_text()):
        text = re.sub(r"\s+", " ", item["finding"].replace(str(port), "PORT")).strip()
        key = item["id"]
        while key in found:  # one id may come several times
            key += "'"
        found[key] = item["severity"], text
    return found


def cell(entry):
    return "(says nothing)" if entry is None else f"{entry[0]}: {entry[1]}".replace("|", "\\|")


def compare(what, found):
    """Print one port's findings; return the ids of those that are worse on go."""
    epoll, go = (found[backend] for backend in BACKENDS)
    ids = [key for key in [*epoll, *(key for key in go if key not in epoll)] if not ITS_OWN.search(key)]
    alike = [key for key in ids if epoll.get(key) == go.get(key)]
    badness = {key: [BAD.get(entry.get(key, ("", ""))[0], 0) for entry in (epoll, go)] for key in ids}
    worse = [key for key in ids if badness[key][1] > badness[key][0]]
    print(f"\n## {what}\n\n{len(alike)} findings alike, {len(ids) - len(alike)} different, {len(worse)} worse on go.")
    print("\n| different | epoll | go | |\n| --- | --- | --- | --- |")
    for key in ids:
        if key not in alike:
            verdict = "**worse**" if key in worse else "better" if badness[key][1] < badness[key][0] else ""
            print(f"| {key} | {cell(epoll.get(key))} | {cell(go.get(key))} | {verdict} |")
    print("\n| alike on both | |\n| --- | --- |")
    for key in alike:
        print(f"| {key} | {cell(epoll[key])} |")
    return worse


async def run(folder):
    worse = []
    async with contextlib.AsyncExitStack() as closing:
        prosodys = [await start(backend, folder / backend, closing) for backend in BACKENDS]
        print("# testssl.sh on both backends")
        for what, port in PORTS.items():
            results = await asyncio.gather(*(scan(prosody, getattr(prosody, port)) for prosody in prosodys))
            worse += compare(what, dict(zip(BACKENDS, results)))
    return worse


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="scan-"))
    try:
        worse = asyncio.run(run(folder))
    except KeyboardInterrupt:
        sys.exit("interrupted")
    finally:
        if os.environ.get("E2E_KEEP"):
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()
