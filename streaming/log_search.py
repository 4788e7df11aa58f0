"""Searching logs: `grep=`, in time that is linear in the text.

RE2 runs every expression in linear time, and its memory is bounded.
Way in: Search. Source: https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import re2

from streaming.errors import Refusal
from wire.log_lines import is_gap, text_of

MAX_PATTERN_CHARACTERS = 200
# An expression that needs more, as x{1000}{1000}, is refused.
MAX_MEMORY_BYTES = 1024**2


class Search(NamedTuple):
    """A search. pattern: an expression of RE2, or, if is_literal, the text itself."""

    pattern: str
    is_literal: bool
    ignores_case: bool

    def compile(self) -> Callable[[bytes], bool]:
        """Return the predicate of events whose line matches.

        Raises Refusal when pattern is too long or no expression.
        """
        if len(self.pattern) > MAX_PATTERN_CHARACTERS:
            message = f"grep takes at most {MAX_PATTERN_CHARACTERS} characters"
            raise Refusal(400, "malformed_search", message)
        options = re2.Options()
        options.max_mem = MAX_MEMORY_BYTES
        options.literal = self.is_literal
        options.case_sensitive = not self.ignores_case
        options.log_errors = False
        options.never_capture = True
        try:
            search: Any = re2.compile(self.pattern.encode(), options).search
        except (re2.error, UnicodeEncodeError) as error:
            reason = error.args[0] if isinstance(error, re2.error) else "not text"
            text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
            message = f"grep is a regular expression of RE2, this is none: {text[:200]}"
            raise Refusal(400, "malformed_search", message) from error
        return lambda event: not is_gap(event) and search(text_of(event)) is not None
