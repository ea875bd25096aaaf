"""A client of mod_admin_socket that speaks its stream protocol over a plain unix socket."""

import asyncio
import re
import xml.etree.ElementTree as ET

OPEN = "<stream:stream xmlns='xmpp:prosody.im/admin' xmlns:stream='http://etherx.jabber.org/streams'>"
NS = "{xmpp:prosody.im/admin}"


async def command(path, line):
    """Have mod_admin_shell run one line; return (error?, all that it printed and its result)."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    parser = ET.XMLPullParser(("end",))
    text = []
    try:
        item = ET.Element("repl-input")
        item.text = line
        writer.write((OPEN + ET.tostring(item, encoding="unicode")).encode())
        while data := await reader.read(1 << 16):
            parser.feed(data)
            for _, element in parser.read_events():
                if element.tag in (NS + "repl-output", NS + "repl-result"):
                    text.append(element.text or "")
                if element.tag == NS + "repl-result":
                    return element.get("type") == "error", "\n".join(text)
        raise AssertionError(f"the admin socket closed before it answered {line!r}")
    finally:
        writer.close()


def plain(text):
    """Text without the terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
