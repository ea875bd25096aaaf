"""What a case is: a name, what is measured, and what must be reached."""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Target:
    """`of` is what is held against the limit: the "ratio" to epoll, or the "value" itself."""

    limit: float
    of: str
    at_least: bool
    text: str

    def met(self, value):
        return value >= self.limit if self.at_least else value <= self.limit


def ratio_at_most(limit, text=None):
    return Target(limit, "ratio", False, f"≤ {text or limit}")


def ratio_at_least(limit):
    return Target(limit, "ratio", True, f"≥ {limit}")


def at_most(limit, unit):
    return Target(limit, "value", False, f"≤ {limit} {unit}")


def at_least(limit):
    return Target(limit, "value", True, f"≥ {limit}")


@dataclasses.dataclass(frozen=True)
class Metric:
    key: str  # in what the case measures
    label: str
    more_is_better: bool = False
    target: typing.Optional[Target] = None
    digits: int = 1
    against: typing.Optional[str] = None  # epoll's value that go's is compared with, if not the same one


@dataclasses.dataclass(frozen=True)
class Case:
    """Those that inherit say what one turn of a backend is."""

    name: str
    title: str
    metrics: tuple
    measure: typing.Callable
    rounds: int = 1000  # at most
    key: str = "ec"  # of the server's certificate

    def turn(self, bench, backend):
        raise NotImplementedError


class ProgramCase(Case):
    """A program that is told the backend and measures itself; measure(backend) -> {key: value}"""

    def turn(self, bench, backend):
        return self.measure(backend)


class EchoCase(Case):
    """One echo server for all rounds; measure(load, server) -> {key: value}"""

    def turn(self, bench, backend):
        return self.measure(bench.load, bench.echo_server(backend, self.key))


class FreshEchoCase(Case):
    """A new echo server for each round, where what it did before would show."""

    def turn(self, bench, backend):
        try:
            return self.measure(bench.load, bench.echo_server(backend, self.key))
        finally:
            bench.stop_servers()


@dataclasses.dataclass(frozen=True)
class ProsodyCase(Case):
    """measure(load, prosodys) -> {key: value}; prosodys.one() starts a new Prosody."""

    gc: str = "incremental"

    def turn(self, bench, backend):
        return self.measure(bench.load, bench.prosodys(backend, self.key, self.gc))
