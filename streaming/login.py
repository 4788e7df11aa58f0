"""A browser's session: a token put into a form once, and a signed cookie from then on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from flask import Blueprint, Flask, redirect, render_template, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import generate_csrf
from itsdangerous import BadSignature
from werkzeug.http import parse_cookie
from werkzeug.wrappers import Response

from access import AccessError, BadCredential
from guard import Gate
from streaming.errors import answer_of

COOKIE = "headwater_session"
LIFETIME = timedelta(days=7)


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions; their cookie is for TLS only, if that is what the client speaks."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def register_sessions(app: Flask, key: bytes) -> Callable[[str], str | None]:
    """Make app sign its sessions; return what reads the token's id in a Cookie header."""
    app.secret_key = key
    app.session_interface = Sessions()
    app.config.update(
        SESSION_COOKIE_NAME=COOKIE,
        SESSION_COOKIE_HTTPONLY=True,
        # Links from elsewhere lead in; forms from elsewhere do not.
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=LIFETIME,
        # Else an answer that is under way during a log-out would log in again.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    signer = Sessions().get_signing_serializer(app)
    assert signer is not None

    def read(header: str) -> str | None:
        value = parse_cookie(header).get(COOKIE)
        if not value:
            return None
        try:
            fields = signer.loads(value, max_age=int(LIFETIME.total_seconds()))
        except BadSignature:
            return None
        return str(fields["token"]) if "token" in fields else None

    return read


def make_blueprint(gate: Gate) -> Blueprint:
    """Return the blueprint of /login and /logout."""
    blueprint = Blueprint("login", __name__)

    @blueprint.get("/login")
    def form() -> Response | str:
        if not gate.tokens.is_needed:
            return redirect(url_for("home.home"), 303)
        return _show(200, "")

    @blueprint.post("/login")
    def log_in() -> Response | tuple[str, int]:
        try:
            principal = gate.log_in(request.environ, request.form.get("token", "").strip())
        except BadCredential as error:
            return _show(401, str(error)), 401
        except AccessError as error:
            status = answer_of(error)[0]
            return _show(status, str(error)), status
        session.clear()
        session.permanent = True
        session["token"], session["name"] = principal.token, principal.name
        # Now: a page that is sent while it is made could not set the cookie any more.
        generate_csrf()
        return redirect(_local(request.form.get("next", "")), 303)

    @blueprint.post("/logout")
    def log_out() -> Response:
        session.clear()
        return redirect(url_for(".form"), 303)

    def _show(status: int, problem: str) -> str:
        following = _local(request.values.get("next", ""))
        return render_template("login.html", next=following, problem=problem)

    return blueprint


def _local(address: str) -> str:
    """Return the address if it is one of this server, else that of the first page."""
    is_ours = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if is_ours and address.isprintable() else url_for("home.home")
