"""What the parts have in common: the list of their checks, and some of what these say."""

import os


class Checks(list):
    """The checks of a part, in the order in which they are tried: (function, seconds that it may take)."""

    def __init__(self, seconds=15):
        super().__init__()
        self.seconds = seconds

    def check(self, seconds=None, only=None):
        """Decorator: add a check, or one for that backend only."""
        def add(function):
            if only in (None, os.environ.get("BACKEND", "go")):
                self.append((function, seconds or self.seconds))
            return function
        return add

    def checks_of(self, values, seconds=None):
        """Decorator: one check for each value; the docstring has {} where the value goes."""
        def add(function):
            for value in values:
                async def one(world, value=value):
                    await function(world, value)
                one.__doc__ = function.__doc__.format(value)
                self.check(seconds)(one)
            return function
        return add


def same(got, expected, what):
    assert got == expected, f"{what}: got {got!r}, expected {expected!r}"


def errors_logged(world):
    return [line for line in world.prosody.log_text().splitlines() if "\terror\t" in line]


async def no_errors_logged(world):
    """the log has no line of level error"""
    errors = errors_logged(world)
    assert not errors, "\n".join(errors[:20])
