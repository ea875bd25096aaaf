"""A name server on loopback that knows the names of this test (A and SRV, over UDP)."""

import asyncio
import socket
import struct

A, SRV, IN = 1, 33, 1
NXDOMAIN = 3
CHAT_ADDRESS = "192.0.2.7"
SRV_TARGET = (5, 10, 5222, "chat.example.net")


def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def encode_srv(priority, weight, port, target):
    return struct.pack("!HHH", priority, weight, port) + encode_name(target)


ZONE = {
    ("chat.example.net", A): socket.inet_aton(CHAT_ADDRESS),
    ("web.example.net", A): socket.inet_aton("127.0.0.1"),
    ("_xmpp-client._tcp.example.net", SRV): encode_srv(*SRV_TARGET),
}


def read_question(packet):
    """The name, the type and the raw bytes of the first question of a query."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode().lower())
        at += 1 + packet[at]
    qtype, _ = struct.unpack_from("!HH", packet, at + 1)
    return ".".join(labels), qtype, packet[12:at + 5]


def answer(zone, packet):
    name, qtype, question = read_question(packet)
    found = zone.get((name, qtype), ())
    found = (found,) if isinstance(found, bytes) else found
    records = b"".join(struct.pack("!HHHIH", 0xC00C, qtype, IN, 300, len(data)) + data for data in found)
    rcode = 0 if any(name == known for known, _ in zone) else NXDOMAIN
    flags = 0x8480 | struct.unpack_from("!H", packet, 2)[0] & 0x0100 | rcode  # an answer, with authority
    return packet[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + question + records


class NameServer(asyncio.DatagramProtocol):
    def __init__(self, zone):
        self.zone = zone  # (name, type) -> the data of its record, or a tuple of several
        self.asked = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, packet, sender):
        self.asked.append(len(packet))
        try:
            self.transport.sendto(answer(self.zone, packet), sender)
        except (IndexError, struct.error, UnicodeDecodeError):
            pass  # not a query (an empty datagram, say): no name server would answer

    @property
    def port(self):
        return self.transport.get_extra_info("sockname")[1]

    def close(self):
        self.transport.close()


async def start(zone):
    loop = asyncio.get_running_loop()
    _, server = await loop.create_datagram_endpoint(lambda: NameServer(zone), local_addr=("127.0.0.1", 0))
    return server
