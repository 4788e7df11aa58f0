"""Raw WebSockets: the feeds of topics at /ws/events, and /ws/live of the original contract."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from auth.access import AccessError, Principal
from auth.links import PARAMETER, since_of
from sockets.answers import message_of
from sockets.engineio.acceptor import Acceptor
from sockets.engineio.frames import ping_frame, text_frame
from sockets.engineio.watch import SILENT
from sockets.engineio.websocket import Talk, WebSocket
from topics import Patterns, TopicReader, Topics
from topics.lifetime import end_of
from topics.ticker import Ticker
from wire.events import HEARTBEAT, id_of
from wire.framing import Framing
from wire.parameters import check_parameters

# Five heartbeats without an answer. A client that stalls for a minute is slow, not dead.
DEAD_AFTER_S = 75.0

# RFC 6455, 7.4.1, and the IANA registry of close codes for the last.
POLICY_VIOLATION = 1008
SERVICE_RESTART = 1012


class TextFrames:
    """How /ws/events writes: a line is a text message; see wire.framing.Framing."""

    transport = "websocket"
    between = b""

    def events(self, lines: Sequence[bytes]) -> bytes:
        return b"".join([text_frame(line[:-1]) for line in lines])

    def notice(self, name: str, line: bytes) -> bytes:
        text = text_frame(line[:-1])
        return ping_frame(id_of(line)) + text if name == HEARTBEAT else text


TEXT_FRAMES = TextFrames()


class Broadcasts:
    """All clients of /ws/live, and the broadcasts to them. There is nothing to start."""

    def __init__(self) -> None:
        self.websockets: dict[WebSocket, None] = {}

    def start(self) -> None:
        """Do nothing: clients connect by themselves."""

    def stop(self) -> None:
        """Close all: the server is going away."""
        for websocket in list(self.websockets):
            websocket.close(SERVICE_RESTART, "the server restarts")

    def say(self, message: str) -> None:
        """Send `Broadcast: <message>` to all."""
        frame = text_frame(f"Broadcast: {message}".encode())
        for websocket in list(self.websockets):
            websocket.writer.send_control(frame)


def make_blueprint(
    topics: Topics,
    ticker: Ticker,
    broadcasts: Broadcasts,
    broadcast_live: Callable[[str], None],
    note: Callable[[str], None],
    narrow: Callable[[Principal, Patterns, Framing], Framing],
    acceptor: Acceptor,
    connection_s: float = 0.0,
) -> Blueprint:
    """Return the blueprint.

    broadcast_live: sends a message to the clients of /live. note: counts a message as a request of
    its quota_key; raises TooMany. narrow: returns the framing for a principal's reader of patterns.
    acceptor: takes the WebSockets over. connection_s: how long a WebSocket may last, 0 for any
    time.
    """
    blueprint = Blueprint("feeds", __name__)

    # Each route twice: a request without an upgrade also reaches the view, which refuses it.
    @blueprint.get("/ws/events/<path:names>")
    @blueprint.get("/ws/events/<path:names>", websocket=True)
    def events(names: str) -> Response:
        check_parameters((key for key in request.args if key != PARAMETER), ("since",))
        told = request.headers.get("Last-Event-ID")
        since, not_before_s = since_of(g.identity.link, told, request.args.get("since"))
        connection = secrets.token_hex(8)
        patterns = Patterns.parse(names)
        framing = narrow(g.identity.principal, patterns, TEXT_FRAMES)
        reader = topics.reader(patterns, since, connection, framing, not_before_s)
        headers = [("Headwater-Cursor", reader.cursor), ("Headwater-Connection", connection)]
        push = partial(_push, topics, reader)
        acceptor.serve(request.environ, push, g.identity.quota_key, headers)
        return Response()

    @blueprint.get("/ws/live/", strict_slashes=False)
    @blueprint.get("/ws/live/", strict_slashes=False, websocket=True)
    def live() -> Response:
        quota_key = g.identity.quota_key
        acceptor.serve(request.environ, partial(talk, quota_key), quota_key)
        return Response()

    def talk(quota_key: str, websocket: WebSocket) -> Talk:
        broadcasts.websockets[websocket] = None
        ticker.add(partial(_tick, websocket, end_of(connection_s)))
        try:
            while True:
                message = yield
                websocket.send_text(json.dumps(answer(websocket, quota_key, message)))
        finally:
            del broadcasts.websockets[websocket]

    def answer(websocket: WebSocket, quota_key: str, message: str | bytes) -> dict[str, Any]:
        try:
            note(quota_key)
        except AccessError as error:
            told = message_of(error)
            websocket.refused(told["error"])
            return told
        return _respond(message)

    @blueprint.post("/broadcast/<path:message>")
    def broadcast(message: str) -> Response:
        broadcasts.say(message)
        broadcast_live(message)
        return jsonify(message="Message broadcast sent")

    return blueprint


def _push(topics: Topics, reader: TopicReader, websocket: WebSocket) -> Talk:
    """Push events to the reader until the WebSocket is closed."""
    reader.writer = websocket.writer
    reader.is_dead = partial(_is_silent, websocket)

    def end(last: bytes) -> None:
        websocket.writer.send_control(last)
        websocket.close(SERVICE_RESTART, "continue from your cursor")

    reader.end = end
    topics.follow(reader)
    try:
        yield
        websocket.close(
            POLICY_VIOLATION, "no messages are accepted here; POST /events/<topic> publishes"
        )
    finally:
        if _is_silent(websocket):
            websocket.refused(SILENT)
        topics.leave(reader)


def _is_silent(websocket: WebSocket) -> bool:
    return monotonic() - websocket.last_heard_s > DEAD_AFTER_S


def _tick(websocket: WebSocket, ends_s: float, count: int) -> bool:
    """Send the update of a second; False if the client is gone. A busy client misses it."""
    if monotonic() >= ends_s:
        websocket.close(SERVICE_RESTART, "connect again")
        return False
    text = f"Server time: {datetime.now(UTC).isoformat()}, Count: {count}"
    websocket.writer.try_send(text_frame(json.dumps({"type": "update", "data": text}).encode()))
    return not websocket.writer.gone


def _respond(message: str | bytes) -> dict[str, Any]:
    """Return the answer to a message of a client of /ws/live."""
    try:
        fields = json.loads(message)
        said = fields.get("message", "")
    except (ValueError, AttributeError, RecursionError):
        right = 'send JSON: {"message": …}'
        return {"error": "malformed", "message": right, "status": 400, "detail": {}}
    return {"type": "response", "message": f"Server received: {said}"}
