"""What the version before kept in files is taken over once: all of it, whatever interrupts it.

The folder `earlier` was written by that version.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auth import EndedSessions, Tokens
from auth.access import BadCredential
from exports.state_records import StateRecords
from sources.logs.bytes import Fingerprint
from sources.logs.lines import Half
from sources.logs.position import Position, load_position
from state import State, StateUnusable
from state.takeover import PUT_AWAY, Earlier, check_alone

ROOT = Path(__file__).parents[2]
EARLIER = Path(__file__).parent / "earlier"
ANN = "hw_9ac4d310c249_ikeAQUkBxdMjfsX77UOOvLClCWB41udsP4is5zPTYc0"
GONE = "hw_d00ddc48fe8f_VtcYM0UEmc1fTdhQN3wW9gfgvfxvmxrFT41izjlLZ-4"
BOB = "hw_f593facb6f04_qS4Q94-YhjOjTDvtaPA_fe-w3WmO8CSwnHeMzNpj4FI"
# Exports: one is complete, of the other one the server was killed.
DONE, TORN = "0d9ecaa406339eb6a546027c", "4269f7f2c23e707d6dcbbf59"


def copy_earlier(folder):
    shutil.copytree(EARLIER, folder, dirs_exist_ok=True)
    # Which was written last, a repository does not keep.
    for second, export_id in enumerate((TORN, DONE)):
        os.utime(folder / "recordings" / f"{export_id}.json", (second, second))
    return folder


@pytest.fixture
def folder(tmp_path):
    return copy_earlier(tmp_path / "instance")


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def content_of(*names):
    return EARLIER.joinpath("recordings", *names).read_bytes()


def has_all(state):
    """Fail unless everything of `earlier` is in state, once."""
    tokens = Tokens(state)
    tokens.refresh()
    assert [token.name for token in tokens.all()] == ["ann", "gone", "bob"]
    ann, bob = tokens.find(ANN), tokens.find(BOB)
    assert (ann.scopes, ann.attributes) == (("read:a", "admin"), {"region": "EU"})
    assert (ann.made_s, ann.expires_s) == (1796074046.8595476, 4102444800.0)
    assert bob.attributes == {"name": "Zoë"}
    with pytest.raises(BadCredential, match="was withdrawn"):
        tokens.find(GONE)
    assert state.rows("select * from link_uses order by id") == [
        ("0fc016258b850ac5", 4102444800, 1),
        ("43c1a3d3a21bcb04", 4102444800, 2),
    ]
    position = Position(3, 5, 1.5, Half(b"\xff\n", 7, True), (1, 2), Fingerprint.of(b"head"), True)
    assert load_position(state, "web") == position
    assert load_position(state, "app") == Position(1, 1234, 1700000000.25)
    ended = EndedSessions(state)
    assert "0123456789abcdef" in ended
    assert "fedcba9876543210" in ended
    records = StateRecords(state, lambda work: work())
    assert list(records.ids()) == [TORN, DONE], "in the order of their times"
    for export_id in (TORN, DONE):
        assert records.read(export_id) == content_of(f"{export_id}.json")
    assert list(records.forgotten()) == ["0123abcd"]


def test_all_of_it_is_there_and_the_files_are_put_away(folder):
    before = {path.name: path for path in EARLIER.iterdir()}
    has_all(State(folder))
    assert names_in(folder) == {"state.db", PUT_AWAY, "recordings"}
    assert names_in(folder / "recordings") == {f"{DONE}.data", f"{TORN}.data"}
    (aside,) = (folder / PUT_AWAY).iterdir()
    assert names_in(aside) == before.keys()
    assert names_in(aside / "recordings") == {f"{DONE}.json", f"{TORN}.json", "forgotten"}
    assert (aside / "tokens.json").read_bytes() == before["tokens.json"].read_bytes()
    has_all(State(folder))


KILLED = """
import os, signal, sys
from pathlib import Path
from state import State, takeover

def end(*_):
    os.kill(os.getpid(), signal.SIGKILL)

calls, seen = int(sys.argv[2]), 0
def count(frame, event, arg):
    global seen
    if event == "line" and frame.f_code.co_filename == takeover.__file__:
        seen += 1
        if seen == calls:
            end()
    return count

sys.settrace(count)
State(Path(sys.argv[1])).rows("select 1")
"""


def killed_after(folder, lines):
    """Take over in a process that is killed after so many lines of takeover.py; was it?"""
    command = [sys.executable, "-c", KILLED, str(folder), str(lines)]
    return subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode == -9


def test_killed_anywhere_it_is_done_again(tmp_path):
    lines, was_killed = 1, True
    while was_killed:
        folder = copy_earlier(tmp_path / str(lines))
        was_killed = killed_after(folder, lines)
        has_all(State(folder))
        assert names_in(folder) - {"tokens.lock"} == {"state.db", PUT_AWAY, "recordings"}
        assert names_in(folder / "recordings") == {f"{DONE}.data", f"{TORN}.data"}
        lines += 3
    assert lines > 30


def test_what_was_changed_since_stays_changed(folder):
    """As after a return to the version before, whose files were put back."""
    Tokens(State(folder)).withdraw(ANN.split("_")[1])
    with State(folder).writing() as execute:
        execute("update link_uses set uses = uses + 1 where id = '43c1a3d3a21bcb04'")
        execute("insert into forgotten_exports values ('89abcdef')")
    copy_earlier(folder)
    (folder / "recordings" / f"{TORN}.json").write_text("{}")
    tokens = Tokens(State(folder))
    tokens.refresh()
    assert [token.is_good() for token in tokens.all()] == [False, False, True]
    uses = State(folder).rows("select uses from link_uses order by id")
    assert uses == [(1,), (3,)]
    records = StateRecords(State(folder), lambda work: work())
    assert list(records.ids()) == [DONE, TORN]
    assert records.read(TORN) == b"{}", "the version before wrote it last"
    assert list(records.forgotten()) == ["0123abcd", "89abcdef"]
    assert not Earlier(folder).is_there()


TOKEN = {
    "id": "a", "name": "b", "sha256": "c" * 64, "scopes": ["x"], "attributes": {}, "made_s": 1,
}  # fmt: skip
DAMAGED = {
    "empty": b"",
    "cut": b'[{"id": "0123456789ab", "name"',
    "no JSON": b"tokens",
    "no text": b"\xff\xfe\x00",
    "another shape": b'{"a": 1}',
    "a number": b"7",
    "a list of numbers": b"[1, 2]",
    "without a hash": b'[{"id": "a", "name": "n", "scopes": []}]',
    "a field of another version": b'[{"id": "a", "scopes": [], "colour": 1}]',
    "no scopes": b'[{"id": "a", "scopes": null}]',
    "deep": b"[" * 100_000,
    **{
        name: json.dumps([TOKEN | change]).encode()
        for name, change in {
            "attributes that are a number": {"attributes": 5},
            "an attribute that is a number": {"attributes": {"a": 5}},
            "scopes that are a text": {"scopes": "x"},
            "a digest that is none": {"sha256": "c"},
            "a time that is a text": {"made_s": "x"},
            "a time that is a list": {"expires_s": []},
            "a time that is huge": {"made_s": 10**23},
            "a name that is no UTF-8": {"name": "\ud800"},
        }.items()
    },
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_tokens_are_told_and_nothing_is_changed(folder, content):
    (folder / "tokens.json").write_bytes(content)
    before = names_in(folder)
    tokens = Tokens(State(folder))
    for attempt in (tokens.refresh, lambda: tokens.add("bob", [], {})):
        with pytest.raises(StateUnusable, match=r"tokens\.json cannot be read"):
            attempt()
    assert names_in(folder) - before <= {"state.db", "state.db-wal", "state.db-shm"}
    assert (folder / "tokens.json").read_bytes() == content


NOT_READ = {
    "links is a file": lambda folder: (folder / "links").write_text("x"),
    "a position is a folder": lambda folder: (folder / "logs-state" / "a.json").mkdir(parents=True),
    "a record is a folder": lambda folder: (folder / "recordings" / "a.json").mkdir(parents=True),
}


@pytest.mark.parametrize("make", NOT_READ.values(), ids=NOT_READ.keys())
def test_what_cannot_be_read_is_told_and_stays(tmp_path, make):
    make(tmp_path)
    with pytest.raises(StateUnusable, match=r"(links|logs-state|recordings) cannot be read: "):
        State(tmp_path).rows("select 1")
    assert Earlier(tmp_path).is_there()


def test_a_name_of_no_version_is_put_away_with_a_line(folder, caplog):
    odd = [b"links/\xff.4102444800", b"sessions-ended/\xff.1", b"links/x", b"logs-state/\xff.json"]
    for name in odd:
        (folder / os.fsdecode(name)).touch()
    (folder / "links" / "folder.4102444800").mkdir()
    has_all(State(folder))
    assert caplog.text.count("not taken over") == len(odd) + 1
    (aside,) = (folder / PUT_AWAY).iterdir()
    assert all((aside / os.fsdecode(name)).exists() for name in odd)


def test_an_end_that_is_huge_is_never_reached(folder):
    (folder / "links" / "aa.99999999999999999999").write_text(".")
    found = State(folder).rows("select expires_s, uses from link_uses where id = 'aa'")
    assert found == [(2**63 - 1, 1)]


def test_what_is_put_away_is_private(folder):
    State(folder).rows("select 1")
    above = folder / PUT_AWAY
    assert {path.stat().st_mode & 0o777 for path in (above, *above.iterdir())} == {0o700}


def test_an_id_that_is_no_text_is_told(folder):
    (entry, *_) = json.loads((folder / "tokens.json").read_text())
    (folder / "tokens.json").write_text(json.dumps([entry | {"id": ["a"]}]))
    with pytest.raises(StateUnusable):
        Tokens(State(folder)).refresh()


def test_a_server_of_the_version_before_is_not_deprived_of_its_files(folder):
    check_alone(folder)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StateUnusable, match="a server of an earlier version uses"):
            check_alone(folder)
        State(folder).rows("select 1")
        check_alone(folder)
    check_alone(folder / "nowhere")
