"""Names, types and values of columns by chance: all that SQLite allows, the odd ones above all.

Way in: NAMES, TYPES, COLLATIONS, and draw_cells for the values of a column.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

from tests.encoders.tables import HARD_INTEGERS, HARD_NAMES, HARD_REALS, HARD_TEXTS

NAMES = (
    *HARD_NAMES, "first", "source", "spread", "select", "order", "it's", "a b", "a:1", ":p", ":_0",
    "[x]", "`y`", "50%", "%(x)s", "A__gt", "columns", "limit", "rowid", "_rowid_", "source.a",
    "\\", "--", "?1",
)  # fmt: skip
STRICT_TYPES = ("int", "integer", "real", "text", "blob", "any")
TYPES = (
    "", "int", "integer", "bigint", "tinyint unsigned", "varchar(10)", "text", "clob", "real",
    "double", "float", "numeric", "decimal(10,2)", "decimal(5, 5)", "decimal(38,0)",
    "decimal(38, 10)", "decimal", "money", "date", "datetime", "timestamp", "timestamp text",
    "boolean", "bool", "blob", "none", "any", "json", "null", "point",
    # Again, as they are more than they say.
    "decimal(10,2)", "decimal(10,2)", "decimal(5, 5)", "date", "datetime", "timestamp",
)  # fmt: skip
COLLATIONS = ("nocase", "rtrim", "binary", "LOCALIZED")

DATES = (
    "2026-03-05", "0001-01-01", "0000-02-29", "1899-12-31", "1900-02-28", "1900-03-01",
    "1970-01-01", "2024-02-29", "9999-12-31",
)  # fmt: skip
NO_DATES = ("2026-02-29", "2026-13-01", "2026-3-5", "20260305", " 2026-03-05", "2026-03-05 ", "")
CLOCKS = (
    "00:00", "23:59", "12:34:56", "23:59:59", "12:34:56.7", "12:34:56.789012", "23:59:59.999999",
    "00:00:00.000001",
)  # fmt: skip
NO_CLOCKS = ("24:00", "12:60", "23:59:60", "12:34:56.1234567", "1:02", "12:34:56.")
ZONES = ("Z", "z", "+00:00", "-00:00", "+02:00", "-11:30", "+14:00")
DECIMALS = (0, 1, -1, 0.5, -0.25, 10.5, 999.99, -999.99, 0.01, 12345678.12)
FRACTIONS = (0, 0.5, -0.25, 0.01, 0.12345, -0.00001)
ODD_DECIMALS = (1e-7, 1e15, 1.005, 0.123456, 123456789.5)

# Each gives the values of a column.
THEMES: dict[str, Callable[[Random], Any]] = {
    "integer": lambda rng: rng.choice((*HARD_INTEGERS, *[rng.randrange(-9, 99)] * 16)),
    "bit": lambda rng: rng.choice((0, 1)),
    "few": lambda rng: rng.choice((0, 1, 0, 1, 2)),
    "exact or not": lambda rng: rng.choice((0.5, 1, -2.5, *[2**53] * 9, 2**53 + 1)),
    "real": lambda rng: rng.choice(REALS) if rng.random() < 0.5 else rng.gauss(0, 1e3),
    "whole": lambda rng: float(rng.randrange(-99, 99)),
    "text": lambda rng: rng.choice(HARD_TEXTS) + rng.choice(("", "", "a", "B", " ", "%")),
    "long text": lambda rng: rng.choice("xé漢😀") * rng.choice(LENGTHS),
    "blob": lambda rng: rng.randbytes(rng.choice((0, 1, 2, 3, 8))),
    "long blob": lambda rng: rng.randbytes(rng.choice(LENGTHS)),
    "date": lambda rng: rng.choice(DATES),
    "timestamp": lambda rng: rng.choice(DATES) + rng.choice(" T") + rng.choice(CLOCKS),
    "moment": lambda rng: THEMES["timestamp"](rng) + rng.choice(ZONES),
    "no date": lambda rng: rng.choice((*NO_DATES, *(f"2026-03-05 {no}" for no in NO_CLOCKS))),
    "decimal": lambda rng: rng.choice(DECIMALS),
    "fraction": lambda rng: rng.choice(FRACTIONS),
    "odd decimal": lambda rng: rng.choice((*FRACTIONS * 4, *ODD_DECIMALS)),
    "digits": lambda rng: rng.choice(("1", "-0", "007", "1.50", "1e3", " 7", "0x10", str(2**63))),
    "null": lambda rng: None,
    "formula": lambda rng: rng.choice("=+-@\t\r'") + rng.choice(HARD_TEXTS),
    "any": lambda rng: THEMES[rng.choice(MIXED)](rng),
}  # fmt: skip
MIXED = ("integer", "real", "text", "formula", "blob", "null")
REALS = [each for each in HARD_REALS if not math.isnan(each)]
LENGTHS = (100, 250, 256, 511, 512, 513, 1023, 1024, 1025, 2048, 4096, 9000)
# What is fit for a type, so that not everything is mixed.
FITTING = {
    "date": ("date", "date", "timestamp", "no date"), "datetime": ("timestamp", "date", "moment"),
    "timestamp": ("moment", "timestamp"), "timestamp text": ("timestamp", "moment"),
    "boolean": ("bit",), "bool": ("bit", "few"),
}  # fmt: skip
NUMBERS = ("integer", "real", "whole", "bit", "decimal", "exact or not")
OF_STRICT = {"int": "integer", "integer": "integer", "real": "real", "text": "text", "blob": "blob"}

# UTF-8 that is cut, has a surrogate, or is of no use from its first byte on.
BAD_TEXTS = ("ff", "41c3", "eda080", "f8888080", "6100ff")


def draw_cells(rng: Random, declared: str, count: int, strict: bool) -> list[Any]:
    """Return values of one theme; in phases, some of them, or with one that is odd.

    strict: those that a STRICT table takes for the type, mostly.
    """
    theme = THEMES[_theme(rng, declared, strict)]
    cells = [theme(rng) for _ in range(count)]
    manner = rng.random()
    if count and manner < 0.2:
        cells[rng.randrange(count)] = THEMES[_theme(rng, "", strict)](rng)
    elif count and manner < 0.4:
        # What is of another class, or is all NULL, begins at some row and ends at another.
        start, stop = sorted(rng.randrange(count + 1) for _ in range(2))
        other = "null" if strict or rng.random() < 0.5 else rng.choice([*THEMES])
        cells[start:stop] = [THEMES[other](rng) for _ in range(stop - start)]
    elif manner < 0.6:
        cells = [None if rng.random() < 0.3 else cell for cell in cells]
    return cells


def _theme(rng: Random, declared: str, strict: bool) -> str:
    fitting = [*THEMES]
    if strict:
        fitting = [OF_STRICT[declared]] if declared in OF_STRICT else fitting
    elif rng.random() < 0.75:
        if declared in FITTING:
            fitting = [*FITTING[declared]]
        elif declared.startswith(("decimal", "num", "money")):
            fitting = ["decimal", "fraction", "odd decimal", "whole", "bit", "digits"]
        elif "int" in declared or declared in ("real", "double", "float"):
            fitting = [*NUMBERS]
        elif "char" in declared or declared in ("text", "clob"):
            fitting = ["text", "text", "long text", "date"]
    return rng.choice(fitting)
