"""The cases that a bare Lua server runs."""

import statistics
import time

from case import EchoCase, FreshEchoCase, Metric, ProgramCase, at_least, at_most, better_by
from process import Failed, run_lua

IDLE = 10_000
HELD = 2000
HELD_AFTER = 1000  # each having echoed so much takes a while
SETTLE_SECONDS = 5
TIMERS = 100_000
PING_CLIENTS = 32


def port_of(server, tls):
    return server.tls_port if tls else server.port


def rates(result):
    """How many a second there were, of messages, handshakes, MiB, and what each cost in µs."""
    count = result["count"]
    if not count:
        raise Failed(f"not one in {result['seconds']:.1f} s")
    return result | {
        "rate": count / result["seconds"],
        "lua": result["lua_seconds"] / count * 1e6,
        "process": result["process_seconds"] / count * 1e6,
    }


def echo(conns, tls=0):
    def measure(load, server):
        return rates(load.run("echo", port_of(server, tls), pid=server.pid, conns=conns, tls=tls))
    return measure


def bulk(tls=0):
    def measure(load, server):
        result = load.run("bulk", port_of(server, tls), pid=server.pid, tls=tls)
        return rates(result | {"count": result["bytes"] / 2**20})
    return measure


def handshakes(tls, **options):
    def measure(load, server):
        return rates(load.run("handshake", server.tls_port, pid=server.pid, conns=128, tls=tls, **options))
    return measure


def ping(load, server):
    """Two load generators, so that the one that pings is not held up by the other's handshakes."""
    clients = load.start("handshake", server.tls_port, seconds=load.seconds + 1, pid=server.pid, conns=PING_CLIENTS, tls=13)
    try:
        pinged = load.run("echo", server.port, conns=1, pause="1ms", warm="600ms")
    finally:
        shaken = load.result(clients)
    return {"p50_us": pinged["p50_us"], "p99_us": pinged["p99_us"], "handshakes": shaken["count"] / shaken["seconds"]}


def memory(held, tls=0, received=0):
    def measure(load, server):
        port = port_of(server, tls)
        with load.hold("hold", port, conns=100, tls=tls, received=received):  # what is set up once is not to count, nor garbage
            pass
        time.sleep(SETTLE_SECONDS)
        before = server.resident()
        with load.hold("hold", port, conns=held, tls=tls, received=received):
            time.sleep(SETTLE_SECONDS)
            return {"kib": (server.resident() - before) / held / 1024}
    return measure


def idle(load, server):
    """Each twice: two single runs differ by more than idle connections cost. A new server's first run differs most."""
    def run(count):
        return rates(load.run("echo", server.port, pid=server.pid, conns=64, idle=count))
    run(0)
    first, *among, last = run(0), run(IDLE), run(IDLE), run(0)
    alone = first, last

    def mean(runs, name):
        return statistics.fmean(r[name] for r in runs)
    return {"rate": mean(among, "rate"), "kept": mean(among, "rate") / mean(alone, "rate"), "lua": mean(among, "lua")}


def timers(backend):
    return {"cpu": run_lua("timers.lua", backend, TIMERS) * 1e3}


def require(backend):
    return {"ms": statistics.median(run_lua("require.lua", backend) for _ in range(5))}


def per_message(lua_limit=None, rate_limit=None):
    return (
        Metric("lua", "Lua thread, µs a message", target=lua_limit and better_by(lua_limit)),
        Metric("process", "process, µs a message"),
        Metric("rate", "messages a second", True, rate_limit and better_by(rate_limit), 0),
    )


def round_trip(limit=None):
    return (
        Metric("p50_us", "median round trip, µs", target=limit and better_by(limit)),
        Metric("p99_us", "p99, µs"),
        Metric("lua", "Lua thread, µs a message"),
        Metric("process", "process, µs a message"),
    )


def per_mib(rate_limit):
    return (
        Metric("rate", "MiB a second", True, better_by(rate_limit), 0),
        Metric("lua", "Lua thread, µs a MiB", digits=0),
        Metric("process", "process, µs a MiB", digits=0),
    )


def per_handshake(lua_limit=None, process_limit=None, rate_limit=None):
    return (
        Metric("lua", "Lua thread, µs a handshake", target=lua_limit and better_by(lua_limit), digits=0),
        Metric("process", "process, µs a handshake", target=process_limit and better_by(process_limit), digits=0),
        Metric("rate", "handshakes a second", True, rate_limit and better_by(rate_limit), 0),
    )


def few_connections(count):
    return EchoCase(f"echo-{count}", f"echo of 128 bytes, {count} connections", (
        Metric("rate", "messages a second", True, better_by(1.05), 0),
        Metric("lua", "Lua thread, µs a message"),
        Metric("process", "process, µs a message"),
    ), echo(count))


def per_connection(limit):
    return Metric("kib", "KiB a connection", target=at_most(limit, "KiB")),


CASES = [
    EchoCase("echo", "echo of 128 bytes, 64 connections", per_message(6, 1.6), echo(64)),
    EchoCase("echo-tls", "echo of 128 bytes, 64 connections, TLS 1.3", per_message(8, 1.6), echo(64, 13)),
    EchoCase("one-cpu-echo", "echo of 128 bytes, 64 connections, the server on one processor", per_message(rate_limit=1.4), echo(64), apart=True),
    EchoCase("rtt", "echo of 128 bytes, 1 connection", round_trip(1.0), echo(1)),
    EchoCase("rtt-tls", "echo of 128 bytes, 1 connection, TLS 1.3", round_trip(), echo(1, 13)),
    *map(few_connections, (4, 8, 16, 32)),
    EchoCase("bulk", "bulk echo, 1 connection", per_mib(1.2), bulk()),
    EchoCase("bulk-tls", "bulk echo, 1 connection, TLS 1.3", per_mib(1.3), bulk(13)),
    EchoCase("handshake-ecdsa", "full handshakes, ECDSA P-256, TLS 1.3, 128 clients", per_handshake(10, 1.0, 1.3), handshakes(13)),
    EchoCase("handshake-rsa", "full handshakes, RSA-2048, TLS 1.3, 128 clients", per_handshake(15, 1.0, 1.2), handshakes(13), key="rsa"),
    EchoCase("handshake-rsa-tls12", "full handshakes, RSA-2048, TLS 1.2, 128 clients", per_handshake(), handshakes(12), key="rsa"),
    EchoCase("handshake-resumed", "resumed handshakes, TLS 1.3, 128 clients, the server on one processor", per_handshake(),
             handshakes(13, resume="true"), apart=True, tls="options = {}"),  # without no_ticket
    EchoCase("handshake-x25519", "full handshakes, ECDSA P-256, X25519, the server on one processor", per_handshake(),
             handshakes(13), apart=True),
    EchoCase("handshake-mlkem", "full handshakes, ECDSA P-256, X25519MLKEM768, the server on one processor", per_handshake(),
             handshakes(13, group="X25519MLKEM768"), apart=True, tls='curveslist = "X25519MLKEM768"',
             may_fail=frozenset({"event", "epoll", "tuned"})),  # OpenSSL has it from 3.5 on
    EchoCase("ping", f"plain ping while {PING_CLIENTS} clients make RSA handshakes", (
        Metric("p99_us", "p99 of the round trip, µs", target=better_by(1 / 1.5), digits=0),
        Metric("p50_us", "median, µs", target=better_by(10), digits=0),
        Metric("handshakes", "handshakes a second", True, digits=0),
    ), ping, key="rsa"),
    FreshEchoCase("memory", f"{HELD:,} idle connections", per_connection(4), memory(HELD), rounds=2),
    FreshEchoCase("memory-tls", f"{HELD:,} idle connections, TLS 1.3", per_connection(10), memory(HELD, 13), rounds=2),
    FreshEchoCase("memory-tls-received", f"{HELD_AFTER:,} idle TLS connections after each echoed 1 MiB", per_connection(12),
                  memory(HELD_AFTER, 13, 2**20), rounds=2),
    FreshEchoCase("idle", f"echo, 64 connections, with {IDLE:,} idle ones open", (
        Metric("kept", "of the rate without them", True, at_least(0.95), 2),
        Metric("rate", "messages a second", True, digits=0),
        Metric("lua", "Lua thread, µs a message"),
    ), idle, rounds=3),
    ProgramCase("timers", f"{TIMERS:,} timers added, half cancelled, the rest run", (
        Metric("cpu", "CPU, ms", target=better_by(2), digits=0),
    ), timers),
    ProgramCase("require", "require of the module", (Metric("ms", "ms", target=at_most(60, "ms")),), require),
]
