"""create_app: build the parts from the settings and put them together. Starts nothing.

Way in: create_app. What it built is `app.extensions["headwater"]`, for the entry that starts it.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from flask import Flask

from journal import RunNative, run_here
from settings import Settings
from sources.catalogue import Catalogue, load_catalogue, sample_catalogue
from sources.catalogue_check import check_catalogue
from sources.errors import CatalogueError
from streaming import exports as exports_blueprint
from streaming import home, textbook
from streaming import sources as sources_blueprint
from streaming.errors import register_errors
from streaming.orders import Orders
from workers.exports import Exports

# A form or a JSON object with a selection; nothing else is sent to us.
MAX_BODY_BYTES = 64 * 1024


class Parts(NamedTuple):
    """What a process entry starts and stops."""

    exports: Exports


def create_app(settings: Settings, *, run_native: RunNative = run_here) -> Flask:
    """Return the application.

    run_native: runs a function that may block, on a thread that holds nobody up.
    Raises CatalogueError with everything that is wrong with the catalogue.
    """
    catalogue = _read_catalogue(settings)
    exports = Exports(
        settings.instance / "recordings",
        running=settings.exports_running,
        queued=settings.exports_queued,
        max_bytes=settings.recordings_max_bytes,
        abandon_grace_s=settings.abandon_grace_s,
        run_native=run_native,
    )
    orders = Orders(catalogue, run_native)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["headwater"] = Parts(exports)
    app.register_blueprint(home.make_blueprint(exports, orders))
    app.register_blueprint(textbook.make_blueprint(lambda: time.sleep(0)))
    app.register_blueprint(sources_blueprint.make_blueprint(orders))
    app.register_blueprint(
        exports_blueprint.make_blueprint(exports, orders, resume_wait_s=settings.resume_wait_s)
    )
    register_errors(app)
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


def _harden(response: Any) -> Any:
    # What is downloaded is what we say it is, never a page that a browser makes of it.
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
