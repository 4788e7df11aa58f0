"""The identity of a request, found from its token, its browser session or its link.

Way in: Credentials. Knows WSGI environs, and that the worker hands over each client's connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from auth.access import ANYONE, BadCredential, CrossOrigin, Forbidden, Principal
from auth.ended_sessions import EndedSessions
from auth.identity import RequestIdentity, identity_of
from auth.links import Links, split_link
from auth.origins import Origins, is_loopback_host
from auth.tokens import Tokens, TokensUnusable
from wire.connection import connection_of

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Credentials:
    """See the module.

    read_session: returns the id of the token and of the session in a Cookie header, None if there
    is no session. ended: sessions that were logged out. is_open: as long as no token was made, no
    client needs one, from any address.
    """

    def __init__(
        self,
        tokens: Tokens,
        links: Links,
        origins: Origins,
        read_session: Callable[[str], tuple[str, str] | None],
        ended: EndedSessions,
        *,
        is_open: bool,
    ) -> None:
        self.tokens = tokens
        self.links = links
        self.origins = origins
        self.ended = ended
        self._read_session = read_session
        self._is_open = is_open

    def check_origin(self, environ: Mapping[str, Any]) -> None:
        """Refuse requests of another site's pages, and requests to another server's name.

        Raises Forbidden.
        """
        is_upgrade = "websocket" in environ.get("HTTP_UPGRADE", "").lower()
        is_told = environ["REQUEST_METHOD"] not in SAFE_METHODS or is_upgrade
        # Without tokens a request needs no secret: any page could send it.
        is_looked_at = is_told or not self.tokens.is_needed
        if is_looked_at and not self.origins.allow(environ):
            raise CrossOrigin("a page of another site may not send this request")
        if not self.tokens.is_needed and not self._is_open and not is_loopback_host(environ):
            # If another site's name resolves to this machine, browsers take its pages for this
            # server's.
            raise Forbidden("without tokens this server answers to localhost only")

    def identify(self, environ: Mapping[str, Any]) -> RequestIdentity:
        """Return the identity of a request, without a principal if it has no credential.

        Raises BadCredential, Forbidden, TooMany, TokensUnusable.
        """
        if not self.tokens.is_needed:
            return identity_of(environ, ANYONE)
        if self.tokens.problem is not None:
            raise TokensUnusable(self.tokens.problem)
        bearer = self._bearer_of(environ)
        query, link_text = split_link(environ.get("QUERY_STRING", ""))
        if link_text is not None:
            link = self.links.read(link_text, _path_of(environ) + (f"?{query}" if query else ""))
            principal = self.tokens.by_id(link.token).principal()
            if environ["REQUEST_METHOD"] not in SAFE_METHODS:
                raise Forbidden("a link is for reading")
            # A browser sends its session with every request; a token is sent on purpose.
            if bearer not in (None, principal):
                raise BadCredential("two credentials that do not agree: send one")
            return identity_of(environ, principal, link=link)
        by_cookie, session = self._session_of(environ)
        if bearer is not None:
            if by_cookie not in (None, bearer):
                raise BadCredential("two credentials that do not agree: send one")
            return identity_of(environ, bearer)
        return identity_of(environ, by_cookie, session)

    def _bearer_of(self, environ: Mapping[str, Any]) -> Principal | None:
        header = environ.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        client = connection_of(environ)
        shown = None if client is None else client.credential
        if shown is not None and shown[0] == header and self.tokens.has(shown[1]):
            # The credential that this connection sent before is valid as long as its token is.
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
        """Return the principal that logged in, and the session's id."""
        found = self._read_session(environ.get("HTTP_COOKIE", ""))
        if found is None or not self.origins.is_own(environ):
            # Browsers also send the cookie with requests of a page of another site, at least of a
            # sibling.
            return None, None
        token_id, session_id = found
        if session_id in self.ended:
            return None, None
        try:
            return self.tokens.by_id(token_id).principal(), session_id
        except BadCredential:
            # The browser cannot know that the session has ended: the user has to log in again.
            return None, None


def _path_of(environ: Mapping[str, Any]) -> str:
    """Return the path as it was sent, since the signature is of that form."""
    raw: str = environ.get("RAW_URI") or environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]
    return raw.partition("?")[0]
