"""Which principals may see an export and its events: those that get the same rows of its source.

The source has to be as the catalogue defines it now: what was recorded of a wider one is nobody's.
"""

from __future__ import annotations

import json
from functools import partial
from weakref import WeakValueDictionary

from auth.access import ADMIN, Forbidden, Need, Principal, may
from exports.export import Export
from exports.service import ExportService, View
from streaming.orders import Orders
from topics import Patterns
from wire.events import parts_of, topic_of
from wire.formats import TARBALL
from wire.framing import Framing
from wire.log_framing import Searched

# Of all exports, and of one.
_TOPIC, _TOPICS = "exports", "exports/"
_OF_EXPORTS = Patterns.parse(f"{_TOPIC},{_TOPICS}*")


class Rights:
    """What may be done with exports, which no scope names."""

    def __init__(self, orders: Orders, exports: ExportService) -> None:
        self._orders = orders
        self._exports = exports
        # Equal ones are one, so that what is pushed is framed once for a principal's readers.
        self._narrowed: WeakValueDictionary[tuple[Framing, str, str], Framing] = (
            WeakValueDictionary()
        )

    def sees(self, principal: Principal, export: Export) -> bool:
        """May the principal follow it and have its bytes? An admin sees those of all audiences."""
        if self._orders.definition_of(export.source, export.extension) != export.definition:
            return False
        if may(principal, Need(ADMIN)):
            return True
        if not may(principal, Need("read", export.source)):
            return False
        if export.extension == TARBALL.extension:
            return True
        return (
            self._orders.visibility_key_of(export.source, principal.attributes)
            == export.visibility_key
        )

    def views(self, principal: Principal) -> list[View]:
        """Return where the exports are that the principal sees."""
        is_admin = may(principal, Need(ADMIN))
        views = []
        for name, definition, is_folder in self._orders.definitions():
            if is_admin:
                views.append(View(definition, None))
            elif may(principal, Need("read", name)):
                attributes = principal.attributes
                visibility_key = (
                    "" if is_folder else self._orders.visibility_key_of(name, attributes)
                )
                if visibility_key is not None:
                    views.append(View(definition, visibility_key))
        return views

    def may_end(self, principal: Principal, export: Export) -> bool:
        """May the asker cancel it? The principal that asked for it first may, and an admin."""
        is_owner = export.owner == principal.name and self.sees(principal, export)
        return is_owner or may(principal, Need(ADMIN))

    def find(self, principal: Principal, export_id: str) -> Export | None:
        """Return the export with this id; None where the asker sees none."""
        export = self._exports.get(export_id)
        return export if export is not None and self.sees(principal, export) else None

    def find_to_end(self, principal: Principal, export_id: str) -> Export | None:
        """Return the export with this id, to be cancelled; None where the asker sees none.

        Raises Forbidden for one that the asker sees and may not cancel.
        """
        export = self.find(principal, export_id)
        if export is not None and not self.may_end(principal, export):
            raise Forbidden("an export is cancelled by who has asked for it, or by an admin")
        return export

    def grants(self, principal: Principal, need: Need) -> bool:
        """Is the need met without a scope? To follow an export that the asker sees is."""
        is_one = need.action == "subscribe" and need.name.startswith(_TOPICS)
        return is_one and self.find(principal, need.name.removeprefix(_TOPICS)) is not None

    def narrow(self, principal: Principal, patterns: Patterns, framing: Framing) -> Framing:
        """Return the framing for a principal's reader of patterns.

        It leaves out events of exports that the principal does not see.
        """
        if may(principal, Need(ADMIN)) or not patterns.meets(_OF_EXPORTS):
            return framing
        key = (framing, principal.name, principal.token)
        return self._narrowed.setdefault(key, Searched(framing, partial(self._is_told, principal)))

    def hides(self, principal: Principal, topic: str) -> bool:
        """May the principal not know of this topic or pattern, even if its scopes cover it?"""
        if may(principal, Need(ADMIN)) or topic.endswith("*") or not topic.startswith(_TOPICS):
            return False
        return self.find(principal, topic.removeprefix(_TOPICS)) is None

    def _is_told(self, principal: Principal, line: bytes) -> bool:
        topic = topic_of(line)
        if topic == _TOPIC:
            topic = _TOPICS + json.loads(parts_of(line).data)["id"]
        return not self.hides(principal, topic)
