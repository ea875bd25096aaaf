"""An XMPP client: slixmpp, with a memory of what happened to it."""

import asyncio
import logging

import slixmpp

logging.getLogger("slixmpp").setLevel(logging.CRITICAL)


class Client(slixmpp.ClientXMPP):
    def __init__(self, name, resource="e2e"):
        super().__init__(f"{name}@localhost/{resource}", f"{name}'s password")
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0045")
        self.register_plugin("xep_0065")
        self.received = []  # (sender's bare JID, body), in the order of arrival
        self.stream_errors = []
        self.room_presence = []  # its own, in the one room of this test
        self.started = asyncio.Event()
        self.gone = asyncio.Event()
        self.end_reason = None
        self.add_event_handler("session_start", lambda _: self.started.set())
        self.add_event_handler("message", lambda m: self.received.append((m["from"].bare, m["body"])))
        self.add_event_handler("stream_error", lambda error: self.stream_errors.append(error["condition"]))
        self.add_event_handler("muc::hall@rooms.localhost::self-presence", self.room_presence.append)
        self.add_event_handler("disconnected", self._on_disconnected)

    def _on_disconnected(self, reason):
        self.end_reason = reason
        self.gone.set()

    async def log_in(self, port):
        self.connect(("127.0.0.1", port), use_ssl=False, force_starttls=False, disable_starttls=True)
        await self.started.wait()
        self.send_presence()
        await self.get_roster()

    async def log_out(self):
        await self.disconnect()
        await self.gone.wait()

    async def has_received(self, sender, count):
        """Wait for so many messages of one sender; return their bodies."""
        while True:
            bodies = [body for who, body in self.received if who == sender]
            if len(bodies) >= count:
                return bodies
            await asyncio.sleep(0.02)

    async def subscription(self, jid):
        """What the server's roster says about a contact."""
        query = self.make_iq_get()
        query.enable("roster")  # unlike get_roster(): without a version, so that the answer is complete
        answer = await query.send()
        item = answer["roster"]["items"].get(slixmpp.JID(jid))
        return item["subscription"] if item else None
