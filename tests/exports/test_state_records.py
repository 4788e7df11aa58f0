"""Records in state.db, when that cannot be written; the rest is in test_recording_store.py."""

import pytest

from exports.state_records import StateRecords
from state import State


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def records(tmp_path, monkeypatch, warnings):
    monkeypatch.setattr("state.database.BUSY_S", 0.05)
    return StateRecords(State(tmp_path), lambda work: warnings.append(work()))


CHANGES = {
    "written": (lambda records: records.write("a", "{}"), "record not written id=a"),
    "removed": (lambda records: records.remove("a"), "record not removed id=a"),
    "noted": (lambda records: records.note_forgotten("a"), "not noted as forgotten stem=a"),
}


@pytest.mark.parametrize(("change", "warning"), CHANGES.values(), ids=CHANGES.keys())
def test_what_cannot_be_written_is_told(records, warnings, tmp_path, change, warning):
    change(records)
    with State(tmp_path).writing():
        change(records)
    busy = "is locked by another process: try again"
    assert warnings == [None, f"{warning} error={tmp_path}/state.db {busy}"]


def test_no_record_goes_without_its_stem(records, tmp_path):
    """Else a bare Range could be answered wrongly."""
    records.write("1234abcd5678", "{}")
    with State(tmp_path).writing():
        records.note_forgotten("1234abcd")
    records.remove("1234abcd5678")
    assert (list(records.ids()), list(records.forgotten())) == ([], ["1234abcd"])
