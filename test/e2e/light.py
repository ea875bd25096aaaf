"""An XMPP client on asyncio streams, light enough to have hundreds: SASL PLAIN, STARTTLS, stream management (XEP-0198)."""

import asyncio
import base64
import collections
import socket
import ssl
import struct
import xml.etree.ElementTree as ET
from xml.sax.saxutils import quoteattr, escape

HEAD = ("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        "version='1.0' to={}>")
CLIENT, TLS, SASL = "{jabber:client}", "{urn:ietf:params:xml:ns:xmpp-tls}", "{urn:ietf:params:xml:ns:xmpp-sasl}"
BIND, SM = "{urn:ietf:params:xml:ns:xmpp-bind}", "{urn:xmpp:sm:3}"
STREAM = "{http://etherx.jabber.org/streams}"
STANZAS = {CLIENT + "message", CLIENT + "presence", CLIENT + "iq"}


class Ended(Exception):
    """The stream has ended; the text says how."""


class Stream:
    """One XML stream: what comes in, element by element."""

    def __init__(self, reader, writer, host):
        self.reader, self.writer, self.host = reader, writer, host
        self.socket = writer.get_extra_info("socket")
        self.restart()

    @classmethod
    async def connect(cls, port, host, **options):
        return cls(*await asyncio.open_connection("127.0.0.1", port, **options), host)

    def restart(self):
        """Begin the stream anew, as after STARTTLS and SASL."""
        self.parser = ET.XMLPullParser(("start", "end"))
        self.depth, self.root, self.ready = 0, None, collections.deque()
        self.send(HEAD.format(quoteattr(self.host)))

    def send(self, text):
        self.writer.write(text.encode())

    async def next(self):
        """The next child of the stream."""
        while not self.ready:
            try:
                data = await self.reader.read(1 << 16)
            except OSError as error:
                raise Ended(str(error)) from None
            if not data:
                raise Ended("no end of the stream")
            self.parser.feed(data)
            for event, element in self.parser.read_events():
                self.depth += 1 if event == "start" else -1
                if self.root is None:
                    self.root = element
                if event == "end" and self.depth == 1:
                    self.ready.append(element)
                    self.root.remove(element)
                elif event == "end" and self.depth == 0:
                    self.ready.append(None)
        element = self.ready.popleft()
        if element is None:
            raise Ended("end of stream")
        return element

    async def expect(self, tag):
        element = await self.next()
        assert element.tag == tag, f"{tag} expected, got {ET.tostring(element, encoding='unicode')}"
        return element

    async def start_tls(self, context):
        await self.expect(STREAM + "features")
        self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await self.expect(TLS + "proceed")
        await self.writer.start_tls(context, server_hostname=self.host)
        self.restart()

    async def log_in(self, name, password):
        await self.expect(STREAM + "features")
        secret = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>")
        await self.expect(SASL + "success")
        self.restart()
        await self.expect(STREAM + "features")

    async def bind(self, resource):
        self.send(f"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                  f"<resource>{resource}</resource></bind></iq>")
        answer = await self.expect(CLIENT + "iq")
        return answer.find(f"{BIND}bind/{BIND}jid").text

    @property
    def tls(self):
        return self.writer.get_extra_info("ssl_object")

    def cut(self):
        """End the connection by a reset, in mid-session."""
        if self.socket.fileno() >= 0:  # otherwise it has ended
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()


class Client:
    """A user who remembers what came. `trusted` (a file): log in by STARTTLS, or by `direct` TLS; `managed`: with stream
    management; `source`: the address to come from."""

    def __init__(self, port, name, host="localhost", resource="light", trusted=None, managed=False, direct=False, source=None):
        self.port, self.name, self.host, self.resource = port, name, host, resource
        self.trusted = trusted
        self.managed = managed
        self.direct, self.source = direct, source
        self.stream = self.jid = self.task = None
        self.received = []  # (sender's full JID, body), in the order of arrival
        self.answers = {}  # id -> the iq that answers
        self.stream_error = None
        self.end = None  # how the stream ended
        self.changed = asyncio.Event()  # something of the above has
        self.handled = 0  # stanzas that came since stream management began
        self.acknowledged = 0  # of those that were sent
        self.unacknowledged = collections.deque()
        self.sm_id = None
        self.sent = 0

    def __str__(self):
        connected = "connected" if self.task and not self.task.done() else f"not connected ({self.stream_error or self.end})"
        return f"{self.name}, {connected}, {len(self.unacknowledged)} stanzas unacknowledged, {len(self.received)} messages not dealt with"

    async def _open(self):
        self.end = self.stream_error = None
        context = self.trusted and ssl.create_default_context(cafile=self.trusted)
        options = {"ssl": context, "server_hostname": self.host} if self.direct else {}
        if self.source:
            options["local_addr"] = (self.source, 0)
        self.stream = await Stream.connect(self.port, self.host, **options)
        if self.trusted and not self.direct:
            await self.stream.start_tls(context)
        await self.stream.log_in(self.name, f"{self.name}'s password")

    async def log_in(self, presence=True):
        await self._open()
        self.jid = await self.stream.bind(self.resource)
        if self.managed:
            self.stream.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
            while (element := await self.stream.next()).tag != SM + "enabled":
                self._take(element)  # errors in answer to what was sent in an earlier life
            self.sm_id, self.handled = element.get("id"), 0
        self.task = asyncio.create_task(self._read())
        if presence:
            self.send("<presence/>")

    async def resume(self):
        """Come back after cut(), with the stream management of before: nothing sent either way is lost or doubled."""
        await self._open()
        self.stream.send(f"<resume xmlns='urn:xmpp:sm:3' h='{self.handled}' previd={quoteattr(self.sm_id)}/>")
        resumed = await self.stream.expect(SM + "resumed")
        self._acknowledge(int(resumed.get("h")))
        for text in self.unacknowledged:
            self.stream.send(text)
        self.task = asyncio.create_task(self._read())

    def send(self, stanza):
        if self.managed:
            self.unacknowledged.append(stanza)
        if not self.task.done():  # otherwise it is sent by resume()
            self.stream.send(stanza)

    def message(self, to, body):
        self.send(f"<message type='chat' to={quoteattr(to)}><body>{escape(body)}</body></message>")

    async def ask(self, to, payload):
        """The answer to an iq."""
        self.sent += 1
        key = f"ask{self.sent}"
        self.send(f"<iq type='get' id='{key}' to={quoteattr(to)}>{payload}</iq>")
        await self.until(lambda: key in self.answers)
        return self.answers.pop(key)

    async def until(self, condition):
        """Wait until something that the client has received makes the condition true."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    async def all_acknowledged(self):
        """Wait until the server has handled all that was sent."""
        self.stream.send("<r xmlns='urn:xmpp:sm:3'/>")
        await self.until(lambda: not self.unacknowledged or self.end)

    def _acknowledge(self, h):
        while self.acknowledged < h:
            self.unacknowledged.popleft()
            self.acknowledged += 1

    async def _read(self):
        try:
            while True:
                self._take(await self.stream.next())
                self.changed.set()
        except Ended as ended:
            self.end = str(ended)
        except ET.ParseError as error:
            self.end = f"not XML: {error}"
        self.stream.writer.close()
        self.changed.set()

    def _take(self, element):
        self.handled += element.tag in STANZAS
        if element.tag == CLIENT + "message":
            body = element.find(CLIENT + "body")
            self.received.append((element.get("from"), body.text if body is not None else None))
        elif element.tag == CLIENT + "iq":
            self.answers[element.get("id")] = element
        elif element.tag == SM + "r":
            self.stream.send(f"<a xmlns='urn:xmpp:sm:3' h='{self.handled}'/>")
        elif element.tag == SM + "a":
            self._acknowledge(int(element.get("h")))
        elif element.tag == STREAM + "error":
            self.stream_error = element[0].tag.partition("}")[2]

    async def cut(self):
        """Reset the connection, if there is one; what is on its way to the client is lost."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        if self.stream:
            self.stream.cut()

    async def log_out(self):
        self.stream.send("</stream:stream>")
        await self.until(lambda: self.end)
