"""A SOCKS5 bytestream through mod_proxy65: both ends by hand, on blocking sockets."""

import hashlib
import random
import socket
import threading

TIMEOUT = 20
TURNS = 50
# server_epoll reads 8 KiB into LuaSocket's buffer, takes 4 KiB, and after the pause waits for the socket to become
# readable, though the rest is in the buffer: up to 4 KiB are held back until the peer sends more or closes.
TALK_SIZE = {"epoll": 4096, "go": 65536}


def address(sid, initiator, target):
    return hashlib.sha1(f"{sid}{initiator}{target}".encode()).hexdigest()


def read_exactly(sock, count):
    data = bytearray()
    while len(data) < count:
        try:
            chunk = sock.recv(min(1 << 18, count - len(data)))
        except TimeoutError:
            raise AssertionError(f"silence after {len(data)} of {count} bytes") from None
        if not chunk:
            raise AssertionError(f"the stream ended after {len(data)} of {count} bytes")
        data += chunk
    return bytes(data)


def connect(host, port, name):
    """Connect to the proxy and ask for the bytestream of that name."""
    sock = socket.create_connection((host, port), timeout=TIMEOUT)
    sock.sendall(b"\x05\x01\x00")
    assert read_exactly(sock, 2) == b"\x05\x00", "the proxy refused the SOCKS5 greeting"
    request = b"\x00\x03\x28" + name.encode() + b"\x00\x00"
    sock.sendall(b"\x05\x01" + request)
    assert read_exactly(sock, 47) == b"\x05\x00" + request, "the proxy refused the SOCKS5 request"
    return sock


def difference(sent, received):
    """Nothing if both are the same, or else one line that says where they part."""
    if hashlib.sha256(sent).digest() == hashlib.sha256(received).digest():
        return None
    at = next((i for i in range(0, min(len(sent), len(received)), 4096)
               if sent[i:i + 4096] != received[i:i + 4096]), "the end")
    return f"{len(sent)} bytes sent, {len(received)} received, they part in the 4 KiB from {at} on"


def read_to_end(sock):
    data = bytearray()
    while chunk := sock.recv(1 << 18):
        data += chunk
    return bytes(data)


def send_and_close(sock, data):
    with sock:
        sock.sendall(data)


def relay(source, sink, size):
    """Send so many bytes and close at once; all of them must come out. Return what went wrong, or None."""
    data = random.Random(size).randbytes(size)
    sender = threading.Thread(target=send_and_close, args=(source, data), daemon=True)
    sender.start()
    with sink:
        received = read_to_end(sink)
    sender.join()
    return difference(data, received)


def talk(one, other, size):
    """Send parcels to and fro on a bytestream that stays open. Return what went wrong, or None."""
    with one, other:
        for turn in range(TURNS):
            one, other = other, one
            data = random.Random(turn).randbytes(size)
            sender = threading.Thread(target=one.sendall, args=(data,), daemon=True)
            sender.start()
            wrong = difference(data, read_exactly(other, size))
            sender.join()
            if wrong:
                return f"parcel {turn}: {wrong}"
    return None
