"""A room of a whole Prosody, in which one occupant speaks to all."""

from case import Metric, ProsodyCase, better_by
from echo_cases import rates
from prosody import GENERATIONAL

ROOMS = '''Component "rooms.@NAME@" "muc"
muc_room_locking = false
'''
# As behind a reverse proxy, which has the TLS.
WEBSOCKET = '''modules_enabled = { "saslauth", "tls", "websocket" }
http_ports = { @HTTP_PORT@ }
consider_websocket_secure = true
'''
JOIN_PATIENCE = "5m"  # 500 that join get 250,000 presences


def room(occupants, websocket):
    def measure(load, prosodys):
        with prosodys.one(occupants) as prosody:
            port, options = (prosody.http_port, {"websocket": "true"}) if websocket else (prosody.port, {"tls": 13})
            result = load.run("muc", port, pid=prosody.pid, conns=occupants, patience=JOIN_PATIENCE, **options)
        return rates(result | {"joins": result["joins"] / result["join_seconds"]})
    return measure


def room_metrics(rate_limit=None, lua_limit=None, p99_limit=None):
    return (
        Metric("lua", "main thread, µs a delivery", target=lua_limit and better_by(1 / lua_limit)),
        Metric("process", "process, µs a delivery"),
        Metric("rate", "deliveries a second", True, rate_limit and better_by(rate_limit), 0),
        Metric("p50_us", "until the last has it, median, µs", digits=0),
        Metric("p99_us", "until the last has it, p99, µs", target=p99_limit and better_by(1 / p99_limit), digits=0),
        Metric("joins", "joins a second", True),
    )


def case(name, title, metrics, occupants, websocket=False, settings="", **options):
    return ProsodyCase(name, title, metrics, room(occupants, websocket),
                       settings=settings + (WEBSOCKET if websocket else "") + ROOMS, **options)


CASES = [
    case("muc-200", "a room of 200, one speaker, STARTTLS", room_metrics(lua_limit=0.65, p99_limit=0.8), 200),
    case("muc-200-websocket", "a room of 200, one speaker, WebSocket", room_metrics(), 200, True),
    case("muc-500", "a room of 500, one speaker, STARTTLS", room_metrics(), 500, rounds=2),
    case("muc-500-websocket", "a room of 500, one speaker, WebSocket", room_metrics(lua_limit=0.65), 500, True, rounds=2),
    case("one-cpu-muc", "a room of 200, Prosody on one processor", room_metrics(rate_limit=1.2), 200, apart=True),
]
GENERATIONAL_CASES = [
    case("muc-200-generational", "a room of 200, one speaker, STARTTLS, generational gc", room_metrics(lua_limit=0.55), 200,
         settings=GENERATIONAL),
]
