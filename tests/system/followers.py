"""A thousand light followers in one process; they come back as they are told, until `last`.

`python -m tests.system.followers` prints a line of JSON for each once it has heard the last; the
test of a shutdown starts it. Light, as a thousand of the clients in feeds.py are not.
"""

import asyncio
import json
import os
import struct
import sys
import time
from dataclasses import asdict, dataclass, field

from tests.sockets.clients import CLOSE, OPENING, PING, PONG, TEXT, frame
from tests.system.feeds import GAP, HEARTBEAT, LAST, RECONNECT

PAUSE_S = 0.1
# So many shake hands at a time.
DOORS = 50
CUT = (OSError, asyncio.IncompleteReadError, EOFError)


@dataclass
class Heard:
    """What one has heard. ids: in the order of their coming. returns: [told ms, back after s]."""

    transport: str
    since: str
    numbers: list = field(default_factory=list)
    ids: list = field(default_factory=list)
    gaps: int = 0
    returns: list = field(default_factory=list)
    is_done: bool = False
    told_ms: int | None = None
    told_at_s: float = 0.0

    def hear(self, fields):
        """Take an event, or what the server says by itself."""
        if fields["name"] == RECONNECT:
            self.told_ms, self.told_at_s = fields["data"]["after_ms"], time.monotonic()
        elif fields["name"] == GAP:
            self.gaps += 1
        elif fields["name"] != HEARTBEAT:
            self.numbers.append(fields["data"])
            self.ids.append(fields["id"])
            self.since = fields["id"]
            self.is_done = fields["name"] == LAST

    def is_back(self):
        if self.told_ms is not None:
            self.returns.append([self.told_ms, time.monotonic() - self.told_at_s])
            self.told_ms = None


async def ask(port, path, fields):
    """Return the streams of an answer whose head has been read, or raise ConnectionError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if head.split(b" ", 2)[1] not in (b"101", b"200"):
        writer.close()
        raise ConnectionError(head)
    return reader, writer


async def texts(reader, writer):
    """Yield the texts of a WebSocket until it is closed."""
    while True:
        first, size = await reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await reader.readexactly(8))
        payload = await reader.readexactly(size)
        if first & 0x0F == PING:
            writer.write(frame(PONG, payload))
        elif first & 0x0F == CLOSE:
            writer.write(frame(CLOSE, payload[:2]))
            return
        else:
            yield payload.decode()


async def follow_websocket(port, topic, heard):
    reader, writer = await ask(port, f"/ws/events/{topic}?since={heard.since}", OPENING)
    yield writer
    async for text in texts(reader, writer):
        heard.hear(json.loads(text))
        if heard.is_done:
            return


async def follow_sse(port, topic, heard):
    fields = {"Host": "127.0.0.1", "Accept": "text/event-stream"}
    reader, writer = await ask(port, f"/events/{topic}?since={heard.since}&whole=1", fields)
    yield writer
    is_open = False
    while not heard.is_done and (line := await reader.readline()):
        name, _, value = line.decode().rstrip("\r\n").partition(": ")
        if name == "data":
            heard.hear(json.loads(value))
        elif name == "retry" and is_open:
            heard.hear({"name": RECONNECT, "data": {"after_ms": int(value)}})
        is_open = is_open or name == "retry"


async def follow_socketio(port, topic, heard):
    reader, writer = await ask(port, "/socket.io/?EIO=4&transport=websocket", OPENING)
    said = texts(reader, writer)
    asked = json.dumps(["subscribe", {"topic": topic, "since": heard.since}])
    async for text in said:
        if text.startswith("0{"):
            writer.write(frame(TEXT, b"40/live,"))
        elif text.startswith("40/live,"):
            writer.write(frame(TEXT, f"42/live,0{asked}".encode()))
        elif text.startswith("43/live,0"):
            if not json.loads(text.removeprefix("43/live,0"))[0]["ok"]:
                writer.close()
                raise ConnectionError(text)
            yield writer
        elif text == "2":
            writer.write(frame(TEXT, b"3"))
        elif text.startswith("42/live,"):
            name, fields = json.loads(text.removeprefix("42/live,"))
            if name in ("event", GAP, RECONNECT):  # others speak to everybody
                heard.hear(fields if name == "event" else {"name": name, "data": fields})
            if heard.is_done:
                return
        elif text.startswith(("41/live,", "44/live,")):
            raise ConnectionError(text)


FOLLOWERS = {"websocket": follow_websocket, "sse": follow_sse, "socket.io": follow_socketio}


async def follow(port, topic, transport, since, doors, opened):
    """Follow until the last, coming back as one is told; return what was heard."""
    heard = Heard(transport, since)
    while not heard.is_done:
        await listen(port, topic, heard, doors, opened)
        if heard.told_ms is not None:
            await asyncio.sleep(max(0.0, heard.told_at_s + heard.told_ms / 1000 - time.monotonic()))
        else:
            await asyncio.sleep(PAUSE_S)
    return heard


async def listen(port, topic, heard, doors, opened):
    """Follow over one connection until it is over, or the last is heard."""
    said = FOLLOWERS[heard.transport](port, topic, heard)
    writer = None
    told_before = heard.told_ms
    try:
        async with doors:
            writer = await anext(said)
        heard.is_back()
        opened()
        async for _ in said:
            pass
    except CUT:
        if writer is None and told_before is not None:
            await asyncio.sleep(PAUSE_S)
    finally:
        if writer is not None:
            writer.close()


async def main(port, topic, since, sizes):
    """Follow with so many of each transport; print `open` once all are, then what each heard."""
    doors, count = asyncio.Semaphore(DOORS), 0

    def opened():
        nonlocal count
        count += 1
        if count == sum(sizes.values()):
            print("open", flush=True)

    every = [transport for transport, size in sizes.items() for _ in range(size)]
    following = [follow(port, topic, transport, since, doors, opened) for transport in every]
    for done in asyncio.as_completed(following):
        print(json.dumps(asdict(await done)), flush=True)


if __name__ == "__main__":
    os.nice(5)
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])))
