"""Logins and chat messages through a whole Prosody."""

import os

from case import Metric, ProsodyCase, better_by
from echo_cases import rates
from prosody import GENERATIONAL

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
    """Messages at half of the rate that the first side in turn (epoll, if it takes part) manages; RATE fixes it."""

    def __init__(self):
        self.rate = int(os.environ.get("RATE") or 0)

    def __call__(self, load, prosodys):
        self.rate = self.rate or int(chat(load, prosodys)["rate"] / 2)
        return chat(load, prosodys, rate=self.rate)


def login_metrics(rate_limit, lua_limit=None):
    return (
        Metric("rate", "logins a second", True, better_by(rate_limit), 0),
        Metric("lua", "main thread, µs a login", target=lua_limit and better_by(1 / lua_limit), digits=0),
        Metric("process", "process, µs a login", digits=0),
    )


def plaintext_metrics():
    return (
        Metric("plain_lua", "plaintext: main thread, µs a login", digits=0),
        Metric("plain_rate", "plaintext: logins a second", True, digits=0),
    )


def one_login_metrics():
    return Metric("p50_us", "median, ms", target=better_by(1)), Metric("p99_us", "p99, ms")


def message_metrics(rate_limit, process_limit=None):
    return (
        Metric("rate", "messages a second", True, better_by(rate_limit), 0),
        Metric("lua", "main thread, µs a message"),
        Metric("process", "process, µs a message", target=process_limit and better_by(1 / process_limit)),
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


def cases_of(suffix, note, settings):
    return [
        ProsodyCase(f"login{suffix}", f"STARTTLS logins, 32 at once{note}", login_metrics(1.5, 0.55) + plaintext_metrics(),
                    many_logins, settings=settings),
        ProsodyCase(f"login-one{suffix}", f"STARTTLS login, one at a time{note}", one_login_metrics(), one_login, settings=settings),
        ProsodyCase(f"messages{suffix}", f"chat messages over STARTTLS, {CLIENTS} clients{note}", message_metrics(1.25, 0.85), chat,
                    settings=settings),
        ProsodyCase(f"half-load{suffix}", f"chat messages, {CLIENTS} clients, at half of epoll's rate{note}", half_load_metrics(),
                    HalfLoad(), settings=settings),
    ]


def starttls_logins(load, prosodys):
    return logins(load, prosodys, conns=32, tls=13)


CASES = cases_of("", "", "") + [
    ProsodyCase("one-cpu-messages", "chat messages, Prosody on one processor", message_metrics(1.3), chat, apart=True),
    ProsodyCase("one-cpu-login", "STARTTLS logins, Prosody on one processor", login_metrics(1.2), starttls_logins, apart=True),
]
GENERATIONAL_CASES = cases_of("-generational", ", generational gc", GENERATIONAL)
