"""The cases that a bare Lua server runs (issue 4 has the targets)."""

import statistics
import time

from case import Case, Metric, at_least, at_most, ratio_at_least, ratio_at_most
from process import run_lua

IDLE = 10_000
HELD = 2000
SETTLE_SECONDS = 5
TIMERS = 100_000
PING_CLIENTS = 32


def port_of(server, tls):
    return server.tls_port if tls else server.port


def rates(result):
    """What there is for each message or handshake."""
    count = result["count"] or 1
    return result | {
        "rate": result["count"] / result["seconds"],
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
        mib = result["bytes"] / 2**20 or 1
        return {"rate": mib / result["seconds"], "lua": result["lua_seconds"] / mib * 1e6,
                "process": result["process_seconds"] / mib * 1e6}
    return measure


def handshakes(tls):
    def measure(load, server):
        return rates(load.run("handshake", server.tls_port, pid=server.pid, conns=128, tls=tls))
    return measure


def ping(load, server):
    """Two load generators, so that the one that pings is not held up by the other's handshakes."""
    clients = load.start("handshake", server.tls_port, seconds=load.seconds + 1, pid=server.pid, conns=PING_CLIENTS, tls=13)
    try:
        pinged = load.run("echo", server.port, conns=1, pause="1ms", warm="600ms")
    finally:
        shaken = load.result(clients)
    return {"p50_us": pinged["p50_us"], "p99_us": pinged["p99_us"], "handshakes": shaken["count"] / shaken["seconds"]}


def memory(tls=0, received=0):
    def measure(load, server):
        port = port_of(server, tls)
        with load.hold(port, 50, tls=tls, received=received):  # what is set up once is not to count
            pass
        time.sleep(1)
        before = server.resident()
        with load.hold(port, HELD, tls=tls, received=received):
            time.sleep(SETTLE_SECONDS)
            return {"kib": (server.resident() - before) / HELD / 1024}
    return measure


def idle(load, server):
    alone = rates(load.run("echo", server.port, pid=server.pid, conns=64))
    among = rates(load.run("echo", server.port, pid=server.pid, conns=64, idle=IDLE))
    return {"alone": alone["rate"], "rate": among["rate"], "kept": among["rate"] / alone["rate"], "lua": among["lua"]}


def timers(_, backend):
    return {"cpu": run_lua("timers.lua", backend, TIMERS) * 1e3}


def require(_, backend):
    return {"ms": statistics.median(run_lua("require.lua", backend) for _ in range(5))}


def per_message(lua_limit=None, rate_limit=None):
    return (
        Metric("lua", "Lua thread, µs a message", target=lua_limit and ratio_at_most(1 / lua_limit, f"1/{lua_limit}")),
        Metric("process", "process, µs a message"),
        Metric("rate", "messages a second", True, rate_limit and ratio_at_least(rate_limit), 0),
    )


def round_trip(limit=None):
    return (
        Metric("p50_us", "median round trip, µs", target=limit and ratio_at_most(limit)),
        Metric("p99_us", "p99, µs"),
        Metric("lua", "Lua thread, µs a message"),
        Metric("process", "process, µs a message"),
    )


def per_mib(rate_limit):
    return (
        Metric("rate", "MiB a second", True, ratio_at_least(rate_limit), 0),
        Metric("lua", "Lua thread, µs a MiB", digits=0),
        Metric("process", "process, µs a MiB", digits=0),
    )


def per_handshake(lua_limit=None, process_limit=None, rate_limit=None):
    return (
        Metric("lua", "Lua thread, µs a handshake", target=lua_limit and ratio_at_most(1 / lua_limit, f"1/{lua_limit}"), digits=0),
        Metric("process", "process, µs a handshake", target=process_limit and ratio_at_most(process_limit), digits=0),
        Metric("rate", "handshakes a second", True, rate_limit and ratio_at_least(rate_limit), 0),
    )


def few_connections(count):
    return Case(f"echo-{count}", f"echo of 128 bytes, {count} connections", (
        Metric("rate", "messages a second", True, ratio_at_least(1.05), 0),
        Metric("lua", "Lua thread, µs a message"),
        Metric("process", "process, µs a message"),
    ), echo(count))


def per_connection(limit):
    return Metric("kib", "KiB a connection", target=at_most(limit, "KiB")),


CASES = [
    Case("echo", "echo of 128 bytes, 64 connections", per_message(6, 1.6), echo(64)),
    Case("echo-tls", "the same, TLS 1.3", per_message(8, 1.6), echo(64, 13)),
    Case("rtt", "echo of 128 bytes, 1 connection", round_trip(1.0), echo(1)),
    Case("rtt-tls", "the same, TLS 1.3", round_trip(), echo(1, 13)),
    *map(few_connections, (4, 8, 16, 32)),
    Case("bulk", "echo of as much as goes, 1 connection", per_mib(1.5), bulk()),
    Case("bulk-tls", "the same, TLS 1.3", per_mib(1.3), bulk(13)),
    Case("handshake-ecdsa", "full TLS 1.3 handshakes, ECDSA P-256, 128 clients", per_handshake(10, 1.0, 1.3), handshakes(13)),
    Case("handshake-rsa", "full TLS 1.3 handshakes, RSA-2048, 128 clients", per_handshake(15, 1.0, 1.2), handshakes(13), "rsa"),
    Case("handshake-rsa-tls12", "the same, TLS 1.2", per_handshake(), handshakes(12), "rsa"),
    Case("ping", f"plain ping while {PING_CLIENTS} clients make RSA handshakes", (
        Metric("p99_us", "p99 of the round trip, µs", target=ratio_at_most(1 / 3, "1/3"), digits=0),
        Metric("p50_us", "median, µs", digits=0),
        Metric("handshakes", "handshakes a second", True, digits=0),
    ), ping, "rsa"),
    Case("memory", f"{HELD} idle connections", per_connection(4), memory(), fresh=True, rounds=2),
    Case("memory-tls", "the same, TLS 1.3", per_connection(10), memory(13), fresh=True, rounds=2),
    Case("memory-tls-received", "the same, after each once echoed 1 MiB", per_connection(12), memory(13, 2**20), fresh=True, rounds=2),
    Case("idle", f"echo, 64 connections, with {IDLE} idle ones open", (
        Metric("kept", "of the rate without them", True, at_least(0.95), 2),
        Metric("rate", "messages a second", True, digits=0),
        Metric("lua", "Lua thread, µs a message"),
    ), idle, fresh=True, rounds=3),
    Case("timers", f"{TIMERS} timers added, half cancelled, the rest run", (
        Metric("cpu", "CPU, ms", target=ratio_at_most(1 / 2, "1/2"), digits=0),
    ), timers, serves=False),
    Case("require", "require of the module", (Metric("ms", "ms", target=at_most(60, "ms")),), require, serves=False),
]
