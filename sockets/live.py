"""The Socket.IO namespace /live: the textbook's events, and topics with acknowledgements.

A subscription is a reader of topics whose client is a Socket.IO session. Way in: Live, a namespace
of Flask-SocketIO, which the entry starts.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NamedTuple

from flask import request
from flask_socketio import ConnectionRefusedError as Refused
from flask_socketio import Namespace, emit

from access import AccessError, Principal
from guard import Gate
from guard.gate import owner_of
from guard.turns import end_turn
from needs import publish_to, subscribe_to
from sockets.answers import ANSWERS, Misuse, UnknownExport, answer_of, refusal
from sockets.engine import SocketIO, StockSocketIO
from sockets.live_packets import LIVE_FRAMES, LIVE_PAYLOADS, NAMESPACE
from sockets.metronome import Metronome
from sockets.stock import StockOutlet
from topics import Patterns, Publication, Reader, TooManyTopics, Topics
from topics.names import MAX_PATTERNS, check_name
from topics.presence import show_readers
from wire.events import new_event
from wire.since import parse_since
from workers.export import Export
from workers.exports import Exports

# As of POST /events.
MAX_EVENTS = 10_000
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

Fields = dict[str, Any]
Handler = Callable[["Live", Fields], Fields]


def acknowledged(handler: Handler) -> Handler:
    """Have a handler of one object acknowledge by {ok: true, …}, or by {ok: false, error, …}."""

    @wraps(handler)
    def handle(live: Live, fields: Fields) -> Fields:
        try:
            live.take_turn()
            if not isinstance(fields, dict):
                raise Misuse("one object is emitted, with the fields that docs/events.md names")
            return {"ok": True, **handler(live, fields)}
        except tuple(ANSWERS) as error:
            answer = answer_of(error)
            live.refusals[answer["error"]] += 1
            return answer
        finally:
            end_turn()

    return handle


class _Asker(NamedTuple):
    """Who is connected. owner: to whom it is counted what he says."""

    principal: Principal
    owner: str


class Live(Namespace):  # type: ignore[misc]
    """See the module. One for all clients; `socketio` is set when it is registered.

    check_end: raises Forbidden for who may not cancel an export. refusals: counted by their code.
    """

    def __init__(
        self,
        socketio: SocketIO | StockSocketIO,
        topics: Topics,
        exports: Exports,
        metronome: Metronome,
        gate: Gate,
        check_end: Callable[[Principal, Export], None],
        refusals: Counter[str],
    ) -> None:
        super().__init__(NAMESPACE)
        self._sockets = socketio
        self._topics = topics
        self._exports = exports
        self._metronome = metronome
        self._gate = gate
        self._check_end = check_end
        self.refusals = refusals
        self._askers: dict[str, _Asker] = {}
        # By session: its subscriptions, by what they were asked for.
        self._readers: dict[str, dict[str, Reader]] = {}

    def start(self) -> None:
        """Begin the tick. Called once, by a process entry."""
        self._metronome.add(self._tick)

    def stop(self) -> None:
        """Close every client: the server is going away."""
        self._sockets.close_all(1012, "the server restarts")

    # The textbook's.

    def on_connect(self, auth: Any = None) -> None:
        sid = _sid()
        token = auth.get("token") if isinstance(auth, dict) else None
        try:
            principal = self._gate.greet(request.environ, token)
            owner = owner_of(principal, request.environ)
            # The sessions of one are counted beside his connections.
            self._gate.clients.enter(sid, f"{owner} on /live", principal, partial(self._cut, sid))
        except AccessError as error:
            answer = answer_of(error)
            self.refusals[answer["error"]] += 1
            raise Refused(str(error), answer) from error
        self._askers[sid] = _Asker(principal, owner)
        emit("response", {"data": "Connected to live stream"})

    def on_request_data(self, fields: Any) -> None:
        if isinstance(fields, dict) and "message" in fields:
            emit("data_response", {"data": f"Response to: {fields['message']}"})
        else:
            emit("error", refusal(400, "malformed", 'request_data takes {"message": …}'))

    def broadcast(self, message: str) -> None:
        """Emit `broadcast` to every client."""
        self._sockets.emit("broadcast", {"data": message}, namespace=NAMESPACE)

    def _tick(self, count: int) -> bool:
        text = f"Server time: {time.time()}, Count: {count}"
        self._sockets.tick("status_update", {"data": text}, NAMESPACE)
        return True

    def _cut(self, sid: str) -> None:
        self._sockets.server.disconnect(sid, namespace=NAMESPACE)

    def take_turn(self) -> None:
        """Count what a client says as a request of his, and wait for its turn. Raises TooMany."""
        owner = self._askers[_sid()].owner
        self._gate.rates.note_request(owner)
        self._gate.turns.take(owner)

    def _asker(self) -> Principal:
        return self._askers[_sid()].principal

    # Topics.

    @acknowledged
    def on_subscribe(self, fields: Fields) -> Fields:
        sid = _sid()
        patterns = Patterns.parse(fields.get("topic"))
        self._gate.require(self._asker(), subscribe_to(patterns.text))
        since = fields.get("since")
        if since is not None and not isinstance(since, str):
            raise Misuse("since is a text: a cursor, all, or an age like 5m")
        others = {k: r for k, r in self._readers.get(sid, {}).items() if k != patterns.text}
        if sum(map(_size, [patterns, *(r.patterns for r in others.values())])) > MAX_PATTERNS:
            raise TooManyTopics(f"a connection follows at most {MAX_PATTERNS} topics")
        reader = self._topics.reader(patterns, parse_since(since), sid, LIVE_PAYLOADS)
        self._leave(sid, patterns.text)
        self._readers.setdefault(sid, {})[patterns.text] = reader
        self._attach(sid, reader)
        reader.end = partial(self._say_last, reader)
        self._topics.follow(reader)
        newest = [topic.newest for topic in reader.places if topic.newest is not None]
        return {
            "topic": patterns.text,
            "cursor": reader.cursor,
            "newest": max(newest, default=reader.cursor),
            "connection": sid,
        }

    @acknowledged
    def on_unsubscribe(self, fields: Fields) -> Fields:
        patterns = Patterns.parse(fields.get("topic"))
        self._leave(_sid(), patterns.text)
        return {"topic": patterns.text}

    @acknowledged
    def on_publish(self, fields: Fields) -> Fields:
        if unknown := fields.keys() - {"topic", "name", "data", "events", "key"}:
            raise Misuse(f"publish has no field {min(unknown)[:100]!a}")
        single = {key: fields[key] for key in ("name", "data") if key in fields}
        events = fields.get("events", [single])
        if not isinstance(events, list) or not 1 <= len(events) <= MAX_EVENTS:
            raise Misuse(f"events is a list of 1 to {MAX_EVENTS} objects with name and data")
        key = fields.get("key")
        if key is not None and (not isinstance(key, str) or not _KEY.fullmatch(key)):
            raise Misuse("key is a text of 1 to 255 visible ASCII characters")
        topic = check_name(fields.get("topic"))
        self._gate.require(self._asker(), publish_to(topic))
        publication = Publication([new_event(event) for event in events], key)
        end_turn()
        receipt = self._topics.publish(topic, publication)
        return {"id": receipt.id, "topic": receipt.topic, "count": receipt.count}

    @acknowledged
    def on_readers(self, fields: Fields) -> Fields:
        patterns = Patterns.parse(fields.get("topic"))
        self._gate.require(self._asker(), subscribe_to(patterns.text))
        return show_readers(self._topics, patterns.text)

    @acknowledged
    def on_cancel(self, fields: Fields) -> Fields:
        export_id = fields.get("id")
        export = self._exports.get(export_id) if isinstance(export_id, str) else None
        if export is None:
            raise UnknownExport("there is no such export; GET /exports lists them")
        self._check_end(self._asker(), export)
        self._exports.cancel(export)
        return {"id": export.id, "state": export.state}

    def on_disconnect(self, reason: str) -> None:
        self._gate.clients.leave(_sid())
        self._askers.pop(_sid(), None)
        for reader in self._readers.pop(_sid(), {}).values():
            self._topics.leave(reader)

    def upgraded(self, sid: str) -> None:
        """Go on over the WebSocket that a client has changed to from polling."""
        for reader in self._readers.get(sid, {}).values():
            self._attach(sid, reader)
            reader.live = False
            if reader.outlet is not None:
                reader.outlet.feed_from(reader)

    def _attach(self, sid: str, reader: Reader) -> None:
        """Have reader pushed to where the client is now."""
        outlet: Any = self._sockets.outlet_of(sid, NAMESPACE)
        if outlet is None:
            server: Any = self._sockets.server
            session = server.manager.eio_sid_from_sid(sid, NAMESPACE)
            outlet = StockOutlet(partial(server.eio.send, session))
        reader.outlet = outlet
        reader.framing = LIVE_FRAMES if outlet.transport == "websocket" else LIVE_PAYLOADS

    def _leave(self, sid: str, text: str) -> None:
        reader = self._readers.get(sid, {}).pop(text, None)
        if reader is not None:
            self._topics.leave(reader)

    @staticmethod
    def _say_last(reader: Reader, last: bytes) -> None:
        if reader.outlet is not None:
            reader.outlet.say(last)


def _sid() -> str:
    sid: str = request.sid  # type: ignore[attr-defined]
    return sid


def _size(patterns: Patterns) -> int:
    return len(patterns.names) + len(patterns.prefixes)
