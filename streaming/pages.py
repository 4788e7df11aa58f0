"""General parts of a request: whether it prefers a page or JSON, and its query parameters.

The same address answers a browser with a page and a program with JSON.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Request, Response, after_this_request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_options_header

from auth.links import PARAMETER, split_link
from wire.parameters import check_parameters

# The charset of all text, also by default.
_UTF_8 = ("utf-8", "utf8")
# Java's HttpURLConnection sends `*/*; q=.2`, which werkzeug does not parse.
_NO_ZERO = re.compile(r"(?<=[;\s]q=)(?=\.[0-9])", re.IGNORECASE)


def wants_page(request: Request) -> bool:
    """Does the client prefer HTML? curl and other programs, which accept anything, get JSON."""
    return best_kind(request, ["application/json", "text/html"]) == "text/html"


def best_kind(request: Request, kinds: Sequence[str]) -> str | None:
    """Return the media type that the client prefers, None if it accepts none of them.

    Of two with the same quality, it is the one that the client names more exactly, or else the
    first. The response varies by Accept: otherwise a cache would return JSON for a page.
    """
    after_this_request(_vary_by_accept)
    header = _NO_ZERO.sub("0", request.headers.get("Accept", ""))
    accepted = parse_accept_header(header, MIMEAccept)
    best, most = None, (0.0, 2)
    for kind in kinds:
        preference = _preference(accepted, kind)
        if preference > most:
            best, most = kind, preference
    return best


def _preference(accepted: MIMEAccept, kind: str) -> tuple[float, int]:
    """Return the quality of a media type, and how exactly the client has named it, up to 2.

    The most exact range gives the quality: RFC 9110, 12.5.1. A range with parameters that we do not
    send counts where no other one matches: clients mean the type, not its parameters.
    """
    matching = (kind, f"{kind.partition('/')[0]}/*", "*/*")
    found = [(False, 0, False, 0.0)]
    for value, quality in accepted:
        named, parameters = parse_options_header(value)
        charset = parameters.pop("charset", None)
        if named.lower() in matching and (charset or _UTF_8[0]).lower() in _UTF_8:
            exactness = 2 - named.count("*")
            found.append((not parameters, exactness, charset is not None, quality))
    _, exactness, _, quality = max(found)
    return quality, exactness


def _vary_by_accept(response: Response) -> Response:
    response.vary.add("Accept")
    return response


def address_without_link(request: Request) -> str:
    """Return the path and query to return to, without a signed link, which logs would show."""
    query = split_link(request.query_string.decode("latin-1"))[0]
    return request.script_root + request.path + (f"?{query}" if query else "")


def is_set(request: Request, name: str) -> bool:
    """Is a switch of the query on, that is neither absent, empty nor 0?"""
    return bool(request.query_string) and request.args.get(name, "0") not in ("", "0")


def require_parameters(request: Request, known: Sequence[str]) -> None:
    """Raise UnknownParameter for a query parameter that is not known; a signed link is allowed."""
    check_parameters((key for key, _ in query_of(request)), known)


def query_of(request: Request) -> list[tuple[str, str]]:
    """Return the (key, value) of all query parameters except a signed link."""
    return [(k, v) for k, v in request.args.items(multi=True) if k != PARAMETER]
