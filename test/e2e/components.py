"""Components as of XEP-0114: slixmpp's, which sends each message back."""

import asyncio
import logging

import slixmpp

logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it finds tasks that slixmpp has left behind


class Echo(slixmpp.ComponentXMPP):
    def __init__(self, name, secret, port):
        super().__init__(name, secret, "127.0.0.1", port)
        self.stream_errors = []
        self.started, self.gone = asyncio.Event(), asyncio.Event()
        self.add_event_handler("session_start", lambda _: self.started.set())
        self.add_event_handler("message", lambda message: message.reply(message["body"]).send())
        self.add_event_handler("stream_error", lambda error: self.stream_errors.append(error["condition"]))
        self.add_event_handler("disconnected", lambda _: self.gone.set())
        self.connect()


async def log_in(name, secret, port):
    component = Echo(name, secret, port)
    await component.started.wait()
    return component


async def refused(name, secret, port):
    """The stream errors that a component got before its connection ended."""
    component = Echo(name, secret, port)
    await component.gone.wait()
    assert not component.started.is_set(), "it was let in"
    return component.stream_errors


async def log_out(component):
    await component.disconnect()
    await component.gone.wait()
