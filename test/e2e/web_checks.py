"""What is claimed of Prosody's web server and web client on this backend, plain and over TLS."""

import asyncio
import contextlib
import hashlib
import http.client
from check_list import Checks, no_errors_logged, same
import json
import random
import shutil
import signal
import socket
import ssl
import struct
import time
import urllib.parse
import xml.etree.ElementTree as ET

import authority
import bosh
import browser
import clients
import memory
import names
import raw_http
import release
import server
import shell
import web
import xmpp_websocket

CHECKS = Checks()
check, checks_of = CHECKS.check, CHECKS.checks_of
WHOLE_RUN_SECONDS = 180
SCHEMES = ("http", "https")
MIB = 1 << 20
UPLOAD = 100 * MIB
UPLOAD_NS = "urn:xmpp:http:upload:0"
LARGE = 200 * MIB
MIDDLE = 40 * MIB
MEMORY_MIB = 48  # that the server may need for what it sends: far less than LARGE
READ_TIMEOUT = 20  # as configured

# Hosts of the web server that Prosody asks -> what is special about their certificates
HOSTS = {
    "good": {},
    "expired": {"expired": True},
    "selfsigned": {"self_signed": True},
    "misnamed": {"valid_for": "another.example.net"},
}


# what there is

def named(kind):
    return f"{kind}.example.net"


async def prepare(world):
    world.names = await names.start({(named(kind), names.A): socket.inet_aton("127.0.0.1") for kind in HOSTS})
    world.closing.callback(world.names.close)
    world.authority = authority.Authority(world.folder / "authority.pem")
    world.trusting = ssl.create_default_context(cafile=world.authority.file)
    world.prosody = server.Prosody(
        world.backend, world.folder, "web.cfg.lua.in", ("c2s", "http", "https"),
        {"dns_port": world.names.port, "authority": world.authority.file})
    world.closing.push_async_callback(world.prosody.kill)
    certificates = world.folder / "certs"
    certificates.mkdir()
    world.authority.issue(certificates, "localhost")
    for kind, traits in HOSTS.items():
        world.authority.issue(certificates, named(kind), **traits)
    world.web = web.WebServer({named(kind): certificates / f"{named(kind)}.pem" for kind in HOSTS})
    world.closing.callback(world.web.close)
    world.large = random.Random(200).randbytes(LARGE)
    world.large_digest = hashlib.sha256(world.large).hexdigest()
    (world.prosody.www / "large.bin").write_bytes(world.large)
    (world.prosody.www / "middle.bin").write_bytes(world.large[:MIDDLE])
    (world.prosody.www / "page.txt").write_text("a page\n")
    (world.prosody.www / "ten.bin").write_bytes(world.large[:10_000])
    shutil.copy(server.HERE / "browser.html", world.prosody.www)
    await world.prosody.start()


def where(world, scheme):
    """Port and TLS context for a scheme."""
    if scheme == "https":
        return world.prosody.https_port, world.trusting
    return world.prosody.http_port, None


def report(text):
    """A figure, for whoever reads along."""
    print(f"    {text}", flush=True)


# start

@check(20)
async def starts(world):
    """prosody starts, and has its users"""
    await world.prosody.logged("Activated service 'https' on")
    await world.prosody.logged(f"Prosody is using the {world.backend} backend for connection handling")
    while not world.prosody.socket.exists():
        await asyncio.sleep(0.05)
    for name in "alice", "bob":
        error, text = await shell.command(world.prosody.socket, f'user:create("{name}@localhost", "{name}\'s password")')
        assert not error, text


def sockets(world):
    """How many are open. Not other files: it is for Lua's garbage collector to close those of downloads that were cut."""
    return sum(file.startswith("socket:") for file in world.prosody.open_files().values())


@check()
async def warms_up(world):
    """a page is fetched, and another is fetched by net.http"""
    for scheme in SCHEMES:
        port, context = where(world, scheme)
        same((await asyncio.to_thread(web.fetch, port, "/files/page.txt", context=context))[:2], (200, 7), scheme)
    await fetches(world, "/page", web.PAGE)  # it has the name looked up, by a library that opens files of its own
    world.sockets_before, since = sockets(world), time.monotonic()
    while time.monotonic() - since < 0.5:
        await asyncio.sleep(0.05)
        if (now := sockets(world)) != world.sockets_before:
            world.sockets_before, since = now, time.monotonic()


@check()
async def idle_websocket(world):
    """a WebSocket is opened that will then be idle"""
    world.idle = await xmpp_websocket.connect(*where(world, "https"))
    world.idle_jid = await xmpp_websocket.log_in(world.idle, "alice")
    world.idle_since, world.idle_from = time.monotonic(), world.prosody.log_size()


# 1. what is asked, byte by byte

@checks_of(SCHEMES)
async def keep_alive(world, scheme):
    """{}: 20 requests, one after the other, on one connection"""
    reader, writer = await raw_http.connect(*where(world, scheme))
    for _ in range(20):
        writer.write(raw_http.request("/files/page.txt"))
        same(await raw_http.answer(reader), (200, b"a page\n"), "answer")
    writer.close()


@checks_of(SCHEMES)
async def pipelined(world, scheme):
    """{}: 40 requests in one piece are answered in order, one of them with 4 MiB, and the last closes"""
    (world.prosody.www / "four.bin").write_bytes(world.large[:4 * MIB])
    reader, writer = await raw_http.connect(*where(world, scheme))
    pages = ["page.txt", "nothing", "four.bin", "ten.bin"] * 10
    pages[6::4] = ["ten.bin"] * 9  # but one of the large ones
    writer.write(b"".join(raw_http.request(f"/files/{page}") for page in pages[:-1])
                 + raw_http.request(f"/files/{pages[-1]}", "1.1", "Connection: close"))
    for page in pages:
        status, body = await raw_http.answer(reader)
        if page == "nothing":
            same(status, 404, page)
        else:
            same((status, body == (world.prosody.www / page).read_bytes()), (200, True), page)
    same(await reader.read(), b"", "after the last answer")
    writer.close()


@checks_of(SCHEMES)
async def in_pieces(world, scheme):
    """{}: a request that comes in pieces is answered"""
    reader, writer = await raw_http.connect(*where(world, scheme))
    request = raw_http.request("/files/page.txt")
    for at in range(0, len(request), 7):
        writer.write(request[at:at + 7])
        await writer.drain()
        await asyncio.sleep(0.01)
    same(await raw_http.answer(reader), (200, b"a page\n"), "answer")
    writer.close()


@check()
async def half_closed(world):
    """an HTTP/1.0 client that has ended its own side gets the whole answer, and the end"""
    for pause in 0, 0.2:
        reader, writer = await raw_http.connect(world.prosody.http_port)
        writer.write(raw_http.request("/files/ten.bin", "1.0"))
        await asyncio.sleep(pause)
        writer.write_eof()
        if world.backend == "epoll" and not pause:
            await reader.read()  # it drops the answer if it sees request and end at once
        else:
            same(await raw_http.answer(reader), (200, world.large[:10_000]), f"answer, end sent after {pause} s")
            same(await reader.read(), b"", "after it")
        writer.close()


# 2. large files

@checks_of(SCHEMES, 40)
async def large_download(world, scheme):
    """mod_http_files sends 200 MiB over {} unchanged, in bounded memory"""
    port, context = where(world, scheme)
    peak, start = memory.Peak(world.prosody.process.pid), time.monotonic()
    got = await asyncio.to_thread(web.fetch, port, "/files/large.bin", context=context)
    report(f"{200 / (time.monotonic() - start):.0f} MiB/s, memory grew by {peak.growth():.1f} MiB")
    same(got, (200, LARGE, world.large_digest), "status, length, hash")
    assert peak.growth() < MEMORY_MIB, f"memory grew by {peak.growth():.0f} MiB"


async def download_slowly(world, scheme, peak):
    reader, writer = await raw_http.connect(*where(world, scheme))
    writer.write(raw_http.request("/files/middle.bin"))
    status, headers = await raw_http.head(reader)
    same((status, int(headers["content-length"])), (200, MIDDLE), "status and length")
    digest = hashlib.sha256(await reader.readexactly(10 * MIB))
    await asyncio.sleep(5)
    assert peak.growth() < MEMORY_MIB, f"{scheme}: memory grew by {peak.growth():.0f} MiB"
    left = MIDDLE - 10 * MIB
    while left:
        chunk = await reader.read(min(left, 1 << 18))
        assert chunk, f"{scheme}: the end, {left} bytes too early"
        digest.update(chunk)
        left -= len(chunk)
    same(digest.hexdigest(), hashlib.sha256(world.large[:MIDDLE]).hexdigest(), f"{scheme}: hash")
    writer.close()


@check(60)
async def slow_download(world):
    """a client that does not read for 5 s in mid-download gets all of it, and costs no memory, plain and over TLS"""
    peak = memory.Peak(world.prosody.process.pid)
    await asyncio.gather(*(download_slowly(world, scheme, peak) for scheme in SCHEMES))
    report(f"memory grew by {peak.growth():.1f} MiB")
    assert peak.growth() < MEMORY_MIB, f"memory grew by {peak.growth():.0f} MiB"


@check()
async def alice_logs_in(world):
    """a slixmpp client logs in"""
    world.alice = clients.Client("alice")
    await world.alice.log_in(world.prosody.c2s_port)


async def slot(world, size):
    """Where to PUT a file, and with what headers."""
    query = world.alice.make_iq_get(ito="upload.localhost")
    query.append(ET.Element(f"{{{UPLOAD_NS}}}request", {"filename": "file.bin", "size": str(size)}))
    put = (await query.send()).xml.find(f".//{{{UPLOAD_NS}}}put")
    headers = {header.get("name"): header.text for header in put}
    return urllib.parse.urlsplit(put.get("url")).path, headers


def put(port, context, path, headers, data):
    with contextlib.closing(web.connect(port, context, timeout=40)) as connection:
        connection.request("PUT", path, data, headers | {"Host": "localhost"})
        return connection.getresponse().status


@checks_of(SCHEMES, 40)
async def upload(world, scheme):
    """mod_http_file_share takes 100 MiB over {} and gives them back unchanged, in bounded memory"""
    port, context = where(world, scheme)
    data = memoryview(world.large)[:UPLOAD]
    path, headers = await slot(world, UPLOAD)
    peak, start = memory.Peak(world.prosody.process.pid), time.monotonic()
    same(await asyncio.to_thread(put, port, context, path, headers, data), 201, "status")
    taken = time.monotonic()
    got = await asyncio.to_thread(web.fetch, port, path, context=context)
    report(f"up {100 / (taken - start):.0f} MiB/s, down {100 / (time.monotonic() - taken):.0f} MiB/s, "
           f"memory grew by {peak.growth():.1f} MiB")
    same(got, (200, UPLOAD, hashlib.sha256(data).hexdigest()), "status, length, hash")
    assert peak.growth() < MEMORY_MIB, f"memory grew by {peak.growth():.0f} MiB"


# 3. many clients, rude clients

@check(40)
async def many_clients(world):
    """200 HTTPS clients at once, 5 requests each over one connection"""
    all_there = asyncio.Barrier(200)

    async def ask():
        reader, writer = await raw_http.connect(*where(world, "https"))
        await all_there.wait()
        for _ in range(5):
            writer.write(raw_http.request("/files/ten.bin"))
            same(await raw_http.answer(reader), (200, world.large[:10_000]), "answer")
        writer.close()

    await asyncio.gather(*(ask() for _ in range(200)))


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def end_without_notice(sock):
    sock.close()  # of TCP, not of TLS


def cut_download(world, end):
    plain = socket.create_connection(("127.0.0.1", world.prosody.https_port), timeout=10)
    sock = world.trusting.wrap_socket(plain, server_hostname="localhost")
    sock.sendall(raw_http.request("/files/large.bin"))
    sock.recv(1 << 16)
    end(sock)


def cut_handshake(world, end):
    sock = socket.create_connection(("127.0.0.1", world.prosody.https_port), timeout=10)
    sock.sendall(bytes.fromhex("1603010200 010001fc 0303"))  # as a hello of 512 bytes begins
    end(sock)


@check(30)
async def abrupt_ends(world):
    """TLS clients that reset or end TCP in a download or in the handshake, 20 of each, disturb nobody"""
    await asyncio.gather(*(
        asyncio.to_thread(cut, world, end)
        for cut in (cut_download, cut_handshake) for end in (reset, end_without_notice) for _ in range(20)))
    same((await asyncio.to_thread(web.fetch, *where(world, "http")[:1], "/files/page.txt"))[0], 200, "status")


def unfinished_uploads(world):
    return [str(file) for file in world.folder.joinpath("data").rglob("*~")]


@check()
async def abrupt_upload(world):
    """an upload over TLS that is cut leaves nothing behind, and may be tried again"""
    path, headers = await slot(world, 20 * MIB)
    plain = socket.create_connection(("127.0.0.1", world.prosody.https_port), timeout=10)
    sock = world.trusting.wrap_socket(plain, server_hostname="localhost")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    sock.sendall(f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {20 * MIB}\r\n{head}\r\n".encode())
    await asyncio.to_thread(sock.sendall, world.large[:12 * MIB])
    while not unfinished_uploads(world):
        await asyncio.sleep(0.05)
    reset(sock)
    while unfinished_uploads(world):
        await asyncio.sleep(0.05)
    status = await asyncio.to_thread(put, *where(world, "https"), path, headers, world.large[:20 * MIB])
    same(status, 201, "status of the second try")


# 4. BOSH and WebSocket

@checks_of(SCHEMES, 25)
async def bosh_session(world, scheme):
    """BOSH over {}: a session is made, holds a request until there is a message or its time is up, and ends"""
    with bosh.Session(lambda: web.connect(*where(world, scheme))) as session:
        created = await asyncio.to_thread(session.log_in, "bob", 2)
        same((created.get("wait"), created.get("hold"), created.get("from")), ("2", "1", "localhost"), "wait, hold, from")
        start = time.monotonic()
        empty = await asyncio.to_thread(session.post)
        same(len(empty), 0, "stanzas when the time is up")
        assert 1.8 < time.monotonic() - start < 8, f"answered after {time.monotonic() - start:.1f} s, not 2"
        for text in "one", "two":
            poll = asyncio.create_task(asyncio.to_thread(session.post))
            await asyncio.sleep(0.3)
            assert not poll.done(), "answered with nothing to say"
            world.alice.send_message(mto=session.jid, mbody=text)
            same(bosh.messages(await poll), [text], "messages")
        poll = asyncio.create_task(asyncio.to_thread(session.post))
        await asyncio.sleep(0.3)
        ended = await asyncio.to_thread(session.post, type="terminate")
        same([body.get("type") for body in (await poll, ended)], ["terminate"] * 2, "types of the last answers")


@checks_of(SCHEMES)
async def bosh_client_gone(world, scheme):
    """BOSH over {}: a client that goes away while its request is held is missed at once"""
    with bosh.Session(lambda: web.connect(*where(world, scheme))) as session:
        await asyncio.to_thread(session.log_in, "bob", 10)
        poll = asyncio.create_task(asyncio.to_thread(session.post))
        await asyncio.sleep(0.3)
        size, start = world.prosody.log_size(), time.monotonic()
        session.connections[session.rid % 2].sock.shutdown(socket.SHUT_WR)
        await world.prosody.logged("BOSH session marked as inactive", size)
        assert time.monotonic() - start < 8, f"only after {time.monotonic() - start:.1f} s"
        with contextlib.suppress(OSError, http.client.HTTPException):
            await poll


@checks_of(SCHEMES)
async def websocket_frames(world, scheme):
    """WebSocket over {}: messages up to 100 KB, pings are answered in order, and so is the close frame"""
    websocket = await xmpp_websocket.connect(*where(world, scheme))
    jid = await xmpp_websocket.log_in(websocket, "bob")
    for size in 1, 125, 126, 65_535, 65_536, 100_000:
        same(await xmpp_websocket.echo(websocket, jid, "x" * size), "x" * size, "message")
    pongs = [await websocket.ping(b"%d" % number) for number in range(20)]
    await asyncio.gather(*pongs)
    await websocket.close(1000)
    same((websocket.close_code, websocket.close_reason), (1000, "Goodbye"), "close frame in answer")


@check(40)
async def browser_starts(world):
    """a browser starts"""
    folder = world.folder / "browser"
    folder.mkdir()
    pin = authority.pin(world.folder / "certs/localhost.pem")
    world.browser = await asyncio.to_thread(browser.Browser, folder, pin)
    world.closing.callback(world.browser.close)


async def in_browser(world, scheme, transport):
    port, _ = where(world, scheme)
    url = f"{scheme}://localhost:{port}/files/browser.html?transport={transport}&name=alice"
    text = await asyncio.to_thread(world.browser.read, url, 20)
    closed = "terminate" if transport == "bosh" else {"code": 1000, "wasClean": True}
    assert text.startswith("{"), text
    same(json.loads(text), {"fromItself": True, "body": "Grüße, 世界 " * 4000, "closed": closed}, "what the page shows")


@checks_of(SCHEMES, 25)
async def browser_websocket(world, scheme):
    """a page in the browser logs in by WebSocket over {} and sends itself a message"""
    await in_browser(world, scheme, "websocket")


@checks_of(SCHEMES, 25)
async def browser_bosh(world, scheme):
    """a page in the browser logs in by BOSH over {} and sends itself a message"""
    await in_browser(world, scheme, "bosh")


@check(25)
async def browser_ends(world):
    """the browser ends"""
    await asyncio.to_thread(world.browser.close)


# 5. Prosody as a client of the web: see modules/mod_e2e_fetch.lua

async def fetched(world, kind, path, **options):
    url = f"https://{named(kind)}:{world.web.port}{path}"
    query = urllib.parse.urlencode({"url": url} | options)

    def ask():
        with contextlib.closing(web.connect(world.prosody.http_port)) as connection:
            connection.request("GET", f"/fetch?{query}", headers={"Host": "localhost"})
            return json.loads(connection.getresponse().read())

    return await asyncio.to_thread(ask)


async def fetches(world, path, body, **options):
    outcome = await fetched(world, "good", path, **options)
    same((outcome["code"], outcome["length"], outcome["sha256"]), (200, len(body), hashlib.sha256(body).hexdigest()),
         f"status, length, hash ({outcome['start']})")


@check()
async def fetch_page(world):
    """net.http fetches 4 MiB over HTTPS"""
    await fetches(world, "/page", web.PAGE)


@check()
async def fetch_chunked(world):
    """net.http fetches 4 MiB in chunks over HTTPS"""
    await fetches(world, "/chunked", web.PAGE)


@check()
async def fetch_cut(world):
    """net.http says so where an HTTPS server ends TCP in mid-answer, without a word of TLS"""
    outcome = await fetched(world, "good", "/cut")
    same((outcome["code"], outcome["start"]), (0, "unexpected-eof"), "status and reason")


@check(25)
async def post_large(world):
    """net.http posts 32 MiB over HTTPS"""
    await fetches(world, "/digest", hashlib.sha256(b"0123456789abcdef" * (2 * MIB)).hexdigest().encode(), post=32 * MIB)


UNTRUSTED = "certificate-chain-invalid" if release.SERIES == 12 else "certificate verify failed"
REFUSED = {"expired": UNTRUSTED, "selfsigned": UNTRUSTED, "misnamed": "certificate-verify-failed"}


@checks_of(REFUSED)
async def fetch_refused(world, kind):
    """net.http refuses an HTTPS server whose certificate is {}, and says why"""
    outcome = await fetched(world, kind, "/page")
    same((outcome["code"], outcome["start"]), (0, REFUSED[kind]), "status and reason")


# the end

@check(READ_TIMEOUT + 10)
async def idle_websocket_pinged(world):
    """the idle WebSocket has been pinged, and is as good as new"""
    await world.prosody.logged("Websocket received frame: opcode=a,", world.idle_from)
    report(f"pinged within {time.monotonic() - world.idle_since:.0f} s")
    same(await xmpp_websocket.echo(world.idle, world.idle_jid, "still here?"), "still here?", "message")


@check(20)
async def leaves_no_connection_open(world):
    """as many sockets are open as before the clients came, and one each for the two who stay"""
    until = time.monotonic() + 10
    while (now := sockets(world)) != world.sockets_before + 2 and time.monotonic() < until:
        await asyncio.sleep(0.1)
    same(now, world.sockets_before + 2, f"sockets ({world.sockets_before} before)")


@check(25)
async def sigterm(world):
    """SIGTERM ends it with status 0, and says so over WebSocket; a download is open"""
    _, writer = await raw_http.connect(*where(world, "https"))
    writer.write(raw_http.request("/files/large.bin"))
    await asyncio.sleep(0.3)
    world.ending = True
    world.prosody.signal(signal.SIGTERM)
    last = [frame async for frame in world.idle]
    assert "system-shutdown" in last[0] and "<close" in last[-1], last
    same(world.idle.close_code, 1000, "code of the close frame")
    same(await asyncio.wait_for(world.prosody.ended(), 20), 0, "exit status")
    writer.close()


check()(no_errors_logged)
