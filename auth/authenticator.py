"""In front of every request: from where it comes, who asks, and how much that one may have.

Way in: Authenticator.admit for HTTP, be it for Flask or for a Socket.IO session;
Authenticator.greet for the token in a Socket.IO CONNECT. Knows WSGI environs, and that the worker
hands over each client's connection.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from auth.access import (
    ANYONE,
    AccessError,
    BadCredential,
    CrossOrigin,
    Forbidden,
    Principal,
    Scope,
    require,
)
from auth.clients import Clients
from auth.ended_sessions import EndedSessions
from auth.identity import LOCAL, RequestIdentity, address_of, identity_of, owner_at
from auth.links import Links, split_link
from auth.origins import Origins, is_loopback_host
from auth.rates import Rates
from auth.request_scheduler import Turns
from auth.socket_limits import SocketLimits
from auth.tokens import Tokens
from auth.unfinished import Unfinished
from state import StateError
from wire.addresses import counted_address
from wire.connection import connection_of

log = logging.getLogger(__name__)

# What a withdrawn token has open ends within so long, and a little.
WATCH_S = 1.0

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

# Where the identity that was found for a request's turn is, until the request is admitted.
_IDENTITY = "headwater.identity"


class _Mistakes(NamedTuple):
    """Counts a BadCredential that goes through it."""

    rates: Rates
    environ: Mapping[str, Any]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *others: object) -> None:
        if kind is not None and issubclass(kind, BadCredential):
            self.rates.note_mistake(address_of(self.environ))


class Authenticator:
    """See the module.

    read_session: returns the token's id and the session's own in a Cookie header, None when there
    is no session. ended: sessions that were logged out. sessions_unknown: how many sessions of
    Socket.IO an address may have that have shown no credential. is_open: nobody needs a token as
    long as none was made, from any address. run_native: runs what waits for the disk.
    """

    def __init__(
        self,
        tokens: Tokens,
        links: Links,
        clients: Clients,
        rates: Rates,
        origins: Origins,
        read_session: Callable[[str], tuple[str, str] | None],
        ended: EndedSessions,
        *,
        is_open: bool,
        sessions_unknown: int | None = None,
        run_native: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self._run_native = run_native
        self.links = links
        self.clients = clients
        self.rates = rates
        self.tokens = tokens
        self.origins = origins
        self._read_session = read_session
        self._ended = ended
        self.turns = Turns()
        self.socket_limits = SocketLimits(self.turns, Unfinished())
        # Those of Socket.IO, also before one has shown a credential.
        self.sessions = Clients(clients.most, sessions_unknown)
        self._is_open = is_open
        # What comes with something rather than with a scope; see access.require.
        self.grants: Callable[[Principal, Scope], bool] = lambda principal, scope: False
        self._stopped = threading.Event()

    # Once a process.

    def start(self) -> None:
        """Watch the tokens: end what somebody has open whose credential is good no more."""
        threading.Thread(target=self._watch, name="authenticator watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(WATCH_S):
            try:
                self.look_again()
            except StateError as error:
                log.error("%s", error)
            except Exception:
                log.exception("the tokens cannot be looked at")

    def look_again(self) -> None:
        """Read the tokens if they have changed, and cut whose credential is good no more."""
        self._run_native(self.tokens.refresh)
        if self.tokens.is_needed:
            good = {token.id for token in self.tokens.all() if token.is_good()}
            now_s = time.time()

            def is_over(identity: RequestIdentity) -> bool:
                return (
                    (identity.principal is not None and identity.principal.token not in good)
                    or identity.session in self._ended
                    or (identity.ends_s is not None and identity.ends_s <= now_s)
                )

            self.clients.cut(is_over)
            self.sessions.cut(is_over)

    # Each request.

    def take_turn(self, environ: dict[str, Any]) -> None:
        """Wait for a turn of the owner who asks, whatever comes of it; end_turn ends it.

        The owner is the principal whose credential comes with the request, or else the address.
        """
        self.turns.take(self._owner_of(environ))

    def turn_at(self, address: str) -> AbstractContextManager[None]:
        """Wait for a turn of an address, for what is refused before it is a request.

        address: "" for a client of a Unix socket.
        """
        return self.turns.turn_of(owner_at(counted_address(address or LOCAL)))

    def _owner_of(self, environ: dict[str, Any]) -> str:
        try:
            identity = self._identify(environ)
        except AccessError:
            # It is counted, and refused, in the turn.
            return owner_at(address_of(environ))
        environ[_IDENTITY] = identity
        return identity.owner

    def admit(
        self,
        environ: dict[str, Any],
        required: Sequence[Scope] | None = (),
        *,
        is_counted: bool = True,
    ) -> RequestIdentity:
        """Return who asks, and may.

        required: None where no credential is needed. is_counted: it is one of the requests that its
        owner has in a minute. Raises AccessError.
        """
        with self._noting_mistakes(environ):
            self.check_where_from(environ)
            identity = (
                identity_of(environ, None) if required is None else self._identity_in(environ)
            )
            if identity.link is not None and any(
                scope.action == "subscribe" for scope in required or ()
            ):
                # A download that was begun in time may be finished; a feed would never be.
                identity = identity._replace(ends_s=identity.link.expires_s)
            self._enter(environ, identity)
            if is_counted:
                self.rates.note_request(identity.owner)
            if required is not None:
                self.require(identity.principal, required)
            if identity.link is not None:
                is_use = environ["REQUEST_METHOD"] == "GET"
                (self.links.use if is_use else self.links.check)(identity.link)
        return identity

    def admit_session(self, environ: dict[str, Any], session_id: str | None) -> RequestIdentity:
        """Return who opens a Socket.IO session, or goes on with this one; it needs no credential.

        Raises AccessError, also for who goes on with a session that another one has opened.
        """
        with self._noting_mistakes(environ):
            self.check_where_from(environ)
            identity = self._identity_in(environ)
            opened = None if session_id is None else self.sessions.identity(session_id)
            if opened is not None and opened.principal != identity.principal:
                raise Forbidden("the session was opened with another credential")
        self._enter(environ, identity)
        self.rates.note_request(identity.owner)
        return identity

    def require(self, principal: Principal | None, required: Sequence[Scope]) -> Principal:
        """Return the principal if it may. Raises Unauthorized, Forbidden."""
        return require(principal, required, self.grants)

    def greet(self, environ: Mapping[str, Any], text: object) -> RequestIdentity:
        """Return who opens a Socket.IO namespace. text: the token in its CONNECT, None for none.

        environ: of the request that has opened the session. Raises AccessError.
        """
        with self._noting_mistakes(environ):
            self.check_where_from(environ)
            identity = self._identify(environ)
            if text is None or not self.tokens.is_needed:
                require(identity.principal)
                return identity
            if not isinstance(text, str):
                raise BadCredential("a token is a text")
            principal = self.tokens.find(text).principal()
            if identity.principal not in (None, principal):
                raise BadCredential("two credentials that do not agree: show one")
            return identity_of(environ, principal)

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
        # Without tokens a request needs nothing that only a person has: it would run for any page.
        is_looked_at = is_told or not self.tokens.is_needed
        if is_looked_at and not self.origins.allow(environ):
            raise CrossOrigin("a page of another site may not ask this")
        if not self.tokens.is_needed and not self._is_open and not is_loopback_host(environ):
            # A name that another site has pointed to this machine makes its pages ours.
            raise Forbidden("without tokens this server answers to localhost only")

    def _identity_in(self, environ: dict[str, Any]) -> RequestIdentity:
        """Return who asks, as it was found for the turn. Raises as _identify does."""
        found: RequestIdentity | None = environ.pop(_IDENTITY, None)
        return self._identify(environ) if found is None else found

    def _identify(self, environ: Mapping[str, Any]) -> RequestIdentity:
        """Return who asks, None for who does not say. Raises BadCredential, Forbidden, TooMany."""
        if not self.tokens.is_needed:
            return identity_of(environ, ANYONE)
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
            return identity_of(environ, principal, link=link)
        by_cookie, session = self._session_of(environ)
        if bearer is not None:
            if by_cookie not in (None, bearer):
                raise BadCredential("two credentials that do not agree: show one")
            return identity_of(environ, bearer)
        return identity_of(environ, by_cookie, session)

    def _bearer_of(self, environ: Mapping[str, Any]) -> Principal | None:
        header = environ.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        client = connection_of(environ)
        shown = None if client is None else client.credential
        if shown is not None and shown[0] == header and self.tokens.has(shown[1]):
            # What this connection has shown before is good as long as the token is.
            principal: Principal = shown[1].principal()
            return principal
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer":
            raise BadCredential("a token is sent as `Authorization: Bearer <token>`")
        token = self.tokens.find(text.strip())
        if client is not None:
            client.credential = header, token
        return token.principal()

    def _session_of(self, environ: Mapping[str, Any]) -> tuple[Principal | None, str | None]:
        """Return who has logged in, and the session's id."""
        found = self._read_session(environ.get("HTTP_COOKIE", ""))
        if found is None or not self.origins.is_own(environ):
            # Browsers send it along with what a page of another site asks, of a sibling at least.
            return None, None
        token_id, session_id = found
        if session_id in self._ended:
            return None, None
        try:
            return self.tokens.by_id(token_id).principal(), session_id
        except BadCredential:
            # The browser has no way to know: it is asked to log in again.
            return None, None

    def _noting_mistakes(self, environ: Mapping[str, Any]) -> _Mistakes:
        """Count a credential that was no good."""
        return _Mistakes(self.rates, environ)

    def _enter(self, environ: Mapping[str, Any], identity: RequestIdentity) -> None:
        client = connection_of(environ)
        if client is not None:
            self.clients.enter(client, identity, _cut)
            client.admit(self.clients.leave)


def _cut(client: Any) -> None:
    client.cut()


def _path_of(environ: Mapping[str, Any]) -> str:
    """Return the path as it was sent, since that is what was signed."""
    raw: str = environ.get("RAW_URI") or environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]
    return raw.partition("?")[0]
