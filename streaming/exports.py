"""Downloads and exports over HTTP: create one, follow it, read its bytes, cancel it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_plus

from flask import (
    Blueprint,
    Request,
    Response,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)

from auth import Authenticator
from auth.access import Scope
from auth.request_scheduler import end_turn
from exports.errors import RecordingGone
from exports.export import Export
from exports.service import ExportService, Point
from journal import JournalFailed
from sources.errors import BadSelection
from sources.lists import list_text
from streaming.admission import asker, quota_key
from streaming.answers import ExportAnswer
from streaming.errors import Refusal
from streaming.listings import read_count
from streaming.pages import query_of, wants_page
from streaming.presence import make_has_left
from streaming.resumption import find_resumed
from streaming.rights import Rights
from streaming.source_lookup import SourceLookup
from wire.formats import media_type_of
from wire.validators import Conditions

# So many exports are on one page of the list.
MAX_PAGE = 200

# The content of an export's file never changes.
IMMUTABLE = "private, max-age=31536000, immutable"
# A download has the present data: clients have to revalidate it.
REVALIDATE = "private, no-cache"
# A small export is whole by then, and a HEAD tells its length. Readers of CSV and Parquet that read
# in pieces begin with a HEAD, and wait for its answer for at least 30 s.
HEAD_WAIT_S = 5.0


def make_blueprint(
    exports: ExportService,
    lookup: SourceLookup,
    authenticator: Authenticator,
    rights: Rights,
    *,
    resume_wait_s: float,
) -> Blueprint:
    """Return the blueprint. resume_wait_s: how long a resumed download may wait for its bytes."""
    blueprint = Blueprint("exports", __name__)
    # A selection in a form for people.
    blueprint.add_app_template_filter(unquote_plus, "unquoted")

    def answer(export: Export, cache_control: str, *, head_wait_s: float = 0.0) -> Response:
        # The answer may have to wait for the first bytes.
        end_turn()
        return ExportAnswer(
            exports,
            export,
            request,
            resume_wait_s=resume_wait_s,
            cache_control=cache_control,
            head_wait_s=head_wait_s,
        ).respond()

    def known(export_id: str) -> Export:
        return _known(rights.find(asker(), export_id), export_id)

    @blueprint.get("/download/<path:file>")
    def download(file: str) -> Response:
        name, _, extension = file.partition(".")
        spec = lookup.read_spec(name, extension, query_of(request), asker().attributes)
        is_head = request.method == "HEAD"
        conditions = Conditions.read(request.headers.get)
        if is_head:
            # RFC 9110 14.2: a Range is for GET only.
            conditions = replace(conditions, range=None)
        has_left = make_has_left(request.environ)
        export = find_resumed(exports, spec, conditions, wait_s=resume_wait_s, has_left=has_left)
        if export is None and is_head and spec.fingerprint() is None:
            # No GET would share an export for this request, so its length would tell nothing.
            media_type = media_type_of(spec.extension)
            response = Response(content_type=media_type, headers=_HEAD_OF_A_NEW_ONE)
            response.automatically_set_content_length = False
            return response
        if export is None:
            export = exports.submit(spec, background=False, owner=quota_key(), delivers=not is_head)
        try:
            return answer(export, REVALIDATE, head_wait_s=HEAD_WAIT_S)
        except RecordingGone:
            if export.state == "failed" and export.error is not None:
                # The export failed before its bytes were requested.
                raise JournalFailed(*export.error) from None
            raise

    @blueprint.post("/exports")
    def prepare() -> Any:
        fields = list(_fields_of(request))
        named = dict(fields)
        for key in ("source", "format"):
            if key not in named:
                raise BadSelection([f"{key}: is missing"])
        authenticator.require(asker(), [Scope("read", named["source"])])
        parameters = [(key, value) for key, value in fields if key not in _NOT_OF_THE_SELECTION]
        spec = lookup.read_spec(named["source"], named["format"], parameters, asker().attributes)
        export = exports.submit(spec, background=True, owner=quota_key())
        if wants_page(request):
            return redirect(url_for(".show_all", _anchor=export.id), 303)
        address = url_for(".show", export_id=export.id)
        return jsonify(show_export(exports, export, rights)), 202, {"Location": address}

    @blueprint.get("/exports")
    def show_all() -> Response | str:
        limit = read_count(request, "limit", MAX_PAGE, 1, MAX_PAGE)
        before = Point.read(request.args.get("before", ""))
        if before is None and "before" in request.args:
            raise Refusal(400, "malformed", "before is what `next` of a page has")
        # One more export tells whether there is a next page.
        seen, total = exports.page(rights.views(asker()), before, limit + 1)
        page = {
            "exports": [show_export(exports, export, rights) for export in seen[:limit]],
            "total": total,
            "next": None,
        }
        if len(seen) > limit:
            point = Point.of(seen[limit - 1])
            page["next"] = url_for(".show_all", limit=limit, before=str(point))
        if wants_page(request):
            return render_template("exports.html", is_first=before is None, **page)
        return jsonify(page)

    @blueprint.get("/exports/<export_id>")
    def show(export_id: str) -> Response:
        return jsonify(show_export(exports, known(export_id), rights))

    @blueprint.get("/exports/<export_id>/file")
    def file(export_id: str) -> Response:
        return answer(known(export_id), IMMUTABLE)

    @blueprint.delete("/exports/<export_id>")
    def cancel(export_id: str) -> Response:
        export = _known(rights.find_to_end(asker(), export_id), export_id)
        exports.cancel(export)
        return jsonify(show_export(exports, export, rights))

    return blueprint


# JSON can spell lone surrogates, which no text can hold.
_SURROGATE = re.compile("[\ud800-\udfff]")

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
# The fields of a form besides the selection: the offered choices, and the mark of its page.
_NOT_OF_THE_SELECTION = ("source", "format", "csrf_token")

_HEAD_OF_A_NEW_ONE = {"Accept-Ranges": "bytes", "Cache-Control": REVALIDATE}


def show_export(exports: ExportService, export: Export, rights: Rights) -> dict[str, Any]:
    """Return an export in the form for the client; its address includes the mount."""
    view = export.payload(exports.queue_position(export))
    url = url_for("exports.file", export_id=export.id) if export.retained else None
    return {
        **view,
        "slowest_reader": exports.slowest_reader(export),
        "url": url,
        "may_cancel": rights.may_end(asker(), export),
    }


def _known(export: Export | None, export_id: str) -> Export:
    if export is None:
        message = f"there is no export {export_id[:100]!a}; /exports lists them"
        raise Refusal(404, "unknown_export", message)
    return export


def _fields_of(request: Request) -> Iterator[tuple[str, str]]:
    """Yield the fields of a form or of a JSON object as query parameters."""
    if not request.is_json:
        if request.mimetype not in _FORMS and request.get_data():
            kinds = f"application/json or {_FORMS[0]}"
            raise Refusal(415, "unsupported_media_type", f"send {kinds} to create an export")
        yield from request.form.items(multi=True)
        return
    try:
        # A number with a point stays text: a float may lose its last digits.
        fields = json.loads(request.get_data(), object_pairs_hook=_Fields, parse_float=str)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, _Fields):
        raise BadSelection(['the body: a JSON object like {"source": …, "format": …} is required'])
    for key, count in Counter(key for key, _ in fields).items():
        if count > 1:
            raise BadSelection([f"{key[:100]!a}: is given twice"])
    for key, value in fields:
        text = _text_of_list(key, value) if type(value) is list else _text_of(key, value)
        if _SURROGATE.search(key + text):
            raise BadSelection([f"{key!a}: half a surrogate pair is no text"])
        yield key, text


class _Fields(list[tuple[str, Any]]):
    """The fields of a JSON object, with repeated ones."""


def _text_of_list(key: str, values: list[Any]) -> str:
    """Return a list in the form of a query string; only some parameters take one."""
    if key not in ("columns", "sort") and not key.endswith("__in"):
        raise BadSelection([f"{key}: one value is required; a list is for columns, sort and …__in"])
    if not values:
        raise BadSelection([f"{key}: the list is empty"])
    return list_text([_text_of(key, value) for value in values])


def _text_of(key: str, value: Any) -> str:
    if not isinstance(value, str | int | float):
        raise BadSelection([f"{key}: a text, a number, true or false is required"])
    return str(value).lower() if isinstance(value, bool) else str(value)
