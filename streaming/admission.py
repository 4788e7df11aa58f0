"""No view is called before its request is identified and admitted.

Way in: register_admission; then `asker`, in any view, and `in_turns` for long lists.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from flask import Flask, Request, g, redirect, request, url_for
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.wrappers import Response

from auth import Authenticator
from auth.access import BadForm, Principal, Scope, Unauthorized, may
from auth.credentials import SAFE_METHODS
from auth.request_scheduler import TURN_S, RequestScheduler, end_turn, turn_for_reading
from auth.scopes import PROBES, required_scopes
from streaming.errors import Refusal
from streaming.pages import address_without_link, wants_page

# Browsers send 150 bytes. Werkzeug takes half a second to sort 700 KB, and lets no other greenlet
# run; a longer field counts as none.
MAX_ACCEPT_CHARS = 1000

# The largest body of a publishing request; any other has a form, or one object. One byte more than
# allowed is read: a body of unknown length is cut there.
MAX_PUBLISHED_BYTES = 4 * 1024 * 1024
BODY_BYTES = {"events.publish": MAX_PUBLISHED_BYTES + 1}


Item = TypeVar("Item")


def register_admission(app: Flask, authenticator: Authenticator) -> None:
    """Send every request of app through the authenticator, in a turn of its quota key."""
    app.wsgi_app = _InTurn(app.wsgi_app, authenticator)  # type: ignore[method-assign]
    # Checked in this module, for browser sessions only: browsers send no other credential by
    # themselves.
    app.config.update(WTF_CSRF_CHECK_DEFAULT=False, WTF_CSRF_TIME_LIMIT=None)
    # Origin is checked for every request; see auth.origins.
    app.config["WTF_CSRF_SSL_STRICT"] = False
    csrf = CSRFProtect(app)

    @app.before_request
    def admit() -> Response | None:
        # Each use of these proxies looks their object up again.
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]
        endpoint, environ = asked.endpoint, asked.environ
        kept = g._get_current_object()
        kept.scheduler = authenticator.scheduler
        is_nothing = endpoint is None or asked.method == "OPTIONS"
        required = None if is_nothing else required_scopes(endpoint or "", asked.view_args or {})
        asked.max_content_length = BODY_BYTES.get(endpoint or "")
        if len(environ.get("HTTP_ACCEPT", "")) > MAX_ACCEPT_CHARS:
            environ["HTTP_ACCEPT"] = ""
        try:
            identity = kept.identity = authenticator.admit(
                environ, required, is_counted=endpoint not in PROBES
            )
        except Unauthorized:
            if asked.method == "GET" and wants_page(asked):
                return redirect(url_for("login.form", next=address_without_link(asked)), 303)
            raise
        if is_nothing or asked.method in SAFE_METHODS:
            return None
        if not is_streamed(asked):
            # The request of a client that is still sending has not begun. Most bodies come with
            # their head.
            with turn_for_reading(environ["wsgi.input"]):
                asked.get_data()
        if identity.session or endpoint in ("login.log_in", "login.log_out"):
            try:
                csrf.protect()
            except CSRFError as error:
                raise BadForm(f"{error.description} Load the page again.") from error
        return None

    app.add_template_filter(in_turns)
    app.teardown_request(lambda error: end_turn())


class _InTurn:
    """The application; each request, also a refused one, has its turn from the beginning."""

    def __init__(self, app: Callable[..., Iterable[bytes]], authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self._authenticator.take_turn(environ)
        try:
            return self._app(environ, start_response)
        finally:
            end_turn()


def is_streamed(request: Request) -> bool:
    """Tell whether the published events are read as they arrive. Raises Refusal."""
    if not request.environ.get("QUERY_STRING") or request.endpoint != "events.publish":
        return False
    said = request.args.getlist("receipts")
    if said not in ([], ["stream"]):
        raise Refusal(400, "malformed", "receipts is `stream`, or left out")
    return bool(said)


def asker() -> Principal:
    """Return the principal of the present request, of a route that requires one."""
    principal: Principal = g.identity.principal
    return principal


def quota_key() -> str:
    """Return the quota key of the present request."""
    key: str = g.identity.quota_key
    return key


def in_turns(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items, and give the other requests their turn every 5 ms. Also a template's filter."""
    scheduler: RequestScheduler = g.scheduler
    until_s = time.monotonic() + TURN_S
    for item in items:
        until_s = scheduler.go_on(quota_key(), until_s)
        yield item


def can(action: str, name: str) -> bool:
    """May the present request's principal do this?"""
    return may(asker(), Scope(action, name))
