"""Exports: prepared, queued, cancelled, abandoned, and kept within their bound."""

import hashlib
import os
import sqlite3
import time
from contextlib import closing

import psutil
import pytest

from auth.native_threads import IN_ALL
from tests.system.server import CATALOGUE, Database, open_paths, wait_until


def test_a_prepared_export(server):
    answer = server.get(
        "/exports",
        "POST",
        "source=numbers&format=csv&limit=10",
        Content_Type="application/x-www-form-urlencoded",
    )
    assert answer.status == 202
    assert answer.headers["Location"] == f"/exports/{answer.json()['id']}"
    told = server.wait_for(answer.json()["id"], "complete")
    file = server.get(told["url"])
    assert file.headers["ETag"] == f'"{told["id"]}"'
    assert hashlib.sha256(file.body).hexdigest() == told["sha256"]
    assert (told["rows"], told["bytes"], told["error"]) == (10, len(file.body), None)


def test_json_asks_the_same_as_a_query_string(server):
    answer = server.get("/download/numbers.csv?columns=i,x&limit=7&i__gte=3")
    same = server.prepare("numbers", columns=["i", "x"], limit=7, i__gte=3)
    assert answer.headers["Headwater-Export"] == same
    assert server.prepare("numbers", columns=["i", "x"], limit=7.0, i__gte=3.0) == same


def test_json_keeps_all_digits_of_a_number(server):
    body = b'{"source": "numbers", "format": "csv", "i__lt": 9007199254740993.0, "limit": 1}'
    made = server.get("/exports", "POST", body, Content_Type="application/json").json()["id"]
    same = server.get("/download/numbers.csv?i__lt=9007199254740993&limit=1")
    assert same.headers["Headwater-Export"] == made


def test_progress_is_told_while_it_runs(server):
    export_id = server.running()
    told = server.export(export_id)
    assert (told["state"], told["sha256"]) == ("running", None)
    assert told["rate"] > 0
    rows = told["rows"]
    wait_until(lambda: server.export(export_id)["rows"] > rows, "more rows")
    server.get(f"/exports/{export_id}", "DELETE")


# Cancelling.


def test_cancel_ends_the_process_and_cuts_its_readers(server):
    export_id = server.running()
    curl = server.curl(f"/exports/{export_id}/file", "-o", "/dev/null", "--limit-rate", "1M")
    wait_until(lambda: server.export(export_id)["readers"] == 1, "curl reads")
    process = server.recorder_of(export_id)
    answer = server.get(f"/exports/{export_id}", "DELETE")
    assert (answer.status, answer.json()["state"]) == (200, "cancelled")
    wait_until(lambda: not process.is_running(), "its process is gone", 1)
    curl.kill()
    assert server.get(f"/exports/{export_id}/file").status == 410
    wait_until(lambda: not (server.recordings / f"{export_id}.data").exists(), "its bytes go")


def test_a_reader_of_a_cancelled_export_sees_it_cut(server):
    export_id = server.running()
    curl = server.curl(f"/exports/{export_id}/file", "-o", "/dev/null")
    wait_until(lambda: server.export(export_id)["readers"] == 1, "curl reads")
    server.get(f"/exports/{export_id}", "DELETE")
    assert curl.wait(10) in (18, 56)
    wait_until(lambda: "ending=failed (the export was cancelled" in server.log, "it is logged")
    assert "Traceback" not in server.log


def test_cancel_in_a_long_sort(server):
    export_id = server.prepare("sorts")
    process = server.recorder_of(export_id)
    assert server.export(export_id)["rows"] == 0
    server.get(f"/exports/{export_id}", "DELETE")
    wait_until(lambda: not process.is_running(), "its process is gone", 1)
    assert server.export(export_id)["state"] == "cancelled"


def test_cancel_of_a_complete_export_takes_its_bytes(server):
    told = server.finished("numbers", limit=11)
    assert server.get(f"/exports/{told['id']}", "DELETE").json()["kept"] is False
    assert server.get(told["url"]).status == 410
    assert not (server.recordings / f"{told['id']}.data").exists()


# The queue.


@pytest.fixture(scope="module")
def narrow(serve_all):
    """A server that records one export at once and lets two wait; no selection is asked twice."""
    return serve_all(
        HEADWATER_EXPORTS_RUNNING="1", HEADWATER_EXPORTS_OPEN="1", HEADWATER_EXPORTS_QUEUED="2"
    )


def positions(server, *ids):
    return [server.export(export_id)["queue_position"] for export_id in ids]


def test_the_queue_is_visible_and_moves(narrow):
    first = narrow.running()
    second, third = (narrow.prepare("numbers", limit=n) for n in (1, 2))
    assert positions(narrow, first, second, third) == [None, 1, 2]
    assert narrow.get(f"/exports/{second}", "DELETE").json()["state"] == "cancelled"
    assert positions(narrow, second, third) == [None, 1]
    narrow.get(f"/exports/{first}", "DELETE")
    assert narrow.wait_for(third, "complete")["queue_position"] is None


def test_a_full_queue_is_503(narrow):
    first = narrow.running()
    for limit in 3, 4:
        narrow.prepare("numbers", limit=limit)
    for answer in (
        narrow.get("/download/numbers.csv?limit=5"),
        narrow.get("/exports", "POST", '{"source": "things", "format": "csv"}', **JSON),
    ):
        assert (answer.status, answer.json()["error"]) == (503, "queue_full")
        assert int(answer.headers["Retry-After"]) > 0
    assert narrow.get(f"/exports/{first}", "DELETE").status == 200
    wait_until(lambda: narrow.get("/download/numbers.csv?limit=5").status == 200, "room")


JSON = {"Content_Type": "application/json"}


def test_a_download_waits_for_its_turn(narrow):
    first = narrow.running()
    curl = narrow.curl("/download/numbers.csv?limit=6")
    wait_until(lambda: narrow.get("/exports").json()["exports"][0]["readers"], "it waits")
    assert narrow.get("/exports").json()["exports"][0]["queue_position"] == 1
    narrow.get(f"/exports/{first}", "DELETE")
    assert curl.communicate(timeout=10)[0].count(b"\n") == 7
    assert curl.returncode == 0


# Leaving.


@pytest.fixture(scope="module")
def impatient(serve_all):
    return serve_all(HEADWATER_ABANDON_GRACE_S="0.5")


def test_what_nobody_reads_any_more_is_given_up(impatient):
    stream = impatient.open("/download/long.csv")
    stream.read(1000)
    process = impatient.recorder_of(stream.headers["Headwater-Export"])
    stream.close()
    told = impatient.wait_for(stream.headers["Headwater-Export"], "cancelled", timeout_s=15)
    assert told["error"]["error"] == "abandoned"
    wait_until(lambda: not process.is_running(), "its process is gone", 1)
    path = impatient.recordings / f"{told['id']}.data"
    wait_until(lambda: not path.exists(), "its bytes go", 2)


def test_what_is_prepared_goes_on_with_no_reader(impatient):
    prepared = impatient.running()
    read = impatient.open("/download/long.csv?rows=1999999999")
    read.read(1000)
    read.close()
    # When the other one is given up, this one would have been long before.
    impatient.wait_for(read.headers["Headwater-Export"], "cancelled", timeout_s=15)
    assert impatient.export(prepared)["state"] == "running"
    impatient.get(f"/exports/{prepared}", "DELETE")


def test_a_client_that_leaves_before_the_first_byte_is_noticed(serve):
    server = serve(
        HEADWATER_ABANDON_GRACE_S="0.5", HEADWATER_EXPORTS_RUNNING="1", HEADWATER_EXPORTS_OPEN="1"
    )
    first = server.running()
    client = server.send(b"GET /download/numbers.csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
    (waiting,) = wait_until(lambda: [e for e in exports(server) if e["readers"]], "it waits")
    assert waiting["state"] == "queued"
    client.close()
    told = server.wait_for(waiting["id"], "cancelled", timeout_s=4)
    assert (told["error"]["error"], told["readers"]) == ("abandoned", 0)
    assert server.export(first)["state"] == "running"


def test_a_failed_download_leaves_no_reader_and_no_bytes(server):
    answer = server.get("/download/no_text.csv?at=1")
    assert answer.status == 422
    (told, *_) = server.get("/exports").json()["exports"]
    assert (told["state"], told["readers"]) == ("failed", 0)
    assert not (server.recordings / f"{told['id']}.data").exists()


def test_downloads_leak_nothing(serve):
    server = serve()
    for i in range(10):
        server.get(f"/download/numbers.csv?limit={i}")
    server.wait_until_idle()
    worker = server.worker()
    state = str(server.instance / "state.db")
    wait_until(lambda: open_paths(worker).count(state) == 2, "tokens were looked for, too")
    before = worker.num_fds()
    for i in range(200):
        assert server.get(f"/download/numbers.csv?limit={i % 20}").status == 200
    for i in range(100):
        stream = server.open(f"/download/numbers.csv?limit={199_999 - i % 3}")
        stream.read(100)
        stream.close()
    wait_until(lambda: not any(e["readers"] for e in exports(server)), "readers are gone")
    server.wait_until_idle()
    wait_until(lambda: worker.num_fds() <= before + 3, "descriptors are closed")
    wait_until(lambda: worker.num_threads() <= IN_ALL + 10, "threads")


def exports(server):
    return server.get("/exports").json()["exports"]


# Room.


@pytest.fixture(scope="module")
def small(serve_all):
    """A server that keeps 3,000,000 bytes; 50,000 rows of `numbers` are 1.4 MB."""
    return serve_all(HEADWATER_RECORDINGS_MAX_BYTES="3000000")


def kept(server, *exports):
    return [server.export(export["id"])["kept"] for export in exports]


def test_the_longest_unread_makes_room(small):
    old, read = (small.finished("numbers", limit=50_000 + n) for n in (1, 2))
    assert kept(small, old, read) == [True, True]
    small.get(old["url"])  # now the other is the longest unread
    new = small.finished("numbers", limit=50_003)
    wait_until(lambda: kept(small, old, read, new) == [True, False, True], "room is made")
    small.wait_until_idle()
    assert sum(path.stat().st_size for path in small.recordings.glob("*.data")) <= 3_000_000
    assert small.get(read["url"]).status == 410


def test_what_is_being_read_is_never_removed(serve):
    server = serve(HEADWATER_RECORDINGS_MAX_BYTES="12000000")
    # 11 MB: more than the sockets between us hold.
    in_use = server.finished("long", rows=600_000)
    stream = server.open(in_use["url"])
    start = stream.read(1000)
    failed = server.wait_for(server.prepare("long", rows=300_000), "failed", "complete")
    assert kept(server, in_use) == [True]
    assert (failed["state"], failed["error"]["error"]) == ("failed", "no_room")
    body = start + stream.read()
    assert hashlib.sha256(body).hexdigest() == in_use["sha256"]


def test_what_alone_is_too_large_is_told_so(small):
    told = small.wait_for(small.prepare("long"), "failed")
    assert told["error"]["error"] == "no_room"
    assert small.get("/download/numbers.csv?limit=2").status == 200


def test_changed_data_makes_a_new_export(server, changing):
    first = server.get("/download/changing.csv?limit=5")
    changing.write("update changing set name = 'changed'")
    second = server.get("/download/changing.csv?limit=5")
    assert first.headers["ETag"] != second.headers["ETag"]
    assert second.body == b"i,name\n" + b"".join(b"%d,changed\n" % i for i in range(1, 6))
    assert server.get(f"/exports/{first.headers['Headwater-Export']}/file").body == first.body


def test_a_log_of_writes_makes_new_exports_until_it_has_settled(server):
    path, log = "/download/logged.csv", server.folder / "logged.db-wal"
    with closing(sqlite3.connect(server.folder / "logged.db")) as connection:
        first = server.get(path)
        assert server.get(path).headers["ETag"] == first.headers["ETag"]
        connection.execute("update logged set name = 'second'")
        connection.commit()
        # What is in the log is read, and while the log is so new, shared with nobody.
        young = [server.get(path) for _ in range(2)]
        assert [answer.body for answer in young] == [b"name\nsecond\n"] * 2
        assert len({answer.headers["ETag"] for answer in (first, *young)}) == 3
        # Two seconds after its last write it is.
        os.utime(log, (0, time.time() - 2.5))
        old = [server.get(path) for _ in range(2)]
        assert [answer.body for answer in old] == [b"name\nsecond\n"] * 2
        assert len({answer.headers["ETag"] for answer in old}) == 1


VOLATILE = """
[sources.clock]
database = "sqlite:///numbers.db"
query = "select i, datetime('now') as at from numbers where i <= 2"
[sources.view]
database = "sqlite:///numbers.db"
table = "today"
[sources.filtered]
database = "sqlite:///numbers.db"
table = "numbers"
where = "i <= 2 and '2020' < datetime('now')"
[sources.chance]
database = "sqlite:///numbers.db"
query = "select i from numbers where i <= 20 order by random()"
[sources.dice]
database = "sqlite:///numbers.db"
query = "select random() % 100 as r from numbers where i <= 2000"
[sources.hidden]
database = "sqlite:///numbers.db"
query = "select date(iif(i, 'n' || 'ow', i)) as day from numbers where i <= 2"
[sources.stored]
database = "sqlite:///numbers.db"
query = "select strftime('%Y', '2026-01-0' || i) as day from numbers where i <= 2"
"""


@pytest.fixture(scope="module")
def volatile(serve_all):
    return serve_all(VOLATILE)


@pytest.mark.parametrize("source", ["clock", "view", "filtered", "chance", "hidden"])
def test_what_depends_on_the_clock_or_on_chance_is_shared_with_nobody(volatile, source):
    made = [volatile.get(f"/download/{source}.csv") for _ in range(2)]
    assert [answer.status for answer in made] == [200, 200]
    assert len({answer.headers["Headwater-Export"] for answer in made}) == 2


def test_what_is_filtered_by_chance_is_what_comes_out(volatile):
    lines = volatile.get("/download/dice.csv?r__gte=0&sort=r").body.decode().split()[1:]
    values = [int(line) for line in lines]
    assert 500 < len(values) < 1500
    assert values == sorted(values)
    assert values[0] >= 0


def test_a_function_of_times_that_asks_for_none_is_shared(volatile):
    made = [volatile.get("/download/stored.csv") for _ in range(2)]
    assert len({answer.headers["Headwater-Export"] for answer in made}) == 1


def test_all_rows_are_of_one_snapshot(serve):
    server = serve()
    database = Database(server.folder / "changing.db")
    server.get("/sources")
    stream = server.open("/download/changing.csv")
    head = stream.read(10)
    database.write("pragma busy_timeout = 5000", "update changing set name = 'second'")
    body = head + stream.read()
    assert body.count(b"first") == 100_000


def test_no_process_is_left_when_the_server_has_stopped(serve):
    server = serve()
    server.running()
    family = server.family()
    assert server.stop() == 0
    _, left = psutil.wait_procs(family, timeout=2)
    assert not left
    assert not list(server.recordings.glob("*.data"))


# How many there are.


def test_a_bounded_number_is_remembered(serve):
    server = serve(
        HEADWATER_EXPORTS_REMEMBERED="20", HEADWATER_EXPORTS_REMEMBERED_PER_PRINCIPAL="10"
    )
    made = [server.get(f"/download/numbers.csv?limit={n}") for n in range(1, 25)]
    assert {answer.status for answer in made} == {200}
    page = server.get("/exports?limit=7").json()
    assert (len(page["exports"]), page["total"]) == (7, 10)
    rest = server.get(page["next"]).json()
    assert (len(rest["exports"]), rest["next"]) == (3, None)
    ids = [answer.headers["Headwater-Export"] for answer in made]
    assert [each["id"] for each in page["exports"] + rest["exports"]] == ids[:13:-1]
    assert server.get(f"/exports/{ids[0]}/file").status == 404
    wait_until(
        lambda: {path.stem for path in server.recordings.glob("*.data")} == set(ids[14:]),
        "the bytes of the others are gone",
    )
    assert server.get("/download/numbers.csv?limit=1", Range="bytes=3-").status == 409


def test_what_is_prepared_and_not_fetched_is_refused_rather_than_forgotten(serve):
    server = serve(HEADWATER_EXPORTS_REMEMBERED_PER_PRINCIPAL="2")
    one, _ = (server.finished("numbers", limit=n) for n in (1, 2))
    refused = server.get("/download/numbers.csv?limit=3")
    assert (refused.status, refused.json()["error"]) == (429, "too_many_exports")
    assert "2 of your exports" in refused.json()["message"]
    assert server.get(one["url"]).status == 200
    wait_until(lambda: server.get("/download/numbers.csv?limit=3").status == 200, "a place")
    assert server.get(one["url"]).status == 404


# Overtaking.


@pytest.fixture(scope="module")
def crowd(serve_all):
    """A server with 8 exports that never end; the first two have the places."""
    server = serve_all()
    for n in range(8):
        server.prepare("long", rows=1_000_000_000 + n)
    return server


ME, OTHER = "127.0.0.1", "127.0.0.2"


@pytest.mark.parametrize("address", [ME, OTHER])
@pytest.mark.parametrize("file", ["numbers.csv", "logged.csv", "things.parquet"])
def test_a_short_export_overtakes_eight_long_ones(crowd, address, file):
    path = f"/download/{file}?limit=10{address[-1]}"
    body, _ = crowd.curl(path, "--fail", "--interface", address).communicate(timeout=20)
    assert len(body) > 10
    states = [each["state"] for each in exports(crowd) if each["source"] == "long"]
    assert sorted(states) == ["queued"] * 6 + ["running"] * 2


def test_in_rollback_mode_nothing_that_waits_is_open(serve):
    """A writer of the database would have to wait for it."""
    server = serve()
    running = [server.running(rows=1_000_000_000 + n) for n in range(2)]
    waiting = [server.prepare("long", rows=1_100_000_000 + n) for n in range(3)]
    # The fork server, its spare, and two.
    wait_until(lambda: len(server.recorders()) == 4, "the others have been tried")
    told = [server.export(each) for each in waiting]
    assert [each["queue_position"] for each in told] == [1, 2, 3]
    assert not any(server.export(each)["paused"] for each in running)
    for each in running:
        server.get(f"/exports/{each}", "DELETE")
    for each in waiting[:2]:
        assert server.wait_for(each, "running")["paused"] is False


def test_the_first_of_another_address_is_paused_in_wal_mode(serve):
    server = serve(catalogue=CATALOGUE + LOGGED)
    for n in range(2):
        server.running(rows=1_000_000_000 + n)
    curl = server.curl("/download/endless.csv", "-o", "/dev/null", "--interface", OTHER)
    (told,) = wait_until(lambda: [e for e in exports(server) if e["paused"]], "it is paused")
    assert (told["source"], told["state"], told["bytes"] > 0) == ("endless", "running", True)
    Database(server.folder / "logged.db").write("insert into logged values ('meanwhile')")
    assert any(each["data"]["paused"] for each in server.events("exports"))
    server.cancel_all()
    assert curl.wait(10) in (18, 56)


LOGGED = """
[sources.endless]
database = "sqlite:///logged.db"
query = '''with recursive n(i) as (select 1 union all select i + 1 from n)
 select i, name from n, logged'''
"""
