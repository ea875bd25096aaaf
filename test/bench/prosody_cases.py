"""The cases that a whole Prosody runs (issue 4 has the targets)."""

import os

from case import Metric, ProsodyCase, ratio_at_least, ratio_at_most
from echo_cases import rates
from prosody import GC

CLIENTS = 64


def logins(load, prosodys, **options):
    with prosodys.one() as prosody:
        return rates(load.run("login", prosody.port, pid=prosody.pid, **options))


def many_logins(load, prosodys):
    plain = logins(load, prosodys, conns=32)
    return logins(load, prosodys, conns=32, tls=13) | {"plain_lua": plain["lua"], "plain_rate": plain["rate"]}


def one_login(load, prosodys):
    result = logins(load, prosodys, conns=1, tls=13)
    return {key: result[key] / 1e3 for key in ("p50_us", "p99_us")}


def chat(load, prosodys, **options):
    with prosodys.one() as prosody:
        return rates(load.run("messages", prosody.port, pid=prosody.pid, conns=CLIENTS, tls=13, **options))


class HalfLoad:
    """Messages at half of the rate that the first backend in turn (epoll, if it takes part) manages; RATE fixes it."""

    def __init__(self):
        self.rate = int(os.environ.get("RATE") or 0)

    def __call__(self, load, prosodys):
        self.rate = self.rate or int(chat(load, prosodys)["rate"] / 2)
        return chat(load, prosodys, rate=self.rate)


def login_metrics():
    return (
        Metric("lua", "main thread, µs a login (ratio: to epoll's in plaintext)", target=ratio_at_most(1.0), digits=0,
               against="plain_lua"),
        Metric("lua", "the same (ratio: to epoll's)", digits=0),
        Metric("process", "process, µs a login", digits=0),
        Metric("rate", "logins a second", True, ratio_at_least(1.35), 0),
        Metric("plain_lua", "plaintext: main thread, µs a login", digits=0),
        Metric("plain_rate", "plaintext: logins a second", True, digits=0),
    )


def one_login_metrics():
    return Metric("p50_us", "median, ms", target=ratio_at_most(1 / 4, "1/4")), Metric("p99_us", "p99, ms")


def message_metrics():
    return (
        Metric("rate", "messages a second", True, ratio_at_least(1.15), 0),
        Metric("lua", "main thread, µs a message", target=ratio_at_most(0.85)),
        Metric("process", "process, µs a message"),
        Metric("p99_us", "p99, µs", digits=0),
    )


def half_load_metrics():
    return (
        Metric("p50_us", "median, µs", digits=0),
        Metric("p99_us", "p99, µs", digits=0),
        Metric("p999_us", "p99.9, µs", digits=0),
        Metric("lua", "main thread, µs a message"),
        Metric("process", "process, µs a message"),
        Metric("rate", "messages a second", True, digits=0),
    )


def cases_of(gc):
    suffix, note = ("", "") if gc == "incremental" else (f"-{gc}", f", {gc} gc")
    return [
        ProsodyCase(f"login{suffix}", f"STARTTLS logins, 32 at once{note}", login_metrics(), many_logins, gc=gc),
        ProsodyCase(f"login-one{suffix}", f"STARTTLS login, one at a time{note}", one_login_metrics(), one_login, gc=gc),
        ProsodyCase(f"messages{suffix}", f"chat messages over STARTTLS, {CLIENTS} clients{note}", message_metrics(), chat, gc=gc),
        ProsodyCase(f"half-load{suffix}", f"chat messages, {CLIENTS} clients, at half of epoll's rate{note}", half_load_metrics(),
                    HalfLoad(), gc=gc),
    ]


CASES = [case for gc in GC for case in cases_of(gc)]
