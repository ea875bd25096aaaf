"""What is claimed of modules that ask something of the backend: stream management, components, rate limits, held writes."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import time

import authority
from check_list import Checks, no_errors_logged, same
import components
import light
import server

CHECKS = Checks()
check = CHECKS.check
WHOLE_RUN_SECONDS = 100
ALICE, BOB, SLOW = "alice@localhost", "bob@localhost", "slow@localhost"
CUTS = 10
BATCH = 40  # messages at once
LIMIT = 20  # kB a second that mod_limits allows
COMPONENT_SECRET, TURN_SECRET = "the component's secret", "the TURN server's secret"


async def prepare(world):
    world.clients = []  # all, also those that no check asks about any more
    (world.folder / "certs").mkdir()
    world.authority = authority.Authority(world.folder / "authority.pem")
    world.authority.issue(world.folder / "certs", "localhost")
    world.prosody = server.Prosody(
        world.backend, world.folder, "modules.cfg.lua.in", ("c2s", "component"),
        {"limit": LIMIT, "component_secret": COMPONENT_SECRET, "turn_secret": TURN_SECRET})
    world.prosody.add_users("localhost", ["alice", "bob", "slow"])
    world.closing.push_async_callback(world.prosody.kill)
    await world.prosody.start()


async def online(world, name, resource, **options):
    client = light.Client(world.prosody.c2s_port, name, resource=resource, **options)
    world.clients.append(client)
    await client.log_in()
    return client


def bodies(client, sender):
    return [body for who, body in client.received if who == sender]


@check()
async def starts(world):
    """prosody starts and two log in"""
    await world.prosody.logged("Activated service 'c2s' on")
    await world.prosody.logged("Activated service 'component' on")
    world.alice = await online(world, "alice", "plain")
    world.bob = await online(world, "bob", "plain")


# 1. stream management

async def survives_cuts(world, other):
    """Messages go both ways while one side is cut off and comes back, again and again."""
    there, back = [], []

    def send(client, receiver, sent):
        for _ in range(BATCH):
            sent.append(f"{client.resource} to {receiver.resource}, {len(sent)}")
            client.message(receiver.jid, sent[-1])

    for turn in range(CUTS):
        send(other, world.bob, there)
        # Not in the middle of a stanza to the server: after a resumption Prosody feeds the parser of before.
        await complete(world.bob, other.jid, there)
        send(world.bob, other, back)
        if turn % 2:  # otherwise with all of them on their way
            await other.until(lambda: len(bodies(other, world.bob.jid)) > len(back) - BATCH)
        await other.cut()
        send(world.bob, other, back)
        send(other, world.bob, there)
        await other.resume()
    await complete(world.bob, other.jid, there)
    await complete(other, world.bob.jid, back)


async def complete(client, sender, sent):
    """Check that a client gets all that was sent, once, in order."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(client.until(lambda: len(bodies(client, sender)) >= len(sent)), 10)
    got = bodies(client, sender)
    missing, twice = [one for one in sent if one not in got], [one for one in set(got) if got.count(one) > 1]
    assert got == sent, f"{len(got)} of {len(sent)} came; missing {missing[:10]}, doubled {sorted(twice)[:10]}"


@check(40)
async def smacks(world):
    """mod_smacks: a client that is reset 10 times comes back each time; nothing sent either way is lost or doubled"""
    await survives_cuts(world, await online(world, "alice", "managed", managed=True))


@check(40)
async def smacks_over_tls(world):
    """mod_smacks: the same over STARTTLS"""
    await survives_cuts(world, await online(world, "alice", "managed-tls", managed=True, trusted=world.authority.file))


@check()
async def smacks_unanswered(world):
    """mod_smacks: a stream that nobody has is not resumed"""
    client = await online(world, "alice", "stranger", managed=True)
    await client.cut()
    client.sm_id = "nobody's"
    try:
        await client.resume()
    except AssertionError as error:
        assert "item-not-found" in str(error), error
    else:
        raise AssertionError("it was resumed")


# 2. components

@check()
async def component(world):
    """XEP-0114: a component logs in and answers 1,000 messages"""
    world.component = await components.log_in("echo.localhost", COMPONENT_SECRET, world.prosody.component_port)
    sent = [f"message {n} " + "x" * (n % 300) for n in range(1000)]
    for body in sent:
        world.alice.message("echo.localhost", body)
    await world.alice.until(lambda: len(bodies(world.alice, "echo.localhost")) >= len(sent))
    same(bodies(world.alice, "echo.localhost"), sent, "answers")


@check()
async def component_refused(world):
    """XEP-0114: a component with the wrong secret is refused and told why"""
    same(await components.refused("echo.localhost", "a guess", world.prosody.component_port), ["not-authorized"], "stream errors")


@check()
async def component_gone(world):
    """XEP-0114: messages to a component that has left are returned"""
    await components.log_out(world.component)
    while True:
        answer = await world.alice.ask("echo.localhost", "<ping xmlns='urn:xmpp:ping'/>")
        if answer.get("type") == "error" and "Component unavailable" in "".join(answer.itertext()):
            return
        await asyncio.sleep(0.1)


# 3. limits

@check(40)
async def limits(world):
    """mod_limits: one client gets 20 kB/s through, others are not held up"""
    slow = await online(world, "slow", "limited")
    size, start = 6000 * LIMIT, time.monotonic()
    for n in range(60):
        slow.message(world.bob.jid, f"{n} " + "x" * (size // 60))
    quick = asyncio.create_task(ping_until(world, lambda: len(bodies(world.bob, slow.jid)) >= 60))
    await world.bob.until(lambda: len(bodies(world.bob, slow.jid)) >= 60)
    took = time.monotonic() - start
    same([body.split()[0] for body in bodies(world.bob, slow.jid)], [str(n) for n in range(60)], "messages")
    assert 5 <= took <= 12, f"{size} bytes took {took:.1f} s"
    slowest = await quick
    assert slowest < 1, f"another client waited {slowest:.1f} s for an answer"


async def ping_until(world, condition):
    """Ping the server as another client; return the longest time that an answer took."""
    slowest = 0
    while not condition():
        start = time.monotonic()
        await world.alice.ask("localhost", "<ping xmlns='urn:xmpp:ping'/>")
        slowest = max(slowest, time.monotonic() - start)
        await asyncio.sleep(0.05)
    return slowest


# 4. what the client does not want to hear yet

def chat_state(client, to):
    client.send(f"<message type='chat' to='{to}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>")


@check()
async def csi(world):
    """mod_csi_simple: an inactive client gets what is unimportant with the next message, in order"""
    alice = await online(world, "alice", "phone")
    await alice.ask("localhost", "<ping xmlns='urn:xmpp:ping'/>")
    size = world.prosody.log_size()
    alice.stream.send("<inactive xmlns='urn:xmpp:csi:0'/>")
    await world.prosody.logged(": <inactive", size)
    for _ in range(5):
        chat_state(world.bob, alice.jid)
    await asyncio.sleep(1)
    same(bodies(alice, world.bob.jid), [], "before")
    world.bob.message(alice.jid, "important")
    await alice.until(lambda: len(bodies(alice, world.bob.jid)) >= 6)
    same(bodies(alice, world.bob.jid), [None] * 5 + ["important"], "after")
    await alice.log_out()


# 5. calls

@check()
async def turn(world):
    """mod_turn_external: gives out credentials that the TURN server can check"""
    answer = await world.alice.ask("localhost", "<services xmlns='urn:xmpp:extdisco:2'/>")
    services = {one.get("type"): one for one in answer.iter("{urn:xmpp:extdisco:2}service")}
    same(sorted(services), ["stun", "turn"], "services")
    given = services["turn"]
    same((given.get("host"), given.get("port")), ("turn.example.net", "3479"), "where")
    assert int(given.get("username")) > time.time(), "the user name is the time when it expires"
    expected = hmac.new(TURN_SECRET.encode(), given.get("username").encode(), hashlib.sha1).digest()
    same(given.get("password"), base64.b64encode(expected).decode(), "password")


check()(no_errors_logged)
