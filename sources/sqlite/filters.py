"""Parses the SQL of a row filter: where it binds attributes, and whether it is safe.

Pure: text in, a RowFilter and its problems out.
A filter has to fail closed. To SQLite every text is greater than every number, so `level <= 'x'`
is true of all levels, as is `level <> 'x'`: where an expression orders or negates, the type of each
attribute must be evident. Way in: read_filter; sql.py puts it into the statement, and check.py
checks it with the database. Source: https://sqlite.org/datatype3.html, 4.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sources.row_filter import BOUND_AS, RowFilter, Use
from sources.sqlite.statement import NAME, TOKEN

# One parameter for each comparison if the expression orders or negates, bound as a number where it
# is compared with numbers.
_ORDERED_AS = "_ordered_"

_ATTRIBUTE = re.compile(rf":principal\.(?P<attribute>[A-Za-z][0-9A-Za-z_]{{0,63}})(?!{NAME})")
_RIGHT = ":principal.<name> would be right"

_NEGATIONS = frozenset(["between", "not", "notnull", "isnull", "case", "iif", "except"])
_COMPARISONS = frozenset(["=", "==", "<>", "!=", "<", "<=", ">", ">=", "is", "between"])
# Tokens of a lower precedence than any comparison; "" is either end.
_BOUNDARIES = frozenset(
    ["", "(", ")", ",", "and", "or", "not", "when", "then", "else", "end", "where"]
)
_CASTS = {"integer": "INTEGER", "int": "INTEGER", "real": "REAL", "text": "TEXT"}


class _Token(NamedTuple):
    """kind: of statement.TOKEN, operator, or attribute with its name as text."""

    kind: str
    text: str


def read_filter(sql: str) -> tuple[RowFilter, list[str]]:
    """Return the filter of an expression, and its problems with what would be right."""
    tokens, problems = _read_tokens(sql)
    problems += _parenthesis_problems(tokens)
    words = [token for token in tokens if token.kind != "blank"]
    if not words and not problems:
        problems.append("is empty; an expression that is true of some rows would be right")
    attributes = dict.fromkeys(token.text for token in words if token.kind == "attribute")
    uses: list[Use] = []
    if any(_orders_or_negates(token) for token in words):
        has_query = any(token.text.lower() == "select" for token in words)
        for place in (i for i, token in enumerate(words) if token.kind == "attribute"):
            parameter = f"{_ORDERED_AS}{len(uses)}"
            use = _cast_at(words, place)
            if use is None and not has_query:
                use = _comparison_at(words, place, parameter)
            if use is None:
                problems.append(_unclear(words[place].text, "is not beside a column by itself"))
            else:
                uses.append(use)
    names = iter([use.parameter or BOUND_AS + use.attribute for use in uses])
    text = "".join(_written(token, names) for token in tokens).strip()
    return RowFilter(text, tuple(attributes), tuple(uses)), problems


def readings(row_filter: RowFilter, affinities: Mapping[str, str]) -> list[tuple[Use, str]]:
    """Return each use with the affinity of its attribute: INTEGER, REAL, TEXT, "" if unclear.

    affinities: of the source's columns, by name.
    """
    folded = {_folded(name): affinity for name, affinity in affinities.items()}
    clear = ("INTEGER", "REAL", "TEXT")
    found = [(use, use.affinity or folded.get(_folded(use.column), "")) for use in row_filter.uses]
    return [(use, affinity if affinity in clear else "") for use, affinity in found]


def unclear_uses(row_filter: RowFilter, affinities: Mapping[str, str]) -> list[str]:
    """Return the problems of the filter with columns of these affinities."""
    return [
        _unclear(
            use.attribute, f'is beside "{use.column}", which is no INTEGER, REAL or TEXT column'
        )
        for use, affinity in readings(row_filter, affinities)
        if not affinity
    ]


def _unclear(attribute: str, why: str) -> str:
    right = f"cast(:principal.{attribute} as integer), real or text, would be right"
    return f"orders or negates, and :principal.{attribute} {why}; {right}"


def _read_tokens(sql: str) -> tuple[list[_Token], list[str]]:
    tokens: list[_Token] = []
    problems: dict[str, None] = {}
    start = 0
    while found := _ATTRIBUTE.match(sql, start) or TOKEN.match(sql, start):
        kind, text = found.lastgroup or "", found.group()
        if kind == "attribute":
            text = found["attribute"]
        elif kind == "blank":
            if text.startswith("/*") and (len(text) < 4 or not text.endswith("*/")):
                problems[f"the comment at character {start + 1} is never closed"] = None
            text = " "
        elif kind in ("parameter", "foreign"):
            problems[f"{text} is not bound here; {_RIGHT}"] = None
        elif kind == "unclosed":
            problems[f"the {text} at character {start + 1} is never closed"] = None
            break
        elif kind == "end":
            problems["holds a semicolon; one expression would be right"] = None
        elif text in "<>=!":
            kind = "operator"
            if tokens and tokens[-1].kind == "operator":
                text = tokens.pop().text + text
        tokens.append(_Token(kind, text))
        start = found.end()
    return tokens, list(problems)


def _parenthesis_problems(tokens: Sequence[_Token]) -> list[str]:
    depth = 0
    for kind, text in tokens:
        depth += (kind == "other") * ((text == "(") - (text == ")"))
        if depth < 0:
            return ["has a ) without its (; balanced parentheses would be right"]
    return ["has a ( without its ); balanced parentheses would be right"] if depth else []


def _orders_or_negates(token: _Token) -> bool:
    if token.kind == "operator":
        return not set("<>!").isdisjoint(token.text)
    return token.kind == "word" and token.text.lower() in _NEGATIONS


def _at(words: Sequence[_Token], place: int) -> str:
    """Return the text at place in lower case, "" beyond either end."""
    return words[place].text.lower() if 0 <= place < len(words) else ""


def _cast_at(words: Sequence[_Token], place: int) -> Use | None:
    """Return the use of `cast(:principal.x as integer)`."""
    around = [_at(words, place + step) for step in (-2, -1, 1, 3)]
    affinity = _CASTS.get(_at(words, place + 2))
    is_cast = around == ["cast", "(", "as", ")"]
    return Use(words[place].text, "", "", affinity) if is_cast and affinity else None


def _comparison_at(words: Sequence[_Token], place: int, parameter: str) -> Use | None:
    """Return the use of `column <= :principal.x`, `:principal.x >= column`, or between."""
    other = beyond = place
    if _at(words, place - 1) in _COMPARISONS and _at(words, place + 1) in _BOUNDARIES:
        other = place - 2
    elif _at(words, place - 1) == "and" and _at(words, place - 3) == "between":
        if _at(words, place + 1) in _BOUNDARIES:
            other = place - 4
    elif _at(words, place - 1) in _BOUNDARIES and _at(words, place + 1) in _COMPARISONS:
        other, beyond = place + 2, place + 3
        if _at(words, place + 1) == "between":
            return None
    if other < place:
        other -= _at(words, other) == "not"
        beyond = other - 1
    if other == place or _at(words, beyond) not in _BOUNDARIES:
        return None
    column = _column(words[other]) if 0 <= other < len(words) else ""
    return Use(words[place].text, parameter, column, "") if column else None


def _column(token: _Token) -> str:
    """Return the column name of a token, "" when it can be none."""
    if token.kind == "word":
        return "" if token.text[0] in "0123456789" else token.text
    if token.kind != "quoted" or token.text[0] == "'":
        return ""
    return token.text[1:-1].replace(token.text[-1] * 2, token.text[-1])


def _written(token: _Token, names: Iterator[str]) -> str:
    """Return SQL for a token. names: the parameters of the attributes, if there are any uses."""
    if token.kind == "attribute":
        return f":{next(names, BOUND_AS + token.text)}"
    if token.kind == "quoted" and token.text[0] == '"':
        # SQLite takes an unknown name in " for a text, and refuses it in `.
        return "`" + _column(token).replace("`", "``") + "`"
    return token.text


def _folded(name: str) -> str:
    """Return a name as SQLite compares it: ASCII letters in lower case."""
    return re.sub(r"[A-Z]", lambda letter: letter.group().lower(), name)
