"""The shelf: exports that are remembered, their bytes, and what is known after a restart."""

from __future__ import annotations

import json
import sys
import time

import pytest

from exports import export as export_module
from exports import shelf as shelf_module
from exports.errors import OwnerShelfFull, RecordingGone, ShelfFull
from exports.export import STEM_CHARS, Export, Order, Outcome, record_path
from exports.index import Point, View
from exports.shelf import Shelf
from exports.spares import RESUMABLE_S
from journal import Complete, DiskJournal, Failed, run_here
from sources.query import Query


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "recordings"


@pytest.fixture
def open_shelf(folder):
    """open_shelf(max_bytes, ...): the folder's shelf, loaded."""

    def load(max_bytes=1 << 20, **bounds):
        shelf = Shelf(folder, max_bytes, run_here, **bounds)
        shelf.load()
        return shelf

    return load


def an_order(number=0):
    """An order of an address and a query of its own."""
    query = Query("sqlite", "3", "file:x.db", f"select {number}", {}, [])
    return Order("numbers", "csv", f"limit={number}", False, query, None, lambda: None)


@pytest.fixture
def put():
    """put(shelf, number, bytes): a complete export of that order and that many bytes."""

    def add(shelf, number=0, size=10):
        export = shelf.add(an_order(number), "print", prepared=False)
        export.state, export.started_s = "running", time.time()
        export.journal.append(b"x" * size)
        export.journal.finish(Complete("5a"))
        export.end("complete", sha256="5a")
        shelf.write_record(export)
        return export

    return add


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def files_of(export, *suffixes):
    return [f"{export.id}.{suffix}" for suffix in suffixes]


# Adding


def test_an_id_begins_as_its_address_and_is_nobody_elses(open_shelf):
    shelf = open_shelf()
    made = [shelf.add(an_order(), None, prepared=False) for _ in range(20)]
    assert {export.address for export in made} == {an_order().address()}
    assert {export.id[:STEM_CHARS] for export in made} == {an_order().address()[:STEM_CHARS]}
    assert len({export.id for export in made}) == 20
    assert all(shelf.get(export.id) is export for export in made)


# Loading


@pytest.mark.parametrize("state", ["queued", "running"])
def test_what_was_under_way_without_a_byte_may_have_had_some(open_shelf, state):
    shelf = open_shelf()
    export = shelf.add(an_order(), None, prepared=False)
    export.state = state
    shelf.write_record(export)
    assert open_shelf().has_forgotten(export.address)


def test_a_folder_is_made_for_us_only(open_shelf, folder):
    open_shelf()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_is_complete_stays(open_shelf, put):
    before = put(open_shelf())
    after = open_shelf().get(before.id)
    assert after.to_record() == before.to_record()
    assert after.address == an_order().address()
    assert (after.state, after.kept, after.sha256) == ("complete", True, "5a")
    assert after.journal.read(0, 100) == b"x" * 10


@pytest.mark.parametrize("state", ["queued", "running"])
def test_what_was_under_way_is_torn(open_shelf, folder, state):
    shelf = open_shelf()
    export = shelf.add(an_order(), None, prepared=False)
    export.state = state
    shelf.write_record(export)
    export.journal.path.write_bytes(b"half")
    after = open_shelf().get(export.id)
    assert (after.state, after.error, after.kept) == ("failed", shelf_module.INTERRUPTED, False)
    assert after.journal.end == Failed(*shelf_module.INTERRUPTED)
    assert after.journal.size == 4
    assert names(folder) == files_of(export, "json")
    assert open_shelf().get(export.id).state == "failed"


@pytest.mark.parametrize("size", [0, 9, 11])
def test_a_file_of_another_size_is_torn(open_shelf, folder, put, size):
    export = put(open_shelf())
    export.journal.path.write_bytes(b"y" * size)
    assert not open_shelf().get(export.id).kept
    assert names(folder) == files_of(export, "json")


def test_a_file_that_is_gone(open_shelf, put):
    export = put(open_shelf())
    export.journal.path.unlink()
    assert not open_shelf().get(export.id).kept


def why_gone(shelf, export):
    with pytest.raises(RecordingGone) as refused:
        shelf.get(export.id).check_kept()
    return str(refused.value).partition(": ")[2]


def test_after_a_restart_it_is_said_why_bytes_are_gone(open_shelf, put):
    shelf = open_shelf(max_bytes=35)
    room, discarded, damaged, older, _ = (put(shelf, number) for number in range(5))
    shelf.make_room()
    shelf.discard(discarded)
    damaged.journal.path.write_bytes(b"half")
    shelf.discard(older, "")
    again = open_shelf()
    assert [why_gone(again, each) for each in (room, discarded, damaged, older)] == [
        "they made room for newer ones",
        "they were discarded",
        "they were not whole on the disk when the server started",
        "they were discarded, or made room for newer ones",
    ]


def test_a_file_without_a_record_is_removed(open_shelf, folder):
    open_shelf()
    (folder / "stray.data").write_bytes(b"x")
    open_shelf()
    assert names(folder) == ["forgotten"]


UNREADABLE = {
    "empty": "",
    "cut": '{"id": "one", "st',
    "a list": "[]",
    "no fields": "{}",
    "not UTF-8": b"\xff",
    "a field that we do not know": None,
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_record_is_removed_with_its_bytes(open_shelf, folder, put, text):
    export = put(open_shelf())
    text = json.dumps({**export.to_record(), "later": 1}) if text is None else text
    record = record_path(export.journal.path)
    record.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert open_shelf().get(export.id) is None
    assert names(folder) == ["forgotten"]


@pytest.mark.parametrize("text", ["5", '"text"', "null"])
def test_a_record_that_is_no_object_is_removed(open_shelf, folder, text):
    open_shelf()
    (folder / "one.json").write_text(text)
    assert open_shelf().get("one") is None


def test_what_another_server_writes_is_left_alone(open_shelf, folder):
    """A reload: the old server ends its exports while the new one has started."""
    old = open_shelf()
    export = old.add(an_order(), None, prepared=False)
    export.state = "running"
    old.write_record(export)
    export.journal.append(b"half")
    assert open_shelf().get(export.id) is None
    assert names(folder) == files_of(export, "data", "json")
    export.journal.finish(Failed("test", "over"))


@pytest.fixture
def half(open_shelf):
    """An export that another server is writing; it has its record and half of its bytes."""
    shelf = open_shelf()
    export = shelf.add(an_order(), None, prepared=False)
    shelf.write_record(export)
    export.journal.append(b"half")
    yield export
    export.journal.finish(Failed("test", "over"))


def is_forgotten_only_there(shelf):
    return shelf.has_forgotten(an_order().address()) and not shelf.has_forgotten(
        an_order(1).address()
    )


def test_what_another_server_writes_is_forgotten(open_shelf, half):
    """Else a bare Range is taken for one that can only go on with a new export: a splice."""
    assert is_forgotten_only_there(open_shelf())


def test_what_another_server_wrote_is_known_to_the_next_start(open_shelf, half):
    assert is_forgotten_only_there(open_shelf())
    half.journal.finish(Failed("test", "over"))
    assert not open_shelf().has_forgotten(an_order().address())


@pytest.mark.parametrize("record", ["{", None])
def test_what_is_not_known_again_is_forgotten(open_shelf, half, record):
    half.journal.finish(Failed("test", "over"))
    if record is None:
        record_path(half.journal.path).unlink()
    else:
        record_path(half.journal.path).write_text(record)
    assert is_forgotten_only_there(open_shelf())
    assert is_forgotten_only_there(open_shelf()), "and it stays so"


# Sharing


def test_the_same_data_is_shared(open_shelf, put):
    shelf = open_shelf()
    export = put(shelf)
    assert shelf.shareable(export.identity, "print") is export
    assert shelf.shareable(export.identity, "another print") is None
    assert shelf.shareable("another order", "print") is None
    assert shelf.shareable(export.identity, None) is None


def test_what_is_not_certain_is_not_shared(open_shelf, put):
    shelf = open_shelf()
    export = put(shelf)
    export.fingerprint = None
    assert shelf.shareable(export.identity, None) is None


def test_what_is_gone_is_not_shared(open_shelf, put):
    shelf = open_shelf()
    export = put(shelf)
    shelf.discard(export)
    assert shelf.shareable(export.identity, "print") is None


# Room


def test_the_longest_unread_makes_room(open_shelf, put):
    shelf = open_shelf(max_bytes=25)
    made = [put(shelf, number) for number in range(3)]
    made[0].unread_since_s = time.monotonic()
    shelf.place(made[0])
    shelf.write_record(made[1])  # which says nothing of its readers
    assert shelf.make_room()
    assert [export.kept for export in made] == [True, False, True]


def test_no_more_goes_than_must(open_shelf, put):
    shelf = open_shelf(max_bytes=30)
    made = [put(shelf, number) for number in range(3)]
    assert shelf.make_room()
    assert all(export.kept for export in made)


def test_what_is_in_use_makes_no_room(open_shelf, put):
    shelf = open_shelf(max_bytes=15)
    read, waits = put(shelf, 1), shelf.add(an_order(2), None, prepared=True)
    read.readers = 1
    shelf.place(read)
    waits.journal.append(b"x" * 10)
    assert not shelf.make_room()
    assert read.kept
    assert waits.kept
    waits.journal.finish(Failed("test", "over"))


def test_nothing_goes_for_what_does_not_fit_all_the_same(open_shelf, put):
    shelf = open_shelf(max_bytes=25)
    unread, large = put(shelf, 1), shelf.add(an_order(2), None, prepared=True)
    large.journal.append(b"x" * 26)
    assert not shelf.make_room()
    assert unread.kept
    assert unread.journal.path.exists()
    large.journal.finish(Failed("test", "over"))


def test_all_that_is_unread_goes_where_that_suffices(open_shelf, put):
    shelf = open_shelf(max_bytes=25)
    unread, large = put(shelf, 1), shelf.add(an_order(2), None, prepared=True)
    large.journal.append(b"x" * 25)
    assert shelf.make_room()
    assert (unread.kept, large.kept) == (False, True)
    large.journal.finish(Failed("test", "over"))


def test_a_restart_with_less_room(open_shelf, put, folder):
    shelf = open_shelf()
    for number in range(3):
        put(shelf, number)
    assert sum(export.kept for export in open_shelf(max_bytes=15).exports()) == 1
    assert len(list(folder.glob("*.data"))) == 1


def test_bytes_go_after_the_last_reader(open_shelf, put):
    shelf = open_shelf()
    export = put(shelf)
    export.readers = 1
    shelf.discard(export)
    assert export.journal.path.exists()
    export.readers = 0
    shelf.tidy(export)
    assert not export.journal.path.exists()
    assert json.loads(record_path(export.journal.path).read_text())["kept"] is False


# Memory


def known(shelf, *exports):
    return [shelf.get(export.id) is not None for export in exports]


def test_those_without_bytes_are_forgotten_first(open_shelf, put, folder):
    shelf = open_shelf(max_exports=4)
    kept, *gone = (put(shelf, number) for number in range(4))
    for export in gone:
        shelf.discard(export)
    assert not shelf.has_forgotten(gone[0].address)
    put(shelf, 5)
    assert known(shelf, kept, *gone) == [True, False, True, True]
    assert [shelf.has_forgotten(each.address) for each in gone] == [True, False, False]
    assert f"{gone[0].id}.json" not in names(folder)
    again = open_shelf()
    assert [again.has_forgotten(each.address) for each in gone] == [True, False, False]


def test_then_what_was_fetched_the_longest_unread_first(open_shelf, put, folder):
    shelf = open_shelf(max_exports=3)
    first, second, third = (put(shelf, number) for number in range(3))
    shelf.place(first)  # read again
    put(shelf, 4)
    assert known(shelf, first, second, third) == [True, False, True]
    assert [name for name in names(folder) if name.startswith(second.id)] == []
    assert shelf.has_forgotten(second.address)


WAYS_OF_USE = {
    "it is read": {"readers": 1},
    "it is recorded": {"state": "running"},
    "a client was cut": {"was_cut": True},
    "it was prepared and not yet fetched": {"prepared": True},
}


@pytest.mark.parametrize("use", WAYS_OF_USE.values(), ids=WAYS_OF_USE.keys())
def test_what_is_in_use_or_may_be_resumed_is_not_forgotten(open_shelf, put, use):
    shelf = open_shelf(max_exports=2)
    used, other = put(shelf, 1), put(shelf, 2)
    for name, value in use.items():
        setattr(used, name, value)
    shelf.place(used)
    third = put(shelf, 3)
    assert known(shelf, used, other, third) == [True, False, True]
    third.readers = 1
    shelf.place(third)
    with pytest.raises(ShelfFull) as caught:
        put(shelf, 4)
    assert caught.value.kept == 2


def test_an_hour_later_nobody_comes_for_it(open_shelf, put):
    shelf = open_shelf(max_exports=1)
    cut = put(shelf, 1)
    cut.was_cut, cut.unread_since_s = True, time.monotonic() - RESUMABLE_S - 1
    shelf.place(cut)
    put(shelf, 2)
    assert known(shelf, cut) == [False]


def test_a_flood_of_one_owner_has_its_own_forgotten(open_shelf):
    shelf = open_shelf(max_exports=100, max_per_owner=3)

    def add(number, owner):
        export = shelf.add(an_order(number), None, prepared=False, owner=owner)
        export.end("complete", sha256="5a")
        shelf.write_record(export)
        return export

    other = add(0, "other")
    flood = [add(number, "flood") for number in range(1, 11)]
    assert known(shelf, other, *flood) == [True] + [False] * 7 + [True] * 3
    for export in flood[7:]:
        export.was_cut = True
        shelf.place(export)
    with pytest.raises(OwnerShelfFull, match="3 of your exports"):
        add(11, "flood")
    add(12, "other")
    shelf.discard(flood[9])
    add(13, "flood")


def test_a_restart_with_a_lower_bound_forgets_what_is_over_it(open_shelf, put, folder):
    shelf = open_shelf()
    made = [put(shelf, number) for number in range(10)]
    for export in made:
        export.prepared = True
        shelf.write_record(export)
    again = open_shelf(max_exports=4)
    assert sum(known(again, *made)) == 4
    assert len(list(folder.glob("*.data"))) == len(list(folder.glob("*.json"))) == 4


def test_what_is_forgotten_is_written_once_an_address(open_shelf, put, folder):
    shelf = open_shelf(max_exports=1)
    for _ in range(5):
        put(shelf)
    assert (folder / "forgotten").read_text() == an_order().address()[:STEM_CHARS] + "\n"


def test_what_is_forgotten_leaves_no_record(open_shelf, put):
    shelf = open_shelf(max_exports=1)
    gone = put(shelf, 1)
    put(shelf, 2)
    shelf.write_record(gone)
    assert not record_path(gone.journal.path).exists()


def test_no_call_touches_the_disk(folder, put, open_shelf):
    """The runner's lock is held around every call, so the disk's work is done later, in order."""
    open_shelf()
    later = []
    shelf = Shelf(folder, 35, run_here, later.append, max_exports=3)
    made = [put(shelf, number) for number in range(4)]
    made[3].journal.path.write_bytes(b"x" * 20)
    shelf.discard(made[1])
    assert names(folder) == sorted(f"{export.id}.data" for export in made)
    for work in later:
        work()
    kept = [made[2], made[3]]
    wanted = [name for each in kept for name in files_of(each, "data", "json")]
    assert names(folder) == sorted([*wanted, f"{made[1].id}.json", "forgotten"])
    assert json.loads(record_path(made[2].journal.path).read_text()) == made[2].to_record()


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


def fill(shelf, count, journal):
    """Have so many exports on the shelf, of 100 addresses and 7 owners; each has its bytes."""
    for number in range(count):
        export = Export(
            f"{number % 100:08}{number:016x}", f"{number % 100:064}", f"{number}",
            "numbers", "csv", "", journal, False, "print",
            state="complete", owner=f"owner {number % 7}",
        )  # fmt: skip
        shelf._add(export)
        shelf.place(export)


ACTIONS = {
    "a new one": lambda shelf: shelf.add(an_order(), "print", prepared=False),
    "one that is shared": lambda shelf: shelf.shareable("5", "print"),
    "a page": lambda shelf: shelf.page([View("", None)], None, 200),
    "the second page": lambda shelf: shelf.page([View("", "")], Point(time.time(), ""), 200),
    "room": lambda shelf: shelf.make_room(),
    "figures": lambda shelf: (shelf.states(), shelf.size_bytes(), shelf.count([View("", None)])),
    "where the one before has ended": lambda shelf: next(shelf.newest(f"{5:064}")),
}


@pytest.fixture(scope="module")
def shelves(tmp_path_factory):
    """One of 1,000 exports and one of 100,000, both at their bounds."""
    folder = tmp_path_factory.mktemp("filled")
    journal = DiskJournal(folder / "one.data", size=10)
    made = []
    for count in (1000, 100_000):
        bounds = {"max_exports": count, "max_per_owner": count}
        shelf = Shelf(folder, 10 * count, run_here, lambda work: None, **bounds)
        fill(shelf, count, journal)
        made.append(shelf)
    return made


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS.keys())
def test_the_work_is_the_same_of_any_number_of_exports(shelves, action):
    few, many = (work_of(lambda shelf=shelf: action(shelf)) for shelf in shelves)
    assert many <= few + 20


def test_a_record_that_cannot_be_written_costs_nothing_else(open_shelf, put, folder, caplog):
    shelf = open_shelf()
    export = put(shelf)
    (folder / f"{export.id}.json.new").mkdir()
    shelf.write_record(export)
    assert f"record not written id={export.id}" in caplog.text


def test_an_export_that_failed_is_known_again(open_shelf):
    shelf = open_shelf()
    export = shelf.add(an_order(), "print", prepared=True)
    export.end("failed", Outcome("source_failed", "the database stopped"))
    shelf.write_record(export)
    after = open_shelf().get(export.id)
    assert (after.state, after.error, after.prepared) == ("failed", export.error, True)


# Addresses and identities


def test_an_address_is_of_what_a_client_asks_for():
    one = an_order()
    changed = one._replace(query=one.query._replace(sql="other"), rows_estimate=5, fingerprint=str)
    assert one.address() == changed.address()
    others = [
        one._replace(source="alias"), one._replace(extension="tsv"), one._replace(selection="a=1"),
    ]  # fmt: skip
    assert len({each.address() for each in (one, *others)}) == 4


def test_each_audience_has_addresses_and_identities_of_its_own():
    orders = [an_order()._replace(audience=audience) for audience in ("", "{}", '{"a":"1"}')]
    assert (
        len({each.address() for each in orders}) == len({each.identity() for each in orders}) == 3
    )


def test_audience_and_owner_are_kept(open_shelf):
    shelf = open_shelf()
    export = shelf.add(an_order()._replace(audience="{}"), "print", prepared=True, owner="alice")
    export.end("failed", Outcome("source_failed", "the database stopped"))
    shelf.write_record(export)
    after = open_shelf().get(export.id)
    assert (after.audience, after.owner) == ("{}", "alice")


def test_identity_is_of_what_decides_the_bytes(monkeypatch):
    one = an_order()
    assert one.identity() == an_order()._replace(rows_estimate=5, fingerprint=str).identity()
    others = [
        one._replace(source="alias"), one._replace(extension="tsv"),
        one._replace(selection="excel=1", excel=True),
        one._replace(query=one.query._replace(sql="other")),
        one._replace(query=one.query._replace(database="file:y.db")),
        one._replace(query=one.query._replace(parameters={"a": 1})),
    ]  # fmt: skip
    assert len({each.identity() for each in (one, *others)}) == 7
    two = one._replace(query=one.query._replace(parameters={"a": 1, "b": 2}))
    turned = one._replace(query=one.query._replace(parameters={"b": 2, "a": 1}))
    assert two.identity() == turned.identity()
    before = one.identity()
    monkeypatch.setattr(export_module, "RECORDING_VERSION", 0)
    assert one.identity() != before
