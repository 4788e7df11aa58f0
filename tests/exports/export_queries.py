"""Queries by chance, of one kind that asks tables, and one that depends on chance or on the clock.

Way in: draw_query, draw_volatile.
"""

from __future__ import annotations

from tests.exports.export_chance import (
    Check,
    all_at_once,
    all_once,
    is_blob,
    is_integer,
    is_julian_day,
    is_time,
    is_unix_time,
    one_of_every,
    some_of,
    the_last,
    twice_the_same,
)
from tests.exports.export_tables import Drawing, Drawn, quoted
from tests.exports.export_values import COLLATIONS, LENGTHS


def draw_query(drawing: Drawing, t: Drawn, u: Drawn) -> tuple[str, Drawn | None, bool]:
    """Return a query, what it can be filtered and sorted as, and whether it has times."""
    rng = drawing.rng
    if rng.random() < 0.2 and drawing.is_wide is False:
        return f"select * from {t.quoted}", t, False
    cells = [quoted(column.name) for column in t.columns]
    a, b, c = (rng.choice(cells) for _ in range(3))
    others = [quoted(column.name) for column in u.columns]
    x, y = (rng.choice(others) for _ in range(2))
    k, l = t.key_cell, u.key_cell  # noqa: E741
    n = drawing.count()
    count = f"with recursive n(i) as (select 1 union all select i + 1 from n limit {n or 1})"
    size = rng.choice(LENGTHS)
    wide = rng.choice((400, 401, 500, 1000, 2000)) if drawing.is_wide else rng.randrange(8, 30)
    numbers = ", ".join(f"i + {j} as w{j}" for j in range(wide - 1))
    every = (
        "case i % 5 when 0 then null when 1 then i when 2 then i + 0.5 when 3 then 't' || i"
        " else zeroblob(i % 4) end"
    )
    function = rng.choice(
        "min max count sum total avg group_concat json_group_array hex".split()  # noqa: SIM905
    )
    affinity = rng.choice(("integer", "real", "text", "numeric", "blob", "decimal(10,2)", "date"))
    collation = rng.choice(COLLATIONS)
    windows = ("row_number()", f"lag({a})", f"first_value({a})", f"count({a})", "ntile(3)")
    window = rng.choice((*windows, "cume_dist()"))
    pairs = f"{t.quoted} as l {{}} {u.quoted} as r"
    templates = (
        f"select {a}, {a}, {b} as {c}, {c} from {t.quoted}",
        f"select l.{a}, r.{x}, r.{y}, l.{b} from {pairs.format('left join')} on l.{k} = r.{l}",
        f"select l.{a}, r.{x} from {pairs.format('full join')} on l.{k} = r.{l}",
        f"select l.{a}, r.{x} from {pairs.format('cross join')} order by l.{k}, r.{l} limit {n}",
        f"select l.{a}, r.* from {pairs.format('join')} on l.{k} = r.{l}",
        # SQLite gives the fifth of a name, and what follows, another one at every look.
        f"select *, * from (select {a}, {k} from {t.quoted}) order by {k} desc",
        f"select {a}, {k} from {t.quoted} union all select {x}, {y} from {u.quoted}",
        f"select {a} as v from {t.quoted} union all select 1 union all select null"
        f" union all select 'x' union all select {x} from {u.quoted} union all select x'00'",
        f"select {a} from {t.quoted} {rng.choice(('union', 'except', 'intersect'))}"
        f" select {x} from {u.quoted}",
        f"select {function}({a}), count(*), count(distinct {b}) from {t.quoted}",
        f"select {b}, {function}({a}) as f from {t.quoted} group by {b} having count(*) < 9",
        f"select {a} collate {collation} as v, max({k}) from {t.quoted} group by 1",
        f"select {k}, {window} over (order by {k}) as w, sum({k}) over () from {t.quoted}",
        f"select {k}, {window} over (partition by {b} order by {k}) as w from {t.quoted}",
        f"with some as (select {a} as v, {k} as i from {t.quoted} where {k} % 2)"
        f" select * from some union all select v, i from some",
        f"{count} select i, i * 0.5 as half, {every} as v from n",
        f"{count} select i, iif(i < {n // 2}, null, {every}) as v from n",
        f"{count} select i, iif(i % 7 = 0, printf('%.*c', {size}, 'x'), i) as v from n",
        f"{count} select zeroblob({size} * (i % 3 = 0)) as z, i from n order by i desc",
        f"{count} select {numbers}, {every} as v from n",
        # These fail at some row.
        f"{count} select i, iif(i > {n // 2}, json('no'), {every}) as v from n",
        f"{count} select abs({-(2**63)} + (i - {n // 2})) as v, i from n",
        f"select {a}, {b} from {t.quoted} order by {c}, {k} limit {n} offset {size % 4}",
        f"select cast({a} as {affinity}) as v, {a} || '' as w, typeof({b}) from {t.quoted}",
        f"select cast({a} as {affinity}) as v, quote({b}) from {t.quoted}",
        f"select -{a} as v, {a} + 1, {a} * 0.5, {k} / 2.0, {k} = 1, not {b} from {t.quoted}",
        f"select {k}, j.key, j.value, j.type, j.atom from {t.quoted}, json_each("
        "'[1, 2.5, \"x\", null, true, {\"a\": 1}]') as j",
        f"select * from (values (1, 'a', null), (x'00', 2.5, 'b'), ({2**63 - 1}, -0.0, 9e999))",
        f"select {a} as v from {t.quoted} where {k} in (select {l} from {u.quoted})",
        f"select {k}, (select max({l}) from {u.quoted} where {l} <= {k}) as m from {t.quoted} as l",
        f"select distinct {a}, {b} from {t.quoted}",
        f"select 1 as {a}, 2 as 'A', 3 as {a} , {k} as {a} from {t.quoted}",
        f"select json_object('k', {k}) as j, json_array({k}, null) ->> 0 as v from {t.quoted}",
        f"select abs({a}), round({b}, 1), length({c}), hex({a}), unicode({b}) from {t.quoted}",
    )  # fmt: skip
    if rng.random() < 0.06:
        times = ("date({})", "datetime({}, '-1 day')", "strftime('%Y', {})", "julianday({})")
        return f"select {k}, {rng.choice(times).format(a)} as v from {t.quoted}", None, True
    return rng.choice(templates), None, False


def draw_volatile(drawing: Drawing) -> tuple[str, str, Check]:
    """Return a query, what it depends on, and what checks the rows of its answers."""
    rng = drawing.rng
    n = max(1, drawing.count())
    recursive = f"with recursive n(i) as (select 1 union all select i + 1 from n limit {n})"
    rows = f"({recursive} select i from n)"
    every = (
        "case abs(random() % 5) when 0 then null when 1 then i when 2 then i + 0.5"
        " when 3 then 't' || i else zeroblob(i % 4) end"
    )
    length = rng.choice((9, 30, 600, 2000))
    chance: tuple[tuple[str, Check], ...] = (
        (f"select i, random() as r from {rows} order by random()", all_once(n, is_integer)),
        (f"select i, randomblob({length}) as b from {rows} order by random()",
         all_once(n, is_blob(length))),
        (f"select i, {every} as v from {rows}", one_of_every(n)),
        (f"select i, iif(random() % 2, 1, 'a') as v from {rows} order by random()",
         all_once(n, lambda cell: cell in ("1", "a"), distinct=False)),
        (f"select i, i as j from {rows} where random() % 2", some_of(n)),
        (f"with m as materialized (select i, {every} as r from {rows} order by random())"
         " select i, r, r as again from m order by random()", twice_the_same(n)),
        (f"select i, hex(randomblob(8)) as v from {rows} order by 2",
         all_once(n, lambda cell: len(cell) == 16)),
        (f"select max(i) as i, min(random()) as v from {rows}", the_last(n)),
    )  # fmt: skip
    if rng.random() < 0.6:
        sql, check = rng.choice(chance)
        return sql, "chance", check
    clock = (
        ("datetime('now') as a, current_timestamp as b, strftime('%F %T') as c", is_time),
        ("unixepoch() as a, unixepoch('now') as b, strftime('%s', 'NOW') as c", is_unix_time),
        ("julianday('now') as a, julianday() as b, julianday('now') as c", is_julian_day),
    )
    cells, holds = rng.choice(clock)
    where = rng.choice(("", "where unixepoch() > i", "where current_date > '2020'"))
    return f"select i, {cells} from {rows} {where}", "clock", all_at_once(n, holds)
