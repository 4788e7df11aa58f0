"""create_app: build the parts from the settings and put them together. Starts nothing.

Way in: create_app. What it built is `app.extensions["headwater"]`, for the entry that starts it.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from flask import Flask, Response

from journal import Retention, RunNative, run_here
from settings import Settings
from sockets import feeds
from sockets.engine import make_socketio
from sockets.errors import SocketError
from sockets.live import Live
from sockets.metronome import Metronome
from sources.catalogue import Catalogue, load_catalogue, sample_catalogue
from sources.catalogue_check import check_catalogue
from sources.errors import CatalogueError
from streaming import events as events_blueprint
from streaming import exports as exports_blueprint
from streaming import home, textbook
from streaming import sources as sources_blueprint
from streaming.errors import answer_error, register_errors
from streaming.orders import Orders
from topics import Rule, Topics
from topics.rules import BUILT_IN
from workers.announcer import Announcer
from workers.exports import Exports
from workers.status import StatusClock

# A form or a JSON object with a selection; nothing else is sent to us.
MAX_BODY_BYTES = 64 * 1024


class Parts(NamedTuple):
    """What a process entry starts, in this order, and stops."""

    topics: Topics
    exports: Exports
    status: StatusClock
    live: Live
    metronome: Metronome
    broadcasts: feeds.Broadcasts

    def drain(self) -> None:
        """End what would never end by itself: everybody who follows something comes back later."""
        self.topics.drain()
        self.live.stop()
        self.broadcasts.stop()


def create_app(settings: Settings, *, run_native: RunNative = run_here) -> Flask:
    """Return the application.

    run_native: runs a function that may block, on a thread that holds nobody up.
    Raises CatalogueError with everything that is wrong with the catalogue.
    """
    catalogue = _read_catalogue(settings)
    topics = Topics(settings.instance / "topics", _topic_rules(catalogue), run_native)
    exports = Exports(
        settings.instance / "recordings",
        running=settings.exports_running,
        queued=settings.exports_queued,
        max_bytes=settings.recordings_max_bytes,
        abandon_grace_s=settings.abandon_grace_s,
        run_native=run_native,
        announce=Announcer(topics).announce,
    )
    status = StatusClock(
        topics,
        connections=topics.connections,
        exports_running=exports.running,
        sent_bytes=lambda: topics.sent_bytes() + exports.sent_bytes(),
    )
    metronome = Metronome()
    broadcasts = feeds.Broadcasts()
    orders = Orders(catalogue, run_native)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    socketio = make_socketio(app, fan_out=settings.fan_out)
    live = Live(socketio, topics, exports, metronome)
    socketio.on_namespace(live)
    app.extensions["headwater"] = Parts(topics, exports, status, live, metronome, broadcasts)
    app.register_blueprint(home.make_blueprint(exports, orders))
    app.register_blueprint(textbook.make_blueprint(lambda: time.sleep(0)))
    app.register_blueprint(sources_blueprint.make_blueprint(orders))
    app.register_blueprint(
        exports_blueprint.make_blueprint(exports, orders, resume_wait_s=settings.resume_wait_s)
    )
    app.register_blueprint(events_blueprint.make_blueprint(topics))
    app.register_blueprint(feeds.make_blueprint(topics, metronome, broadcasts, live.broadcast))
    register_errors(app)
    app.register_error_handler(SocketError, _say_socket_error)
    app.after_request(_harden)
    return app


def _read_catalogue(settings: Settings) -> Catalogue:
    if settings.catalogue is None:
        catalogue = sample_catalogue(settings.instance)
    else:
        catalogue = load_catalogue(settings.catalogue)
    problems = check_catalogue(catalogue)
    if problems:
        raise CatalogueError(problems)
    return catalogue


def _topic_rules(catalogue: Catalogue) -> list[Rule]:
    declared = [
        Rule(
            topic.pattern,
            topic.durable,
            Retention(topic.retain_events, topic.retain_s, topic.retain_bytes),
            topic.latest,
        )
        for topic in catalogue.topics.values()
    ]
    return [*BUILT_IN, *declared]


def _say_socket_error(error: SocketError) -> Response:
    return answer_error(error.status, error.code, str(error), {}, error.headers)


def _harden(response: Any) -> Any:
    # What is downloaded is what we say it is, never a page that a browser makes of it.
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
