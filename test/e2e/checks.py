"""What is claimed of Prosody on this backend, one function for each claim, in the order in which they are tried.

A check takes the World and raises if the claim does not hold. Its docstring is the line that is printed.
"""

import asyncio
import hashlib
import json
import random
import signal
import time

from check_list import Checks, no_errors_logged, same
import clients
import names
import proxy65
import server
import shell
import web

CHECKS = Checks()
check = CHECKS.check
WHOLE_RUN_SECONDS = 85
ALICE, BOB = "alice@localhost", "bob@localhost"
MESSAGES = 1000
SHUTDOWN_SECONDS = 3


async def prepare(world):
    world.names = await names.start(names.ZONE)
    world.closing.callback(world.names.close)
    world.web = web.WebServer()
    world.closing.callback(world.web.close)
    world.prosody = server.Prosody(
        world.backend, world.folder, "prosody.cfg.lua.in", ("c2s", "http", "proxy65"),
        {"dns_port": world.names.port, "web_port": world.web.port})
    world.closing.push_async_callback(world.prosody.kill)
    await world.prosody.start()


# 1. start

@check()
async def starts(world):
    """prosody starts and accepts connections"""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", world.prosody.c2s_port)
            writer.close()
            return
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)


@check()
async def names_its_backend(world):
    """the log names the configured backend"""
    await world.prosody.logged(f"Prosody is using the {world.backend} backend for connection handling")


@check(25)
async def prosodyctl_about(world):
    """prosodyctl loads the backend too and ends"""
    status, output = await world.prosody.ctl("about")
    assert f"Backend: {world.backend}" in output.splitlines(), f"status {status}: {output[-600:]}"
    same(status, 0, "exit status")


@check(25)
async def prosodyctl_register(world):
    """prosodyctl registers two users"""
    for name in ("alice", "bob"):
        status, output = await world.prosody.ctl("register", name, "localhost", f"{name}'s password")
        same(status, 0, f"exit status of registering {name} ({output[-300:].strip()})")


# 5. and 6. what Prosody asks of others: see modules/mod_e2e_probe.lua

async def probe(world, name):
    while True:
        try:
            return json.loads(world.prosody.report.read_text())[name]
        except (FileNotFoundError, KeyError):
            await asyncio.sleep(0.05)


async def finds(world, name, expected):
    outcome = await probe(world, name)
    same(outcome.get("records"), [expected], f"records (error: {outcome.get('error')})")


@check()
async def adns_a(world):
    """net.adns looks up an address"""
    await finds(world, "adns_a", names.CHAT_ADDRESS)


@check()
async def adns_srv(world):
    """net.adns looks up a service"""
    await finds(world, "adns_srv", "%d %d %d %s" % names.SRV_TARGET)


@check()
async def adns_sends_only_queries(world):
    """net.adns sends no empty datagram"""
    same([size for size in world.names.asked if size < 12], [], "sizes of datagrams too short for a query")


@check()
async def unbound_a(world):
    """net.unbound looks up an address"""
    await finds(world, "unbound_a", names.CHAT_ADDRESS)


@check()
async def unbound_srv(world):
    """net.unbound looks up a service"""
    await finds(world, "unbound_srv", "%d %d %d %s" % names.SRV_TARGET)


async def fetched(world, name, body):
    outcome = await probe(world, name)
    same(outcome.get("code"), 200, f"status ({outcome})")
    same((outcome["length"], outcome["sha256"]), (len(body), hashlib.sha256(body).hexdigest()), "length and hash")


@check()
async def http_get(world):
    """net.http fetches 4 MiB"""
    await fetched(world, "http_get", web.PAGE)


@check()
async def http_get_by_name(world):
    """net.http fetches 4 MiB from a host that it has to look up"""
    await fetched(world, "http_get_by_name", web.PAGE)


@check()
async def http_post(world):
    """net.http posts 1 MiB"""
    await fetched(world, "http_post", hashlib.sha256(b"0123456789abcdef" * 0x10000).hexdigest().encode())


@check()
async def http_refused(world):
    """net.http reports a refused connection"""
    outcome = await probe(world, "http_refused")
    same((outcome["code"], outcome["start"]), (0, "connection refused"), "status and reason")


@check()
async def open_files_settle(world):
    """the number of open files stands still before the clients come"""
    since = time.monotonic()
    world.files_before = world.prosody.open_files()
    while time.monotonic() - since < 0.5:
        await asyncio.sleep(0.05)
        now = world.prosody.open_files()
        if len(now) != len(world.files_before):
            world.files_before, since = now, time.monotonic()


@check()
async def serves_a_page(world):
    """mod_http serves a small file"""
    (world.prosody.www / "hello.txt").write_bytes(b"Hello, loopback\n")
    got = await asyncio.to_thread(web.fetch, world.prosody.http_port, "/files/hello.txt")
    same(got, (200, 16, hashlib.sha256(b"Hello, loopback\n").hexdigest()), "status, length, hash")


@check()
async def serves_no_page(world):
    """mod_http says 404 for a file that is not there"""
    status, _, _ = await asyncio.to_thread(web.fetch, world.prosody.http_port, "/files/nothing")
    same(status, 404, "status")


@check(30)
async def serves_a_large_file(world):
    """mod_http serves 20 MiB unchanged"""
    data = random.Random(80).randbytes(20 << 20)
    (world.prosody.www / "large.bin").write_bytes(data)
    got = await asyncio.to_thread(web.fetch, world.prosody.http_port, "/files/large.bin")
    same(got, (200, len(data), hashlib.sha256(data).hexdigest()), "status, length, hash")


# 2. clients

@check(20)
async def log_in(world):
    """two slixmpp clients log in"""
    world.alice, world.bob = clients.Client("alice"), clients.Client("bob")
    await asyncio.gather(world.alice.log_in(world.prosody.c2s_port), world.bob.log_in(world.prosody.c2s_port))


@check()
async def become_friends(world):
    """they become friends"""
    world.alice.send_presence_subscription(pto=BOB, ptype="subscribe")  # slixmpp answers and asks in return
    while await world.alice.subscription(BOB) != "both" or await world.bob.subscription(ALICE) != "both":
        await asyncio.sleep(0.1)


@check(40)
async def exchange_messages(world):
    """1,000 messages each way arrive, in order"""
    bodies = [f"message {n} " + "x" * (n % 300) for n in range(MESSAGES)]
    for body in bodies:
        world.alice.send_message(mto=BOB, mbody=body)
        world.bob.send_message(mto=ALICE, mbody=body)
    same(await world.bob.has_received(ALICE, MESSAGES), bodies, "bob's messages")
    same(await world.alice.has_received(BOB, MESSAGES), bodies, "alice's messages")


@check()
async def join_a_room(world):
    """one joins a room and sees its own presence there"""
    world.alice["xep_0045"].join_muc("hall@rooms.localhost", "al")
    while not world.alice.room_presence:
        await asyncio.sleep(0.05)
    presence = world.alice.room_presence[0]
    same(str(presence["from"]), "hall@rooms.localhost/al", "own presence from")
    assert 110 in presence["muc"]["status_codes"], presence


# 3. the shell

@check()
async def shell_version(world):
    """mod_admin_shell answers server:version()"""
    error, text = await shell.command(world.prosody.socket, "server:version()")
    assert not error and text.startswith("OK: "), text


@check()
async def shell_c2s(world):
    """mod_admin_shell's c2s:show() lists both clients"""
    error, text = await shell.command(world.prosody.socket, "c2s:show()")
    assert not error and "OK: 2 c2s sessions shown" in text, text
    for jid in (ALICE, BOB):
        assert jid in shell.plain(text), text


@check()
async def shell_timers(world):
    """mod_admin_shell's debug:timers() answers"""
    error, text = await shell.command(world.prosody.socket, "debug:timers()")
    assert not error and text.startswith("-- net.server.timer\n"), text
    if world.backend == "epoll":  # the shell reads an upvalue of add_task by its name; a C function's have none
        assert "Next event at" in text, text


@check()
async def shell_ports(world):
    """mod_admin_shell's port:list() names the ports"""
    error, text = await shell.command(world.prosody.socket, "port:list()")
    assert not error and str(world.prosody.c2s_port) in text, text


@check(25)
async def prosodyctl_shell(world):
    """prosodyctl shell talks to it and ends"""
    status, output = await world.prosody.ctl("shell", "c2s:count()")
    same(status, 0, f"exit status ({output[-300:].strip()})")
    assert "Total: 2 clients" in output, output


# 4. bytestreams

async def bytestream(world, initiator, target, sid):
    """An activated SOCKS5 bytestream through the proxy: the socket of either end."""
    query = initiator.make_iq_get(queryxmlns="http://jabber.org/protocol/bytestreams", ito="proxy.localhost")
    host = (await query.send())["socks"]["streamhosts"][0]
    same((host["host"], int(host["port"])), ("127.0.0.1", world.prosody.proxy65_port), "stream host")
    where = host["host"], int(host["port"]), proxy65.address(sid, initiator.boundjid.full, target.boundjid.full)
    target_socket = await asyncio.to_thread(proxy65.connect, *where)
    initiator_socket = await asyncio.to_thread(proxy65.connect, *where)
    await initiator["xep_0065"].activate("proxy.localhost", sid, target.boundjid.full)
    return initiator_socket, target_socket


@check(40)
async def relay_there(world):
    """mod_proxy65 relays 50 MiB from the initiator to the target unchanged"""
    initiator, target = await bytestream(world, world.alice, world.bob, "there")
    wrong = await asyncio.to_thread(proxy65.relay, initiator, target, 50 << 20)
    assert not wrong, wrong


@check()
async def relay_back(world):
    """mod_proxy65 relays 5 MiB from the target to the initiator unchanged"""
    initiator, target = await bytestream(world, world.alice, world.bob, "back")
    wrong = await asyncio.to_thread(proxy65.relay, target, initiator, 5 << 20)
    assert not wrong, wrong


@check()
async def relay_talk(world):
    """mod_proxy65 relays both ways in turn, holding nothing back"""
    initiator, target = await bytestream(world, world.alice, world.bob, "talk")
    wrong = await asyncio.to_thread(proxy65.talk, initiator, target, size=proxy65.TALK_SIZE[world.backend])
    assert not wrong, wrong


# 7. and 8. signals and leaving

async def ping_pong(world):
    before = len([1 for who, _ in world.bob.received if who == ALICE])
    world.alice.send_message(mto=BOB, mbody="ping")
    same((await world.bob.has_received(ALICE, before + 1))[-1], "ping", "bob got")
    before = len([1 for who, _ in world.alice.received if who == BOB])
    world.bob.send_message(mto=ALICE, mbody="pong")
    same((await world.alice.has_received(BOB, before + 1))[-1], "pong", "alice got")


@check()
async def leave(world):
    """the clients leave"""
    await asyncio.gather(world.alice.log_out(), world.bob.log_out())
    while "0 c2s sessions shown" not in (await shell.command(world.prosody.socket, "c2s:show()"))[1]:
        await asyncio.sleep(0.1)


@check(20)
async def leaves_no_file_open(world):
    """as many files are open as before the clients came"""
    before, until = world.files_before, time.monotonic() + 10
    while len(now := world.prosody.open_files()) != len(before) and time.monotonic() < until:
        await asyncio.sleep(0.1)
    more = sorted(now.items() - before.items())
    less = sorted(before.items() - now.items())
    assert len(now) == len(before), f"{len(before)} before, {len(now)} now; new: {more}; gone: {less}"


@check(20)
async def log_in_again(world):
    """the clients log in again"""
    world.alice, world.bob = clients.Client("alice", "again"), clients.Client("bob", "again")
    await asyncio.gather(world.alice.log_in(world.prosody.c2s_port), world.bob.log_in(world.prosody.c2s_port))
    await ping_pong(world)


@check()
async def sighup(world):
    """SIGHUP reloads, twice, and the clients stay connected"""
    for _ in range(2):
        size = world.prosody.log_size()
        world.prosody.signal(signal.SIGHUP)
        await world.prosody.logged("Reloading configuration file", size)
        await ping_pong(world)
    assert not world.alice.gone.is_set() and not world.bob.gone.is_set(), "a client was disconnected"


@check()
async def other_signals(world):
    """SIGUSR1 is logged, SIGPIPE ignored, and the clients stay connected"""
    size = world.prosody.log_size()
    world.prosody.signal(signal.SIGPIPE)
    world.prosody.signal(signal.SIGUSR1)
    await world.prosody.logged("Received SIGUSR1", size)
    await ping_pong(world)


@check(25)
async def sigterm(world):
    """SIGTERM ends it with status 0 within 3 s, clients connected"""
    world.ending = True
    start = time.monotonic()
    world.prosody.signal(signal.SIGTERM)
    status = await asyncio.wait_for(world.prosody.ended(), 20)
    took = time.monotonic() - start
    same(status, 0, f"exit status, after {took:.1f} s")
    assert took <= SHUTDOWN_SECONDS, f"it took {took:.1f} s"


@check()
async def said_goodbye(world):
    """each client was told why and got the end of its stream"""
    for client in (world.alice, world.bob):
        await asyncio.wait_for(client.gone.wait(), 5)
        same((client.stream_errors, client.end_reason), (["system-shutdown"], "End of stream"),
             f"{client.boundjid}: stream errors and reason of the end")


check()(no_errors_logged)
