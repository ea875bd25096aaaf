"""Clients that connect, talk, fall silent, are cut off and come back, for SOAK seconds: nothing that Prosody holds may grow.

What it holds is counted twice, after the first minute (a third of a short run) and at the end, with all clients gone, and all timers
that were theirs.
"""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import ssl

import authority
from check_list import Checks, errors_logged, no_errors_logged, same
import inside
import light
import server

CHECKS = Checks()
check = CHECKS.check
SECONDS = int(os.environ.get("SOAK") or 3600)
FIRST = min(60, SECONDS / 3)
WHOLE_RUN_SECONDS = SECONDS + 300
CLIENTS = 200
READ_TIMEOUT = 10
LONGEST_SILENCE = 25 if SECONDS < 600 else 60  # a long run is for the background
LONGEST_TIMER = 21  # in crowd.cfg.lua.in; a watchdog of mod_smacks takes a second more
# What may be more at the end, and by how much: malloc and Go give memory back as they like, Lua's tables keep their size,
# and a thread that Go has made stays.
SLACK = {"RSS of the heap, KiB": 4096, "RSS of the rest, KiB": 4096, "Lua KiB": 128, "threads": 4, "Go's threads": 4}


async def prepare(world):
    (world.folder / "certs").mkdir()
    world.authority = authority.Authority(world.folder / "authority.pem")
    world.authority.issue(world.folder / "certs", "localhost")
    world.prosody = server.Prosody(
        world.backend, world.folder, "crowd.cfg.lua.in", ("c2s", "c2s_direct"),
        {"as_root": "true", "level": "info", "more_modules": '"smacks"', "network_settings": f"{{ read_timeout = {READ_TIMEOUT} }}"})
    world.prosody.add_users("localhost", [f"user{n}" for n in range(CLIENTS)])
    world.closing.push_async_callback(world.prosody.kill)
    world.random = random.Random(200)
    world.lives, world.talks, world.broken = 0, itertools.count(), []
    world.dropped = []  # clients whom Prosody disconnected
    world.kept = []  # what Prosody held, each time
    await world.prosody.start()


# the clients

async def talk(world, client):
    """Messages to itself, which must come back, and to others, who may be there."""
    talk_id = next(world.talks)
    marks = [f"{talk_id}.{n}" for n in range(world.random.randrange(1, 20))]
    for mark in marks:
        body = f"{mark} " + "x" * world.random.randrange(3000)
        client.message(client.jid, body)
        client.send(f"<message type='headline' to='user{world.random.randrange(CLIENTS)}@localhost'><body>{body}</body></message>")

    def returned():  # not those of an earlier life, which mod_smacks delivers as well
        found = [body.split()[0] for who, body in client.received if who == client.jid and body]
        return [mark for mark in found if mark.startswith(f"{talk_id}.")]

    while len(returned()) < len(marks):
        await client.until(lambda: client.end or len(returned()) >= len(marks))
        if client.end:
            await come_back(world, client)
    assert returned() == marks, f"{client.jid} got {len(returned())} of its {len(marks)} messages back"
    del client.received[:]


async def come_back(world, client):
    """Resume after Prosody has dropped the client."""
    world.dropped.append(f"{client.jid}: {client.end}, {client.stream_error}")
    await client.resume()


async def fall_silent(world, client):
    """Say nothing for a while. A client that is dropped for it comes back at once: its session is kept for less than a silence may last."""
    clock = asyncio.get_running_loop().time
    talks_again = clock() + world.random.uniform(0, LONGEST_SILENCE)
    while (left := talks_again - clock()) > 0:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(client.until(lambda: client.end), left)
        if client.end:
            await come_back(world, client)


async def abandon(world):
    """Leave in the middle of STARTTLS."""
    stream = await light.Stream.connect(world.prosody.c2s_port, "localhost")
    await stream.expect(light.STREAM + "features")
    stream.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    if world.random.random() < 0.5:
        await stream.expect(light.TLS + "proceed")
        stream.writer.write(b"\x16\x03\x01\x02\x00\x01")  # the first bytes of a hello
    stream.cut()


async def live(world, client):
    """One life: log in, talk, fall silent, talk; then leave, or be cut off, or be cut off and come back."""
    try:
        await client.log_in()
        await talk(world, client)
        await fall_silent(world, client)
        await talk(world, client)
        end = world.random.random()
        if end < 0.2:
            await client.log_out()
        elif end < 0.5:
            await client.all_acknowledged()  # after a resumption Prosody feeds the parser of before: no stanza may be half-way
            await client.cut()
            await asyncio.sleep(world.random.uniform(0, 2))
            await client.resume()
            await talk(world, client)
    finally:
        await client.cut()


async def live_again(world, n):
    """Life after life until it is time to stop."""
    await asyncio.sleep(world.random.uniform(0, 5))
    while not world.stop.is_set():
        client = light.Client(world.prosody.c2s_port, f"user{n}", trusted=world.authority.file, managed=True)
        try:
            await asyncio.wait_for(live(world, client), LONGEST_SILENCE + 65)
            if world.random.random() < 0.2:
                await abandon(world)
        except (AssertionError, OSError, ssl.SSLError, light.Ended, asyncio.TimeoutError) as error:
            world.broken.append(f"{client}: {type(error).__name__}: {error}")
        world.lives += 1
        await asyncio.sleep(world.random.uniform(0, 3))


async def all_live(world, seconds):
    world.stop = asyncio.Event()
    lives = [asyncio.create_task(live_again(world, n)) for n in range(CLIENTS)]
    await asyncio.sleep(seconds)
    world.stop.set()
    await asyncio.gather(*lives)


async def count(world):
    """Count what Prosody holds once it has forgotten the clients, also those that mod_smacks keeps for a while."""
    await asyncio.sleep(LONGEST_TIMER + 2)
    while (found := await inside.counts(world.prosody))["sessions"]:
        await asyncio.sleep(1)
    world.kept.append(found | {"errors in the log": len(errors_logged(world))})


# the checks

@check()
async def starts(world):
    """prosody starts"""
    await world.prosody.logged("Activated service 'c2s' on")


@check(FIRST + 150)
async def first(world):
    """200 clients live for the first minute"""
    await all_live(world, FIRST)
    await count(world)


@check(SECONDS + 150)
async def rest(world):
    """200 clients live for the rest of the time"""
    await all_live(world, SECONDS - FIRST)
    await count(world)


@check()
async def all_went_well(world):
    """no client was refused, left without an answer or lost a message"""
    print(f"# {world.lives} lives, {next(world.talks)} talks, {len(world.dropped)} dropped for their silence")
    assert world.lives > CLIENTS * SECONDS / 60, f"only {world.lives} lives"
    # A client that has been silent for READ_TIMEOUT when mod_smacks has just asked for an ack is taken for dead.
    silent = world.prosody.log_text().count("Client disconnected: read timeout")
    assert len(world.dropped) <= silent, f"Prosody dropped {silent} for their silence, but ended {world.dropped[:20]}"
    assert not world.broken, f"{len(world.broken)} of {world.lives} lives:\n" + "\n".join(world.broken[:20])


@check()
async def nothing_grew(world):
    """descriptors, memory, goroutines, threads, handles and references are at the end what they were after the first minute"""
    first, last = world.kept
    print(f"# {'':28}{f'after {FIRST:.0f} s':>14}{f'after {SECONDS} s':>14}{'may grow by':>14}")
    for name in sorted(last, key=str.lower):
        print(f"# {name:28}{first[name]:14}{last[name]:14}{SLACK.get(name, 0):14}")
    grown = [f"{name}: {first[name]}, then {last[name]}" for name in last if last[name] > first[name] + SLACK.get(name, 0)]
    assert not grown, "\n".join(grown)


@check(20)
async def sigterm(world):
    """SIGTERM ends it with status 0"""
    world.ending = True
    world.prosody.signal(signal.SIGTERM)
    same(await asyncio.wait_for(world.prosody.ended(), 15), 0, "exit status")


check()(no_errors_logged)
