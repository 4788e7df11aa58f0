"""Lists in one word, `a,b,"c, d"`: commas between, double quotes around an item with a comma.

An item is in quotes if they are its first and its last character; those between are doubled. Pure.
Way in: read_list, list_text; split_list for names, which may have quotes of their own. Source:
RFC 4180, 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_QUOTED = r'"(?:[^"]|"")*+"'
_ITEM = re.compile(rf"(?:\A|,)({_QUOTED}(?=,|\Z)|[^,]*)")
_SIGNED_ITEM = re.compile(rf"(?:\A|,)(-?{_QUOTED}(?=,|\Z)|[^,]*)")


def read_list(text: str) -> list[str]:
    """Return the items of a list, at least one.

    Quotes are read only in a list that needs them, for a comma or a quote that an item begins
    with: in `"a","b"` they are of the values.
    """
    items = split_list(text)
    inner = [unquoted(item) for item in items]
    if not any(text is not None and ("," in text or text.startswith('"')) for text in inner):
        return items
    return [item if text is None else text for item, text in zip(items, inner, strict=True)]


def list_text(items: Iterable[str]) -> str:
    """Return the one word that read_list reads as these items, at least one, and no others."""
    items = list(items)
    plain = ",".join(items)
    return plain if read_list(plain) == items else ",".join(map(item_text, items))


def item_text(item: str) -> str:
    """Return an item in quotes if it needs them in any list."""
    return quoted(item) if "," in item or item.startswith('"') else item


def quoted(item: str) -> str:
    """Return an item in quotes."""
    return '"' + item.replace('"', '""') + '"'


def unquoted(item: str) -> str | None:
    """Return what is in the quotes of an item, None if it is not in quotes."""
    return item[1:-1].replace('""', '"') if re.fullmatch(_QUOTED, item) else None


def split_list(text: str, *, signed: bool = False) -> list[str]:
    """Return the items as they are written, at least one. signed: may a minus be before quotes?"""
    return (_SIGNED_ITEM if signed else _ITEM).findall(text)
