"""The handlers of Flask-SocketIO: functions and namespaces, as the Socket.IO server calls them.

Way in: FlaskHandlers. Source: the interface of flask_socketio 5.7.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import flask_socketio
from flask_socketio import ConnectionRefusedError as FlaskRefused

from auth.access import AccessError
from auth.answers import log_refusal
from sockets.admission import refused
from sockets.engineio.errors import ConnectRefused, Refused, refusal
from sockets.environs import KeptEnviron

REJECTED = {"message": "Connection rejected by server"}
# A function that is registered for it receives every event of its namespace.
EVERY = "*"

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NO_FUNCTIONS: dict[str, Callable[..., Any]] = {}
_UNKNOWN_EVENT = refusal(404, "unknown_event", "there is no such event here")


class FlaskHandlers:
    """See the module, and sockets.engineio.server.NamespaceHandlers.

    An AccessError of a handler is logged, and raised as Refused. session_of: returns the session of
    a client. environs: of the requests that opened sessions.
    """

    def __init__(self, session_of: Callable[[str, str], str | None]) -> None:
        self._session_of = session_of
        self._functions: dict[str, dict[str, Callable[..., Any]]] = {}
        self._namespaces: dict[str, flask_socketio.Namespace] = {}
        # The least and the greatest number of arguments of a handler.
        self._arities: dict[tuple[str, str], tuple[int, float]] = {}
        self.environs: dict[str, KeptEnviron] = {}

    def add(self, event: str, function: Callable[..., Any], namespace: str) -> None:
        """Call function with the sid and the arguments of each event of this name."""
        _check_namespace(namespace)
        self._functions.setdefault(namespace, {})[event] = function

    def add_namespace(self, namespace: flask_socketio.Namespace) -> None:
        """Call its methods `on_…`, and `upgraded`, `over` and `heard` if it has them."""
        _check_namespace(namespace.namespace)
        self._namespaces[namespace.namespace] = namespace

    def environ_of(self, sid: str, namespace: str) -> dict[str, Any] | None:
        """Return a new environ of the request that opened a client's session."""
        kept = self.environs.get(self._session_of(sid, namespace) or "")
        return None if kept is None else kept.environ()

    # Called by the Socket.IO server.

    def opened(self, session: str, environ: Mapping[str, Any]) -> None:
        self.environs[session] = KeptEnviron(environ)

    def forget(self, session: str) -> None:
        self.environs.pop(session, None)

    def serves(self, namespace: str) -> bool:
        return namespace in self._functions or namespace in self._namespaces

    def connect(self, namespace: str, sid: str, auth: Any) -> None:
        environ = self.environ_of(sid, namespace)
        try:
            answer = self._call("connect", namespace, sid, environ, auth)
        except FlaskRefused as error:
            raise ConnectRefused(error.error_args) from error
        except ConnectionRefusedError as error:
            raise ConnectRefused(REJECTED) from error
        except AccessError as error:
            raise self._refused(error, namespace, sid) from error
        if answer is False:
            raise ConnectRefused(REJECTED)

    def disconnect(self, namespace: str, sid: str, reason: str) -> None:
        function = self._function(namespace, "disconnect")
        # In older versions, without reasons, such a function took no argument.
        takes_none = function is not None and arity_of(function)[1] == 0
        self._call("disconnect", namespace, sid, *([] if takes_none else [reason]))

    def heard(self, namespace: str, sid: str) -> None:
        try:
            self._tell("heard", namespace, sid)
        except AccessError as error:
            raise self._refused(error, namespace, sid) from error

    def upgraded(self, namespace: str, sid: str) -> None:
        self._tell("upgraded", namespace, sid)

    def over(self, namespace: str, sid: str) -> None:
        self._tell("over", namespace, sid)

    def event(self, namespace: str, sid: str, name: str, arguments: list[Any]) -> Any:
        """Return the result of the handler, or what is wrong with the event."""
        method = getattr(self._namespaces.get(namespace), f"on_{name}", None)
        if method is not None:
            arity = self._arities.get((namespace, name))
            if arity is None:
                arity = self._arities[namespace, name] = arity_of(method)
            if not arity[0] <= len(arguments) <= arity[1]:
                return refusal(400, "malformed", f"{name} takes other arguments")
        elif self._function(namespace, name) is None:
            return _UNKNOWN_EVENT
        try:
            return self._call(name, namespace, sid, *arguments)
        except AccessError as error:
            raise self._refused(error, namespace, sid) from error

    def _refused(self, error: AccessError, namespace: str, sid: str) -> Refused:
        environ = self.environ_of(sid, namespace) or {}
        log_refusal(error, environ.get("REMOTE_ADDR"))
        return refused(error)

    def _function(self, namespace: str, event: str) -> Callable[..., Any] | None:
        functions = self._functions.get(namespace, _NO_FUNCTIONS)
        if event not in functions and EVERY in functions and event not in ("connect", "disconnect"):
            function = functions[EVERY]
            return lambda *arguments: function(event, *arguments)
        return functions.get(event)

    def _call(self, event: str, namespace: str, sid: str, *arguments: Any) -> Any:
        """Call the function of an event, else the method of the namespace; None without both."""
        function = self._function(namespace, event)
        if function is not None:
            return function(sid, *arguments)
        handler = self._namespaces.get(namespace)
        return handler and handler.trigger_event(event, sid, *arguments)

    def _tell(self, what: str, namespace: str, sid: str) -> None:
        method = getattr(self._namespaces.get(namespace), what, None)
        if method is not None:
            method(sid)


def _check_namespace(namespace: str) -> None:
    if namespace == EVERY:
        raise ValueError('handlers of every namespace ("*") are not supported: name the namespace')


def arity_of(function: Callable[..., Any]) -> tuple[int, float]:
    """Return how many positional arguments a function takes, at least and at most."""
    parameters = inspect.signature(function).parameters.values()
    one_each = [each for each in parameters if each.kind in _POSITIONAL]
    least = sum(each.default is inspect.Parameter.empty for each in one_each)
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters):
        return least, math.inf
    return least, len(one_each)
