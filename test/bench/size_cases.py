"""How large a whole Prosody is, small and with thousands of clients, and how long they take to come back."""

import signal
import time

from case import Metric, ProsodyCase, at_most, at_most_above, better_by
from process import Failed

SETTLE_SECONDS = 3
LATER_SECONDS = 10
LOGIN_SECONDS = 3
FILL_AT_ONCE = 32  # where it is not the logins that are measured
HOSTS = 200
RELOADS = 5
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def in_mb(size):
    return size / 1e6


def waves(result):
    return {"all": result["all_seconds"], "median": result["p50_us"] / 1e6, "failed": result["failed"]}


def crowd(prosody, load, clients, **options):
    return load.hold("wave", prosody.port, conns=clients, tls=13, pid=prosody.pid, **options)


def wave(clients):
    def measure(load, prosodys):
        with prosodys.one(clients) as prosody, crowd(prosody, load, clients) as result:
            return waves(result) | {"rss": in_mb(prosody.resident())}
    return measure


def sessions(clients):
    """What each costs while all are silent. Then Prosody restarts, and all come back at once."""
    def measure(load, prosodys):
        with prosodys.home(clients) as folder:
            with prosodys.within(folder) as prosody:
                time.sleep(SETTLE_SECONDS)
                before = prosody.resident()
                with crowd(prosody, load, clients, **{"at-once": FILL_AT_ONCE}) as result:
                    if result["failed"]:
                        raise Failed(f"{result['failed']} of {clients} clients could not log in")
                    time.sleep(SETTLE_SECONDS)
                    kib = (prosody.resident() - before) / clients / 1024
            with prosodys.within(folder) as prosody, crowd(prosody, load, clients) as result:
                return waves(result) | {"kib": kib}
    return measure


def small(load, prosodys):
    with prosodys.one() as prosody:
        time.sleep(SETTLE_SECONDS)
        rest = prosody.resident()
        load.run("login", prosody.port, seconds=LOGIN_SECONDS, conns=8, tls=13)
        busy = prosody.resident()
        time.sleep(LATER_SECONDS)
        return {"rest": in_mb(rest), "busy": in_mb(busy), "later": in_mb(prosody.resident())}


def many_hosts():
    files = "@FOLDER@/certs/@NAME@.pem"
    ssl = f'ssl = {{ certificate = "{files}", key = "{files}", cafile = "{BUNDLE}" }}\n'
    return "".join(f'VirtualHost "host{number}.@NAME@"\n{ssl}' for number in range(HOSTS))


def hosts(load, prosodys):
    with prosodys.one() as prosody:
        settle(prosody)
        start, used = prosody.resident(), prosody.cpu_seconds()
        for _ in range(RELOADS):
            prosody.process.send_signal(signal.SIGHUP)
            settle(prosody)
        return {"start": in_mb(start), "reloaded": in_mb(prosody.resident()),
                "cpu": (prosody.cpu_seconds() - used) / RELOADS}


def settle(prosody):
    """Waits until it has done nothing for a second."""
    used = None
    while used != (used := prosody.cpu_seconds()):
        time.sleep(1)


def wave_metrics(limit, median_limit=None):
    return (
        Metric("all", "all back, s", target=better_by(1 / limit), digits=2),
        Metric("median", "the median client, s", target=median_limit and better_by(1 / median_limit), digits=2),
        Metric("failed", "clients that failed", target=at_most(0), digits=0),
    )


def sessions_case(clients, kib_limit, wave_limit):
    return ProsodyCase(f"sessions-{clients}", f"{clients:,} sessions over STARTTLS, then a restart", (
        Metric("kib", "KiB a session", target=kib_limit and better_by(1 / kib_limit)), *wave_metrics(wave_limit),
    ), sessions(clients), rounds=2)


CASES = [
    ProsodyCase("wave", "2,000 clients log in at once", (*wave_metrics(0.85, 0.8), Metric("rss", "RSS then, MB")), wave(2000), rounds=3),
    sessions_case(1000, None, 0.85),
    sessions_case(10_000, 0.8, 0.85),
    ProsodyCase("small", "RSS of a Prosody with 8 clients", (
        Metric("rest", "at rest, MB", target=at_most_above(6, "MB")),
        Metric("busy", f"after {LOGIN_SECONDS} s of logins, MB", target=at_most_above(14, "MB")),
        Metric("later", f"{LATER_SECONDS} s later, MB", target=at_most_above(8, "MB")),
    ), small, rounds=3),
    ProsodyCase("hosts", f"{HOSTS} hosts, each with the system's CA bundle", (
        Metric("start", "RSS at start, MB", target=better_by(2), digits=0),
        Metric("reloaded", f"RSS after {RELOADS} reloads, MB", target=better_by(2), digits=0),
        Metric("cpu", "CPU of a reload, s", target=better_by(2), digits=2),
    ), hosts, settings=many_hosts(), rounds=1),
]
