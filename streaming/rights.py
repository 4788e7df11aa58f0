"""Who may see an export: whoever may read its source, and gets the same rows of it."""

from __future__ import annotations

from access import ADMIN, Forbidden, Need, Principal, may
from streaming.orders import Orders
from workers.export import Export
from workers.exports import Exports

_TOPICS = "exports/"


class Rights:
    """What may be done with exports, which no scope names."""

    def __init__(self, orders: Orders, exports: Exports) -> None:
        self._orders = orders
        self._exports = exports

    def sees(self, principal: Principal, export: Export) -> bool:
        """May he know of it, follow it and have its bytes? An admin may of any."""
        if may(principal, Need(ADMIN)):
            return True
        if not may(principal, Need("read", export.source)):
            return False
        return self._orders.audience_of(export.source, principal.attributes) == export.audience

    def may_end(self, principal: Principal, export: Export) -> bool:
        """May he cancel it? Who has asked for it first may, and an admin."""
        is_owner = export.owner == principal.name and self.sees(principal, export)
        return is_owner or may(principal, Need(ADMIN))

    def check_end(self, principal: Principal, export: Export) -> None:
        """Raise Forbidden unless he may cancel it."""
        if not self.may_end(principal, export):
            raise Forbidden("an export is cancelled by who has asked for it, or by an admin")

    def sees_id(self, principal: Principal, export_id: str) -> bool:
        """May he see the export with this id?"""
        export = self._exports.get(export_id)
        return export is not None and self.sees(principal, export)

    def grants(self, principal: Principal, need: Need) -> bool:
        """Is the need met without a scope? To follow an export that he sees is."""
        is_one = need.action == "subscribe" and need.name.startswith(_TOPICS)
        return is_one and self.sees_id(principal, need.name.removeprefix(_TOPICS))
