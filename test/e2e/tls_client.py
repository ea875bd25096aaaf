"""A TLS client that looks at what a server presents, and keeps the connection if asked to."""

import socket
import ssl

from cryptography import x509

TIMEOUT = 10
STREAM = ("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
          "version='1.0' to='{}'>")


def read_until(sock, end, limit=1 << 16):
    data = b""
    while end not in data:
        chunk = sock.recv(4096)
        assert chunk and len(data) < limit, f"no {end!r}, but {data[:500]!r}{'' if chunk else ' and the end'}"
        data += chunk
    return data


class Connection:
    """A TLS connection to a server on loopback whose certificate an authority has signed.

    `name` is what the client asks for by SNI and (`check_name`) expects in the certificate; None: no SNI.
    `starttls` names the XMPP host for which to start TLS within an XML stream.
    `source` is the address to come from.
    """

    def __init__(self, port, authority, name, alpn=None, check_name=True, starttls=None, newest=None, source=None):
        context = ssl.create_default_context(cafile=authority)
        context.check_hostname = bool(name) and check_name
        if alpn:
            context.set_alpn_protocols(alpn)
        if newest:
            context.maximum_version = newest
        plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT, source_address=source and (source, 0))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if starttls:
                plain.sendall(STREAM.format(starttls).encode())
                read_until(plain, b"</stream:features>")
                plain.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                read_until(plain, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            self.sock = context.wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise
        certificate = x509.load_der_x509_certificate(self.sock.getpeercert(True))
        self.serial = certificate.serial_number
        self.alpn = self.sock.selected_alpn_protocol()
        self.protocol = self.sock.version()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def open_stream(self, host):
        """Open an XML stream; return what comes up to its features."""
        self.sock.sendall(STREAM.format(host).encode())
        return read_until(self.sock, b"</stream:features>").decode()

    def get(self, host, path):
        """GET a page; return the status line and the body."""
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n".encode())
        head, body = read_until(self.sock, b"\r\n\r\n").split(b"\r\n\r\n", 1)
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        while len(body) < length:
            chunk = self.sock.recv(4096)
            assert chunk, "the end in mid-answer"
            body += chunk
        return head.split(b"\r\n")[0].decode(), body
