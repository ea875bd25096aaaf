"""An XMPP client: slixmpp, with a memory of what happened to it."""

import asyncio
import logging
import pathlib

import slixmpp

logging.getLogger("slixmpp").setLevel(logging.CRITICAL)
logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it finds tasks that slixmpp has left behind


# Since then connect() has no arguments for TLS, and the mechanisms are other ones.
NEW_SLIXMPP = slixmpp.__version_info__ >= (1, 9)


class Client(slixmpp.ClientXMPP):
    def __init__(self, name, resource="e2e", host="localhost"):
        super().__init__(f"{name}@{host}/{resource}", f"{name}'s password")
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0045")
        self.register_plugin("xep_0065")
        self.received = []  # (sender's bare JID, body), in the order of arrival
        self.bounced = []  # (sender's bare JID, condition, text) of each error in answer to a message
        self.stream_errors = []
        self.room_presence = []  # its own, in the one room of this test
        self.started = asyncio.Event()
        self.gone = asyncio.Event()
        self.end_reason = None
        self.add_event_handler("session_start", lambda _: self.started.set())
        self.add_event_handler("message", lambda m: self.received.append((m["from"].bare, m["body"])))
        self.add_event_handler("message_error", self._on_bounce)
        self.add_event_handler("stream_error", lambda error: self.stream_errors.append(error["condition"]))
        self.add_event_handler("muc::hall@rooms.localhost::self-presence", self.room_presence.append)
        self.add_event_handler("disconnected", self._on_disconnected)

    def _on_disconnected(self, reason):
        self.end_reason = reason
        self.gone.set()

    def _on_bounce(self, message):
        self.bounced.append((message["from"].bare, message["error"]["condition"], message["error"]["text"]))

    def _dial(self, port, way):
        """Connect in that way and no other."""
        plain, starttls, direct = (way == name for name in ("plain", "STARTTLS", "direct TLS"))
        self["feature_mechanisms"].unencrypted_scram = self["feature_mechanisms"].unencrypted_plain = plain
        if NEW_SLIXMPP:
            self.enable_plaintext, self.enable_starttls, self.enable_direct_tls = plain, starttls, direct
            self.connect("127.0.0.1", port)
        else:
            self.connect(("127.0.0.1", port), use_ssl=direct, force_starttls=starttls, disable_starttls=not starttls)

    async def log_in(self, port):
        self._dial(port, "plain")
        await self._come_online()

    async def log_in_over_tls(self, port, authority, direct=False, newest=None):
        """Log in by STARTTLS or direct TLS, to a server that must prove its name by a certificate of that authority."""
        self.ca_certs = pathlib.Path(authority)
        if newest:
            self.ssl_context.maximum_version = newest
        self._dial(port, "direct TLS" if direct else "STARTTLS")
        await self._come_online()

    @property
    def mechanism(self):
        """The SASL mechanism by which it logged in."""
        return self["feature_mechanisms"].mech.name

    async def _come_online(self):
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

    async def has_bounced(self, sender):
        """Wait for an error in answer to a message to that JID; return its condition and text."""
        while True:
            for who, condition, text in self.bounced:
                if who == sender:
                    return condition, text
            await asyncio.sleep(0.02)

    async def subscription(self, jid):
        """What the server's roster says about a contact."""
        query = self.make_iq_get()
        query.enable("roster")  # unlike get_roster(): without a version, so that the answer is complete
        answer = await query.send()
        item = answer["roster"]["items"].get(slixmpp.JID(jid))
        return item["subscription"] if item else None
