"""Databases, queries and selections by chance: a seed is a case, always the same one.

What is drawn is what SQLite allows and an export can get wrong: values of every class in columns
of every type, in phases that end where batches do; names that are odd, or repeat; views, joins,
unions, aggregates; chance and the clock. Way in: make_case, and Case.write for its database.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import apsw

from tests.exports.export_chance import Check
from tests.exports.export_queries import draw_query, draw_volatile
from tests.exports.export_tables import Drawing, Drawn, Limits
from tests.exports.export_values import THEMES


class Case(NamedTuple):
    """What is asked of which database.

    pragmas, statements: that make it; a statement has the rows that are bound to it. table: the
    source is a table or view of this name; else it is `sql`. filters: (column, operator, value);
    sort: (column, descending), by position. volatile: what answers to a query by "chance" or by
    the "clock" must be, None where the database's own answer must be met. uses_times: it has a
    function of times, which may or may not ask for the present one.
    """

    seed: int
    pragmas: list[str]
    statements: list[tuple[str, list[tuple[Any, ...]]]]
    table: str | None
    sql: str
    columns: list[int] | None
    filters: list[tuple[int, str, Any]]
    sort: list[tuple[int, bool]]
    limit: int | None
    volatile: str | None
    check: Check | None
    uses_times: bool
    limits: Limits | None

    def write(self, path: Path) -> None:
        """Make the database."""
        connection = apsw.Connection(str(path))
        try:
            connection.create_collation("LOCALIZED", lambda a, b: (a > b) - (a < b))
            for pragma in [*self.pragmas, "synchronous = off", "journal_mode = memory"]:
                connection.execute(f"pragma {pragma}").fetchall()
            with connection:
                for sql, rows in self.statements:
                    for row in rows or [()]:
                        try:
                            connection.execute(sql, row).fetchall()
                        except (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError):
                            # A strict table has not every value, a key not twice the same.
                            assert sql.startswith(("insert", "update")), sql
        finally:
            connection.close()


def make_case(seed: int) -> Case:
    """Return the case of this seed."""
    rng = Random(seed)
    drawing = Drawing(rng)
    pragmas = [f"page_size = {rng.choice((512, 1024, 4096))}"]
    is_utf16 = rng.random() < 0.1
    if is_utf16:
        pragmas.append(f"encoding = '{rng.choice(('UTF-16le', 'UTF-16be'))}'")
    main = drawing.table("t")
    other = drawing.table(rng.choice(("u", "source", "first", 'o"dd')))
    # What the source is, if it is a table or view; and what can be selected of it.
    table, selectable = None, None
    volatile, check, uses_times = None, None, False
    kind = rng.choices(("table", "view", "query", "volatile"), (2, 2, 6, 2))[0]
    if kind in ("table", "view"):
        table = selectable = main
        for _ in range(rng.randrange(1, 3) if kind == "view" else 0):
            table = selectable = drawing.view(table)
        sql = f"select * from {table.quoted}"
    elif kind == "query":
        sql, selectable, uses_times = draw_query(drawing, main, other)
    else:
        sql, volatile, check = draw_volatile(drawing)
        uses_times = volatile == "clock"
        if rng.random() < 0.3:
            drawing.statements.append((f'create view "by chance" as {sql}', []))
            sql = 'select * from "by chance"'
    if kind != "volatile" and rng.random() < 0.06:
        drawing.spoil(main)
    return Case(
        seed, pragmas, drawing.statements, table and table.name, sql,
        *draw_selection(rng, selectable, is_utf16), volatile, check, uses_times, drawing.limits,
    )  # fmt: skip


def draw_selection(rng: Random, of: Drawn | None, is_utf16: bool) -> tuple[Any, ...]:
    """Return columns, filters, sort, limit.

    All is sorted by the key at last: an index may give the rows in another order.
    """
    if of is None or rng.random() < 0.4:
        return None, [], [], None
    named = [i for i, column in enumerate(of.columns) if is_listed_as_it_is(column.name)]
    if of.key not in named:
        return None, [], [], None
    filters = []
    for i, column in enumerate(of.columns):
        if column.plain and rng.random() < 0.2:
            ordered = ["gt", "gte", "lt", "lte"] if not is_utf16 else []
            operator = rng.choice(["eq", "ne", "null", *ordered])
            wanted: Any = THEMES[column.plain](rng)
            filters.append((i, operator, rng.choice((0, 1)) if operator == "null" else wanted))
    # UTF-16 is compared as bytes.
    plain = [i for i in named if of.columns[i].plain and i != of.key and not is_utf16]
    sort = [(i, rng.random() < 0.5) for i in plain if rng.random() < 0.3]
    sort.append((of.key, rng.random() < 0.5))
    columns = rng.sample(named, rng.randrange(1, len(named) + 1))
    limit = rng.randrange(of.count + 3) if rng.random() < 0.2 else None
    return columns if rng.random() < 0.5 else None, filters, sort, limit


def is_listed_as_it_is(name: str) -> bool:
    """Can a name stand in a list of names without being quoted?"""
    return bool(name) and not any(mark in name for mark in ',"') and name[0] not in "-"
