"""A browser's session: a token entered in a form once, and a signed cookie from then on."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flask import Blueprint, Flask, Request, redirect, render_template, request, session, url_for
from flask import Response as FlaskResponse
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import generate_csrf
from itsdangerous import BadSignature
from werkzeug.http import parse_cookie
from werkzeug.wrappers import Response

from auth import Authenticator, EndedSessions
from auth.access import AccessError, BadCredential
from auth.answers import find_answer, log_refusal, message_for_client
from streaming.admission import can
from streaming.pages import address_without_link

COOKIE = "headwater_session"
LIFETIME = timedelta(days=7)
LIFETIME_S = int(LIFETIME.total_seconds())
# The longest cookie field: one header field is no longer, and browsers send one. Werkzeug takes 50
# ms to split 500 KB of cookies, before the request is identified; a longer one counts as none.
MAX_COOKIE_CHARS = 8190


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions; their cookie is for TLS only, if the client uses TLS."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        # Flask makes a signer for each request, which clients that are programs do not need.
        if not _may_have_session(request.environ.get("HTTP_COOKIE", "")):
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: FlaskResponse) -> None:
        # The session was not read: there is no cookie to set, and the answer does not vary by it.
        if session.accessed or session.modified or session:
            super().save_session(app, session, response)

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def register_sessions(app: Flask, key: bytes) -> Callable[[str], tuple[str, str] | None]:
    """Make app sign its sessions; return what reads one in a Cookie header: token's id, own id."""
    app.secret_key = key
    app.session_interface = Sessions()
    app.config.update(
        SESSION_COOKIE_NAME=COOKIE,
        SESSION_COOKIE_HTTPONLY=True,
        # Links on other sites keep the session; forms on other sites do not.
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=LIFETIME,
        # Otherwise an answer that is under way during a log-out would log in again.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    signer = Sessions().get_signing_serializer(app)
    assert signer is not None

    def read(header: str) -> tuple[str, str] | None:
        if not _may_have_session(header):
            return None
        try:
            value = parse_cookie(header).get(COOKIE)
        except UnicodeDecodeError:
            return None
        if not value:
            return None
        try:
            fields = signer.loads(value, max_age=LIFETIME_S)
        except BadSignature:
            return None
        # A session without a login has only a CSRF mark.
        return (fields["token"], fields["id"]) if fields.keys() >= {"token", "id"} else None

    return read


def _may_have_session(header: str) -> bool:
    return COOKIE in header and len(header) <= MAX_COOKIE_CHARS


def make_blueprint(authenticator: Authenticator, ended: EndedSessions) -> Blueprint:
    """Return the blueprint of /login and /logout."""
    blueprint, tokens = Blueprint("login", __name__), authenticator.credentials.tokens

    @blueprint.get("/login")
    def form() -> Response | str:
        if not tokens.is_needed:
            return redirect(url_for("home.home"), 303)
        has_ended = session_ended()
        if has_ended:
            session.clear()
        return _show(200, "", _reason(has_ended))

    @blueprint.post("/login")
    def log_in() -> Response | tuple[str, int]:
        try:
            principal = authenticator.log_in(request.environ, request.form.get("token", "").strip())
        except AccessError as error:
            log_refusal(error, request.remote_addr)
            status = find_answer(error)[0]
            return _show(status, message_for_client(error)), status
        session.clear()
        session.permanent = True
        session["id"] = secrets.token_hex(8)
        session["token"], session["name"] = principal.token, principal.name
        # Now: a page that is streamed could no longer set the cookie.
        generate_csrf()
        return redirect(_local(request.form.get("next", "")), 303)

    @blueprint.post("/logout")
    def log_out() -> Response:
        if "id" in session:
            ended.add(session["id"], int(time.time()) + LIFETIME_S)
        session.clear()
        response = redirect(url_for(".form"), 303)
        # The server stores only its cookie: "cookies" and "storage" would also remove those of
        # other sites of this domain, or of this address if the server is mounted below a path.
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    def session_ended() -> bool:
        """Has the browser a session that is no longer valid?"""
        if "token" not in session or not tokens.is_needed:
            return False
        if session.get("id") in ended:
            return True
        try:
            tokens.by_id(session["token"])
        except BadCredential:
            return True
        return False

    @blueprint.app_context_processor
    def told() -> dict[str, Any]:
        """Return the functions that every page may call."""
        return {
            "is_logged_in": lambda: "token" in session and not session_ended(),
            "session_ended": session_ended,
            "login_address": _address,
            "can": can,
        }

    def _show(status: int, problem: str, reason: str = "") -> str:
        following = _local(request.values.get("next", ""))
        return render_template("login.html", next=following, problem=problem, reason=reason)

    return blueprint


def _reason(has_ended: bool) -> str:
    """Return why the user sees the form, "" if the server did not send the user there."""
    if has_ended:
        return "Your session has ended: its token has expired or was withdrawn."
    if request.args.get("next"):
        return "The page you requested needs a login."
    return ""


def _address() -> str:
    """Return the form's address, with that of the page that the present request came from."""
    if request.method == "GET":
        following = address_without_link(request)
    else:
        page = urlsplit(request.referrer or "")
        is_ours = f"{page.scheme}://{page.netloc}/" == request.host_url
        following = urlunsplit(("", "", page.path, page.query, "")) if is_ours else ""
    return url_for("login.form", next=following) if following else url_for("login.form")


def _local(address: str) -> str:
    """Return the address if it is one of this server, else that of the home page."""
    is_ours = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if is_ours and address.isprintable() else url_for("home.home")
