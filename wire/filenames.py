"""Content-Disposition: the name under which a browser saves a download.

Pure: a name in, a header value of printable ASCII out, whatever the name holds.
Way in: content_disposition. Source: RFC 6266, 4 and appendix D; RFC 8187, 3.2.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal
from urllib.parse import quote

# For a name that is empty, or only dots and blanks, which may name a folder.
DEFAULT_NAME = "download"

# RFC 8187's attr-char beside letters and digits. `quote` keeps "_.-~" by itself.
_ATTR_CHARS = "!#$&+-.^_`|~"

# Separators would name another folder; controls (also C1) could end the header or be dropped. They
# are replaced in both parameters, because no user agent would keep them anyway.
_NOT_IN_A_NAME = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]")

# Names that are not valid UTF-8 come from os.fsdecode with these in place of the bytes.
_SURROGATE = re.compile(r"[\ud800-\udfff]")

# All but ASCII; the characters that Windows refuses or that end a parameter for naive parsers; and
# those of appendix D: quote and backslash (agents misread escapes), percent (some decode it).
_NOT_IN_A_FALLBACK = re.compile(r'[^ -~]|["%*/:;<>?\\|]')


def content_disposition(
    name: str, disposition: Literal["attachment", "inline"] = "attachment"
) -> str:
    """Return the Content-Disposition value that gives a body this file name.

    name: any text, also with lone surrogates. A name of attr-chars only is sent as `filename`
    alone; any other as `filename*`, which takes precedence, after an ASCII approximation in
    `filename` for agents without RFC 8187. Separators and controls become "_", bytes that are not
    UTF-8 become U+FFFD.
    """
    name = _or_default(_SURROGATE.sub("\ufffd", _NOT_IN_A_NAME.sub("_", name)))
    encoded = quote(name, safe=_ATTR_CHARS)
    if encoded == name:
        return f'{disposition}; filename="{name}"'
    return f"{disposition}; filename=\"{_fallback(name)}\"; filename*=UTF-8''{encoded}"


def _fallback(name: str) -> str:
    # Decomposing comes first, since it can produce separators (U+FF0F becomes "/").
    decomposed = unicodedata.normalize("NFKD", name)
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    return _or_default(_NOT_IN_A_FALLBACK.sub("_", plain))


def _or_default(name: str) -> str:
    return name if name.strip(". ") else DEFAULT_NAME
