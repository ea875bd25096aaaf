"""What a case is: a name, what is measured, and what must be reached."""

import dataclasses
import typing

from process import TOGETHER, apart


@dataclasses.dataclass(frozen=True)
class Target:
    """`of` is what is held against the limit: how many times "better" than the reference, the "value" itself, or how much
    "more" it is than the reference's."""

    limit: float
    of: str
    at_least: bool
    text: str

    def met(self, value):
        return value >= self.limit if self.at_least else value <= self.limit


def better_by(limit):
    return Target(limit, "better", True, f"≥ {limit:.2f} times")


def at_most(limit, unit=""):
    return Target(limit, "value", False, f"≤ {limit} {unit}".strip())


def at_least(limit):
    return Target(limit, "value", True, f"≥ {limit}")


def at_most_above(limit, unit):
    return Target(limit, "more", False, f"≤ tuned + {limit} {unit}")


@dataclasses.dataclass(frozen=True)
class Metric:
    key: str  # in what the case measures
    label: str
    more_is_better: bool = False
    target: typing.Optional[Target] = None
    digits: int = 1


@dataclasses.dataclass(frozen=True)
class Case:
    """Those that inherit say what one turn of a side is."""

    name: str
    title: str
    metrics: tuple
    measure: typing.Callable
    rounds: int = 1000  # at most
    key: str = "ec"  # of the server's certificate
    apart: bool = False  # the server has one processor, the load generator the others
    may_fail: frozenset = frozenset({"event"})  # sides that get "-" instead

    def processors(self):
        return apart() if self.apart else TOGETHER

    def turn(self, bench, side):
        raise NotImplementedError


class ProgramCase(Case):
    """A program that is told the backend and measures itself; measure(backend) -> {key: value}"""

    def turn(self, bench, side):
        return self.measure(side.backend)


@dataclasses.dataclass(frozen=True)
class EchoCase(Case):
    """One echo server for all rounds; measure(load, server) -> {key: value}"""

    tls: str = ""  # fields of the context, as Lua

    def turn(self, bench, side):
        return self.measure(bench.load, bench.echo_server(side, self))


class FreshEchoCase(EchoCase):
    """A new echo server for each round, where what it did before would show."""

    def turn(self, bench, side):
        try:
            return super().turn(bench, side)
        finally:
            bench.stop_servers()


@dataclasses.dataclass(frozen=True)
class ProsodyCase(Case):
    """measure(load, prosodys) -> {key: value}; prosodys.one() starts a new Prosody."""

    settings: str = ""  # lines of its configuration

    def turn(self, bench, side):
        return self.measure(bench.load, bench.prosodys(side, self))
