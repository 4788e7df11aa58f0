"""Pages beside JSON: the same address answers a browser with one and a program with the other."""

from __future__ import annotations

from flask import Request


def wants_page(request: Request) -> bool:
    """Does the client prefer HTML? curl and other programs, which take anything, get JSON."""
    kinds = ["application/json", "text/html"]
    return request.accept_mimetypes.best_match(kinds) == "text/html"
