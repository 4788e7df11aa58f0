"""An export spec: what a client wants to have, checked against what its source has.

Pure data. exports/spec_reader.py makes it of a request.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from sources.folders.tree import Tree
from sources.query import Query

# Raised when the same rows become other bytes: exports of older versions are then not shared.
RECORDING_VERSION = 2

# So many characters of an address are its stem, and so many are stem and definition. To take one
# stem for another only costs a resume.
STEM_CHARS = 8
DEFINITION_CHARS = 16


class ExportSpec(NamedTuple):
    """See the module.

    selection: its canonical text. excel: whether text is written for Excel. rows_estimate: None
    where only counting would tell. fingerprint: asks what state the data is in, None when that
    cannot be told. visibility_key: the same for all principals that see the same rows of a source
    with a filter, "" where everybody does. definition: a digest of how the catalogue defines the
    source.
    """

    source: str
    extension: str
    selection: str
    excel: bool
    query: Query | Tree
    rows_estimate: int | None
    fingerprint: Callable[[], str | None]
    visibility_key: str = ""
    definition: str = ""

    def address(self) -> str:
        """Return text that is the same for specs that a client cannot tell apart.

        It begins as the stem, the digest of what a URL says. Then comes the definition, so that
        what was made under another one is compared with a client's bytes and never served.
        """
        stem = _digest([self.source, self.extension, self.selection])
        definition = _digest([self.definition])[: DEFINITION_CHARS - STEM_CHARS]
        whole = _digest([stem, self.definition, self.visibility_key])
        return stem[:STEM_CHARS] + definition + whole[DEFINITION_CHARS:]

    def identity(self) -> str:
        """Return text that is the same for specs whose bytes are the same over the same data."""
        return _digest([RECORDING_VERSION, self.address(), *self.query.identity()])


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
