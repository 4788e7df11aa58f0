"""Tables and views by chance, and the bounds of batches that their rows are about as many as.

Way in: Drawing.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from tests.encoders.tables import HARD_INTEGERS
from tests.exports.export_values import (
    BAD_TEXTS,
    COLLATIONS,
    NAMES,
    STRICT_TYPES,
    TYPES,
    draw_cells,
)


class Limits(NamedTuple):
    """The bounds of batches, of groups and of parts: small, so that few rows cross them."""

    batch_rows: int
    batch_cells: int
    batch_bytes: int
    long_bytes: int
    growth: int
    group_rows: int
    group_bytes: int
    cells_at_once: int


class TableColumn(NamedTuple):
    """A column. plain: "integer" or "text" if all values are such or NULL, and compare as usual."""

    name: str
    definition: str
    plain: str | None


class Drawn(NamedTuple):
    """A table or view: its columns, of which the one at `key` has another integer in each row."""

    name: str
    columns: list[TableColumn]
    key: int
    count: int

    @property
    def quoted(self) -> str:
        return quoted(self.name)

    @property
    def key_cell(self) -> str:
        return quoted(self.columns[self.key].name)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Drawing:
    """Draws what a database is made of. statements: each with the rows that are bound to it."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.statements: list[tuple[str, list[tuple[Any, ...]]]] = []
        self.is_wide = rng.random() < 0.01
        self.limits = None if self.is_wide or rng.random() < 0.1 else self._limits()

    def _limits(self) -> Limits:
        rng = self.rng
        return Limits(
            rng.randrange(1, 17), rng.randrange(1, 200), rng.choice((1, 300, 3000, 1 << 20)),
            rng.choice((128, 1024, 4096)), rng.randrange(2, 5), rng.randrange(1, 30),
            rng.choice((1, 2000, 1 << 20)), rng.randrange(1, 200),
        )  # fmt: skip

    def count(self) -> int:
        """Return a number of rows: often one at which a batch ends, or one more or less."""
        rng = self.rng
        rows = self.limits.batch_rows if self.limits else 20
        some = rng.choice((0, 1, 2, 5, rows, 1 + rows, 1 + 2 * rows, 5 + rows, 60, 60, 60))
        return max(0, some + rng.choice((-1, 0, 0, 1)))

    def table(self, name: str) -> Drawn:
        rng = self.rng
        strict, without_rowid = rng.random() < 0.15, rng.random() < 0.15
        count = self.count()
        names, taken = [], set()
        width = rng.randrange(1, 8)
        if self.is_wide and name == "t":
            width, count = rng.choice((400, 401, 500, 1000, 1999)), rng.randrange(4)
        while len(names) <= width:
            drawn = rng.choice(NAMES) if len(names) < 8 else f"c{len(names)}x"
            if drawn.lower() not in taken:
                taken.add(drawn.lower())
                names.append(drawn)
        key = rng.randrange(len(names))
        columns, values = [], []
        for i, each in enumerate(names):
            column, cells = (
                self._key(each, count, strict, without_rowid) if i == key
                else self._column(each, count, strict)
            )  # fmt: skip
            columns.append(column)
            if cells is not None:
                values.append((i, cells))
        options = ", ".join(["strict"] * strict + ["without rowid"] * without_rowid)
        body = ", ".join(column.definition for column in columns)
        self.statements.append((f"create table {quoted(name)} ({body}) {options}", []))
        into = ", ".join(quoted(names[i]) for i, _ in values)
        rows = [*zip(*(cells for _, cells in values), strict=True)]
        if rows:
            marks = ", ".join("?" * len(values))
            self.statements.append((f"insert into {quoted(name)} ({into}) values ({marks})", rows))
        drawn = Drawn(name, columns, key, count)
        if rng.random() < 0.2:
            column = rng.choice(columns)
            if "LOCALIZED" not in column.definition:
                index = quoted(f"index of {name}")
                sql = f"create index {index} on {quoted(name)} ({quoted(column.name)})"
                self.statements.append((sql, []))
        return drawn

    def _key(
        self, name: str, count: int, strict: bool, without_rowid: bool
    ) -> tuple[TableColumn, list[Any]]:
        rng = self.rng
        declared = rng.choice(("int", "integer") if strict else ("int", "integer", "bigint"))
        primary = " primary key" if without_rowid or rng.random() < 0.3 else ""
        cells: list[Any] = [*range(1, count + 1)]
        if rng.random() < 0.3:
            rng.shuffle(cells)
        if cells and rng.random() < 0.2:
            cells[-1] = rng.choice(HARD_INTEGERS[2:])
        return TableColumn(name, f"{quoted(name)} {declared}{primary}", "integer"), cells

    def _column(self, name: str, count: int, strict: bool) -> tuple[TableColumn, list[Any] | None]:
        rng = self.rng
        declared = rng.choice(STRICT_TYPES if strict else TYPES)
        definition = f"{quoted(name)} {declared}"
        if rng.random() < 0.05:
            how = rng.choice(("1 + 1", "'a' || 'b'", "x'00ff'", "null", "0.5"))
            kind = rng.choice(("virtual", "stored"))
            definition = f"{definition if not strict else quoted(name) + ' any'} generated always"
            return TableColumn(name, f"{definition} as ({how}) {kind}", None), None
        collation = rng.choice(COLLATIONS) if rng.random() < 0.15 else None
        if collation:
            definition += f" collate {collation}"
        cells = draw_cells(rng, declared, count, strict)
        plain = None
        if not collation and count:
            types = {*map(type, cells)} - {type(None)}
            if declared in ("int", "integer", "bigint") and types <= {int}:
                plain = "integer"
            elif declared in ("text", "varchar(10)", "clob") and types <= {str}:
                plain = "text"
        return TableColumn(name, definition, plain), cells

    def view(self, of: Drawn) -> Drawn:
        rng = self.rng
        view = of._replace(name=f"view of {of.name}")
        cells = ", ".join(quoted(column.name) for column in of.columns)
        if rng.random() < 0.5:
            sql = f"select {cells} from {of.quoted} order by {of.key_cell}"
        else:
            # A computed column has no declared type, and no affinity.
            some = rng.choice(of.columns).name
            odd = rng.choice(("{} || 'x'", "cast({} as integer)", "typeof({})", "coalesce({}, 7)"))
            last = TableColumn("computed", "", None)
            if "computed" in [column.name for column in of.columns]:
                last = last._replace(name="computed again")
            view = view._replace(columns=[*of.columns, last])
            computed = f"{odd.format(quoted(some))} as {quoted(last.name)}"
            sql = f"select {cells}, {computed} from {of.quoted}"
        self.statements.append((f"create view {view.quoted} as {sql}", []))
        return view

    def spoil(self, table: Drawn) -> None:
        """Put a text that is not UTF-8 into some row."""
        rng = self.rng
        some = [i for i in range(len(table.columns)) if i != table.key]
        column = quoted(table.columns[rng.choice(some)].name)
        bad, where = rng.choice(BAD_TEXTS), rng.randrange(1 + table.count)
        if " generated " not in "".join(each.definition for each in table.columns):
            sql = f"update {table.quoted} set {column} = cast(x'{bad}' as text)"
            self.statements.append((f"{sql} where {table.key_cell} = {where}", []))
