"""A TCP proxy in the test: it cuts connections by a reset and makes them stand still.

Everything runs on one thread with a loop of its own; the verbs may be called from any other.
Way in: Cutter; close_by_reset for a client that cuts itself off.
"""

import asyncio
import random
import socket
import struct
import threading
from dataclasses import dataclass

# A torn answer: so long a connection that is to be cut waits for bytes to cut through.
TEAR_S = 0.3


def close_by_reset(client):
    """Make the close of a socket a reset."""
    on, at_once = 1, 0
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, at_once))


@dataclass(frozen=True)
class Weather:
    """What happens to each connection by chance: cut after cut_s, and before that stalls.

    cut_s, stall_s: from, to, in seconds. stalling: the share of connections that stall once.
    """

    cut_s: tuple[float, float]
    stall_s: tuple[float, float] = (0.0, 0.0)
    stalling: float = 0.0


class _End(asyncio.Protocol):
    """One end of a connection; what comes in here goes out at `other`.

    holds: why nothing is read from it now.
    """

    def __init__(self, link):
        self.link = link
        self.transport = None
        self.other = None
        self.holds = set()

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def hold(self, why):
        self.holds.add(why)
        self.transport.pause_reading()

    def let(self, why):
        self.holds.discard(why)
        if not self.holds and not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data):
        self.link.passed(self, data)

    def eof_received(self):
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.write_eof()
        return True  # the other direction goes on

    def pause_writing(self):
        if self.other is not None:
            self.other.hold("full")

    def resume_writing(self):
        if self.other is not None:
            self.other.let("full")

    def connection_lost(self, error):
        self.link.lost(self, error)

    def reset(self):
        if self.transport is not None:
            close_by_reset(self.transport.get_extra_info("socket"))
            self.transport.abort()


class _Link:
    """A client's connection and ours to the server."""

    def __init__(self, cutter):
        self._cutter = cutter
        self.client = _End(self)
        self.server = _End(self)
        self.is_torn = False

    async def join(self, port):
        """Connect to the server; reset the client when there is none. port: None refuses."""
        self.client.hold("joining")
        loop = asyncio.get_running_loop()
        try:
            if port is None:
                raise ConnectionRefusedError
            await loop.create_connection(lambda: self.server, "127.0.0.1", port)
        except OSError:
            self.drop()
            return
        self.client.other, self.server.other = self.server, self.client
        self.client.let("joining")

    def passed(self, end, data):
        if self.is_torn and end is self.server:
            end.other.transport.write(data[: random.randrange(len(data))])
            self.cut()
        elif not end.other.transport.is_closing():
            end.other.transport.write(data)

    def tear(self):
        """Cut it within the next bytes that the server sends, if some come soon."""
        self.is_torn = True
        asyncio.get_running_loop().call_later(TEAR_S, self.cut)

    def stall(self, why):
        for end in self.client, self.server:
            if end.transport is not None:
                end.hold(why)

    def go_on(self, why):
        for end in self.client, self.server:
            if end.transport is not None:
                end.let(why)

    def cut(self):
        if self in self._cutter.links:
            self._cutter.cuts += 1
            self.drop()

    def drop(self):
        self._cutter.links.discard(self)
        self.client.reset()
        self.server.reset()

    def lost(self, end, error):
        """One end is over: the other one is too, at once when it was a reset."""
        other = self.server if end is self.client else self.client
        if error is not None:
            other.reset()
        elif other.transport is not None:
            other.transport.close()
        self._cutter.links.discard(self)


class Cutter:
    """See the module. Started by the constructor, ended by close().

    cuts, stalls: how many there were.
    """

    def __init__(self, target_port):
        self.links = set()
        self.cuts = self.stalls = 0
        self._target_port = target_port
        self._weather = None
        self._is_open = True
        self._tasks = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def storm(self, weather):
        """From now on connections are cut and stalled by chance; None: no more."""
        self._run(self._change(weather))

    def cut(self):
        """Reset all connections."""
        self._run(self._each(_Link.cut))

    def stall(self):
        """Pass nothing on, in all connections there are."""
        self._run(self._each(lambda link: link.stall("told")))

    def go_on(self):
        self._run(self._each(lambda link: link.go_on("told")))

    def refuse(self):
        """Reset all connections, and those that come, until let_in()."""
        self._is_open = False
        self.cut()

    def let_in(self):
        self._is_open = True

    def close(self):
        self.cut()
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self):
        return await self._loop.create_server(self._accept, "127.0.0.1", 0, backlog=1000)

    def _accept(self):
        link = _Link(self)
        self.links.add(link)
        self._loop.call_soon(self._begin, link)
        return link.client

    def _begin(self, link):
        # Tasks begin after connection_made, which the loop has queued by now.
        self._spawn(link.join(self._target_port if self._is_open else None))
        if self._weather is not None:
            self._spawn(self._suffer(link, self._weather))

    async def _suffer(self, link, weather):
        if random.random() < weather.stalling:
            await asyncio.sleep(random.uniform(*weather.cut_s) / 2)
            self.stalls += 1
            link.stall("chance")
            await asyncio.sleep(random.uniform(*weather.stall_s))
            link.go_on("chance")
        await asyncio.sleep(random.uniform(*weather.cut_s))
        if self._weather is weather:
            link.tear()

    async def _change(self, weather):
        self._weather = weather

    async def _each(self, do):
        for link in list(self.links):
            do(link)

    async def _stop(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.sleep(0)

    def _spawn(self, work):
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
