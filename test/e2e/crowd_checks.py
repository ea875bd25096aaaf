"""What is claimed of many clients at once: prosodyctl's start, its reload under load, and its stop."""

import asyncio
import collections
import itertools
import os
import shutil
import signal
import time

import authority
from check_list import Checks, no_errors_logged, same
import daemon
import light
import server
import tls_client

CHECKS = Checks()
check = CHECKS.check
WHOLE_RUN_SECONDS = 150
TALKERS, CROWD = 40, 500
RELOADS = 50
SHUTDOWN_SECONDS = 4  # Prosody gives up on clients after 5 s, server.loop() after 6 s


async def prepare(world):
    daemon.Daemon.adopt_daemons()
    world.prosody = daemon.Daemon(
        world.backend, world.folder, {"as_root": "false", "level": "debug", "more_modules": '"e2e_notify"', "network_settings": "{}"},
        "crowd.cfg.lua.in", ("c2s", "c2s_direct"))
    world.closing.push_async_callback(world.prosody.kill)
    shutil.copytree(server.HERE / "modules", world.folder / "modules")  # where the user prosody may read it
    world.prosody.add_users("localhost", [f"user{n}" for n in range(CROWD)])
    world.authority = authority.Authority(world.folder / "authority.pem")
    world.serial = world.authority.issue(world.folder / "certs", "localhost")


async def prosodyctl(world, command):
    """As root, if that is who tests."""
    status, output = await world.prosody.ctl(command, as_root=True)
    same(status, 0, f"exit status of prosodyctl {command} ({output.strip()})")


async def log_in(world, numbers, encrypted):
    """Log those users in, some at a time."""
    turns = asyncio.Semaphore(20)

    async def one(n):
        client = light.Client(world.prosody.c2s_port, f"user{n}", trusted=encrypted(n) and world.authority.file)
        async with turns:
            await client.log_in(presence=False)
        return client
    return await asyncio.gather(*map(one, numbers))


@check(30)
async def starts(world):
    """prosodyctl starts it, 40 clients log in by STARTTLS"""
    await prosodyctl(world, "start")
    world.pid = await world.prosody.pid()
    await world.prosody.logged("Activated service 'c2s_direct_tls' on")
    world.clients = await log_in(world, range(TALKERS), lambda n: True)


# reload

async def talk(client, partner, stop):
    """Send numbered messages, at most three ahead of what has arrived; return how many."""
    for n in itertools.count():
        if stop.is_set():
            return n
        client.message(partner.jid, str(n))
        await partner.until(lambda: len(partner.received) > n - 3 or partner.end)
        await asyncio.sleep(0.05)


async def serial(world, **how):
    port = world.prosody.c2s_port if "starttls" in how else world.prosody.c2s_direct_port
    with await asyncio.to_thread(tls_client.Connection, port, world.authority.file, "localhost", **how) as connection:
        if world.backend == "epoll":
            # LuaSec 1.2 goes on with a context that has been collected (SIGSEGV) if a reload comes before a handshake's end.
            await asyncio.to_thread(connection.open_stream, "localhost")
        return connection.serial


@check(90)
async def reloads(world):
    """50 reloads, by prosodyctl and by SIGHUP, each with a new certificate, while they talk: each new handshake shows the new one"""
    stop = asyncio.Event()
    world.partners = list(zip(world.clients[::2], world.clients[1::2]))
    world.partners += [(right, left) for left, right in world.partners]
    talks = [asyncio.create_task(talk(*pair, stop)) for pair in world.partners]
    try:
        for n in range(RELOADS):
            world.serial = world.authority.issue(world.folder / "certs", "localhost", key="ec" if n % 10 else "rsa")
            size = world.prosody.log_size()
            if n % 5:  # which takes a tenth of the time
                os.kill(world.pid, signal.SIGHUP)
            else:
                await prosodyctl(world, "reload")
            await world.prosody.logged("Reloading configuration file", size)
            for how in {"starttls": "localhost"}, {}:
                assert await serial(world, **how) == world.serial, f"reload {n + 1}: the old certificate ({how or 'direct TLS'})"
            await asyncio.sleep(0.1)  # a reload can take less than one message to everybody
    finally:
        stop.set()
    world.sent = await asyncio.gather(*talks)


@check(30)
async def lost_nothing(world):
    """not one of their messages is lost, doubled or out of order, no client was disconnected"""
    assert sum(world.sent) > TALKERS * RELOADS, f"only {sum(world.sent)} messages were sent"
    for (client, partner), count in zip(world.partners, world.sent):
        await partner.until(lambda: len(partner.received) >= count or partner.end)
        same(partner.end, None, f"how the stream of {partner.jid} ended")
        assert partner.received == [(client.jid, str(n)) for n in range(count)], \
            f"{partner.jid} got {len(partner.received)} of {count} messages"


# the end

@check(60)
async def crowd(world):
    """500 clients are connected, half of them over TLS"""
    world.clients += await log_in(world, range(TALKERS, CROWD), lambda n: n % 2)
    same([client.jid for client in world.clients if client.end], [], "disconnected")


@check(25)
async def stops(world):
    """prosodyctl stops it: status 0 within 4 s"""
    size = world.prosody.log_size()
    stop = asyncio.create_task(prosodyctl(world, "stop"))
    await world.prosody.logged("Received SIGTERM", size)
    start = time.monotonic()
    status = await world.prosody.end_of(world.pid)
    took = time.monotonic() - start
    print(f"# it took {took:.2f} s from SIGTERM to the end")
    same(status, 0, f"exit status, after {took:.1f} s")
    assert took <= SHUTDOWN_SECONDS, f"it took {took:.1f} s"
    await stop


@check()
async def said_goodbye(world):
    """each of the 500 was told why and got the end of its stream"""
    for client in world.clients:
        await client.until(lambda: client.end)
    ends = collections.Counter((client.stream_error, client.end) for client in world.clients)
    lost = CROWD - ends["system-shutdown", "end of stream"]
    # On epoll one of those over TLS sees at times nothing but the end of its connection.
    assert lost <= (5 if world.backend == "epoll" else 0), f"stream errors and ends: {dict(ends)}"


check()(no_errors_logged)
