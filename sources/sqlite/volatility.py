"""Whether a statement depends on the clock or on random numbers: its rows are then never shared.

A compiled statement lists the functions that it may call, also those of the views it reads. This is
checked before it runs; where a date function gets values that are only known when it runs, the
clock is watched meanwhile. Way in: volatility_of, ClockWatch. Sources:
https://sqlite.org/lang_datefunc.html and https://sqlite.org/opcode.html.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import apsw

from sources.errors import SourceUnavailable
from sources.query import Query
from sources.sqlite.connections import Instruction, compiled, connect

# PERHAPS: on the clock, which is known only once it has run. CHANCE: perhaps on the clock, too.
NEVER, PERHAPS, CLOCK, CHANCE = "never", "perhaps", "clock", "chance"
SHAREABLE = (NEVER, PERHAPS)

_CHANCE = frozenset(["random", "randomblob"])
_CLOCK = frozenset(["current_date", "current_time", "current_timestamp"])
_TIMES = frozenset(["date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff"])
# Arguments that mean the clock. A modifier alone means the clock, too, and the time zone of the
# machine may change with a restart.
_NOW = frozenset(["now", "subsec", "subsecond", "localtime", "utc"])

# A request does not wait for a writer: an unknown statement is not shared.
WAIT_S = 0.1


def volatility_of(query: Query, fingerprint: str | None) -> str:
    """Return what the rows depend on besides the database: NEVER, PERHAPS, CLOCK or CHANCE.

    fingerprint: of the database, None when it has none. CHANCE when it cannot be known. May wait
    for a disk.
    """
    # Without a fingerprint, a view may have changed since: the cache is not used.
    compile_it = _compiled if fingerprint is not None else _compiled.__wrapped__
    found = compile_it(query.database, query.sql, tuple(query.parameters), fingerprint)
    if found == PERHAPS and any(_is_now(value) for value in query.parameters.values()):
        return CLOCK
    return found


class ClockWatch(apsw.VFS):
    """The system's VFS, which notes whether a statement has read the clock.

    name: to open a connection with. One for each process.
    """

    name = "headwater-clock-watch"

    def __init__(self) -> None:
        super().__init__(self.name, base="")
        self.was_asked = False

    def xCurrentTimeInt64(self) -> int:
        self.was_asked = True
        return super().xCurrentTimeInt64()


@lru_cache(maxsize=1024)
def _compiled(database: str, sql: str, parameters: tuple[str, ...], fingerprint: str | None) -> str:
    try:
        with connect(database, wait_s=WAIT_S) as connection:
            return _volatility(compiled(connection, sql, dict.fromkeys(parameters)))
    except (apsw.Error, SourceUnavailable):
        return CHANCE


def _volatility(plan: Iterable[Instruction]) -> str:
    functions = []
    constants = False
    for opcode, first_argument, text in plan:
        if opcode in ("Function", "PureFunc"):
            functions.append(((text or "").partition("(")[0].lower(), first_argument))
        elif opcode in ("String", "String8"):
            constants = constants or _is_now(text)
    names = {name for name, _ in functions}
    if names & _CHANCE:
        return CHANCE
    # A date function without an argument means now.
    if names & _CLOCK or any(name in _TIMES and not argument for name, argument in functions):
        return CLOCK
    if not names & _TIMES:
        return NEVER
    return CLOCK if constants else PERHAPS


def _is_now(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower() in _NOW
