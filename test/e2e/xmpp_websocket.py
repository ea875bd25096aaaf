"""XMPP over WebSocket (RFC 7395), frame by frame."""

import base64
import xml.etree.ElementTree as ET

import websockets

OPEN = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"
SASL = "{urn:ietf:params:xml:ns:xmpp-sasl}"
BIND = "{urn:ietf:params:xml:ns:xmpp-bind}"


async def connect(port, context=None):
    """A WebSocket that sends no pings of its own."""
    tls = {"ssl": context, "server_hostname": "localhost"} if context else {}
    return await websockets.connect(f"{'wss' if context else 'ws'}://localhost:{port}/xmpp-websocket", host="127.0.0.1",
                                    subprotocols=["xmpp"], ping_interval=None, **tls)


async def ask(socket, stanza, answers=1):
    """Send a stanza; return the last of so many that come in answer."""
    await socket.send(stanza)
    for _ in range(answers):
        got = await socket.recv()
    return ET.fromstring(got)


async def log_in(socket, name):
    """Log in by SASL PLAIN; return the full JID."""
    await ask(socket, OPEN, 2)
    secret = base64.b64encode(f"\0{name}\0{name}'s password".encode()).decode()
    answer = await ask(socket, f"<auth xmlns='{SASL[1:-1]}' mechanism='PLAIN'>{secret}</auth>")
    assert answer.tag == f"{SASL}success", ET.tostring(answer)
    await ask(socket, OPEN, 2)
    answer = await ask(socket, f"<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='{BIND[1:-1]}'/></iq>")
    return answer.findtext(f".//{BIND}jid")


async def echo(socket, jid, text):
    """Send a message to oneself; return what arrives."""
    answer = await ask(socket, f"<message xmlns='jabber:client' to='{jid}' type='chat'><body>{text}</body></message>")
    return answer.findtext("{jabber:client}body")
