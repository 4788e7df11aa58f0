"""Which encoding shows in bytes, and that none is named that does not."""

from __future__ import annotations

import codecs

import pytest

from wire.charsets import charset_of, utf16_of

LINE = "2024-01-31 10:00 job ended\r\n"
RUSSIAN = "2024-01-31 10:00:00.000 INFO задание готово\r\n"
JAPANESE = "日本語\n"

# Bytes, whether that is all of the file, and the label.
LABELS = {
    "nothing": (b"", True, "utf-8"),
    "ASCII": (LINE.encode(), True, "utf-8"),
    "ASCII as far as it is seen": (LINE.encode(), False, None),
    "UTF-8": (RUSSIAN.encode(), True, "utf-8"),
    "UTF-8 as far as it is seen": (RUSSIAN.encode(), False, "utf-8"),
    "UTF-8 with its mark": (codecs.BOM_UTF8 + b"a", False, "utf-8"),
    "a character that goes on": ("é".encode() + b"\xc3", False, "utf-8"),
    "a character that does not": ("é".encode() + b"\xc3", True, None),
    "UTF-32 with its mark": ("a\n".encode("utf-32"), True, None),
    "UTF-32 without one": ("a\n".encode("utf-32-be"), True, None),
    "a NUL in it": (b"abc\0def", True, None),
    "Latin-1": ("café\n".encode("latin-1"), True, None),
    "Shift-JIS": (JAPANESE.encode("shift-jis"), True, None),
    "ISO-2022-JP": (JAPANESE.encode("iso-2022-jp"), True, None),
    "ISO-2022-KR": ("한국어\n".encode("iso-2022-kr"), True, None),
    "2781 3.3 little-endian": (codecs.BOM_UTF16_LE + JAPANESE.encode("utf-16-le"), True, "utf-16"),
    "2781 3.3 big-endian": (codecs.BOM_UTF16_BE + JAPANESE.encode("utf-16-be"), True, "utf-16"),
    "2781 4 without a mark, LE": (LINE.encode("utf-16-le"), True, "utf-16le"),
    "2781 4 without a mark, BE": (LINE.encode("utf-16-be"), False, "utf-16be"),
    "half a unit at its end": (LINE.encode("utf-16-le")[:-1], False, "utf-16le"),
    "mostly ASCII": (RUSSIAN.encode("utf-16-le"), True, "utf-16le"),
}


@pytest.mark.parametrize(("head", "is_whole", "label"), LABELS.values(), ids=LABELS.keys())
def test_a_label(head, is_whole, label):
    assert charset_of(head, is_whole=is_whole) == label


NOT_UTF16 = {
    "nothing": b"",
    "a hole": bytes(1000),
    "a hole and text": bytes(1000) + LINE.encode(),
    "names that end with NUL": b"abc\0" * 300,
    "numbers of two bytes": b"".join(n.to_bytes(2, "little") for n in range(1, 200)),
    "one character": b"a\0",
    "UTF-8": RUSSIAN.encode(),
}


@pytest.mark.parametrize("head", NOT_UTF16.values(), ids=NOT_UTF16.keys())
def test_what_is_not_utf16(head):
    assert utf16_of(head) is None
