"""Which clients may open Socket.IO sessions: the authenticator, as the protocol stack calls it.

Way in: SocketAdmission. Its errors become answers of sockets.engineio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from auth import Authenticator, RequestIdentity
from auth.access import AccessError
from auth.answers import find_answer, headers_of, log_refusal, message_for_client
from sockets.engineio.errors import Refused


def refused(error: AccessError) -> Refused:
    """Return the stack's error for an error of the authenticator."""
    return Refused(*find_answer(error), message_for_client(error), headers_of(error))


class SocketAdmission:
    """See sockets.engineio.contract.Admission."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._sessions = authenticator.sessions

    def take_turn(self, environ: dict[str, Any]) -> None:
        self._authenticator.take_turn(environ)

    def admit(self, environ: dict[str, Any], session: str | None) -> RequestIdentity:
        try:
            return self._authenticator.admit_session(environ, session)
        except AccessError as error:
            log_refusal(error, environ.get("REMOTE_ADDR"))
            raise refused(error) from error

    def enter(self, session: str, requester: RequestIdentity, cut: Callable[[str], None]) -> None:
        try:
            self._sessions.enter(session, requester, cut)
        except AccessError as error:
            raise refused(error) from error

    def leave(self, session: str) -> None:
        self._sessions.leave(session)

    def quota_key_of(self, session: str) -> str:
        identity = self._sessions.identity(session)
        return identity.quota_key if identity else ""

    def note_request(self, quota_key: str) -> None:
        try:
            self._authenticator.rates.note_request(quota_key)
        except AccessError as error:
            raise refused(error) from error
