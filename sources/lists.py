"""Lists in one text, `a,b,"c, d"`: commas between, double quotes around an item with a comma.

An item is quoted if its first and last characters are quotes; those between are doubled. Pure.
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

    Quotes are removed only in a list that needs them, because an item has a comma or begins with a
    quote: in `"a","b"` they belong to the values.
    """
    items = split_list(text)
    inner = [unquoted(item) for item in items]
    if not any(text is not None and ("," in text or text.startswith('"')) for text in inner):
        return items
    return [item if text is None else text for item, text in zip(items, inner, strict=True)]


def list_text(items: Iterable[str]) -> str:
    """Return the text that read_list reads as these items, of which there is at least one."""
    items = list(items)
    plain = ",".join(items)
    return plain if read_list(plain) == items else ",".join(map(item_text, items))


def item_text(item: str) -> str:
    """Return an item in quotes if some list needs them."""
    return quoted(item) if "," in item or item.startswith('"') else item


def quoted(item: str) -> str:
    """Return an item in quotes."""
    return '"' + item.replace('"', '""') + '"'


def unquoted(item: str) -> str | None:
    """Return the text in the quotes of an item, None if it is not in quotes."""
    return item[1:-1].replace('""', '"') if re.fullmatch(_QUOTED, item) else None


def split_list(text: str, *, signed: bool = False) -> list[str]:
    """Return the items with their quotes, at least one. signed: allow a minus before the quotes."""
    return (_SIGNED_ITEM if signed else _ITEM).findall(text)
