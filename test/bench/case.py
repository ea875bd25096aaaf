"""What a case is: a name, what is measured, and what must be reached."""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Target:
    """`of` is what is compared: the "ratio" to epoll, or the "value" itself."""

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
    key: str  # in what `measure` returns
    label: str
    more_is_better: bool = False
    target: typing.Optional[Target] = None
    digits: int = 1


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    title: str
    metrics: tuple
    measure: typing.Callable  # (load, server or backend) -> {key: value}
    key: str = "ec"  # of the server's certificate
    serves: bool = True  # there is a server, or else `measure` gets the name of the backend
    fresh: bool = False  # a new server each round
    rounds: int = 1000  # at most
