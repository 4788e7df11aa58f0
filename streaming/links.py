"""Signed links over HTTP: an address for a client without a token."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Request, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, NotFound

from auth import Authenticator
from auth.access import Principal
from auth.links import MAX_S, MAX_USES, split_link
from auth.scopes import required_scopes
from exports.export import Export
from streaming.admission import asker
from streaming.errors import Refusal

log = logging.getLogger(__name__)

DEFAULT_S = 3600


def make_blueprint(
    authenticator: Authenticator, find_export: Callable[[Principal, str], Export | None]
) -> Blueprint:
    """Return the blueprint of /links. find_export: by its id, None if the client sees none."""
    blueprint = Blueprint("links", __name__)

    @blueprint.post("/links")
    def make() -> tuple[Response, int]:
        fields = _fields_of(_json_of(request))
        maker = asker()
        if not maker.token:
            message = "no client needs a link: this server requires no tokens"
            raise Refusal(409, "no_tokens", message)
        check(maker, fields["url"])
        expires_s = int(time.time()) + fields["expires_s"]
        url, link = authenticator.credentials.links.sign(
            fields["url"], maker.token, expires_s, fields["uses"]
        )
        log.info(
            "link made id=%s by=%s token=%s path=%a expires=%d uses=%d",
            link.id, maker.name, maker.token, urlsplit(url).path, expires_s, link.uses,
        )  # fmt: skip
        shown = {"url": url, "expires": expires_s, "uses": link.uses or None, "id": link.id}
        return jsonify(shown), 201

    def check(maker: Principal, url: str) -> None:
        """Raise Refusal or Forbidden unless url can be read, and the link's maker may read it."""
        root, path = request.script_root, urlsplit(url).path
        adapter = current_app.url_map.bind("localhost")
        try:
            # In the form in which it will be requested: with the mount.
            endpoint, args = adapter.match(path.removeprefix(root), "GET")
            if not path.startswith(f"{root}/"):
                raise NotFound
        except HTTPException as error:
            right = f"url is a path of this server, which begin with {root}/"
            raise Refusal(422, "no_such_address", right) from error
        required = required_scopes(endpoint, args)
        if endpoint in ("exports.file", "exports.show"):
            if find_export(maker, args["export_id"]) is None:
                raise Refusal(404, "unknown_export", "there is no such export; /exports lists them")
        elif not required:
            message = "links are made to downloads, files, reports, logs and events"
            raise Refusal(422, "not_linkable", message)
        authenticator.require(maker, required or ())

    return blueprint


def _json_of(request: Request) -> Any:
    """Return the parsed body; None if it is not JSON, or nested too deep."""
    try:
        return request.get_json(silent=True)
    except RecursionError:
        return None


def _fields_of(given: Any) -> dict[str, Any]:
    """Return url, expires_s and uses (0 for any number). Raises Refusal (400)."""
    fields = given if isinstance(given, dict) else {}
    url, expires_s, uses = fields.get("url"), fields.get("expires_s", DEFAULT_S), fields.get("uses")
    is_right = (
        isinstance(url, str)
        and re.match("/(?!/)", url)
        and url.isascii()
        and url.isprintable()
        and " " not in url
        and "#" not in url
        and split_link(urlsplit(url).query)[1] is None
        and type(expires_s) is int
        and 0 < expires_s <= MAX_S
        and (uses is None or (type(uses) is int and 0 < uses <= MAX_USES))
        and not fields.keys() - {"url", "expires_s", "uses"}
    )
    if not is_right:
        right = (
            'create a link with {"url": "/download/…", "expires_s": 3600, "uses": 1}: a path of'
            f" this server as it is sent, up to {MAX_S} seconds, up to {MAX_USES} uses or none"
        )
        raise Refusal(400, "malformed", right)
    return {"url": url, "expires_s": expires_s, "uses": uses or 0}
