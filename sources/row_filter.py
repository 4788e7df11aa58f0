"""A row filter: the expression at a source's `where`, which binds the client's attributes.

Pure. Attributes are texts, always bound. The kind of database decides which expressions are
allowed. Way in: RowFilter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sources.errors import MissingAttribute

# A parameter of a query begins with a letter, one of a selection is _ and a number.
BOUND_AS = "_principal_"


class Use(NamedTuple):
    """A comparison of an attribute. parameter: of this comparison alone, "" in a cast.

    column: that it is compared with. affinity: of the cast, "" for the column's.
    """

    attribute: str
    parameter: str
    column: str
    affinity: str


@dataclass(frozen=True)
class RowFilter:
    """The rows of a source that a client may see.

    sql: an expression without comments that can be put in parentheses. attributes: the names in
    it, in the order of their first use. uses: every comparison of an attribute, if the expression
    orders or negates; otherwise empty, since a value that equals nothing shows no rows.
    """

    sql: str
    attributes: tuple[str, ...]
    uses: tuple[Use, ...] = ()

    def bind(self, source: str, attributes: Mapping[str, str]) -> dict[str, str]:
        """Return the values to bind, by parameter. source: its name, for MissingAttribute."""
        missing = [name for name in self.attributes if name not in attributes]
        if missing:
            raise MissingAttribute(source, missing)
        # uses is either empty or has all places.
        places = [(use.attribute, use.parameter) for use in self.uses]
        places = places or [(name, "") for name in self.attributes]
        return {own or BOUND_AS + name: attributes[name] for name, own in places}

    def visibility_key(self, source: str, attributes: Mapping[str, str]) -> str:
        """Return text that is the same only for clients that see the same rows of the same data.

        It includes the expression: rows that were recorded with another one are not visible.
        Raises MissingAttribute.
        """
        self.bind(source, attributes)
        shown = {name: attributes[name] for name in self.attributes}
        return json.dumps({":where": self.sql, **shown}, sort_keys=True, separators=(",", ":"))
