"""HTTP both ways: a server for Prosody's client to ask, and a client to ask Prosody's server."""

import hashlib
import http.client
import http.server
import random
import ssl
import threading

PAGE = random.Random(65).randbytes(4 << 20)
CHUNK = 50_000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/chunked":
            self.answer_in_chunks(PAGE)
        elif self.path == "/cut":
            self.answer_cut_short(PAGE)
        else:
            self.answer(200 if self.path == "/page" else 404, PAGE if self.path == "/page" else b"no such page")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, hashlib.sha256(body).hexdigest().encode())

    def answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_in_chunks(self, body):
        self.protocol_version = "HTTP/1.1"
        self.close_connection = True
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(body), CHUNK):
            chunk = body[at:at + CHUNK]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    def answer_cut_short(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:-1])

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # a client that refuses our certificate, say


class WebServer:
    """A server on a free port. `certificates` (a name that clients ask for -> file) makes it one for HTTPS."""

    def __init__(self, certificates=None):
        self.server = Server(("127.0.0.1", 0), Handler)
        if certificates:
            self.server.socket = by_name(certificates).wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def by_name(certificates):
    """The TLS context of a server with a certificate for each name."""
    contexts = {}
    for name, file in certificates.items():
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        contexts[name].load_cert_chain(file)

    def choose(connection, name, _):
        connection.context = contexts[name]

    first = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    first.sni_callback = choose
    return first


def connect(port, context=None, timeout=20):
    """A connection to Prosody's web server, over TLS if there is a context."""
    if context:
        return http.client.HTTPSConnection("localhost", port, timeout=timeout, context=context)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)


def fetch(port, path, timeout=20, context=None):
    """GET from Prosody's web server: the status, the number of bytes and their SHA-256."""
    connection = connect(port, context, timeout)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}"})
        response = connection.getresponse()
        digest, length = hashlib.sha256(), 0
        while chunk := response.read(1 << 16):
            digest.update(chunk)
            length += len(chunk)
        return response.status, length, digest.hexdigest()
    finally:
        connection.close()
