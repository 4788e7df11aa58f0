"""What a request asks for in general: a page or JSON, and switches like `follow=1`.

The same address answers a browser with a page and a program with JSON.
"""

from __future__ import annotations

from collections.abc import Sequence

from flask import Request, Response, after_this_request

from guard.links import PARAMETER, split_link
from wire.words import check_words


def wants_page(request: Request) -> bool:
    """Does the client prefer HTML? curl and other programs, which take anything, get JSON."""
    return best_kind(request, ["application/json", "text/html"]) == "text/html"


def best_kind(request: Request, kinds: Sequence[str]) -> str | None:
    """Return which of these media types the client likes best, None for none of them.

    Whatever is answered says that Accept has a part in it: a cache would hand JSON to who goes
    back to a page.
    """
    after_this_request(_vary_by_accept)
    return request.accept_mimetypes.best_match(kinds)


def _vary_by_accept(response: Response) -> Response:
    response.vary.add("Accept")
    return response


def address_without_link(request: Request) -> str:
    """Return the path and query to come back to, without a signed link: logs show where it led."""
    query = split_link(request.query_string.decode("latin-1"))[0]
    return request.path + (f"?{query}" if query else "")


def is_set(request: Request, name: str) -> bool:
    """Is a switch of the query on? Not if it is absent, empty or 0."""
    return request.args.get(name, "0") not in ("", "0")


def require_words(request: Request, known: Sequence[str]) -> None:
    """Raise UnknownWord when the query has a word that is none of those, nor a signed link."""
    check_words((key for key, _ in words_of(request)), known)


def words_of(request: Request) -> list[tuple[str, str]]:
    """Return the (key, value) of the query that select something: all but a signed link."""
    return [(k, v) for k, v in request.args.items(multi=True) if k != PARAMETER]
