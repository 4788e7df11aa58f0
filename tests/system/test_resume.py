"""Cut downloads go on: to the same bytes when they are still there, and never to a splice."""

import hashlib
import html
import random
import re
import subprocess

import pytest

from tests.system.server import ROOT, ROWS, need, wait_until


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cut(server, path, size, **headers):
    """Read size bytes, leave, and return them with the answer's ETag."""
    stream = server.open(path, **headers)
    data = stream.read(size)
    stream.close()
    return data, stream.headers["ETag"]


def latest(server):
    return server.get("/exports").json()["exports"][0]


@pytest.mark.parametrize("seed", range(3))
def test_curl_cut_at_random_offsets(server, tmp_path, seed):
    path, file = f"/download/numbers.csv?limit={ROWS - seed}", tmp_path / "numbers.csv"
    offsets = sorted(random.Random(seed).sample(range(1, 5_000_000), 8))
    data, _ = cut(server, path, offsets[0])
    file.write_bytes(data)
    for offset in offsets[1:]:
        data, _ = cut(server, path, offset - len(file.read_bytes()), Range=f"bytes={len(data)}-")
        file.write_bytes(file.read_bytes() + data)
        data = file.read_bytes()
    curl = server.curl(path, "-C", "-", "-o", file)
    assert curl.wait(20) == 0, curl.stderr.read()
    told = latest(server)
    assert sha256(file) == told["sha256"]
    assert told["rows"] == ROWS - seed


def test_curl_killed_and_started_again_until_whole(server, tmp_path):
    path, file = "/download/long.csv?rows=2000000", tmp_path / "long.csv"
    file.touch()
    # At most a few seconds a turn, of some 38: never all of it, however slow this machine is.
    for _ in range(5):
        size = file.stat().st_size
        slow = server.curl(path, "-C", "-", "-N", "--limit-rate", "1M", "-o", file)
        wait_until(lambda size=size: file.stat().st_size > size + 200_000, "some bytes")
        slow.kill()
        slow.wait()
    whole = server.wait_for(latest(server)["id"], "complete")
    assert file.stat().st_size < whole["bytes"]
    curl = server.curl(path, "-C", "-", "-o", file)
    assert curl.wait(20) == 0, curl.stderr.read()
    assert sha256(file) == whole["sha256"]


def test_curl_goes_on_while_the_export_is_still_recorded(server, tmp_path):
    path, file = "/download/long.csv?rows=1500000", tmp_path / "long.csv"
    file.write_bytes(cut(server, path, 100_000)[0])
    assert latest(server)["state"] == "running"
    curl = server.curl(path, "-C", "-", "-o", file)
    assert curl.wait(30) == 0, curl.stderr.read()
    told = latest(server)
    assert (told["rows"], told["sha256"]) == (1_500_000, sha256(file))


def test_wget_goes_on(server, tmp_path):
    need("wget")
    path, file = "/download/numbers.csv?sort=-x", tmp_path / "numbers.csv"
    file.write_bytes(cut(server, path, 1_234_567)[0])
    command = ["wget", "-q", "--no-config", "-c", "-O", file, server.url(path)]
    subprocess.run(command, check=True, timeout=30)
    assert sha256(file) == latest(server)["sha256"]


def test_curl_that_has_all_of_it_leaves_it_as_it_is(server, tmp_path):
    path, file = "/download/numbers.csv?limit=5", tmp_path / "numbers.csv"
    file.write_bytes(server.get(path).body)
    before = sha256(file)
    server.curl(path, "-C", "-", "-o", file).wait(20)
    assert sha256(file) == before


# The data changes between the cut and the resume.

CHANGE = "update changing set name = 'second ' || i"


def test_with_no_other_production_the_first_one_goes_on(server, changing):
    path = "/download/changing.csv?limit=99999"
    start, etag = cut(server, path, 10_000)
    server.wait_for(etag.strip('"'), "complete")
    changing.write(CHANGE)
    rest = server.get(path, Range="bytes=10000-")
    assert (rest.status, rest.headers["ETag"]) == (206, etag)
    whole = start + rest.body
    assert b"second" not in whole
    assert hashlib.sha256(whole).hexdigest() == server.export(etag.strip('"'))["sha256"]


@pytest.fixture
def superseded(server, changing):
    """A path, the first 10,000 bytes of its first export and that one's ETag; there is another."""
    path = "/download/changing.csv?limit=99998"
    start, etag = cut(server, path, 10_000)
    server.wait_for(etag.strip('"'), "complete")
    changing.write(CHANGE)
    other = server.get(path)
    assert other.headers["ETag"] != etag
    yield path, start, etag
    for export in server.get("/exports").json()["exports"]:
        server.get(f"/exports/{export['id']}", "DELETE")


def test_with_another_production_a_bare_range_is_told_whose_it_may_be(server, superseded):
    path, _, etag = superseded
    before = len(server.get("/exports").json()["exports"])
    answer = server.get(path, Range="bytes=10000-")
    assert (answer.status, answer.json()["error"]) == (409, "cannot_resume")
    assert etag in [named["etag"] for named in answer.json()["detail"]["exports"]]
    assert len(server.get("/exports").json()["exports"]) == before


# What each says of a 409, and does not touch its file.
REFUSED = {
    "curl": (["curl", "-sS", "-C", "-", "-o"], 33),
    "wget": (["wget", "-q", "--no-config", "-c", "-O"], 8),
}


@pytest.mark.parametrize(("command", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_with_another_production_clients_leave_their_file(
    server, superseded, tmp_path, command, status
):
    need(command[0])
    path, start, _ = superseded
    file = tmp_path / "changing.csv"
    file.write_bytes(start)
    done = subprocess.run([*command, file, server.url(path)], capture_output=True, timeout=30)
    assert done.returncode == status
    assert file.read_bytes() == start


def test_with_another_production_aria2c_makes_no_splice(server, changing, tmp_path):
    """It asks for the whole first, for its length, and then for the rest of it."""
    need("aria2c")
    path, file = "/download/changing.csv?limit=99994", tmp_path / "changing.csv"
    start, _ = cut(server, path, 1_000_000)
    file.write_bytes(start)
    changing.write(CHANGE)
    server.finished("changing", limit=99994)
    command = ["aria2c", "-q", "--no-conf", "-c", "--file-allocation=none", "-d", "/", "-o", file]
    done = subprocess.run([*command, server.url(path)], capture_output=True, timeout=30)
    assert done.returncode == 22
    assert file.read_bytes() == start


def test_curl_takes_no_refusal_for_the_end_of_its_file(server, superseded, tmp_path):
    """It does so where a body is as long as its file."""
    path, start, _ = superseded
    size = len(server.get(path, Range="bytes=400-").body)
    for offset in range(size - 2, size + 3):
        file = tmp_path / f"{offset}.csv"
        file.write_bytes(start[:offset])
        assert server.curl(path, "-C", "-", "-o", file).wait(20) == 33


def test_the_line_of_the_readme_goes_on_with_what_it_has(server, changing, tmp_path):
    first, rest = readme_lines(server)
    file = tmp_path / "changing.csv"
    slow = first.replace("curl", "curl --limit-rate 500k", 1)
    curl = subprocess.Popen(["sh", "-c", f"exec {slow}"], cwd=tmp_path)
    wait_until(lambda: file.exists() and file.stat().st_size > 100_000, "some bytes")
    curl.kill()
    curl.wait()
    one = server.wait_for(latest(server)["id"], "complete")
    changing.write(CHANGE)
    server.get("/download/changing.csv")
    assert server.curl("/download/changing.csv", "-C", "-", "-o", file).wait(20) == 33
    subprocess.run(["sh", "-c", rest], cwd=tmp_path, check=True, timeout=30)
    assert sha256(file) == one["sha256"]


def test_the_lines_of_a_page_go_on_by_the_etag(server, tmp_path):
    page = html.unescape(server.get("/sources/twin", Accept="text/html").body.decode())
    first, rest = re.findall(r"^.*(curl .*\.etag.*?)(?:</code>.*)?$", page, re.MULTILINE)
    for line in (first, rest):
        subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True, timeout=30)
        assert sha256(tmp_path / "twin.csv") == latest(server)["sha256"]


def readme_lines(server):
    """The lines of README.md that keep an ETag and go on by it, for the source `changing`."""
    text = (ROOT / "README.md").read_text()
    text = text.replace("http://127.0.0.1:8000", server.base).replace("flights", "changing")
    return re.findall(r"^curl .*changing\.etag.*$", text, re.MULTILINE)


# The data changes, or the export is discarded, and it is proven that the bytes are the same.

ON = {
    "curl": ["curl", "-sS", "-C", "-", "-o"],
    "wget": ["wget", "-q", "--no-config", "-c", "-O"],
    "aria2c": ["aria2c", "-q", "--no-conf", "-c", "-d", "/", "-o"],
}
SAME = {
    "equal bytes": [],
    "rows were appended": [
        "insert or ignore into changing select i + 200000, 'later' from changing"
    ],
}


@pytest.mark.parametrize("command", ON.values(), ids=ON.keys())
@pytest.mark.parametrize("statements", SAME.values(), ids=SAME.keys())
def test_on_the_second_day(server, changing, tmp_path, command, statements):
    need(command[0])
    path, file = f"/download/changing.csv?i__gt=-{len(statements)}", tmp_path / "changing.csv"
    start, etag = cut(server, path, 10_000)
    server.wait_for(etag.strip('"'), "complete")
    changing.write(*statements)
    server.get(f"/exports/{etag.strip(chr(34))}", "DELETE")
    again = server.wait_for(server.get(path).headers["Headwater-Export"], "complete")
    file.write_bytes(start)
    subprocess.run([*command, file, server.url(path)], check=True, timeout=30)
    assert sha256(file) == again["sha256"]
    changing.write("delete from changing where i > 200000")


def test_a_change_further_on_costs_nothing(server, changing, tmp_path):
    path, file = "/download/changing.csv?limit=99996", tmp_path / "changing.csv"
    start, etag = cut(server, path, 10_000)
    server.wait_for(etag.strip('"'), "complete")
    changing.write("update changing set name = 'other' where i = 99996")
    told = server.wait_for(server.get(path).headers["Headwater-Export"], "complete")
    file.write_bytes(start)
    assert server.curl(path, "-C", "-", "-o", file).wait(20) == 0
    assert sha256(file) == told["sha256"]
    # A client that asks for a piece may have others, also the last one.
    assert server.get(path, Range="bytes=10000-20000").status == 409


def test_what_grows_is_compared_as_far_as_it_is(server):
    path = "/download/long.csv?rows=1000000"
    start, etag = cut(server, path, 2_000_000)
    server.get(f"/exports/{etag.strip(chr(34))}", "DELETE")
    again = server.prepare("long", rows=1_000_000)
    rest = server.get(path, Range=f"bytes={len(start)}-")
    assert (rest.status, rest.headers["Headwater-Export"]) == (206, again)
    whole = hashlib.sha256(start + rest.body).hexdigest()
    assert whole == server.export(again)["sha256"]


ARIA2C = ["aria2c", "-q", "--no-conf", "-c", "-x8", "-s8", "-k1M", "-d", "/", "-o"]


def test_aria2c_takes_pieces_on_the_second_day(server, changing, tmp_path):
    need("aria2c")
    path, file = "/download/numbers.json", tmp_path / "numbers.json"
    for _ in range(2):
        told = server.finished("numbers", "json")
        server.get(f"/exports/{told['id']}", "DELETE")
    told = server.finished("numbers", "json")
    subprocess.run([*ARIA2C, file, server.url(path)], check=True, timeout=30)
    assert sha256(file) == told["sha256"]


def test_aria2c_with_pieces_of_what_has_changed_makes_no_splice(server, changing, tmp_path):
    need("aria2c")
    path, file = "/download/changing.json?limit=99995", tmp_path / "changing.json"
    one = server.finished("changing", "json", limit=99995)
    slow = ["--max-download-limit=1M", "--auto-save-interval=1", "--file-allocation=none"]
    aria2c = subprocess.Popen([*ARIA2C, file, *slow, server.url(path)])
    wait_until(lambda: file.with_suffix(".json.aria2").exists(), "it has pieces")
    wait_until(lambda: file.exists() and file.stat().st_size > 100_000, "it has pieces")
    aria2c.terminate()
    aria2c.wait(20)
    changing.write("update changing set name = 'last ' where i = 99995")
    two = server.finished("changing", "json", limit=99995)
    done = subprocess.run([*ARIA2C, file, server.url(path)], capture_output=True, timeout=60)
    assert done.returncode or sha256(file) in (one["sha256"], two["sha256"])


def test_with_another_production_if_range_gets_the_first(server, superseded):
    path, start, etag = superseded
    rest = server.get(path, Range="bytes=10000-", If_Range=etag)
    assert (rest.status, rest.headers["ETag"]) == (206, etag)
    whole = start + rest.body
    assert hashlib.sha256(whole).hexdigest() == server.export(etag.strip('"'))["sha256"]


def test_if_range_of_an_export_that_is_gone_gets_the_whole(server, superseded):
    path, _, etag = superseded
    export_id = etag.strip('"')
    assert server.get(f"/exports/{export_id}", "DELETE").status == 200
    answer = server.get(path, Range="bytes=10000-", If_Range=etag)
    assert answer.status == 200
    assert answer.body.startswith(b"i,name\n1,second 1\n")


def test_a_range_after_its_export_is_gone_begins_nothing(server, changing):
    path = "/download/changing.csv?limit=99997"
    _, etag = cut(server, path, 10_000)
    server.get(f"/exports/{etag.strip(chr(34))}", "DELETE")
    before = len(server.get("/exports").json()["exports"])
    assert server.get(path, Range="bytes=10000-").status == 409
    assert len(server.get("/exports").json()["exports"]) == before


def test_curl_goes_on_after_a_restart(serve, tmp_path):
    server, file = serve(), tmp_path / "numbers.csv"
    data, etag = cut(server, "/download/numbers.csv", 1_000_000)
    file.write_bytes(data)
    told = server.wait_for(etag.strip('"'), "complete")
    server.wait_until_kept(told["id"])
    assert server.stop() == 0
    server.start()
    curl = server.curl("/download/numbers.csv", "-C", "-", "-o", file)
    assert curl.wait(20) == 0, curl.stderr.read()
    assert sha256(file) == told["sha256"]


def test_a_restart_in_mid_export_makes_no_splice(serve):
    server = serve()
    data, etag = cut(server, "/download/long.csv", 1_000_000)
    server.kill()
    server.start()
    again, other = cut(server, "/download/long.csv", 4_000_000)
    assert (again[:1_000_000], other == etag) == (data, False)
    # What a client may have of the first is not known to its end.
    assert server.get("/download/long.csv", Range="bytes=999999999999-").status == 409


def test_what_a_crash_has_torn_is_compared_as_far_as_it_was_written_down(serve):
    server = serve()
    path = "/download/long.csv?rows=3000000"
    torn = server.prepare("long", rows=3_000_000)
    wait_until(lambda: server.record(torn)["links"], "its chain is written down", 20)
    server.get(f"/exports/{torn}/file", Range="bytes=0-9")
    server.kill()
    server.start()
    whole = server.get(path).body
    rest = server.get(path, Range="bytes=1000000-")
    assert (rest.status, rest.body) == (206, whole[1_000_000:])
    size = server.record(torn)["bytes"]
    assert server.get(path, Range=f"bytes={size + 1}-").status == 409
