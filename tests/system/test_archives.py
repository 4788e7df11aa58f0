"""Whole folders as one download, on a running server: whole for every reader, and resumed."""

import io
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from contextlib import suppress
from http.client import IncompleteRead
from pathlib import Path

import pytest
import zstandard

from tests.system.server import need, wait_until
from tests.system.test_bad_input import check
from tests.system.test_files import SECRET, rewrite, wait_until_settled

FOLDERS = ("tree", "empty", "own", "noise")

MIB = 1024 * 1024
MODIFIED_S = 1_700_000_000


class Pipe(io.BytesIO):
    """What nobody seeks in."""

    def seek(self, *place):
        raise OSError("a pipe")


def zipped_into_a_pipe(content):
    """Return a ZIP in which, as in ours, sizes come after what they are of."""
    with Pipe() as pipe:
        with zipfile.ZipFile(pipe, "w") as members:
            members.writestr("a.txt", content)
        return pipe.getvalue()


CONTENT = {
    "plain.txt": b"plain\n" * 1000,
    "empty.bin": b"",
    "one byte": b"x",
    "sub/inner.txt": b"inner",
    "sub/deeper/Ünïcødé 日本 🌊.txt": "Ünïcødé".encode(),
    "quote\"'$HOME`ls`.txt": b"quoted",
    "-n": b"no option",
    "# comment": b"no comment",
    " blank ": b"blank",
    "long/" + "x" * 255: b"long name",
    "an archive.zip": zipped_into_a_pipe(b"inside"),
    "large.bin": bytes(range(256)) * 8192,
}
# unzip, 7z and bsdtar make other names of some of these.
HARD_NAMES = {
    "sub/e\u0301.txt": b"in two",
    "two\nlines.txt": b"two lines",
    "carriage\rreturn": b"carriage return",
    "back\\slash.txt": b"back slash",
    "\\\n": b"both",
}
LEFT_OUT = {
    "folder-link": "a link to a folder",
    "out": "not a file that is served",
    "pipe": "not a file that is served",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """What is served, and beside it what is not."""
    root = tmp_path_factory.mktemp("folders")
    for name in FOLDERS:
        root.joinpath(name).mkdir()
    root.joinpath("secret.txt").write_bytes(SECRET)
    tree = root / "tree"
    for name, content in (CONTENT | HARD_NAMES).items():
        tree.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        tree.joinpath(name).write_bytes(content)
        os.utime(tree / name, (MODIFIED_S, MODIFIED_S))
    tree.joinpath("sub", "nothing here").mkdir()
    tree.joinpath(".hidden").write_bytes(SECRET)
    tree.joinpath("link").symlink_to("plain.txt")
    tree.joinpath("folder-link").symlink_to("sub")
    tree.joinpath("out").symlink_to("../secret.txt")
    os.mkfifo(tree / "pipe")
    for i in range(40):
        root.joinpath("noise", f"{i:02}").write_bytes(os.urandom(MIB))
    return root


@pytest.fixture(scope="module")
def catalogue(folders):
    return "".join(f"[folders.{name}]\npath = '{folders / name}'\n" for name in FOLDERS)


@pytest.fixture(scope="module")
def server(serve_all, folders, catalogue):
    """A server of FOLDERS; all of them have been left alone for a while."""
    wait_until_settled(*folders.rglob("*"))
    return serve_all(catalogue=catalogue)


@pytest.fixture(scope="module")
def archive(server, tmp_path_factory):
    """The path of the ZIP of the folder `tree`, downloaded."""
    path = tmp_path_factory.mktemp("archive") / "tree.zip"
    answer = server.get("/download/tree.zip")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="tree.zip"'
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    path.write_bytes(answer.body)
    return path


@pytest.fixture
def own(folders):
    """The folder `own` with three files of 16 MiB, settled."""
    own = folders / "own"
    shutil.rmtree(own, ignore_errors=True)
    own.joinpath("sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        own.joinpath(name).write_bytes(name[-1].encode() * (16 * MIB))
    wait_until_settled(own, *own.rglob("*"))
    return own


def run(*command, **options):
    """Run a program that has to be there and to succeed; return what it says."""
    need(command[0])
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False, **options)
    assert ended.returncode == 0, ended.stdout[-1000:] + ended.stderr[-1000:]
    return ended.stdout


def files_in(folder):
    """Return the content of every file below folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


SERVED = CONTENT | HARD_NAMES | {"link": CONTENT["plain.txt"]}
# By the names that the archive gives them.
EVERYTHING = {name.replace("\\", "%5C"): content for name, content in SERVED.items()}


def check_unpacked(folder, want=EVERYTHING):
    """Check that what is wanted was unpacked into folder, with a manifest that is right."""
    found = files_in(folder)
    assert {name: found.get(name) for name in want} == want
    assert len(found) == len(EVERYTHING) + 1
    assert folder.joinpath("sub", "nothing here").is_dir()
    some = ["--ignore-missing"] if want is CONTENT else []
    run("sha256sum", "-c", "--strict", "--quiet", *some, "MANIFEST.sha256", cwd=folder)


# Readers.


def test_python_reads_it(archive):
    with zipfile.ZipFile(archive) as members:
        assert members.testzip() is None
        names = members.namelist()
        assert names[-1] == "MANIFEST.sha256"
        assert names[:-1] == sorted(names[:-1], key=lambda name: name.replace("%5C", "\\"))
        assert {name for name in names if name.endswith("/")} == {
            "long/", "sub/", "sub/deeper/", "sub/nothing here/",
        }  # fmt: skip
        assert {n: members.read(n) for n in names[:-1] if not n.endswith("/")} == EVERYTHING


def test_the_manifest_says_what_was_left_out(archive):
    manifest = zipfile.ZipFile(archive).read("MANIFEST.sha256").decode()
    assert re.findall("^# left out: '(.*)': (.*)$", manifest, re.M) == list(LEFT_OUT.items())
    # A hidden file is no secret that a manifest tells.
    assert "hidden" not in manifest
    assert "secret" not in manifest


def test_what_python_unpacks_agrees_with_the_manifest(archive, tmp_path):
    with zipfile.ZipFile(archive) as members:
        members.extractall(tmp_path)
    check_unpacked(tmp_path)


def test_unzip_unpacks_it(archive, tmp_path):
    run("unzip", "-t", "-q", archive)
    run("unzip", "-q", archive, "-d", tmp_path)
    check_unpacked(tmp_path, CONTENT)
    assert tmp_path.joinpath("plain.txt").stat().st_mtime == MODIFIED_S


def test_7z_unpacks_it(archive, tmp_path):
    assert b"Everything is Ok" in run("7z", "t", archive)
    run("7z", "x", f"-o{tmp_path}", archive)
    check_unpacked(tmp_path, CONTENT)


@pytest.mark.parametrize("way", ["file", "pipe"])
def test_bsdtar_unpacks_it(archive, tmp_path, way):
    source = archive if way == "file" else "-"
    # A pipe, not the file itself, in which it would seek.
    with subprocess.Popen(["cat", archive], stdout=subprocess.PIPE) as cat:
        run("bsdtar", "-xf", source, "-C", tmp_path, stdin=cat.stdout)
    check_unpacked(tmp_path, CONTENT)
    assert tmp_path.joinpath("plain.txt").stat().st_mtime == MODIFIED_S


def test_an_empty_folder_has_a_manifest_only(server):
    members = zipfile.ZipFile(io.BytesIO(server.get("/download/empty.zip").body))
    assert members.namelist() == ["MANIFEST.sha256"]
    assert members.read("MANIFEST.sha256").startswith(b"# ")


def test_it_is_the_same_again(server, archive):
    answer = server.get("/download/tree.zip")
    assert answer.body == archive.read_bytes()
    assert server.get("/download/tree.zip", "HEAD").headers["ETag"] == answer.headers["ETag"]


# Going on.


def test_spans_of_it_are_of_the_same_bytes(server, archive):
    whole = archive.read_bytes()
    for start in range(0, len(whole), len(whole) // 97):
        stop = min(len(whole), start + 30_000)
        answer = server.get("/download/tree.zip", Range=f"bytes={start}-{stop - 1}")
        assert answer.status == 206
        assert answer.body == whole[start:stop]


def test_it_goes_on_after_kill_9_and_a_restart(serve, folders, catalogue, tmp_path):
    server, saved = serve(catalogue=catalogue), tmp_path / "noise.zip"
    stream = server.open("/download/noise.zip")
    start, etag = stream.read(21 * MIB + 12345), stream.headers["ETag"]
    server.kill()
    with pytest.raises((IncompleteRead, ConnectionResetError)):
        stream.read()
    server.start()
    saved.write_bytes(start)
    size = int(stream.headers["Content-Length"])
    curl = server.curl("/download/noise.zip", "-C", "-", "-o", saved, "-H", f"If-Range: {etag}")
    assert curl.wait(30) == 0, curl.stderr.read()
    assert saved.stat().st_size == size
    whole = server.get("/download/noise.zip")
    assert whole.headers["ETag"] == etag
    assert saved.read_bytes() == whole.body
    assert f"range='bytes={len(start)}-' bytes={size - len(start)} " in server.log
    assert zipfile.ZipFile(saved).testzip() is None


def test_aria2c_in_eight_pieces_from_a_server_that_knows_nothing(serve, catalogue, tmp_path):
    need("aria2c")
    server = serve(catalogue=catalogue)
    command = ["aria2c", "--no-conf", "-q", "-x8", "-s8", "-k1M", "--file-allocation=none"]
    command += ["-d", tmp_path, "-o", "noise.zip", server.url("/download/noise.zip")]
    subprocess.run(command, check=True, timeout=60)
    saved = tmp_path.joinpath("noise.zip").read_bytes()
    assert saved == server.get("/download/noise.zip").body
    assert zipfile.ZipFile(io.BytesIO(saved)).testzip() is None


# Changes.


def etag_of(server, name="own"):
    return server.get(f"/download/{name}.zip", "HEAD").headers["ETag"]


def rename(own):
    own.joinpath("a").rename(own / "A")


def hide(own):
    own.joinpath("a").rename(own / ".a")


def replace(own):
    own.joinpath("new").write_bytes(own.joinpath("a").read_bytes())
    own.joinpath("new").rename(own / "a")


CHANGES = {
    "a file more": lambda own: own.joinpath("sub", "d").write_bytes(b"d"),
    "a folder more": lambda own: own.joinpath("sub", "d").mkdir(),
    "a file less": lambda own: own.joinpath("sub", "c").unlink(),
    "a file called otherwise": rename,
    "a file that is hidden": hide,
    "a file grown": lambda own: os.truncate(own / "a", 16 * MIB + 1),
    "a file shrunk": lambda own: os.truncate(own / "a", 16 * MIB - 1),
    "another content, size and time restored": lambda own: rewrite(own / "a", b"other"),
    "another file of the same content": replace,
    "another time": lambda own: os.utime(own / "a", (1, 1)),
    "a link out more": lambda own: own.joinpath("sub", "out").symlink_to("/etc/passwd"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_the_etag_changes_with_the_folder(server, own, change):
    before = etag_of(server)
    assert before == etag_of(server)
    change(own)
    wait_until_settled(*own.rglob("*"))
    after = etag_of(server)
    assert after != before
    assert not after.startswith("W/")
    answer = server.get("/download/own.zip", Range="bytes=100-199", If_Range=before)
    assert answer.status == 200


def test_the_etag_changes_with_a_folders_time(server, own):
    """What is put in and taken away again leaves another time, which the archive holds."""
    before = server.get("/download/own.zip")
    own.joinpath("sub", "passing").touch()
    own.joinpath("sub", "passing").unlink()
    os.utime(own / "sub", (MODIFIED_S, MODIFIED_S))
    wait_until_settled(own, *own.rglob("*"))
    after = server.get("/download/own.zip")
    assert (after.headers["ETag"] == before.headers["ETag"]) == (after.body == before.body)


def test_what_was_just_written_has_a_weak_etag(server, folders):
    path = folders / "empty" / "fresh"

    def is_weak():
        path.write_bytes(b"fresh")
        return etag_of(server, "empty").startswith('W/"')

    # The machine may be too busy to ask within 50 ms.
    wait_until(is_weak, "weak")
    wait_until(lambda: not etag_of(server, "empty").startswith("W/"), "strong")
    path.unlink()


LATER = {
    "grown": lambda own: os.truncate(own / "sub" / "c", 17 * MIB),
    "cut short": lambda own: os.truncate(own / "sub" / "c", MIB),
    "overwritten, size and time restored": lambda own: rewrite(own / "sub" / "c", b"x"),
    "removed": lambda own: own.joinpath("sub", "c").unlink(),
    "replaced by a folder": lambda own: (
        own.joinpath("sub", "c").unlink(),
        own.joinpath("sub", "c").mkdir(),
    ),
    "replaced by a link out": lambda own: (
        own.joinpath("sub", "c").unlink(),
        own.joinpath("sub", "c").symlink_to("/etc/passwd"),
    ),
    "replaced by a pipe": lambda own: (
        own.joinpath("sub", "c").unlink(),
        os.mkfifo(own / "sub" / "c"),
    ),
    "its folder moved": lambda own: own.joinpath("sub").rename(own / "moved"),
    "everything removed": lambda own: shutil.rmtree(own),
}


@pytest.mark.parametrize("change", LATER.values(), ids=LATER.keys())
def test_a_file_that_changes_before_it_is_due_cuts_the_transfer(server, own, change):
    stream = server.open("/download/own.zip")
    size, first = int(stream.headers["Content-Length"]), stream.read(100_000)
    change(own)
    with pytest.raises(IncompleteRead) as caught:
        stream.read()
    received = first + caught.value.partial
    assert len(received) < size
    # And there is no directory at its end, so no reader takes it for an archive.
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(received))
    wait_until(lambda: "transfer folder=own.zip range='' " in server.log, "it is logged")
    assert "ending=failed (" in server.log


def test_a_folder_that_is_gone_is_not_to_be_had_now(server, own):
    shutil.rmtree(own)
    assert check(server.get("/download/own.zip"), 503)["error"] == "source_unavailable"


def test_files_that_are_shorter_than_they_say_cut_the_transfer(serve):
    """As sysfs has them. The threads that read are free again: all twenty of them."""
    short = Path("/sys/kernel/mm/transparent_hugepage")
    if not short.is_dir():
        pytest.skip("this kernel has no such folder")
    server = serve(catalogue=f'folders.short.path = "{short}"')
    for _ in range(25):
        with suppress(IncompleteRead):
            assert server.get("/download/short.zip").status == 409
        assert server.get("/download/short.zip", Range="bytes=-100").status == 409
    answer = server.get("/files/short/enabled")
    assert (answer.status, answer.json()["error"]) == (409, "file_changed")
    assert "of 4096" in answer.json()["message"]


def test_a_client_that_leaves_leaves_nothing_open(server, own):
    worker = server.worker()
    server.get("/download/own.zip", Range="bytes=0-0")
    before = worker.num_fds()
    for _ in range(20):
        stream = server.open("/download/own.zip")
        stream.read(10_000)
        stream.close()
        server.get("/download/own.zip", "HEAD")
        server.get("/download/own.zip", Range="bytes=5-6,20000000-20000001")
    wait_until(lambda: worker.num_fds() <= before, "all are closed")


# As a compressed tar.


def test_the_tar_has_the_same(server, tmp_path):
    answer = server.get("/download/tree.tar.zst")
    assert answer.status == 200
    with (
        zstandard.ZstdDecompressor().stream_reader(io.BytesIO(answer.body)) as plain,
        tarfile.open(fileobj=plain, mode="r|") as tar,
    ):
        tar.extractall(tmp_path, filter="data")
    check_unpacked(tmp_path, SERVED)


def test_bsdtar_unpacks_the_tar(server, tmp_path):
    path = tmp_path / "tree.tar.zst"
    path.write_bytes(server.get("/download/tree.tar.zst").body)
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    run("bsdtar", "-xf", path, "-C", unpacked)
    check_unpacked(unpacked, CONTENT)


# Bad input.

PATHS = {
    "an unknown folder": ("nothing.zip", 404),
    "an unknown folder's tar": ("nothing.tar.zst", 404),
    "another case": ("TREE.zip", 404),
    "another case of the kind": ("tree.ZIP", 404),
    "another kind": ("tree.tar.gz", 404),
    "no folder": (".zip", 404),
    "..": ("..zip", 404),
    "encoded dots": ("%2e%2e.zip", 404),
    "NUL": ("tree%00.zip", 404),
    "not UTF-8": ("%ff.zip", 404),
    "a folder below": ("tree/sub.zip", 404),
    "an encoded slash": ("tree%2fsub.zip", 404),
    "a word for a tar": ("tree.tar.zst?limit=1", 400),
}


@pytest.mark.parametrize(("path", "status"), PATHS.values(), ids=PATHS.keys())
def test_bad_paths(server, path, status):
    check(server.get(f"/download/{path}"), status)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_an_archive_is_only_read(server, method):
    answer = server.get("/download/tree.zip", method)
    check(answer, 405)
    assert "GET" in answer.headers["Allow"]


def test_nothing_of_all_this_was_a_mistake_of_the_server(server):
    assert "request failed" not in server.log
