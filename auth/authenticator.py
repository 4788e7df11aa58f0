"""The check before every request: its origin, its identity, and the quota of the client.

Way in: Authenticator.admit for requests to Flask, Authenticator.admit_session for those to a
Socket.IO session; Authenticator.greet for the token in a Socket.IO CONNECT. Knows WSGI environs,
and that the worker hands over each client's connection.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from auth.access import (
    AccessError,
    BadCredential,
    Forbidden,
    Principal,
    Scope,
    require,
)
from auth.clients import Clients
from auth.credentials import Credentials
from auth.identity import LOCAL, RequestIdentity, address_of, identity_of, key_of_address
from auth.rates import Rates
from auth.request_scheduler import RequestScheduler
from state import StateError
from wire.addresses import counted_address
from wire.connection import connection_of

log = logging.getLogger(__name__)

# Connections of a withdrawn token end within little more than this.
WATCH_S = 1.0

# The key in the environ of the identity that was found for a turn, until the request is admitted.
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

    clients: counts connections. rates: counts requests. sessions_unknown: how many Socket.IO
    sessions without a credential an address may have. run_native: runs functions that wait for the
    disk.
    """

    def __init__(
        self,
        credentials: Credentials,
        clients: Clients,
        rates: Rates,
        *,
        sessions_unknown: int | None = None,
        run_native: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self._run_native = run_native
        self.credentials = credentials
        self.clients = clients
        self.rates = rates
        self.scheduler = RequestScheduler()
        # The Socket.IO sessions, also those without a credential.
        self.sessions = Clients(clients.most, sessions_unknown)
        # Permissions that do not come from a scope; see access.require.
        self.grants: Callable[[Principal, Scope], bool] = lambda principal, scope: False
        self._stopped = threading.Event()

    # Once a process.

    def start(self) -> None:
        """Watch the tokens, and end connections whose credential is no longer valid."""
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
                log.exception("the tokens cannot be read")

    def look_again(self) -> None:
        """Read tokens and ended sessions again; cut connections without a valid credential."""
        tokens = self.credentials.tokens
        self._run_native(self._read_again)
        if tokens.is_needed:
            good = {token.id for token in tokens.all() if token.is_good()}
            now_s = time.time()

            def is_over(identity: RequestIdentity) -> bool:
                return (
                    (identity.principal is not None and identity.principal.token not in good)
                    or identity.session in self.credentials.ended
                    or (identity.ends_s is not None and identity.ends_s <= now_s)
                )

            self.clients.cut(is_over)
            self.sessions.cut(is_over)

    def _read_again(self) -> None:
        self.credentials.tokens.refresh()
        self.credentials.ended.refresh()

    # Each request.

    def take_turn(self, environ: dict[str, Any]) -> None:
        """Wait for a turn of the request's quota key, also if it is refused later; see end_turn.

        The key is the principal whose credential comes with the request, or else the address.
        """
        self.scheduler.take(self._quota_key_of(environ))

    def turn_at(self, address: str) -> AbstractContextManager[None]:
        """Wait for a turn of an address, for bytes that are refused before they are a request.

        address: "" for a client of a Unix socket.
        """
        return self.scheduler.turn_of(key_of_address(counted_address(address or LOCAL)))

    def _quota_key_of(self, environ: dict[str, Any]) -> str:
        try:
            identity = self.credentials.identify(environ)
        except AccessError:
            # The request is counted and refused in its turn.
            return key_of_address(address_of(environ))
        environ[_IDENTITY] = identity
        return identity.quota_key

    def admit(
        self,
        environ: dict[str, Any],
        required: Sequence[Scope] | None = (),
        *,
        is_counted: bool = True,
    ) -> RequestIdentity:
        """Return the identity of a request that is admitted.

        required: None if no credential is needed. is_counted: the request counts towards the
        requests a minute of its quota key. Raises AccessError.
        """
        with self._noting_mistakes(environ):
            self.credentials.check_origin(environ)
            identity = (
                identity_of(environ, None) if required is None else self._identity_in(environ)
            )
            if identity.link is not None and any(
                scope.action == "subscribe" for scope in required or ()
            ):
                # A download that began in time may finish; a feed would never finish.
                identity = identity._replace(ends_s=identity.link.expires_s)
            self._enter(environ, identity)
            if is_counted:
                self.rates.note_request(identity.quota_key)
            if required is not None:
                self.require(identity.principal, required)
            if identity.link is not None:
                links, is_use = self.credentials.links, environ["REQUEST_METHOD"] == "GET"
                (links.use if is_use else links.check)(identity.link)
        return identity

    def admit_session(self, environ: dict[str, Any], session_id: str | None) -> RequestIdentity:
        """Return the identity of a request for a Socket.IO session; it needs no credential.

        session_id: of an existing session, None for a new one. Raises AccessError, also if the
        session was opened with another credential.
        """
        with self._noting_mistakes(environ):
            self.credentials.check_origin(environ)
            identity = self._identity_in(environ)
            opened = None if session_id is None else self.sessions.identity(session_id)
            if opened is not None and opened.principal != identity.principal:
                raise Forbidden("the session was opened with another credential")
        self._enter(environ, identity)
        self.rates.note_request(identity.quota_key)
        return identity

    def require(self, principal: Principal | None, required: Sequence[Scope]) -> Principal:
        """Return the principal if it has the scopes. Raises Unauthorized, Forbidden."""
        return require(principal, required, self.grants)

    def greet(self, environ: Mapping[str, Any], text: object) -> RequestIdentity:
        """Return the identity for a Socket.IO namespace. text: the token in CONNECT, None for none.

        environ: of the request that opened the session. Raises AccessError.
        """
        with self._noting_mistakes(environ):
            self.credentials.check_origin(environ)
            identity = self.credentials.identify(environ)
            if text is None or not self.credentials.tokens.is_needed:
                require(identity.principal)
                return identity
            if not isinstance(text, str):
                raise BadCredential("a token is a string")
            principal = self.credentials.tokens.find(text).principal()
            if identity.principal not in (None, principal):
                raise BadCredential("two credentials that do not agree: send one")
            return identity_of(environ, principal)

    def log_in(self, environ: Mapping[str, Any], text: str) -> Principal:
        """Return the principal of the token that text is. Raises AccessError."""
        with self._noting_mistakes(environ):
            return self.credentials.tokens.find(text).principal()

    def _identity_in(self, environ: dict[str, Any]) -> RequestIdentity:
        """Return the identity that was found for the turn. Raises as Credentials.identify does."""
        found: RequestIdentity | None = environ.pop(_IDENTITY, None)
        return self.credentials.identify(environ) if found is None else found

    def _noting_mistakes(self, environ: Mapping[str, Any]) -> _Mistakes:
        """Count invalid credentials."""
        return _Mistakes(self.rates, environ)

    def _enter(self, environ: Mapping[str, Any], identity: RequestIdentity) -> None:
        client = connection_of(environ)
        if client is not None:
            self.clients.enter(client, identity, _cut)
            client.admit(self.clients.leave)


def _cut(client: Any) -> None:
    client.cut()
