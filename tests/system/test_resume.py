"""Cut downloads go on: to the same bytes when they are still there, and never to a splice."""

import hashlib
import random
import subprocess

import pytest

from tests.system.server import ROWS, need, wait_until


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


def test_with_another_production_a_bare_range_gets_the_whole(server, superseded):
    path, _, etag = superseded
    answer = server.get(path, Range="bytes=10000-")
    assert answer.status == 200
    assert answer.headers["ETag"] != etag
    assert answer.body.startswith(b"i,name\n1,second 1\n")


def test_with_another_production_curl_refuses(server, superseded, tmp_path):
    path, start, _ = superseded
    file = tmp_path / "changing.csv"
    file.write_bytes(start)
    assert server.curl(path, "-C", "-", "-o", file).wait(20) == 33
    assert file.read_bytes() == start


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


def test_a_range_after_its_export_is_gone_gets_the_whole(server, changing):
    path = "/download/changing.csv?limit=99997"
    _, etag = cut(server, path, 10_000)
    server.get(f"/exports/{etag.strip(chr(34))}", "DELETE")
    answer = server.get(path, Range="bytes=10000-")
    assert answer.status == 200
    assert answer.headers["ETag"] != etag


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
    answer = server.open("/download/long.csv", Range=f"bytes={len(data)}-")
    assert answer.status == 200
    assert answer.headers["ETag"] != etag
    assert answer.read(11) == b"i,t\n1,row 1"
