"""A tokenizer of SQL, for checks of the catalogue without a database.

Pure: text in, a Statement out. It finds words, parameters and statements, but not inside literals,
quoted names or comments; it knows no grammar. Way in: read_statement, without_parameters, and TOKEN
for filters.py. Source: SQLite's tokenizer,
https://sqlite.org/lang_expr.html#varparam and https://sqlite.org/lang_comment.html.
"""

from __future__ import annotations

import re

from sources.database import Statement

# The characters of a name: SQLite allows all beyond ASCII.
NAME = r"[0-9A-Za-z_$\x80-\U0010ffff]"

TOKEN = re.compile(
    rf"""
    (?P<blank>[ \t\n\f\r]+|--[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<quoted>'(?:[^']|'')*+'|"(?:[^"]|"")*+"|`(?:[^`]|``)*+`|\[[^\]]*\])
    | (?P<unclosed>['"`\[])
    | (?P<parameter>:{NAME}+)
    | (?P<foreign>\?[0-9]*|[@$]{NAME}+)
    | (?P<word>{NAME}+)
    | (?P<end>;)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def without_parameters(sql: str) -> str:
    """Return the statement with NULL in place of each parameter."""
    tokens = TOKEN.finditer(sql)
    return "".join("null" if t.lastgroup == "parameter" else t.group() for t in tokens)


def read_statement(sql: str) -> Statement:
    """Return the parsed statement; anything but one SELECT or WITH is among its problems."""
    parameters: dict[str, None] = {}
    problems: dict[str, None] = {}
    first_word = ""
    stop = 0
    ended = False
    for token in TOKEN.finditer(sql):
        kind, text = token.lastgroup, token.group()
        if kind == "blank":
            continue
        if kind == "end":
            ended = True
            continue
        if ended:
            problems["holds more than one statement; one SELECT or WITH would be right"] = None
            break
        first_word = first_word or text
        stop = token.end()
        if kind == "parameter":
            parameters[text[1:]] = None
        elif kind == "foreign":
            problems[f"{text} is not a parameter here; :name would be right"] = None
        elif kind == "unclosed":
            problems[f"the {text} at character {token.start() + 1} is never closed"] = None
            break
        elif text == "\0":
            problems["holds a NUL character"] = None
    if first_word.lower() not in ("select", "with"):
        begins = f"begins with {first_word[:40]}" if first_word else "is empty"
        problems[f"{begins}; one SELECT or WITH statement would be right"] = None
    return Statement(sql[:stop].strip(), tuple(parameters), tuple(problems))
