"""What goes wrong in the middle: a cut download never looks complete, and the server goes on."""

import hashlib
import json
import os
import subprocess
import sys

import psutil
import pytest

from state import State
from tests.system.server import ROOT, wait_until

# A source that fails, its words, what it says, and its state's code.
FAILING = {
    "the database stops": ("stops", {"at": 400_000}, "integer overflow", "source_failed"),
    "text is not UTF-8": ("no_text", {"at": 400_000}, "not valid UTF-8", "cannot_encode"),
}

each_failure = pytest.mark.parametrize(
    ("source", "words", "says", "code"), FAILING.values(), ids=FAILING.keys()
)


@pytest.fixture(scope="module")
def one_at_a_time(serve_all):
    return serve_all(HEADWATER_EXPORTS_RUNNING="1", HEADWATER_EXPORTS_OPEN="1")


@pytest.fixture
def mortal(one_at_a_time):
    """A server that records one export at once and may be ended; no selection is asked twice."""
    if one_at_a_time.process.poll() is not None:  # the test before failed
        one_at_a_time.start()
    yield one_at_a_time
    if one_at_a_time.process.poll() is None:
        one_at_a_time.cancel_all()


def newest(server, source):
    return next(e for e in server.get("/exports").json()["exports"] if e["source"] == source)


@each_failure
@pytest.mark.parametrize("extension", ["csv", "ndjson", "json", "csv.gz"])
def test_http_1_1_sees_an_aborted_transfer(server, source, words, says, code, extension):
    path = f"/download/{source}.{extension}?at={words['at']}"
    curl = server.curl(path, "-N", "-w", "%{stderr}%{http_code}")
    body, written = curl.communicate(timeout=30)
    assert curl.returncode == 18
    assert b"200" in written
    assert len(body) > 100_000
    assert says.encode() not in body
    told = newest(server, source)
    assert (told["state"], told["error"]["error"]) == ("failed", code)
    assert says in told["error"]["message"]


@each_failure
def test_http_1_0_never_gets_a_body_that_looks_whole(server, source, words, says, code):
    path = f"/download/{source}.csv?at={words['at']}"
    curl = server.curl(path, "--http1.0", "-f", "-N")
    assert (curl.communicate(timeout=30)[0], curl.returncode) == (b"", 22)


@each_failure
def test_the_file_of_a_failed_export_is_an_error(server, source, words, says, code):
    export_id = server.prepare(source, **words)
    told = server.wait_for(export_id, "failed")
    assert (told["url"], told["sha256"], told["kept"]) == (None, None, False)
    answer = server.get(f"/exports/{export_id}/file")
    assert (answer.status, answer.json()["error"]) == (410, "recording_gone")
    wait_until(lambda: not (server.recordings / f"{export_id}.data").exists(), "its bytes go")


@each_failure
def test_what_fails_before_the_first_byte_is_a_status(server, source, words, says, code):
    answer = server.get(f"/download/{source}.csv?at=1")
    assert answer.status >= 400
    assert answer.json()["error"] == code
    assert says in answer.json()["message"]
    assert str(server.folder) not in answer.body.decode()


def test_a_client_of_http_1_0_is_cut_by_a_reset(server):
    export_id = server.running()
    curl = server.curl(f"/exports/{export_id}/file", "--http1.0", "-f")
    wait_until(lambda: server.export(export_id)["readers"], "it waits for the end")
    server.get(f"/exports/{export_id}", "DELETE")
    assert (curl.communicate(timeout=10)[0], curl.returncode) == (b"", 22)


# The server is killed.


def test_sigkill_in_mid_export_and_a_restart(mortal):
    server = mortal
    whole = server.finished("numbers", limit=1000)
    before = server.get(whole["url"])
    server.wait_until_kept(whole["id"])
    torn = server.running()
    curl = server.curl(f"/exports/{torn}/file", "-o", os.devnull)
    wait_until(lambda: server.export(torn)["readers"] == 1, "curl reads")
    left = server.kill()
    assert curl.wait(10) in (18, 56)
    assert not psutil.wait_procs(left, timeout=3)[1]
    assert (server.recordings / f"{torn}.data").exists()
    assert "Traceback" not in server.log
    server.start()
    told = server.export(torn)
    assert (told["state"], told["error"]["error"]) == ("failed", "interrupted")
    assert not (server.recordings / f"{torn}.data").exists()
    after = server.get(whole["url"])
    assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])
    assert server.get("/download/numbers.csv?limit=1000").headers["ETag"] == after.headers["ETag"]


def test_sigterm_keeps_an_export_that_is_just_complete(mortal):
    server = mortal
    answer = server.get("/download/numbers.csv")
    assert server.stop() == 0
    server.start()
    again = server.get(f"/exports/{answer.headers['Headwater-Export']}/file")
    assert (again.status, again.body) == (200, answer.body)


def test_what_waited_in_the_queue_is_interrupted_too(mortal):
    server = mortal
    server.running()
    waiting = server.prepare("numbers", limit=1001)
    assert server.export(waiting)["state"] == "queued"
    server.kill()
    server.start()
    assert server.export(waiting)["error"]["error"] == "interrupted"
    assert server.finished("numbers", limit=3)["rows"] == 3


def test_a_torn_record_does_not_stop_the_start(mortal):
    server = mortal
    told = server.finished("numbers", limit=9)
    server.wait_until_kept(told["id"])
    assert server.stop() == 0
    (server.recordings / "0123456789abcdef.data").write_text("torn")
    state = State(server.instance)
    with state.writing() as execute:
        sql = "insert into export_records values (?, ?)"
        execute(sql, ("0123456789abcdef", '{"id": "0123'))
        execute(sql, ("feedfeedfeedfeed", json.dumps([server.record(told["id"])])))
    server.start()
    assert server.get(told["url"]).status == 200
    assert not (server.recordings / "0123456789abcdef.data").exists()
    assert (
        state.rows("select id from export_records where id like '0123%' or id like 'feed%'") == []
    )


# The recorders die.


def test_an_export_whose_process_dies_is_failed(mortal):
    export_id = mortal.prepare("sorts")
    mortal.recorder_of(export_id).kill()
    told = mortal.wait_for(export_id, "failed", timeout_s=3)
    assert told["error"]["error"] == "recorder_lost"
    assert mortal.finished("numbers", limit=4)["rows"] == 4


def test_when_the_fork_server_dies_the_queue_goes_on(mortal):
    server = mortal
    first = server.running()
    second, third = (server.prepare("numbers", limit=n) for n in (1, 2))
    fork_server = next(c for c in server.recorders() if c.ppid() == server.worker().pid)
    fork_server.kill()
    assert server.wait_for(first, "failed")["error"]["error"] == "recorder_lost"
    for export_id in second, third:
        assert server.wait_for(export_id, "complete", "failed")["error"] is None


def order_named(server, name):
    """Ask for the numbers with this name, which may be any bytes."""
    body = b"source=numbers&format=csv&name=" + name
    form = "application/x-www-form-urlencoded"
    return server.get("/exports", "POST", body, Content_Type=form)


def test_a_long_order_is_recorded(mortal):
    # A control character takes three in a URL and six in JSON.
    answer = order_named(mortal, b"\x01" * 2_500)
    assert answer.status == 202
    told = mortal.wait_for(answer.json()["id"], "complete", "failed", timeout_s=5)
    assert (told["state"], told["rows"]) == ("complete", 0)
    assert mortal.get(told["url"]).body == b"i,name,x\n"
    mortal.get(told["url"].removesuffix("/file"), "DELETE")


def test_a_longer_one_is_refused(mortal):
    answer = order_named(mortal, b"\x01" * 60_000)
    assert (answer.status, answer.json()["error"]) == (400, "bad_selection")
    assert "8190 characters" in answer.json()["message"]


# The disk is full.


def fill_up(server):
    """Ask for more than fits and see that only that export ends."""
    before = server.finished("numbers", limit=1000)
    told = server.wait_for(server.prepare("long"), "failed")
    assert told["error"]["error"] == "disk_full"
    told = server.wait_for(server.prepare("long", "parquet"), "failed")
    assert told["error"]["error"] == "disk_full"
    curl = server.curl("/download/long.csv?rows=1999999999", "-o", os.devnull)
    assert curl.wait(30) in (18, 56)
    wait_until(lambda: len(list(server.recordings.glob("*.data"))) == 1, "the torn ones go")
    assert not list(server.recordings.glob("tmp*"))
    body = server.get(before["url"]).body
    assert hashlib.sha256(body).hexdigest() == before["sha256"]
    assert server.finished("numbers", limit=2000)["rows"] == 2000


def test_a_file_that_may_not_grow_further(serve):
    fill_up(serve("prlimit", "--fsize=4000000"))


def test_a_full_disk(serve, tmp_path):
    folder = tmp_path / "0" / "instance" / "recordings"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        fill_up(serve())
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


# The server does not start.

WRONG = """
sources.first = { database = "sqlite:///not_there.db", table = "x" }
sources.second = { database = "sqlite:///numbers.db", table = "nmbers" }
sources.third = { database = "sqlite:///numbers.db", query = "select * form numbers" }
sources.good = { database = "sqlite:///numbers.db", table = "numbers" }
"""
UNREADABLE = """
sources.first = { database = "postgres://me:secret@host/db", table = "x" }
sources.Second = { generate = "users", rows = -1 }
sources.third = { database = "sqlite:///numbers.db", query = "select :a", rows = 1 }
folders.media = { path = "media" }
"""
SAID = {
    "what is not there": (WRONG, ["sources.first", "sources.second", "sources.third"]),
    "what cannot be read": (
        UNREADABLE,
        ["sources.first.database", "sources.Second", "sources.Second.rows"],
    ),
}


@pytest.mark.parametrize(("catalogue", "keys"), SAID.values(), ids=SAID.keys())
def test_a_wrong_catalogue_stops_the_start_with_all_that_is_wrong(launch, catalogue, keys):
    server = launch(catalogue=catalogue)
    assert server.process.wait(15) not in (0, None)
    assert "Traceback" not in server.log
    assert "secret" not in server.log
    said = [line.split(":")[0] for line in server.log.splitlines()]
    for key in keys:
        assert sum(line.startswith(key) for line in said) >= 1, server.log
    assert not any(line.startswith("sources.good") for line in said)


def test_wrong_settings_stop_the_start_with_all_that_is_wrong(launch):
    wrong = {"HEADWATER_EXPORTS_RUNNING": "many", "HEADWATER_PORTT": "1", "HEADWATER_HOST": "a b"}
    server = launch(**wrong)
    assert server.process.wait(15) not in (0, None)
    assert "Traceback" not in server.log
    for name in wrong:
        assert sum(f"{name}:" in line for line in server.log.splitlines()) == 1


def test_a_catalogue_that_is_not_there(launch, tmp_path):
    server = launch(HEADWATER_CATALOGUE=str(tmp_path / "nowhere.toml"))
    assert server.process.wait(15) not in (0, None)
    assert "nowhere.toml: cannot be read" in server.log
    assert "Traceback" not in server.log


def test_blob_literals_are_no_reason_to_refuse_a_query(serve):
    server = serve(
        catalogue="""
[sources.blobs]
database = "sqlite:///numbers.db"
query = "select i from numbers where name <> x'ff' limit 3"
"""
    )
    assert server.get("/download/blobs.csv").body == b"i\n1\n2\n3\n"


def test_the_program_of_the_recorders_ends_with_its_socket():
    code = "import socket, subprocess, sys; a, b = socket.socketpair(socket.AF_UNIX, 5);"
    code += "c = [sys.executable, '-m', 'exports.recorder', str(b.fileno())];"
    code += "p = subprocess.Popen(c, pass_fds=[b.fileno()]); b.close(); a.close(); p.wait(20)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=30)
