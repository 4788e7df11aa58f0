"""The Socket.IO namespace /live: events of the original contract, and topics with replies.

The replies are acknowledgements. A subscription is a reader of topics whose client is a Socket.IO
session. Way in: Live, a namespace of Flask-SocketIO, which the entry starts.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, NamedTuple

from flask_socketio import Namespace

from auth import Authenticator, RequestIdentity
from auth.access import Principal
from auth.answers import log_refusal
from auth.request_scheduler import end_turn
from auth.scopes import publish_to, subscribe_to
from exports.export import Export
from exports.service import ExportService
from sockets.answers import ANSWERS, Misuse, UnknownExport, answer_of
from sockets.engineio.errors import refusal
from sockets.extension import SocketIO
from sockets.live_packets import LIVE_FRAMES, LIVE_PAYLOADS, NAMESPACE
from topics import Patterns, Publication, TooManyTopics, TopicReader, Topics
from topics.names import MAX_PATTERNS, check_name
from topics.presence import show_readers
from topics.ticker import seconds
from wire.events import new_event
from wire.framing import Framing
from wire.since import parse_since

# The same limit as for POST /events.
MAX_EVENTS = 10_000
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

GREETING = {"data": "Connected to live stream"}

Fields = dict[str, Any]
Handler = Callable[["Live", Fields], Fields]


def acknowledged(handler: Handler) -> Handler:
    """Make a handler of one object acknowledge with {ok: true, …} or {ok: false, error, …}."""

    @wraps(handler)
    def handle(live: Live, fields: Fields) -> Fields:
        try:
            live.take_turn()
            if not isinstance(fields, dict):
                raise Misuse("one object is emitted, with the fields that docs/events.md names")
            return {"ok": True, **handler(live, fields)}
        except tuple(ANSWERS) as error:
            return live.refuse(error)
        finally:
            end_turn()

    return handle


class _Asked(NamedTuple):
    """The event that the present thread handles. environ: of a connect, else None."""

    sid: str
    environ: Mapping[str, Any] | None


_asked: ContextVar[_Asked] = ContextVar("asked")


class Live(Namespace):  # type: ignore[misc]
    """See the module. One for all clients; `socketio` is set when it is registered.

    Its handlers have no flask.request: to make one for each event, with its routes and its session,
    took half of the time in which 5,000 clients connect and subscribe.

    find_to_end: returns the export of an id for a principal that may cancel it, None if the
    principal sees no such export; raises Forbidden. narrow: returns the framing for a principal's
    reader of patterns. hides: tells whether a principal may not know of a topic. refusals: counted
    by their code.
    """

    socketio: SocketIO

    def __init__(
        self,
        topics: Topics,
        exports: ExportService,
        authenticator: Authenticator,
        find_to_end: Callable[[Principal, str], Export | None],
        narrow: Callable[[Principal, Patterns, Framing], Framing],
        hides: Callable[[Principal, str], bool],
        refusals: Counter[str],
    ) -> None:
        super().__init__(NAMESPACE)
        self._topics = topics
        self._exports = exports
        self._authenticator = authenticator
        self._find_to_end = find_to_end
        self._narrow = narrow
        self._hides = hides
        self._refusals = refusals
        # One object for all clients.
        self._cut = self._close
        self._is_stopped = False
        self._identities: dict[str, RequestIdentity] = {}
        # By session: its subscriptions, by the requested topics.
        self._readers: dict[str, dict[str, TopicReader]] = {}

    def start(self) -> None:
        """Begin the status updates. Called once, by a process entry."""
        self.socketio.start_background_task(self._send_status)

    def stop(self) -> None:
        """Close every client: the server is going away."""
        self._is_stopped = True
        self.socketio.close_all(1012, "the server restarts")

    def trigger_event(self, event: str, sid: str, *arguments: Any) -> Any:
        """Run the handler of an event. A connect comes with its environ and the client's auth data.

        As flask_socketio.Namespace does, without a request.
        """
        handler = getattr(self, f"on_{event}", None)
        if handler is None:
            return None
        environ = arguments[0] if event == "connect" else None
        before = _asked.set(_Asked(sid, environ))
        try:
            return handler(*(arguments[1:] if event == "connect" else arguments))
        finally:
            _asked.reset(before)

    # The original contract.

    def on_connect(self, auth: Any = None) -> None:
        sid = _sid()
        token = auth.get("token") if isinstance(auth, dict) else None
        identity = self._authenticator.greet(_asked.get().environ or {}, token)
        # The sessions of a client are counted beside its connections.
        seat = identity._replace(quota_key=f"{identity.quota_key} on /live")
        session = self.socketio.server.session_id_of(sid, NAMESPACE)
        self._authenticator.sessions.count_to(identity.quota_key, session)
        self._authenticator.clients.enter(sid, seat, self._cut)
        self._identities[sid] = identity
        self.socketio.repeat(sid, "response", GREETING, NAMESPACE)

    def on_request_data(self, fields: Any) -> None:
        if isinstance(fields, dict) and "message" in fields:
            answer = {"data": f"Response to: {fields['message']}"}
            self.emit("data_response", answer, room=_sid())
        else:
            wrong = refusal(400, "malformed", 'request_data takes {"message": …}')
            self.emit("error", wrong, room=_sid())

    def broadcast(self, message: str) -> None:
        """Emit `broadcast` to every client."""
        self.socketio.emit("broadcast", {"data": message}, namespace=NAMESPACE)

    def _send_status(self) -> None:
        """Emit `status_update` every second; a busy client misses it."""
        for count in seconds(self.socketio.sleep):
            if self._is_stopped:
                return
            update = {"data": f"Server time: {time.time()}, Count: {count}"}
            self.socketio.emit("status_update", update, namespace=NAMESPACE, volatile=True)

    def _close(self, sid: str) -> None:
        self.socketio.close(sid, NAMESPACE)

    def heard(self, sid: str) -> None:
        """Count an event of a client as one of its requests. Raises AccessError."""
        self._authenticator.rates.note_request(self._identities[sid].quota_key)

    def take_turn(self) -> None:
        """Wait for the turn of a client's event, unless its session already has one."""
        self._authenticator.scheduler.keep(self._identities[_sid()].quota_key)

    def refuse(self, error: Exception) -> Fields:
        """Return the acknowledgement of an error of ANSWERS; the error is counted and logged."""
        environ = self.socketio.server.get_environ(_sid(), NAMESPACE) or {}
        log_refusal(error, environ.get("REMOTE_ADDR"))
        answer = answer_of(error)
        self._refusals[answer["error"]] += 1
        return answer

    def _asker(self, sid: str | None = None) -> Principal:
        principal = self._identities[sid or _sid()].principal
        assert principal is not None
        return principal

    # Topics.

    @acknowledged
    def on_subscribe(self, fields: Fields) -> Fields:
        sid = _sid()
        patterns = Patterns.parse(fields.get("topic"))
        self._authenticator.require(self._asker(), subscribe_to(patterns.text))
        since = fields.get("since")
        if since is not None and not isinstance(since, str):
            raise Misuse("since is a text: a cursor, all, or an age like 5m")
        others = {k: r for k, r in self._readers.get(sid, {}).items() if k != patterns.text}
        if sum(map(_size, [patterns, *(r.patterns for r in others.values())])) > MAX_PATTERNS:
            raise TooManyTopics(f"a connection follows at most {MAX_PATTERNS} topics")
        reader = self._topics.reader(patterns, parse_since(since), sid, LIVE_PAYLOADS)
        self._leave(sid, patterns.text)
        if self._attach(sid, reader):
            self._readers.setdefault(sid, {})[patterns.text] = reader
            reader.end = partial(self._say_last, reader)
            # The subscription ends with the session.
            self._topics.follow(reader, is_bounded=False)
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
        self._authenticator.require(self._asker(), publish_to(topic))
        quota_key = self._identities[_sid()].quota_key
        publication = Publication([new_event(event) for event in events], key, owner=quota_key)
        end_turn()
        receipt = self._topics.publish(topic, publication)
        return {"id": receipt.id, "topic": receipt.topic, "count": receipt.count}

    @acknowledged
    def on_readers(self, fields: Fields) -> Fields:
        patterns = Patterns.parse(fields.get("topic"))
        principal = self._asker()
        self._authenticator.require(principal, subscribe_to(patterns.text))
        return show_readers(self._topics, patterns.text, partial(self._hides, principal))

    @acknowledged
    def on_cancel(self, fields: Fields) -> Fields:
        export_id = fields.get("id")
        if not isinstance(export_id, str):
            raise Misuse("id is that of an export, a text")
        export = self._find_to_end(self._asker(), export_id)
        if export is None:
            raise UnknownExport("there is no such export; GET /exports lists them")
        self._exports.cancel(export)
        return {"id": export.id, "state": export.state}

    def on_disconnect(self, reason: str) -> None:
        self._authenticator.clients.leave(_sid())
        self._identities.pop(_sid(), None)
        for reader in self._readers.pop(_sid(), {}).values():
            self._topics.leave(reader)

    def over(self, sid: str) -> None:
        """Tell a client to reconnect whose session has reached its longest time; it closes next."""
        if readers := list(self._readers.get(sid, {}).values()):
            self._topics.send_back(readers)

    def upgraded(self, sid: str) -> None:
        """Continue over the WebSocket to which a client has changed from polling."""
        for reader in self._readers.get(sid, {}).values():
            self._attach(sid, reader)
            reader.live = False
            if reader.writer is not None:
                reader.writer.feed_from(reader)

    def _attach(self, sid: str, reader: TopicReader) -> bool:
        """Push events of reader over the client's present transport; return False if it is gone."""
        writer = self.socketio.writer_of(sid, NAMESPACE)
        if writer is None:
            return False
        reader.writer = writer
        transport = self.socketio.server.transport(sid, NAMESPACE)
        framing = LIVE_FRAMES if transport == "websocket" else LIVE_PAYLOADS
        reader.framing = self._narrow(self._asker(sid), reader.patterns, framing)
        return True

    def _leave(self, sid: str, text: str) -> None:
        reader = self._readers.get(sid, {}).pop(text, None)
        if reader is not None:
            self._topics.leave(reader)

    @staticmethod
    def _say_last(reader: TopicReader, last: bytes) -> None:
        if reader.writer is not None:
            reader.writer.send_control(last)


def _sid() -> str:
    return _asked.get().sid


def _size(patterns: Patterns) -> int:
    return len(patterns.names) + len(patterns.prefixes)
