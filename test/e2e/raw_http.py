"""HTTP byte by byte, over asyncio's streams: for what http.client would not do."""

import asyncio


async def connect(port, context=None):
    return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost" if context else None)


def request(path, version="1.1", *headers):
    return "\r\n".join((f"GET {path} HTTP/{version}", "Host: localhost", *headers, "", "")).encode()


async def head(reader):
    """Read an answer's head; return the status and the headers, their names in lower case."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    return int(lines[0].split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:-2])}


async def answer(reader):
    """Read an answer of known length; return the status and the body."""
    status, headers = await head(reader)
    return status, await reader.readexactly(int(headers["content-length"]))
