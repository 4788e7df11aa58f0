"""The registry: exports that are remembered, their bytes, and what is known after a restart."""

from __future__ import annotations

import json
import sys
import threading
import time

import pytest

from exports.disk_store import DiskStore
from exports.errors import ExportsFull, OwnerExportsFull, RecordingGone
from exports.export import Export, Outcome
from exports.idle import RESUMABLE_S
from exports.registry import INTERRUPTED, ExportRegistry
from exports.retention import Limits
from exports.service import Point, View
from exports.spec import STEM_CHARS
from exports.state_records import StateRecords
from journal import Complete, DiskJournal, Failed
from state import State
from tests.exports.specs import a_spec


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "recordings"


@pytest.fixture
def store(folder):
    return DiskStore(folder, State(folder.parent))


@pytest.fixture
def records(folder):
    """What is on the disk of exports besides their bytes."""
    return StateRecords(State(folder.parent), lambda work: work())


@pytest.fixture
def open_registry(folder):
    """open_registry(max_bytes, ...): the folder's registry, loaded."""

    def load(max_bytes=1 << 20, **limits):
        store = DiskStore(folder, State(folder.parent))
        store.start()
        store.stop(20)  # from now on its work is done at once
        registry = ExportRegistry(store, Limits(max_bytes, **limits))
        registry.load()
        return registry

    return load


@pytest.fixture
def put():
    """put(registry, number, bytes): a complete export of that spec and that many bytes."""

    def add(registry, number=0, size=10):
        export = registry.add(a_spec(number), "print", background=False)
        export.state, export.started_s = "running", time.time()
        export.journal.append(b"x" * size)
        export.journal.finish(Complete("5a"))
        export.end("complete", sha256="5a")
        registry.write_record(export)
        return export

    return add


def ids_with_bytes(folder):
    return sorted(path.name.removesuffix(".data") for path in folder.iterdir())


# Adding


def test_an_id_begins_as_its_address_and_is_nobody_elses(open_registry):
    registry = open_registry()
    made = [registry.add(a_spec(), None, background=False) for _ in range(20)]
    assert {export.address for export in made} == {a_spec().address()}
    assert {export.id[:STEM_CHARS] for export in made} == {a_spec().address()[:STEM_CHARS]}
    assert len({export.id for export in made}) == 20
    assert all(registry.index.by_id.get(export.id) is export for export in made)


# Loading


@pytest.mark.parametrize("state", ["queued", "running"])
def test_what_was_under_way_without_a_byte_may_have_had_some(open_registry, state):
    registry = open_registry()
    export = registry.add(a_spec(), None, background=False)
    export.state = state
    registry.write_record(export)
    assert export.address in open_registry().forgotten


def test_a_folder_is_made_for_us_only(open_registry, folder):
    open_registry()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_is_complete_stays(open_registry, put):
    before = put(open_registry())
    after = open_registry().index.by_id.get(before.id)
    assert after.to_record() == before.to_record()
    assert after.address == a_spec().address()
    assert (after.state, after.retained, after.sha256) == ("complete", True, "5a")
    assert after.journal.read(0, 100) == b"x" * 10


@pytest.mark.parametrize("state", ["queued", "running"])
def test_what_was_under_way_is_torn(open_registry, folder, records, state):
    registry = open_registry()
    export = registry.add(a_spec(), None, background=False)
    export.state = state
    registry.write_record(export)
    export.journal.path.write_bytes(b"half")
    after = open_registry().index.by_id.get(export.id)
    assert (after.state, after.error, after.retained) == ("failed", INTERRUPTED, False)
    assert after.journal.end == Failed(*INTERRUPTED)
    assert after.journal.size == 4
    assert (ids_with_bytes(folder), list(records.ids())) == ([], [export.id])
    assert open_registry().index.by_id.get(export.id).state == "failed"


@pytest.mark.parametrize("size", [0, 9, 11])
def test_a_file_of_another_size_is_torn(open_registry, folder, put, records, size):
    export = put(open_registry())
    export.journal.path.write_bytes(b"y" * size)
    assert not open_registry().index.by_id.get(export.id).retained
    assert (ids_with_bytes(folder), list(records.ids())) == ([], [export.id])


def test_a_file_that_is_gone(open_registry, put):
    export = put(open_registry())
    export.journal.path.unlink()
    assert not open_registry().index.by_id.get(export.id).retained


def why_gone(registry, export):
    with pytest.raises(RecordingGone) as refused:
        registry.index.by_id.get(export.id).check_retained()
    return str(refused.value).partition(": ")[2]


def test_after_a_restart_it_is_said_why_bytes_are_gone(open_registry, put):
    registry = open_registry(max_bytes=35)
    room, discarded, damaged, older, _ = (put(registry, number) for number in range(5))
    registry.make_room()
    registry.discard(discarded)
    damaged.journal.path.write_bytes(b"half")
    registry.discard(older, "")
    again = open_registry()
    assert [why_gone(again, each) for each in (room, discarded, damaged, older)] == [
        "they made room for newer ones",
        "they were discarded",
        "they were not whole on the disk when the server started",
        "they were discarded, or made room for newer ones",
    ]


def test_a_file_without_a_record_is_removed(open_registry, folder, records):
    open_registry()
    (folder / "stray.data").write_bytes(b"x")
    open_registry()
    assert (ids_with_bytes(folder), list(records.forgotten())) == ([], ["stray"])


UNREADABLE = {
    "empty": "",
    "cut": '{"id": "one", "st',
    "a list": "[]",
    "no fields": "{}",
    "not UTF-8": b"\xff",
    "a field that we do not know": None,
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_record_is_removed_with_its_bytes(open_registry, folder, put, records, text):
    export = put(open_registry())
    text = json.dumps({**export.to_record(), "later": 1}) if text is None else text
    records.write(export.id, text)
    assert open_registry().index.by_id.get(export.id) is None
    assert (ids_with_bytes(folder), list(records.ids())) == ([], [])
    assert list(records.forgotten()) == [export.id[:STEM_CHARS]]


@pytest.mark.parametrize("text", ["5", '"text"', "null"])
def test_a_record_that_is_no_object_is_removed(open_registry, records, text):
    records.write("one", text)
    assert open_registry().index.by_id.get("one") is None
    assert list(records.ids()) == []


def test_what_another_server_writes_is_left_alone(open_registry, folder, records):
    """A reload: the old server ends its exports while the new one has started."""
    old = open_registry()
    export = old.add(a_spec(), None, background=False)
    export.state = "running"
    old.write_record(export)
    export.journal.append(b"half")
    assert open_registry().index.by_id.get(export.id) is None
    assert (ids_with_bytes(folder), list(records.ids())) == ([export.id], [export.id])
    export.journal.finish(Failed("test", "over"))


@pytest.fixture
def half(open_registry):
    """An export that another server is writing; it has its record and half of its bytes."""
    registry = open_registry()
    export = registry.add(a_spec(), None, background=False)
    registry.write_record(export)
    export.journal.append(b"half")
    yield export
    export.journal.finish(Failed("test", "over"))


def is_forgotten_only_there(registry):
    return (
        a_spec().address() in registry.forgotten and a_spec(1).address() not in registry.forgotten
    )


def test_what_another_server_writes_is_forgotten(open_registry, half):
    """Else a bare Range is taken for one that can only go on with a new export: a splice."""
    assert is_forgotten_only_there(open_registry())


def test_what_another_server_wrote_is_known_to_the_next_start(open_registry, half):
    assert is_forgotten_only_there(open_registry())
    half.journal.finish(Failed("test", "over"))
    assert a_spec().address() not in open_registry().forgotten


@pytest.mark.parametrize("record", ["{", None])
def test_what_is_not_known_again_is_forgotten(open_registry, half, records, record):
    half.journal.finish(Failed("test", "over"))
    if record is None:
        records.remove(half.id)
    else:
        records.write(half.id, record)
    assert is_forgotten_only_there(open_registry())
    assert is_forgotten_only_there(open_registry()), "and it stays so"


# Sharing


def test_the_same_data_is_shared(open_registry, put):
    registry = open_registry()
    export = put(registry)
    assert registry.shareable(export.identity, "print") is export
    assert registry.shareable(export.identity, "another print") is None
    assert registry.shareable("another spec", "print") is None
    assert registry.shareable(export.identity, None) is None


def test_what_is_not_certain_is_not_shared(open_registry, put):
    registry = open_registry()
    export = put(registry)
    export.fingerprint = None
    assert registry.shareable(export.identity, None) is None


def test_what_is_gone_is_not_shared(open_registry, put):
    registry = open_registry()
    export = put(registry)
    registry.discard(export)
    assert registry.shareable(export.identity, "print") is None


# Room


def test_the_longest_unread_makes_room(open_registry, put):
    registry = open_registry(max_bytes=25)
    made = [put(registry, number) for number in range(3)]
    made[0].unread_since_s = time.monotonic()
    registry.place(made[0])
    registry.write_record(made[1])  # which says nothing of its readers
    assert registry.make_room()
    assert [export.retained for export in made] == [True, False, True]


def test_no_more_goes_than_must(open_registry, put):
    registry = open_registry(max_bytes=30)
    made = [put(registry, number) for number in range(3)]
    assert registry.make_room()
    assert all(export.retained for export in made)


def test_what_is_in_use_makes_no_room(open_registry, put):
    registry = open_registry(max_bytes=15)
    read, waits = put(registry, 1), registry.add(a_spec(2), None, background=True)
    read.readers = 1
    registry.place(read)
    waits.journal.append(b"x" * 10)
    assert not registry.make_room()
    assert read.retained
    assert waits.retained
    waits.journal.finish(Failed("test", "over"))


def test_nothing_goes_for_what_does_not_fit_all_the_same(open_registry, put):
    registry = open_registry(max_bytes=25)
    unread, large = put(registry, 1), registry.add(a_spec(2), None, background=True)
    large.journal.append(b"x" * 26)
    assert not registry.make_room()
    assert unread.retained
    assert unread.journal.path.exists()
    large.journal.finish(Failed("test", "over"))


def test_all_that_is_unread_goes_where_that_suffices(open_registry, put):
    registry = open_registry(max_bytes=25)
    unread, large = put(registry, 1), registry.add(a_spec(2), None, background=True)
    large.journal.append(b"x" * 25)
    assert registry.make_room()
    assert (unread.retained, large.retained) == (False, True)
    large.journal.finish(Failed("test", "over"))


def test_a_restart_with_less_room(open_registry, put, folder):
    registry = open_registry()
    for number in range(3):
        put(registry, number)
    assert sum(export.retained for export in open_registry(max_bytes=15).index.by_id.values()) == 1
    assert len(list(folder.glob("*.data"))) == 1


def test_bytes_go_after_the_last_reader(open_registry, put, records):
    registry = open_registry()
    export = put(registry)
    export.readers = 1
    registry.discard(export)
    assert export.journal.path.exists()
    export.readers = 0
    registry.tidy(export)
    assert not export.journal.path.exists()
    assert json.loads(records.read(export.id))["kept"] is False


# Memory


def known(registry, *exports):
    return [registry.index.by_id.get(export.id) is not None for export in exports]


def test_those_without_bytes_are_forgotten_first(open_registry, put, records):
    registry = open_registry(max_exports=4)
    kept, *gone = (put(registry, number) for number in range(4))
    for export in gone:
        registry.discard(export)
    assert gone[0].address not in registry.forgotten
    put(registry, 5)
    assert known(registry, kept, *gone) == [True, False, True, True]
    assert [each.address in registry.forgotten for each in gone] == [True, False, False]
    assert gone[0].id not in records.ids()
    again = open_registry()
    assert [each.address in again.forgotten for each in gone] == [True, False, False]


def test_then_what_was_fetched_the_longest_unread_first(open_registry, put, folder, records):
    registry = open_registry(max_exports=3)
    first, second, third = (put(registry, number) for number in range(3))
    registry.place(first)  # read again
    put(registry, 4)
    assert known(registry, first, second, third) == [True, False, True]
    assert second.id not in [*ids_with_bytes(folder), *records.ids()]
    assert second.address in registry.forgotten


WAYS_OF_USE = {
    "it is read": {"readers": 1},
    "it is recorded": {"state": "running"},
    "a client was cut": {"was_cut": True},
    "it is in the background and not yet fetched": {"background": True},
}


@pytest.mark.parametrize("use", WAYS_OF_USE.values(), ids=WAYS_OF_USE.keys())
def test_what_is_in_use_or_may_be_resumed_is_not_forgotten(open_registry, put, use):
    registry = open_registry(max_exports=2)
    used, other = put(registry, 1), put(registry, 2)
    for name, value in use.items():
        setattr(used, name, value)
    registry.place(used)
    third = put(registry, 3)
    assert known(registry, used, other, third) == [True, False, True]
    third.readers = 1
    registry.place(third)
    with pytest.raises(ExportsFull) as caught:
        put(registry, 4)
    assert caught.value.count == 2


def test_an_hour_later_nobody_comes_for_it(open_registry, put):
    registry = open_registry(max_exports=1)
    cut = put(registry, 1)
    cut.was_cut, cut.unread_since_s = True, time.monotonic() - RESUMABLE_S - 1
    registry.place(cut)
    put(registry, 2)
    assert known(registry, cut) == [False]


def test_a_flood_of_one_owner_has_its_own_forgotten(open_registry):
    registry = open_registry(max_exports=100, max_per_owner=3)

    def add(number, owner):
        export = registry.add(a_spec(number), None, background=False, owner=owner)
        export.end("complete", sha256="5a")
        registry.write_record(export)
        return export

    other = add(0, "other")
    flood = [add(number, "flood") for number in range(1, 11)]
    assert known(registry, other, *flood) == [True] + [False] * 7 + [True] * 3
    for export in flood[7:]:
        export.was_cut = True
        registry.place(export)
    with pytest.raises(OwnerExportsFull, match="3 of your exports"):
        add(11, "flood")
    add(12, "other")
    registry.discard(flood[9])
    add(13, "flood")


def test_a_restart_with_a_lower_bound_forgets_what_is_over_it(open_registry, put, folder, records):
    registry = open_registry()
    made = [put(registry, number) for number in range(10)]
    for export in made:
        export.background = True
        registry.write_record(export)
    for limits in ({"max_per_owner": 6}, {"max_exports": 4}):
        again = open_registry(**limits)
        assert sum(known(again, *made)) in limits.values()
    assert len(ids_with_bytes(folder)) == len(list(records.ids())) == 4


def test_what_is_forgotten_is_written_once_an_address(open_registry, put, records):
    registry = open_registry(max_exports=1)
    for _ in range(5):
        put(registry)
    assert list(records.forgotten()) == [a_spec().address()[:STEM_CHARS]]


def test_what_is_forgotten_leaves_no_record(open_registry, put, records):
    registry = open_registry(max_exports=1)
    gone = put(registry, 1)
    put(registry, 2)
    registry.write_record(gone)
    assert gone.id not in records.ids()


def test_no_call_touches_the_disk(store, folder, put, records):
    """The lock of Exports is held around every call, so the disk's work is done later, in order."""
    go = threading.Event()
    store.start()
    store._work.ask(lambda: None if go.wait(20) else "too late")
    registry = ExportRegistry(store, Limits(35, max_exports=3))
    made = [put(registry, number) for number in range(4)]
    made[3].journal.path.write_bytes(b"x" * 20)
    registry.discard(made[1])
    assert ids_with_bytes(folder) == sorted(export.id for export in made)
    assert (list(records.ids()), list(records.forgotten())) == ([], [])
    go.set()
    store.stop(20)
    assert ids_with_bytes(folder) == sorted([made[2].id, made[3].id])
    assert list(records.ids()) == [made[2].id, made[3].id, made[1].id]
    assert list(records.forgotten()) == [made[0].id[:STEM_CHARS]]
    assert json.loads(records.read(made[2].id)) == made[2].to_record()


# Work


def work_of(action):
    """Return how many lines of Python are run for it."""
    lines = 0

    def trace(frame, event, arg):
        nonlocal lines
        lines += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return lines


def fill(registry, count, journal):
    """Register so many exports, of 100 addresses and 7 owners; each has its bytes."""
    for number in range(count):
        export = Export(
            f"{number % 100:08}{number:016x}", f"{number % 100:064}", f"{number}",
            "numbers", "csv", "", journal, False, "print",
            state="complete", owner=f"owner {number % 7}",
        )  # fmt: skip
        registry._add(export)
        registry.place(export)


ACTIONS = {
    "a new one": lambda registry: registry.add(a_spec(), "print", background=False),
    "one that is shared": lambda registry: registry.shareable("5", "print"),
    "a page": lambda registry: registry.index.page([View("", None)], None, 200),
    "the second page": lambda registry: registry.index.page(
        [View("", "")], Point(time.time(), ""), 200
    ),
    "room": lambda registry: registry.make_room(),
    "figures": lambda registry: (
        registry.retention.states(),
        registry.retention.size_bytes(),
        registry.index.count([View("", None)]),
    ),
    "where the one before has ended": lambda registry: next(registry.index.newest(f"{5:064}")),
}


@pytest.fixture(scope="module")
def registries(tmp_path_factory):
    """One of 1,000 exports and one of 100,000, both at their bounds."""
    folder = tmp_path_factory.mktemp("filled")
    journal = DiskJournal(folder / "one.data", size=10)
    made = []
    for count in (1000, 100_000):
        store = DiskStore(folder, State(folder))
        registry = ExportRegistry(store, Limits(10 * count, count, count))
        fill(registry, count, journal)
        # The first one opens the state.
        store.records.write("first", "{}")
        made.append(registry)
    return made


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS.keys())
def test_the_work_is_the_same_of_any_number_of_exports(registries, action):
    few, many = (work_of(lambda registry=registry: action(registry)) for registry in registries)
    assert many <= few + 20


def test_a_record_that_cannot_be_written_costs_nothing_else(
    open_registry, put, folder, caplog, monkeypatch
):
    monkeypatch.setattr("state.database.BUSY_S", 0.05)
    registry = open_registry()
    export = put(registry)
    with State(folder.parent).writing():
        registry.write_record(export)
    told = f"record not written id={export.id} error={folder.parent}/state.db is locked"
    assert told in caplog.text


def test_an_export_that_failed_is_known_again(open_registry):
    registry = open_registry()
    export = registry.add(a_spec(), "print", background=True)
    export.end("failed", Outcome("source_failed", "the database stopped"))
    registry.write_record(export)
    after = open_registry().index.by_id.get(export.id)
    assert (after.state, after.error, after.background) == ("failed", export.error, True)


def test_visibility_key_and_owner_are_kept(open_registry):
    registry = open_registry()
    export = registry.add(a_spec(visibility_key="{}"), "print", background=True, owner="alice")
    export.end("failed", Outcome("source_failed", "the database stopped"))
    registry.write_record(export)
    after = open_registry().index.by_id.get(export.id)
    assert (after.visibility_key, after.owner) == ("{}", "alice")
