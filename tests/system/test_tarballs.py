"""A folder as .tar.zst is an export: shared, resumed, kept, and never of two moments."""

import hashlib
import io
import subprocess
import tarfile

import pytest
import zstandard

from tests.system.server import CATALOGUE, wait_until


@pytest.fixture
def files(tmp_path):
    """A folder of 40 files that do not compress, and one at the end that can be changed."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(40):
        seed = hashlib.sha256(b"%d" % number).digest()
        (folder / f"{number:02}").write_bytes(hashlib.shake_256(seed).digest(500_000))
    return folder


@pytest.fixture
def served(serve, files):
    return serve(catalogue=f"{CATALOGUE}\n[folders.files]\npath = '{files}'\n")


def settled(server):
    """Ask until what was written last shows in the files' times, so that exports are shared."""
    return wait_until(
        lambda: server.get("/download/files.tar.zst", "HEAD").headers.get("ETag"), "is shared"
    )


def members(body):
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(body)
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_it_is_whole_and_is_an_export(served, files):
    answer = served.get("/download/files.tar.zst")
    assert answer.headers["Content-Type"] == "application/zstd"
    assert 'filename="files.tar.zst"' in answer.headers["Content-Disposition"]
    found = members(answer.body)
    assert found.pop("MANIFEST.sha256").count(b"\n") == 40
    assert found == {path.name: path.read_bytes() for path in files.iterdir()}
    told = served.export(answer.headers["Headwater-Export"])
    assert (told["state"], told["rows"], told["rows_estimate"]) == ("complete", 40, 40)
    assert told["sha256"] == hashlib.sha256(answer.body).hexdigest()


def test_it_is_shared_until_something_changes(served, files):
    first = served.get("/download/files.tar.zst")
    assert settled(served) == first.headers["ETag"]
    (files / "new").write_bytes(b"new")
    second = served.get("/download/files.tar.zst")
    assert second.headers["ETag"] != first.headers["ETag"]
    assert members(second.body)["new"] == b"new"


def test_curl_goes_on_where_it_was_cut(served, tmp_path):
    whole = served.get("/download/files.tar.zst").body
    part = tmp_path / "part"
    part.write_bytes(whole[:7_654_321])
    url = f"http://127.0.0.1:{served.port}/download/files.tar.zst"
    subprocess.run(["curl", "-sf", "-C", "-", "-o", part, url], check=True, timeout=30)
    assert part.read_bytes() == whole


def test_a_selection_of_a_folder_is_refused(served):
    answer = served.get("/download/files.tar.zst?columns=a")
    assert (answer.status, answer.json()["error"]) == (400, "bad_selection")
    answer = served.get("/download/none.tar.zst")
    assert (answer.status, answer.json()["error"]) == (404, "unknown_folder")
