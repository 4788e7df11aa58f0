"""Records of exports in state.db: a row each, and a row for each stem of a forgotten one.

Way in: StateRecords, which is a kind of exports.recording_store.ExportRecords.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exports.work_queue import Work
from state import State, StateError

_NOTE = "insert or ignore into forgotten_exports values (?)"


class StateRecords:
    """See the module. run_later: has work done in the order of the calls.

    Reads raise StateError: a start must not take them for records that are gone.
    """

    def __init__(self, state: State, run_later: Callable[[Work], None]) -> None:
        self._state = state
        self._run_later = run_later
        # Stems that are not yet noted. What comes next notes them, too: with a record gone and its
        # stem not noted, a bare Range could be answered wrongly.
        self._stems: list[str] = []

    def ids(self) -> Iterable[str]:
        # A record that is replaced gets a new rowid.
        return self._column("select id from export_records order by rowid")

    def read(self, export_id: str) -> bytes:
        # As it is, also where a damaged record is no text.
        sql = "select cast(record as blob) from export_records where id = ?"
        rows = self._state.rows(sql, (export_id,))
        return rows[0][0] if rows else b""

    def write(self, export_id: str, text: str) -> None:
        sql = "insert or replace into export_records values (?, ?)"
        self._change(f"record not written id={export_id}", sql, export_id, text)

    def remove(self, export_id: str) -> None:
        sql = "delete from export_records where id = ?"
        self._change(f"record not removed id={export_id}", sql, export_id)

    def forgotten(self) -> Iterable[str]:
        return self._column("select stem from forgotten_exports")

    def note_forgotten(self, stem: str) -> None:
        self._stems.append(stem)
        self._change(f"not noted as forgotten stem={stem}", _NOTE, stem)

    def _column(self, sql: str) -> list[str]:
        return [value for (value,) in self._state.rows(sql)]

    def _change(self, warning: str, sql: str, *values: str) -> None:
        def change() -> str | None:
            stems = list(self._stems)
            try:
                with self._state.writing(is_synced=False) as execute:
                    for stem in stems:
                        execute(_NOTE, (stem,))
                    execute(sql, values)
            except StateError as error:
                return f"{warning} error={error}"
            del self._stems[: len(stems)]
            return None

        self._run_later(change)
