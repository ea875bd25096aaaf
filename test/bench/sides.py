"""The sides of a comparison: a backend, and what it is run with."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Side:
    name: str
    backend: str
    settings: str = ""  # network_settings, as Lua
    preload: str = ""  # a library, for LD_PRELOAD


# "tuned" is server_epoll without the two defaults that cost it most: Nagle's algorithm delays small packets, and a short
# queue loses connections when many come at once.
SIDES = {side.name: side for side in (
    Side("epoll", "epoll"),
    Side("tuned", "epoll", "nagle = false; tcp_backlog = 4096"),
    Side("event", "event"),
    Side("go", "go"),
    Side("go-alone", "go", "io_thread = false"),
    Side("go-thread", "go", "io_thread = true"),
    Side("go-jemalloc", "go", preload="libjemalloc.so.2"),
    Side("tuned-jemalloc", "epoll", "nagle = false; tcp_backlog = 4096", preload="libjemalloc.so.2"),
)}

REFERENCE = "tuned"  # what "go" is judged against
DEFAULT = "epoll"  # shown beside it
MEASURED = "go"
