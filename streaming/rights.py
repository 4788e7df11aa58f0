"""Which principals may see an export and its events: those that get the same rows of its source.

The source has to be as the catalogue defines it now: no principal sees exports of an older
definition.
"""

from __future__ import annotations

import json
from functools import partial
from weakref import WeakValueDictionary

from auth.access import ADMIN, Forbidden, Principal, Scope, may
from exports.definitions import Definitions
from exports.export import Export
from exports.service import ExportService, View
from topics import Patterns
from wire.events import parts_of, topic_of
from wire.formats import TARBALL
from wire.framing import Framing
from wire.log_framing import FilteredFraming

# The topics of all exports, and of one.
_TOPIC, _TOPICS = "exports", "exports/"
_OF_EXPORTS = Patterns.parse(f"{_TOPIC},{_TOPICS}*")


class Rights:
    """Permissions for exports, which no scope names."""

    def __init__(self, definitions: Definitions, exports: ExportService) -> None:
        self._definitions = definitions
        self._exports = exports
        # Equal framings are one object, so that pushes are framed once for a principal's readers.
        self._narrowed: WeakValueDictionary[tuple[Framing, str, str], Framing] = (
            WeakValueDictionary()
        )

    def sees(self, principal: Principal, export: Export) -> bool:
        """May the principal follow the export and read it? An admin may, whatever its key is."""
        if self._definitions.of(export.source, export.extension) != export.definition:
            return False
        if may(principal, Scope(ADMIN)):
            return True
        if not may(principal, Scope("read", export.source)):
            return False
        if export.extension == TARBALL.extension:
            return True
        key = self._definitions.visibility_key(export.source, principal.attributes)
        return key == export.visibility_key

    def views(self, principal: Principal) -> list[View]:
        """Return the views of the exports that the principal sees."""
        is_admin = may(principal, Scope(ADMIN))
        views = []
        for name, definition, is_folder in self._definitions.all():
            if is_admin:
                views.append(View(definition, None))
            elif may(principal, Scope("read", name)):
                attributes = principal.attributes
                key = "" if is_folder else self._definitions.visibility_key(name, attributes)
                if key is not None:
                    views.append(View(definition, key))
        return views

    def may_end(self, principal: Principal, export: Export) -> bool:
        """May the client cancel it? The principal that requested it first may, and an admin."""
        is_owner = export.owner == principal.name and self.sees(principal, export)
        return is_owner or may(principal, Scope(ADMIN))

    def find(self, principal: Principal, export_id: str) -> Export | None:
        """Return the export with this id; None if the client sees none."""
        export = self._exports.get(export_id)
        return export if export is not None and self.sees(principal, export) else None

    def find_to_end(self, principal: Principal, export_id: str) -> Export | None:
        """Return the export with this id, to be cancelled; None if the client sees none.

        Raises Forbidden if the client sees the export but may not cancel it.
        """
        export = self.find(principal, export_id)
        if export is not None and not self.may_end(principal, export):
            raise Forbidden(
                "an export is cancelled by the client that requested it, or by an admin"
            )
        return export

    def grants(self, principal: Principal, scope: Scope) -> bool:
        """Is it granted without the scope? A principal may follow the exports that it sees."""
        is_one = scope.action == "subscribe" and scope.name.startswith(_TOPICS)
        return is_one and self.find(principal, scope.name.removeprefix(_TOPICS)) is not None

    def narrow(self, principal: Principal, patterns: Patterns, framing: Framing) -> Framing:
        """Return the framing for a principal's reader of patterns.

        It leaves out events of exports that the principal does not see.
        """
        if may(principal, Scope(ADMIN)) or not patterns.meets(_OF_EXPORTS):
            return framing
        key = (framing, principal.name, principal.token)
        return self._narrowed.setdefault(
            key, FilteredFraming(framing, partial(self._is_visible, principal))
        )

    def hides(self, principal: Principal, topic: str) -> bool:
        """May the principal not know of this topic or pattern, even if its scopes cover it?"""
        if may(principal, Scope(ADMIN)) or topic.endswith("*") or not topic.startswith(_TOPICS):
            return False
        return self.find(principal, topic.removeprefix(_TOPICS)) is None

    def _is_visible(self, principal: Principal, line: bytes) -> bool:
        topic = topic_of(line)
        if topic == _TOPIC:
            topic = _TOPICS + json.loads(parts_of(line).data)["id"]
        return not self.hides(principal, topic)
