"""A row filter: the expression at a source's `where`, which binds the client's attributes.

Pure. Attributes are texts, always bound. What an expression may say is its kind of database's
affair. Way in: RowFilter.
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
    """A comparison of an attribute. parameter: bound there for itself, "" in a cast.

    column: what it is compared with. affinity: as what it is read, "" for as the column.
    """

    attribute: str
    parameter: str
    column: str
    affinity: str


@dataclass(frozen=True)
class RowFilter:
    """The rows of a source that a client may see.

    sql: an expression without comments that can be put in parentheses. attributes: the names in
    it, in the order of their first use. uses: where the expression orders or negates, every place
    of an attribute; else none, since what is equal to nothing shows nothing.
    """

    sql: str
    attributes: tuple[str, ...]
    uses: tuple[Use, ...] = ()

    def bind(self, source: str, attributes: Mapping[str, str]) -> dict[str, str]:
        """Return the values to bind, by parameter. source: its name, for MissingAttribute."""
        missing = [name for name in self.attributes if name not in attributes]
        if missing:
            raise MissingAttribute(source, missing)
        # The uses are either none or all of the places.
        places = [(use.attribute, use.parameter) for use in self.uses]
        places = places or [(name, "") for name in self.attributes]
        return {own or BOUND_AS + name: attributes[name] for name, own in places}

    def visibility_key(self, source: str, attributes: Mapping[str, str]) -> str:
        """Return text that is the same only for clients that see the same rows of the same data.

        The expression is part of it: what was recorded under another one is not visible.
        Raises MissingAttribute.
        """
        self.bind(source, attributes)
        shown = {name: attributes[name] for name in self.attributes}
        return json.dumps({":where": self.sql, **shown}, sort_keys=True, separators=(",", ":"))
