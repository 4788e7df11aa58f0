"""Downloads: every format and compression, read back by another library; sharing; real clients."""

import base64
import csv
import gzip
import hashlib
import io
import json
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import openpyxl
import polars
import pyarrow as pa
import pytest

from tests.system.server import THINGS, Database, need, wait_until
from wire.formats import EXTENSIONS, FORMATS, parse_extension

SEPARATORS = {"csv": ",", "tsv": "\t"}
NAMES = ["id", "i", "r", "t", "b", "m"]


def plain(value):
    """Return a value as formats without BLOBs have it."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def text(value):
    """Return a value as formats without mixed columns have it."""
    return None if value is None else str(plain(value))


def cell(value, separator):
    """Return a cell by the rules that README.md states: quoted where needed, NULL is empty."""
    if value is None:
        return ""
    written = str(plain(value))
    if not written or any(char in written for char in (separator, '"', "\r", "\n")):
        return '"' + written.replace('"', '""') + '"'
    return written


def separated(separator):
    rows = [NAMES, *THINGS]
    return "".join(separator.join(cell(v, separator) for v in row) + "\n" for row in rows)


def in_a_sheet(value):
    """Return a value as openpyxl reads it: of 16 digits it is text; escapes are not undone."""
    if isinstance(value, int):
        return value if abs(value) < 10**15 else str(value)
    return plain(value).replace("\r", "_x000D_") if isinstance(value, str | bytes) else value


def objects(rows):
    return [dict(zip(NAMES, map(plain, row), strict=True)) for row in rows]


def read(name, data):
    """Return the rows of a file with the row of names first, by a library that did not write it."""
    if name in ("parquet", "arrow"):
        frame = (polars.read_parquet if name == "parquet" else polars.read_ipc)(io.BytesIO(data))
        return [tuple(frame.columns), *frame.rows()]
    if name == "xlsx":
        return list(openpyxl.load_workbook(io.BytesIO(data)).active.values)
    lines = json.loads(data) if name == "json" else map(json.loads, data.splitlines())
    rows = list(lines)
    return [tuple(rows[0]), *(tuple(row.values()) for row in rows)]


WRITTEN = {"xlsx": in_a_sheet, "json": plain, "ndjson": plain}

# Formats whose columns have one type: the mixed one is text.
TYPED = [(*row[:5], text(row[5])) for row in THINGS]


def expected(name):
    rows = TYPED if name in ("xlsx", "parquet", "arrow") else THINGS
    write = WRITTEN.get(name, lambda value: value)
    return [tuple(NAMES), *(tuple(map(write, row)) for row in rows)]


def unpack(suffix, data):
    if suffix == ".gz":
        return gzip.decompress(data)
    return pa.input_stream(io.BytesIO(data), compression="zstd").read() if suffix else data


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_format_is_the_same_again(server, extension):
    first, again = (server.get(f"/download/things.{extension}") for _ in range(2))
    assert first.status == 200
    assert first.body == again.body
    assert first.headers["ETag"] == again.headers["ETag"]
    assert first.headers["Content-Type"] == parse_extension(extension).media_type
    disposition = f'attachment; filename="things.{extension}"'
    assert first.headers["Content-Disposition"] == disposition
    assert again.headers["Content-Length"] == str(len(first.body))


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_what_the_database_holds(server, name, suffix):
    database = Database(server.folder / "things.db")
    assert database.rows("select * from things order by id") == THINGS
    data = unpack(suffix, server.get(f"/download/things.{name}{suffix}").body)
    if name in SEPARATORS:
        assert data.decode() == separated(SEPARATORS[name])
    else:
        assert read(name, data) == expected(name)


def test_csv_reads_back_as_the_rows_of_sqlite(server):
    body = server.get("/download/numbers.csv").body.decode()
    rows = list(csv.reader(io.StringIO(body, newline="")))
    stored = Database(server.folder / "numbers.db").rows("select * from numbers")
    assert rows[0] == ["i", "name", "x"]
    assert rows[1:] == [[str(value) for value in row] for row in stored]


def test_a_selection_is_what_sql_says(server):
    words = "columns=i,x&i__gt=100&i__lte=200&name__like=%255&sort=-i&limit=7"
    body = server.get(f"/download/numbers.csv?{words}").body.decode()
    stored = Database(server.folder / "numbers.db").rows(
        "select i, x from numbers where i > 100 and i <= 200 and name like '%5'"
        " order by i desc limit 7"
    )
    assert body == "i,x\n" + "".join(f"{i},{x}\n" for i, x in stored)


def test_the_state_tells_rows_bytes_and_sha256(server):
    answer = server.get("/download/numbers.csv?limit=1000")
    told = server.wait_for(answer.headers["Headwater-Export"], "complete")
    assert (told["rows"], told["bytes"]) == (1000, len(answer.body))
    assert told["sha256"] == hashlib.sha256(answer.body).hexdigest()
    assert server.get(told["url"]).body == answer.body


def test_the_first_bytes_come_while_the_rest_is_recorded(server):
    stream = server.open("/download/long.csv")
    assert stream.read(10) == b"i,t\n1,row "
    export_id = stream.headers["Headwater-Export"]
    assert server.export(export_id)["state"] == "running"
    assert stream.headers["Content-Length"] is None
    stream.close()
    server.get(f"/exports/{export_id}", "DELETE")


def test_fifty_clients_share_one_production(server):
    before = len(server.get("/exports").json()["exports"])
    with ThreadPoolExecutor(50) as clients:
        path = "/download/numbers.csv?limit=150000"
        answers = list(clients.map(lambda _: server.get(path), range(50)))
    assert len({answer.headers["ETag"] for answer in answers}) == 1
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].body.count(b"\n") == 150_001
    assert len(server.get("/exports").json()["exports"]) == before + 1


def test_a_file_is_named_after_the_source_that_was_asked_for(server):
    answers = [server.get(f"/download/{source}.csv?limit=12") for source in ("numbers", "twin")]
    names = [answer.headers["Content-Disposition"] for answer in answers]
    assert names == [f'attachment; filename="{source}.csv"' for source in ("numbers", "twin")]
    # Their bytes are the same, and yet an export is of one source.
    assert answers[0].body == answers[1].body
    assert answers[0].headers["ETag"] != answers[1].headers["ETag"]


@pytest.mark.parametrize("address", ["download", "file"])
def test_aria2c_with_eight_connections(server, tmp_path, address):
    need("aria2c")
    told = server.finished("numbers")
    path = told["url"] if address == "file" else "/download/numbers.csv"
    options = ["-q", "-x8", "-s8", "-k1M", "--no-conf", "--file-allocation=none"]
    command = ["aria2c", *options, "-d", tmp_path, "-o", "numbers.csv", server.url(path)]
    subprocess.run(command, check=True, timeout=60)
    data = (tmp_path / "numbers.csv").read_bytes()
    assert hashlib.sha256(data).hexdigest() == told["sha256"]
    wait_until(lambda: server.export(told["id"])["readers"] == 0, "no reader is left")
    # It did use ranges: transfers of parts are in the log.
    assert f"export={told['id']} range='bytes=" in server.log


def test_a_stalled_reader_holds_no_lock_on_the_database(serve):
    server = serve()
    # 10 MB: more than the sockets between us hold.
    stream = server.open("/download/numbers.json")
    start = stream.read(1024)
    export_id = stream.headers["Headwater-Export"]
    server.wait_for(export_id, "complete")
    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0);"
    script += "c.execute('delete from numbers where i > 10'); c.commit()"
    # The recorder's process says that all is recorded, and lets go a moment later.
    database = server.folder / "numbers.db"
    write = ["python3", "-W", "ignore", "-c", script, database]
    wait_until(lambda: subprocess.run(write, capture_output=True).returncode == 0, "a commit", 2)
    assert server.export(export_id)["readers"] == 1
    body = start + stream.read()
    assert hashlib.sha256(body).hexdigest() == server.export(export_id)["sha256"]
    assert len(Database(database).rows("select * from numbers")) == 10


def test_sigterm_lets_a_download_end_whole(serve):
    server = serve()
    # 11 MB: more than the sockets between us hold.
    stream = server.open("/download/long.csv?rows=600000")
    start = stream.read(1024)
    process = server.process
    server.family()
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: "Handling signal: term" in server.log, "SIGTERM is seen")
    body = start + stream.read()
    stream.close()
    assert body.endswith(b"\n600000,row 600000\n")
    assert process.wait(10) == 0
