"""A BOSH session by plain HTTP requests, so that a test can hold one open and look at each answer."""

import base64
import xml.etree.ElementTree as ET

BODY = "{http://jabber.org/protocol/httpbind}body"
CLIENT = "{jabber:client}"
SASL = "{urn:ietf:params:xml:ns:xmpp-sasl}"


class Session:
    """`connect` makes a connection to the server (see web.connect). Of the two, one may be waiting for its answer."""

    def __init__(self, connect):
        self.connections = connect(), connect()
        self.rid = 7000
        self.sid = None
        self.jid = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            connection.close()

    def post(self, xml="", **attributes):
        """Send a request; return the <body/> of its answer. Successive calls may overlap."""
        self.rid += 1
        connection = self.connections[self.rid % 2]
        attributes |= {"rid": self.rid, "xmlns": BODY[1:-5], "xmlns:xmpp": "urn:xmpp:xbosh"}
        if self.sid:
            attributes["sid"] = self.sid
        written = " ".join(f"{name}='{value}'" for name, value in attributes.items())
        connection.request("POST", "/http-bind", f"<body {written}>{xml}</body>", {"Content-Type": "text/xml"})
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status == 200, f"status {response.status}: {text[:500]}"
        body = ET.fromstring(text)
        assert body.tag == BODY, text[:500]
        return body

    def log_in(self, name, wait):
        created = self.post(to="localhost", wait=wait, hold=1, ver="1.6", **{"xmpp:version": "1.0"})
        self.sid = created.get("sid")
        secret = base64.b64encode(f"\0{name}\0{name}'s password".encode()).decode()
        answer = self.post(f"<auth xmlns='{SASL[1:-1]}' mechanism='PLAIN'>{secret}</auth>")
        assert answer.find(f"{SASL}success") is not None, ET.tostring(answer)
        self.post(to="localhost", **{"xmpp:restart": "true"})
        answer = self.post("<iq xmlns='jabber:client' type='set' id='bind'>"
                           "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        self.jid = answer.findtext(".//{urn:ietf:params:xml:ns:xmpp-bind}jid")
        assert self.jid, ET.tostring(answer)
        return created


def messages(body):
    """The texts of the messages in an answer."""
    return [message.findtext(f"{CLIENT}body") for message in body.findall(f"{CLIENT}message")]
