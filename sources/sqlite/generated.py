"""Generated rows: the users of the original contract, in any number.

They are a query on an empty database, so that selecting, filtering and exporting them works as for
every other source.
"""

from __future__ import annotations

from sources.database import GeneratedSource, QuerySource
from sources.sqlite.connections import IN_MEMORY
from sources.sqlite.database import SqliteDatabase

_QUERIES = {
    "users": (
        # In blocks: 4.8 M rows/s; one recursion over all rows makes 3.3 M.
        "with recursive unit(i) as (select 1 union all select i + 1 from unit limit 1000),"
        " block(i) as (select 0 union all select i + 1000 from block limit {rows:d})"
        # Cast: computed values have no affinity, and are read more slowly.
        " select cast(block.i + unit.i as integer) as id,"
        " cast('User ' || (block.i + unit.i) as text) as name"
        " from block cross join unit limit {rows:d}"
    ),
}

GENERATORS = tuple(_QUERIES)
# Its content never changes.
_DATABASE = SqliteDatabase(IN_MEMORY)


def as_query(source: GeneratedSource) -> QuerySource:
    """Return the query whose rows are the generated ones."""
    query = _QUERIES[source.generate].format(rows=source.rows)
    return QuerySource(source.name, _DATABASE, query, ())
