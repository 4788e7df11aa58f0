"""Flask, with caches for work that is the same in many requests.

A known address is not routed again, a host name is checked once, and the header fields of all
responses are added at once. Views and clients see the same as from Flask and Werkzeug. Knows no
view.

Way in: Application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from json import JSONEncoder
from typing import Any, NamedTuple

from flask import Flask, Request, Response
from flask.globals import request_ctx
from flask.helpers import _split_blueprint_path
from flask.json.provider import DefaultJSONProvider
from flask.signals import request_tearing_down
from werkzeug.datastructures import EnvironHeaders
from werkzeug.http import parse_options_header
from werkzeug.routing import BuildError, Map, MapAdapter, RequestRedirect, Rule
from werkzeug.sansio.utils import get_content_length
from werkzeug.utils import cached_property
from werkzeug.wsgi import get_host

# Clients choose the addresses: a longer one is not cached.
MAX_ROUTES = 1024
MAX_ROUTE_CHARS = 200
# The number of host names that are cached.
MAX_NAMES = 64

Standing = Sequence[tuple[str, str]]
_Found = tuple[Rule, Mapping[str, Any]]


class Application(Flask):
    """See the module. It supports neither subdomains nor coroutines as views.

    standing: the default header fields of all responses. of_pages: those of HTML.
    """

    def __init__(self, name: str, standing: Standing = (), of_pages: Standing = ()) -> None:
        super().__init__(name)
        given = {"standing": _lowered(standing), "of_pages": _lowered(of_pages)}
        self.response_class = type("ApplicationResponse", (ApplicationResponse,), given)
        self.request_class = ApplicationRequest
        self.json = Json(self)
        self._find = lru_cache(MAX_ROUTES)(self._route)
        self._address_of = lru_cache(MAX_ROUTES)(self._build)
        self._hooks_of = lru_cache(MAX_NAMES)(self._find_hooks)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        if request is None or "HTTP_UPGRADE" in request.environ:
            return super().create_url_adapter(request)
        environ = request.environ
        scheme = environ["wsgi.url_scheme"]
        called = environ.get("HTTP_HOST"), environ.get("SERVER_NAME"), environ.get("SERVER_PORT")
        request.host, server_name = _names_of(scheme, *called)
        return Routes(
            self.url_map, server_name, environ.get("SCRIPT_NAME") or "/", "", scheme,
            request.path, request.method, environ.get("QUERY_STRING", ""), self._find,
        )  # fmt: skip

    def url_for(self, /, endpoint: str, **values: Any) -> str:
        adapter = _asked_adapter()
        is_plain = not any(name.startswith("_") for name in values) and "." in endpoint[1:]
        if adapter is None or endpoint.startswith(".") or not is_plain or not _is_short(values):
            return super().url_for(endpoint, **values)
        return self._address_of(adapter.script_name, endpoint, *values.items())

    # Hooks cannot change after the first request: Flask refuses that.

    def preprocess_request(self) -> Any:
        if self.url_value_preprocessors:
            return super().preprocess_request()
        for function in self._hooks_of(request_ctx.request.blueprint).before:
            answer = function()
            if answer is not None:
                return answer
        return None

    def process_response(self, response: Response) -> Response:
        context = request_ctx._get_current_object()  # type: ignore[attr-defined]
        hooks = self._hooks_of(context.request.blueprint)
        for function in (*context._after_request_functions, *hooks.after):
            response = function(response)
        if not self.session_interface.is_null_session(context._session):
            self.session_interface.save_session(self, context._session, response)
        return response

    def do_teardown_request(self, *error: Any) -> None:
        if not error:
            super().do_teardown_request()
            return
        for function in self._hooks_of(request_ctx.request.blueprint).teardown:
            function(*error)
        request_tearing_down.send(self, _async_wrapper=self.ensure_sync, exc=error[0])

    def _find_hooks(self, blueprint: str | None) -> Hooks:
        """Return the hooks for a request of a blueprint, in order."""
        names = [] if blueprint is None else _split_blueprint_path(blueprint)
        return Hooks(
            [each for name in (None, *reversed(names)) for each in self.before_request_funcs[name]],
            [each for name in (*names, None) for each in reversed(self.after_request_funcs[name])],
            [
                each
                for name in (*names, None)
                for each in reversed(self.teardown_request_funcs[name])
            ],
        )

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return func; Flask would check whether it is a coroutine in each request."""
        return func

    def _build(self, script_name: str, endpoint: str, *values: tuple[str, str]) -> str:
        try:
            return self.url_map.bind("", script_name).build(endpoint, dict(values))
        except BuildError:
            # Flask's own error says more.
            return super().url_for(endpoint, **dict[str, Any](values))

    def _route(self, path: str, method: str) -> _Found:
        return self.url_map.bind("").match(path, method, return_rule=True)


class Hooks(NamedTuple):
    """The functions called before a view, after it, and at a request's end."""

    before: Sequence[Callable[[], Any]]
    after: Sequence[Callable[[Any], Any]]
    teardown: Sequence[Callable[[Any], Any]]


class Routes(MapAdapter):
    """The routes for one request. find: returns the cached route of a path and a method.

    Raises as `match` does.
    """

    def __init__(self, *args: Any) -> None:
        *bound, self._find = args
        super().__init__(*bound)

    def match(self, *args: Any, **named: Any) -> Any:
        if args or named != {"return_rule": True} or len(self.path_info) > MAX_ROUTE_CHARS:
            return super().match(*args, **named)
        try:
            rule, values = self._find(self.path_info, self.default_method)
        except RequestRedirect:
            # The redirect depends on the host of the request.
            return super().match(*args, **named)
        return rule, dict(values)


class ApplicationRequest(Request):
    """A request whose body is read at once if it has a length."""

    def __init__(self, environ: dict[str, Any], *args: Any, **named: Any) -> None:
        super().__init__(environ, *args, **named)
        self.headers = Fields(environ)

    @property
    def mimetype(self) -> str:
        text = self.environ.get("CONTENT_TYPE", "")
        return super().mimetype if len(text) > MAX_ROUTE_CHARS else _mimetype_of(text)

    @cached_property
    def content_length(self) -> int | None:
        environ = self.environ
        return _length_of(environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"))

    def get_data(self, *args: Any, **named: Any) -> Any:
        if not args and not named and hasattr(self, "_cached_data"):
            return self._cached_data
        length, most = self.content_length, self.max_content_length
        if args or named or length is None or (most is not None and length > most):
            return super().get_data(*args, **named)
        self._cached_data = self.environ["wsgi.input"].read(length)
        return self._cached_data


class Fields(EnvironHeaders):
    """The header fields of a request, looked up by their WSGI names."""

    def get(self, key: str, default: Any = None, type: Any = None) -> Any:  # type: ignore[override]  # noqa: A002
        if type is not None:
            return super().get(key, default, type)
        name = key.upper().replace("-", "_")
        name = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        return self.environ.get(name, default)


class ApplicationResponse(Response):
    """A response with default fields. standing, of_pages: name, its lower case, value."""

    standing: Sequence[tuple[str, str, str]] = ()
    of_pages: Sequence[tuple[str, str, str]] = ()

    def get_wsgi_response(
        self, environ: dict[str, Any]
    ) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        fields = self.headers.to_wsgi_list()
        has = {name.lower(): value for name, value in fields}
        if "location" in has or "content-location" in has or self.status_code in (204, 304):
            fields = self.get_wsgi_headers(environ).to_wsgi_list()
            has = {name.lower(): value for name, value in fields}
        elif self._needs_length(has):
            size_bytes = sum(len(part) for part in self.iter_encoded())
            fields.append(("Content-Length", str(size_bytes)))
        fields += [(name, value) for name, lower, value in self.standing if lower not in has]
        if has.get("content-type", "").startswith("text/html"):
            fields += [(name, value) for name, lower, value in self.of_pages if lower not in has]
        return self.get_app_iter(environ), self.status, fields

    def get_app_iter(self, environ: dict[str, Any]) -> Iterable[bytes]:
        # Werkzeug wraps it to close it, which a list of texts does not need.
        is_plain = type(self.response) is list and not self._on_close
        if not is_plain or environ["REQUEST_METHOD"] == "HEAD" or self._has_no_body():
            return super().get_app_iter(environ)
        return list(self.iter_encoded())

    def _has_no_body(self) -> bool:
        return self.status_code < 200 or self.status_code in (204, 304)

    def _needs_length(self, has: Mapping[str, str]) -> bool:
        is_known = self.automatically_set_content_length and self.is_sequence
        return is_known and "content-length" not in has


class Json(DefaultJSONProvider):
    """JSON as Flask makes it, in the order of the fields, with one encoder for all."""

    sort_keys = False

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self._encode = JSONEncoder(default=self.default, separators=(",", ":")).encode

    def response(self, *args: Any, **named: Any) -> Response:
        body = self._encode(self._prepare_response_obj(args, named)) + "\n"
        make: type[Response] = self._app.response_class  # type: ignore[assignment]
        return make([body.encode()], content_type="application/json")


def _asked_adapter() -> Routes | None:
    """Return the routes of the current request, None if there is none or it is an upgrade."""
    adapter = request_ctx.url_adapter if request_ctx else None
    return adapter if isinstance(adapter, Routes) else None


def _is_short(values: Mapping[str, Any]) -> bool:
    """Are all values texts that are short enough for the cache?"""
    return all(
        isinstance(value, str) and len(value) <= MAX_ROUTE_CHARS for value in values.values()
    )


def _lowered(fields: Standing) -> list[tuple[str, str, str]]:
    return [(name, name.lower(), value) for name, value in fields]


@lru_cache(MAX_NAMES)
def _mimetype_of(text: str) -> str:
    return parse_options_header(text)[0].lower()


_length_of = lru_cache(MAX_NAMES)(get_content_length)


@lru_cache(MAX_NAMES)
def _names_of(
    scheme: str, host: str | None, server: str | None, port: str | None
) -> tuple[str, str]:
    """Return the host name of a request, and the same as the routes have it.

    Raises SecurityError and BadHost, which are HTTP errors.
    """
    environ = {"wsgi.url_scheme": scheme, "SERVER_NAME": server, "SERVER_PORT": port}
    if host is not None:
        environ["HTTP_HOST"] = host
    name = get_host(environ)
    return name, Map().bind(name).server_name
