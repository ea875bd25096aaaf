"""What is claimed of the front door: who is behind a proxy, limits on addresses, post-quantum TLS.

Two Prosodys: "behind" is reached through haproxy; "front" has limits, which hold for loopback as well. Each address
below is a peer of its own.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import select
import socket
import statistics
import subprocess
import threading
import time

import authority
from check_list import Checks, same
import haproxy
import light
import raw_http
import server
import shell
import tls_client

CHECKS = Checks(seconds=20)
check, checks_of = CHECKS.check, CHECKS.checks_of
WHOLE_RUN_SECONDS = 150
SKIPPED = {"epoll": "net.server_epoll has no PROXY protocol, no limits on addresses, and its OpenSSL decides on post-quantum groups"}

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROXY, STRANGER = "127.0.0.1", "127.0.0.99"  # the first is trusted
CLIENT = "127.0.0.77"
FLOODER, STALLER, OTHER = "127.0.0.66", "127.0.0.67", "127.0.0.88"
CONNECTIONS, HANDSHAKES = 50, 20  # limits for an address
FLOOD, BURST = 5000, 250  # connections in all at least, and at once
LOGINS = 20  # to be timed without them and with them
REFUSED = "Refused connections or TLS handshakes"
HYBRID, CLASSIC = "X25519MLKEM768", "X25519"
FRONT = """{{ limit_connections_per_address = {connections}; limit_handshakes_per_address = {handshakes};
    limit_exempt = {{}}; tls_post_quantum = {post_quantum} }}"""
BEHIND = '{{ proxy_protocol_ports = {{ {ports} }}; proxy_protocol_trusted = {{ "{trusted}" }} }}'


# what there is

def settings_of_front(post_quantum):
    return FRONT.format(connections=CONNECTIONS, handshakes=HANDSHAKES, post_quantum=post_quantum)


def make_prosody(world, name, settings):
    folder = world.folder / name
    (folder / "certs").mkdir(parents=True)
    prosody = server.Prosody(world.backend, folder, "door.cfg.lua.in", ("c2s", "c2s_v1", "c2s_direct", "http", "https"),
                             {"network_settings": settings})
    world.closing.push_async_callback(prosody.kill)
    world.authority.issue(folder / "certs", "localhost")
    prosody.add_users("localhost", ["ann", "ben"])
    return prosody


async def prepare(world):
    world.authority = authority.Authority(world.folder / "authority.pem")
    world.prosody = world.front = make_prosody(world, "front", settings_of_front("true"))
    # Its ports are known when it is made.
    world.behind = behind = make_prosody(world, "behind", "@PROXIED@")
    proxied = {
        "STARTTLS": (behind.c2s_port, "send-proxy-v2"),
        "STARTTLS, version 1": (behind.c2s_v1_port, "send-proxy"),
        "direct TLS": (behind.c2s_direct_port, "send-proxy-v2"),
        # With a port of its own, though it is the same one, the health check has no header.
        "https": (behind.https_port, f"send-proxy-v2 port {behind.https_port}"),
    }
    ports = ", ".join(str(port) for port, _ in proxied.values())
    replace(behind, "@PROXIED@", BEHIND.format(ports=ports, trusted=PROXY))
    (world.folder / "haproxy").mkdir()
    world.haproxy = haproxy.Haproxy(world.folder / "haproxy", {name.translate(UNSAID): passage for name, passage in proxied.items()})
    world.closing.push_async_callback(world.haproxy.kill)
    await asyncio.gather(world.front.start(), world.behind.start())
    for prosody in world.front, world.behind:
        await opened(prosody)
    await world.haproxy.start()
    await world.haproxy.answers()


UNSAID = str.maketrans(" ", "_", ",")  # haproxy's names have no such characters


def replace(prosody, old, new):
    prosody.config.write_text(prosody.config.read_text().replace(old, new))


async def opened(prosody):
    """The port of the page is one of the last to be opened."""
    while True:
        with contextlib.suppress(OSError, AssertionError):
            return await seen(prosody)
        assert prosody.running(), "\n".join(prosody.last_words())
        await asyncio.sleep(0.05)


# what Prosody sees, and what it counts

async def get(prosody, path):
    reader, writer = await raw_http.connect(prosody.http_port)
    try:
        writer.write(raw_http.request(path))
        status, body = await raw_http.answer(reader)
    finally:
        writer.close()
    same(status, 200, f"status of {path}")
    return body.decode()


async def seen(prosody):
    return json.loads(await get(prosody, "/seen"))


async def until(condition, prosody):
    """Wait until what Prosody sees makes the condition true; return that."""
    while not condition(found := await seen(prosody)):
        await asyncio.sleep(0.05)
    return found


async def session_of(prosody, jid):
    return next(one for one in (await seen(prosody))["sessions"] if one.get("jid") == jid)


async def refused(prosody, limit):
    """From the page of the metrics."""
    found = re.search(rf'^prosody_net_server_go_refused_total{{limit="{limit}"}} (\d+)', await get(prosody, "/metrics"), re.MULTILINE)
    return int(found[1]) if found else 0


async def log_in(world, port, source, direct=False, name="ann", resource="light"):
    client = light.Client(port, name, resource=resource, trusted=world.authority.file, direct=direct, source=source)
    await client.log_in(presence=False)
    return client


# 1. haproxy

@checks_of(("STARTTLS", "STARTTLS, version 1", "direct TLS"))
async def through_haproxy(world, way):
    """a client logs in through haproxy by {}; its session, c2s:show and the log have its address"""
    since = world.behind.log_size()
    client = await log_in(world, world.haproxy.ports[way.translate(UNSAID)], CLIENT, direct=way == "direct TLS")
    try:
        session = await session_of(world.behind, client.jid)
        same((session["ip"], session["conn_ip"]), (CLIENT, CLIENT), "addresses")
        same(session["port"], client.stream.socket.getsockname()[1], "port")
        assert session["protocol"] == "TLSv1.3", session
        error, text = await shell.command(world.behind.socket, 'c2s:show(nil, "jid ip")')
        rows = [line for line in shell.plain(text).splitlines() if "ann@localhost" in line]
        assert not error and len(rows) == 1 and CLIENT in rows[0], text
        lines = [line for line in world.behind.log_text(since).splitlines() if "New connection" in line and CLIENT in line]
        same(len(lines), 1, "log lines on the new connection")
    finally:
        await client.log_out()


@check()
async def page_through_haproxy(world):
    """a page by https through haproxy; mod_http has the client's address"""
    def fetch():
        with tls_client.Connection(world.haproxy.ports["https"], world.authority.file, "localhost", source=CLIENT) as connection:
            return connection.get("localhost", "/seen")
    status, body = await asyncio.to_thread(fetch)
    same((status, json.loads(body)["ip"]), ("HTTP/1.1 200 OK", CLIENT), "status and address")


@check()
async def health_checks(world):
    """haproxy's health checks succeed, with a header (LOCAL) and without one; nothing is refused, nothing stays, the log has no error"""
    await asyncio.sleep(1)  # five more
    for name, row in (await world.haproxy.servers()).items():
        same((row["status"], row["check_status"], row["chkfail"]), ("UP", "L4OK", "0"), f"what haproxy says of {name}")
    await until(lambda found: not found["sessions"] and found["open"] <= 1 + len(world.haproxy.ports), world.behind)
    same(await refused(world.behind, "proxy_protocol"), 0, "refused")
    no_errors(world.behind)


def no_errors(prosody):
    errors = [line for line in prosody.log_text().splitlines() if "\terror\t" in line]
    assert not errors, "\n".join(errors[:20])


async def ending(port, source, data):
    """How a connection that sends this is ended."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        with contextlib.closing(writer):
            writer.write(data)
            return await reader.read() or "the end"
    except ConnectionResetError:  # asyncio may see it before it says that there is a connection
        return "a reset"


async def each_is_reset(world, source, data):
    before = await refused(world.behind, "proxy_protocol")
    ports = [world.behind.c2s_port, world.behind.c2s_v1_port, world.behind.c2s_direct_port, world.behind.https_port]
    for port in ports:
        same(await ending(port, source, data), "a reset", f"port {port}")
    same(await refused(world.behind, "proxy_protocol") - before, len(ports), "refused, by the metrics")


@check()
async def header_of_a_stranger(world):
    """a header from an address that is not trusted: a reset, and a warning that names the address"""
    since = world.behind.log_size()
    await each_is_reset(world, STRANGER, b"PROXY TCP4 127.0.0.78 127.0.0.1 40000 5222\r\n")
    await world.behind.logged(f"{REFUSED}, by the limit: proxy_protocol_ports 1; from 1 addresses, most from {STRANGER}", since)
    assert "127.0.0.78" not in world.behind.log_text(since), "it was believed"


@check()
async def no_header(world):
    """no header, though the address is trusted: a reset, and the log says so"""
    since = world.behind.log_size()
    await each_is_reset(world, PROXY, tls_client.STREAM.format("localhost").encode())
    await world.behind.logged(f"PROXY protocol from {PROXY}: no header", since)


# 2. limits

class Flood:
    """Connections from one address; those that are not refused stay open."""

    def __init__(self, port, source):
        self.port, self.source = port, source
        self.open = []
        self.made = 0
        self.enough = threading.Event()

    def burst(self, count):
        """Open so many, and wait until all are refused but as many as the limit allows."""
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            sock.bind((self.source, 0))
            sock.connect_ex(("127.0.0.1", self.port))
            self.open.append(sock)
        self.made += count
        deadline = time.monotonic() + 10
        while len(self.open) > CONNECTIONS:
            assert time.monotonic() < deadline, f"{len(self.open)} of {self.made} connections are not refused"
            self._drop_refused()

    def _drop_refused(self):
        poll = select.poll()
        by_number = {sock.fileno(): sock for sock in self.open}
        for number in by_number:
            poll.register(number, select.POLLIN)
        for number, _ in poll.poll(100):
            by_number.pop(number).close()
        self.open = list(by_number.values())

    def run(self, count):
        """So many connections, and more until enough is seen."""
        while self.made < count or not self.enough.is_set():
            self.burst(BURST)

    def close(self):
        for sock in self.open:
            sock.close()
        self.open = []


async def timed_login(world):
    start = time.monotonic()
    client = await log_in(world, world.front.c2s_port, OTHER)
    took = time.monotonic() - start
    await client.log_out()
    return took


@check(60)
async def flood(world):
    """5,000 connections from one address, of which 50 stay: others log in, the metrics count, the log has one line"""
    since = world.front.log_size()
    before = [await timed_login(world) for _ in range(LOGINS)]
    many = Flood(world.front.c2s_port, FLOODER)
    try:
        flooding = asyncio.ensure_future(asyncio.to_thread(many.run, FLOOD))
        during, most = [], 0
        while not flooding.done():
            during.append(await timed_login(world))
            await asyncio.sleep(0.02)  # leave the processors to the flood
            most = max(most, (await seen(world.front))["open"])
            if len(during) >= LOGINS:
                many.enough.set()
        await flooding
        print(f"# login, median: {statistics.median(before) * 1e3:.0f} ms before ({len(before)}), "
              f"{statistics.median(during) * 1e3:.0f} ms meanwhile ({len(during)}); "
              f"of {many.made} connections at most {most} were open", flush=True)
        same(len(many.open), CONNECTIONS, "connections of the flood that are open")
        assert most <= CONNECTIONS + 5, f"{most} connections open"  # others: a login, the page, one of each that ends
        same(await refused(world.front, "connections_per_address"), many.made - CONNECTIONS, "refused")
        lines = world.front.log_text(since).splitlines()
        same(len([line for line in lines if REFUSED in line]), 1, "log lines on what was refused")
        known = [line for line in lines if FLOODER in line]
        assert len(known) <= 3 * CONNECTIONS, f"{len(known)} log lines with the address"
    finally:
        many.enough.set()
        many.close()


@check()
async def after_the_flood(world):
    """when its connections are gone, that address logs in again"""
    await until(lambda found: not any(one["ip"] == FLOODER for one in found["sessions"]), world.front)
    client = await log_in(world, world.front.c2s_port, FLOODER)
    await client.log_out()


async def stall(world, starttls):
    """A connection whose server waits for a client hello."""
    port = world.front.c2s_port if starttls else world.front.c2s_direct_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(STALLER, 0))
    if starttls:
        writer.write(tls_client.STREAM.format("localhost").encode() + b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await reader.readuntil(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    return reader, writer


async def ends(reader):
    with contextlib.suppress(ConnectionResetError):
        same(await reader.read(), b"", "what comes")


@check()
async def unfinished_handshakes(world):
    """20 unfinished handshakes of one address, by STARTTLS and direct TLS: the next one ends, others log in"""
    before = await refused(world.front, "handshakes_per_address")
    stalled = []
    try:
        for n in range(HANDSHAKES):
            stalled.append(await stall(world, starttls=n % 2 == 0))
        for starttls in False, True:
            reader, writer = await stall(world, starttls)
            await ends(reader)
            writer.close()
        same(await refused(world.front, "handshakes_per_address") - before, 2, "refused")
        for direct in False, True:
            port = world.front.c2s_direct_port if direct else world.front.c2s_port
            await (await log_in(world, port, OTHER, direct)).log_out()
        assert not any(reader.at_eof() for reader, _ in stalled), "one of the 20 has ended"
    finally:
        for _, writer in stalled:
            writer.close()
    await (await log_in_at_last(world)).log_out()


async def log_in_at_last(world):
    """The server notices at its own time that the others have gone."""
    while True:
        with contextlib.suppress(OSError, light.Ended):
            return await log_in(world, world.front.c2s_port, STALLER)
        await asyncio.sleep(0.05)


# 3. post-quantum TLS

async def same_group(world, group, program, *args):
    """Run a client that stays until its input ends: it says that this is the group of its connection, and Prosody says so too."""
    await until(lambda found: not found["sessions"], world.front)
    process = await asyncio.create_subprocess_exec(
        program, *args, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        start_new_session=True, preexec_fn=server.die_with_parent)
    said = b""
    try:
        while group.encode() not in said:
            data = await process.stdout.read(1 << 12)
            assert data, said.decode()
            said += data
        found = await until(lambda found: any(one.get("group") for one in found["sessions"]), world.front)
        same([one["group"].upper() for one in found["sessions"]], [group], f"group with {program}")
    finally:
        server.kill_group(process)
        await process.wait()


async def same_groups(world, of_go, of_openssl):
    trusted, address = str(world.authority.file), f"127.0.0.1:{world.front.c2s_port}"
    await same_group(world, of_go, world.go_client, address, "localhost", trusted)
    await same_group(world, of_openssl, "openssl", "s_client", "-starttls", "xmpp", "-xmpphost", "localhost", "-connect", address,
                     "-CAfile", trusted, "-verify_return_error")


@check(60)
async def post_quantum(world):
    """with Go's client by X25519MLKEM768, with an older openssl by X25519: Prosody's own curveslist is in force"""
    world.go_client = await asyncio.to_thread(build_go_client, world.folder)
    await same_groups(world, HYBRID, newest_of_openssl())


def build_go_client(folder):
    go = os.environ.get("GO") or subprocess.run([ROOT / "scripts/need-go"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    program = folder / "go_client"
    subprocess.run([go, "build", "-o", program, "./test/e2e/go_client"], cwd=ROOT, check=True)
    return program


def newest_of_openssl():
    """OpenSSL has X25519MLKEM768 since 3.5."""
    text = subprocess.run(["openssl", "version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    major, minor = re.match(r"OpenSSL (\d+)\.(\d+)", text).groups()
    return HYBRID if (int(major), int(minor)) >= (3, 5) else CLASSIC


@check()
async def no_post_quantum(world):
    """after a reload with tls_post_quantum = false: X25519 with both"""
    replace(world.front, settings_of_front("true"), settings_of_front("false"))
    error, text = await shell.command(world.front.socket, "config:reload()")
    assert not error, text
    await same_groups(world, CLASSIC, CLASSIC)


@check()
async def no_errors_logged(world):
    """the log of neither Prosody has a line of level error"""
    for prosody in world.front, world.behind:
        no_errors(prosody)
