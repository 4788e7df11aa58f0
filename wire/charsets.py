"""The character encoding of text, as far as its bytes show it.

Pure. Way in: charset_of, for a label; utf16_of, for decoding. Source: RFC 2781, 3.3 and 4;
https://encoding.spec.whatwg.org/#bom-sniff.
"""

from __future__ import annotations

import codecs

# UTF-16 without a byte order mark is recognised by a NUL on the same side of most characters, as
# Latin letters, digits and blanks have it. A smaller share is not safe: three letters and a NUL,
# repeated, have half as many.
_LEAST_BYTES = 4
_LOOKED_AT_BYTES = 1024
_LEAST_SHARE = 0.7
# ISO-2022-JP, -KR and -CN are ASCII except for these escapes.
_SWITCHES = (b"\x1b$", b"\x1b(", b"\x1b)")
# The first begins with the mark of UTF-16.
_UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
# Control characters that are not in texts.
_CONTROLS = frozenset(map(chr, (*range(7), 0x7F)))


def utf16_of(head: bytes) -> str | None:
    """Return utf-16-le or utf-16-be if head is the beginning of such a text, else None."""
    if head.startswith(_UTF_32):
        return None
    if head.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    if head.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    head = head[:_LOOKED_AT_BYTES]
    units = len(head) // 2
    if len(head) < _LEAST_BYTES:
        return None
    # NULs in the first and in the second bytes of all units.
    first, second = (head[side : units * 2 : 2].count(b"\0") for side in (0, 1))
    if max(first, second) < units * _LEAST_SHARE or min(first, second) > units / 16:
        return None
    name = "utf-16-be" if first > second else "utf-16-le"
    try:
        text = codecs.getincrementaldecoder(name)().decode(head)
    except UnicodeDecodeError:
        return None
    return name if _CONTROLS.isdisjoint(text) else None


def charset_of(head: bytes, *, is_whole: bool) -> str | None:
    """Return the charset of a text for its Content-Type, None where head does not show it.

    head: its beginning; is_whole: head is all of it.
    """
    if head.startswith(_UTF_32):
        return None  # browsers know no charset of that name
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        # The mark has the byte order; the names with an order are for texts without a mark.
        return "utf-16"
    if (utf16 := utf16_of(head)) is not None:
        return utf16.replace("16-", "16")
    if b"\0" in head:
        return None
    if head.isascii():
        is_utf8 = is_whole and not any(switch in head for switch in _SWITCHES)
        return "utf-8" if is_utf8 else None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=is_whole)
    except UnicodeDecodeError:
        return None
    return "utf-8"
