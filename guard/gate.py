"""In front of every request: from where it comes, who asks, and how much he may have.

Way in: Gate.admit for HTTP, be it for Flask or for a Socket.IO session; Gate.greet for the token in
a Socket.IO CONNECT. Knows WSGI environs, and that the worker hands over each client's connection.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from access import (
    ANYONE,
    BadCredential,
    CrossOrigin,
    Forbidden,
    Need,
    Principal,
    require,
)
from guard.clients import Clients
from guard.links import Link, Links, split_link
from guard.origins import Origins, is_loopback_host
from guard.rates import Rates
from guard.tokens import Tokens, TokensUnreadable
from guard.turns import Turns

log = logging.getLogger(__name__)

# A withdrawn token's streams end within so long, and a little.
WATCH_S = 1.0

# Who has shown no credential where none is needed yet: a log-in form, the opening of a session.
NOBODY_YET = Principal("nobody yet", ())

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Visit(NamedTuple):
    """Who asks. by_session: a cookie says it, which goes along with whatever a browser asks."""

    principal: Principal | None
    by_session: bool = False
    link: Link | None = None


class Gate:
    """See the module.

    read_session: returns the token's id in the session of a Cookie header, None when there is none.
    is_open: nobody needs a token as long as none was made, from wherever he asks.
    """

    def __init__(
        self,
        tokens: Tokens,
        links: Links,
        clients: Clients,
        rates: Rates,
        origins: Origins,
        read_session: Callable[[str], str | None],
        *,
        is_open: bool,
    ) -> None:
        self.links = links
        self.clients = clients
        self.rates = rates
        self.tokens = tokens
        self.origins = origins
        self._read_session = read_session
        self.turns = Turns()
        # Those of Socket.IO, also before anybody has said in one who he is.
        self.sessions = Clients(clients.most)
        self._is_open = is_open
        # What comes with something rather than with a scope; see access.require.
        self.grants: Callable[[Principal, Need], bool] = lambda principal, need: False
        self._stopped = threading.Event()

    # Once a process.

    def start(self) -> None:
        """Watch the tokens: end what somebody has open whose token is good no more."""
        threading.Thread(target=self._watch, name="gate watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(WATCH_S):
            try:
                self.look_again()
            except TokensUnreadable as error:
                log.error("%s", error)
            except Exception:
                log.exception("the tokens cannot be looked at")

    def look_again(self) -> None:
        """Read the tokens if they have changed, and cut whose token is good no more."""
        self.tokens.refresh()
        if self.tokens.is_needed:
            good = {token.id for token in self.tokens.all() if token.is_good()}
            self.clients.cut(lambda each: each is not NOBODY_YET and each.token not in good)

    # Each request.

    def admit(self, environ: Mapping[str, Any], needs: Sequence[Need] | None = ()) -> Visit:
        """Return who asks, and may. needs: None where nobody needs to say who he is.

        Raises AccessError.
        """
        with self._noting_mistakes(environ):
            self.check_where_from(environ)
            visit = Visit(None) if needs is None else self._identify(environ)
            owner = owner_of(visit.principal, environ)
            self._enter(environ, owner, visit.principal or NOBODY_YET)
            self.rates.note_request(owner)
            if needs is not None:
                self.require(visit.principal, needs)
            if visit.link is not None:
                is_use = environ["REQUEST_METHOD"] == "GET"
                (self.links.use if is_use else self.links.check)(visit.link)
        return visit

    def admit_session(self, environ: Mapping[str, Any]) -> None:
        """Let in who opens or goes on with a Socket.IO session, and may not have said who he is.

        Raises AccessError.
        """
        with self._noting_mistakes(environ):
            self.check_where_from(environ)
            principal = self._identify(environ).principal
        owner = owner_of(principal, environ)
        self._enter(environ, owner, principal or NOBODY_YET)
        self.rates.note_request(owner)

    def enter_session(self, session_id: str, environ: Mapping[str, Any]) -> None:
        """Count a session of whoever opens it, until it is left. Raises AccessError."""
        owner = owner_of(self._identify(environ).principal, environ)
        self.sessions.enter(session_id, owner, NOBODY_YET, _leave_open)

    def require(self, principal: Principal | None, needs: Sequence[Need]) -> Principal:
        """Return the principal if he may. Raises Unauthorized, Forbidden."""
        return require(principal, needs, self.grants)

    def greet(self, environ: Mapping[str, Any], text: object) -> Principal:
        """Return who opens a Socket.IO namespace. text: the token in its CONNECT, None for none.

        environ: of the request that has opened the session. Raises AccessError.
        """
        with self._noting_mistakes(environ):
            visit = self._identify(environ)
            if text is None or not self.tokens.is_needed:
                return require(visit.principal)
            if not isinstance(text, str):
                raise BadCredential("a token is a text")
            principal = self.tokens.find(text).principal()
            if visit.principal not in (None, principal):
                raise BadCredential("two credentials that do not agree: show one")
            return principal

    def log_in(self, environ: Mapping[str, Any], text: str) -> Principal:
        """Return whose token text is. Raises AccessError."""
        with self._noting_mistakes(environ):
            return self.tokens.find(text).principal()

    def check_where_from(self, environ: Mapping[str, Any]) -> None:
        """Refuse what a page of another site asks, and what came by a name that is not ours.

        Raises Forbidden.
        """
        is_upgrade = "websocket" in environ.get("HTTP_UPGRADE", "").lower()
        is_told = environ["REQUEST_METHOD"] not in SAFE_METHODS or is_upgrade
        if is_told and not self.origins.allow(environ):
            raise CrossOrigin("a page of another site may not ask this")
        if not self.tokens.is_needed and not self._is_open and not is_loopback_host(environ):
            # A name that another site has pointed to this machine makes its pages ours.
            raise Forbidden("without tokens this server answers to localhost only")

    def _identify(self, environ: Mapping[str, Any]) -> Visit:
        """Return who asks, None for who does not say. Raises BadCredential, Forbidden, TooMany."""
        if not self.tokens.is_needed:
            return Visit(ANYONE)
        bearer = self._bearer_of(environ)
        query, link_text = split_link(environ.get("QUERY_STRING", ""))
        if link_text is not None:
            link = self.links.read(link_text, _path_of(environ) + (f"?{query}" if query else ""))
            principal = self.tokens.by_id(link.token).principal()
            if environ["REQUEST_METHOD"] not in SAFE_METHODS:
                raise Forbidden("a link is for reading")
            # The session of a browser goes along by itself; what is said is said on purpose.
            if bearer not in (None, principal):
                raise BadCredential("two credentials that do not agree: show one")
            return Visit(principal, link=link)
        session = self._session_of(environ)
        if bearer is not None:
            if session not in (None, bearer):
                raise BadCredential("two credentials that do not agree: show one")
            return Visit(bearer)
        return Visit(session, by_session=session is not None)

    def _bearer_of(self, environ: Mapping[str, Any]) -> Principal | None:
        header = environ.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer":
            raise BadCredential("a token is sent as `Authorization: Bearer <token>`")
        return self.tokens.find(text.strip()).principal()

    def _session_of(self, environ: Mapping[str, Any]) -> Principal | None:
        token_id = self._read_session(environ.get("HTTP_COOKIE", ""))
        if token_id is None:
            return None
        try:
            return self.tokens.by_id(token_id).principal()
        except BadCredential:
            # The browser has no way to know: it is asked to log in again.
            return None

    @contextmanager
    def _noting_mistakes(self, environ: Mapping[str, Any]) -> Iterator[None]:
        """Log a refusal, once and without what was shown; count what was no good."""
        try:
            yield
        except (BadCredential, Forbidden) as error:
            if isinstance(error, BadCredential):
                self.rates.note_mistake(_address_of(environ))
            log.warning("refused address=%s reason=%s", _address_of(environ), error)
            raise

    def _enter(self, environ: Mapping[str, Any], owner: str, principal: Principal) -> None:
        client: Any = environ.get("headwater.client")
        if client is not None:
            self.clients.enter(client, owner, principal, client.cut)
            client.on_gone = self.clients.leave


def _leave_open() -> None:
    """Do nothing: what was said in a session is cut by who has heard it."""


def _address_of(environ: Mapping[str, Any]) -> str:
    return environ.get("REMOTE_ADDR") or "local"


def owner_of(principal: Principal | None, environ: Mapping[str, Any]) -> str:
    """Return to whom it is counted: a name for who has said it, else an address."""
    if principal is None or principal is ANYONE:
        return f"address {_address_of(environ)}"
    return principal.name


def _path_of(environ: Mapping[str, Any]) -> str:
    """Return the path as it was sent, since that is what was signed."""
    raw: str = environ.get("RAW_URI") or environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]
    return raw.partition("?")[0]
