"""A file system whose times are whole seconds: two changes in one of them are never taken for one.

ext4 with inodes of 128 bytes, mounted here, as root. ext3, HFS+, FAT and SFTP are as coarse.
"""

import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from functools import partial
from http.client import IncompleteRead

import pytest

from sources.folders.folder import Version
from sources.grain import COARSE_S
from tests.system.server import wait_until

CATALOGUE = """
sources.t = {{ database = "sqlite:///{0}/d.db", table = "t" }}
folders.f = {{ path = "{0}/files" }}
"""
LONG = 16 * 1024 * 1024


@pytest.fixture(scope="module")
def mounted(tmp_path_factory):
    """A folder on such a file system."""
    if os.geteuid() or not shutil.which("mkfs.ext4"):
        pytest.skip("mounting needs root, and mkfs.ext4")
    folder = tmp_path_factory.mktemp("coarse")
    image, mounted = folder / "disk.img", folder / "mounted"
    mounted.mkdir()
    with image.open("wb") as disk:
        disk.truncate(4 * LONG)
    subprocess.run(["mkfs.ext4", "-q", "-I", "128", image], check=True, stderr=subprocess.DEVNULL)
    mount = subprocess.run(["mount", "-o", "loop", image, mounted], stderr=subprocess.PIPE)
    if mount.returncode:
        pytest.skip(f"no loop mounts here: {mount.stderr!a}")
    mounted.joinpath("files").mkdir()
    with closing(sqlite3.connect(mounted / "d.db")) as connection, connection:
        connection.execute("create table t as select 0 as v")
    yield mounted
    subprocess.run(["umount", mounted], check=True)


@pytest.fixture(scope="module")
def server(serve_all, mounted):
    return serve_all(catalogue=CATALOGUE.format(mounted))


@pytest.fixture
def path(mounted):
    path = mounted / "files" / "a.txt"
    yield path
    path.unlink()


def commit(mounted, value):
    with closing(sqlite3.connect(mounted / "d.db")) as connection, connection:
        connection.execute("update t set v = ?", [value])


def begin_a_second():
    wait_until(lambda: 0.1 < time.time() % 1 < 0.2, "a second begins")


def change_within_a_second(path, size, ask):
    """Return what ask() gave between two writes to path that left the same times."""

    def change():
        begin_a_second()
        path.write_bytes(b"A" * size)
        before = Version.of(path.stat())
        asked = ask()
        with path.open("r+b") as file:
            file.write(b"B" * size)
        # On a busy machine another second may have begun.
        return asked if Version.of(path.stat()) == before else asked.close()

    return wait_until(change, "both in one second", 60)


def test_two_commits_in_one_second_are_two_exports(server, mounted):
    begin_a_second()
    commit(mounted, 1)
    assert server.get("/download/t.csv").body == b"v\n1\n"
    commit(mounted, 2)
    assert server.get("/download/t.csv").body == b"v\n2\n"
    wait_until(lambda: time.time() > (mounted / "d.db").stat().st_mtime + COARSE_S, "settled")
    assert server.get("/download/t.csv").body == b"v\n2\n"
    # From then on it is shared.
    made = server.get("/download/t.csv").headers["ETag"]
    assert server.get("/download/t.csv").headers["ETag"] == made


def test_a_file_that_changed_in_the_same_second_is_not_resumed(server, path):
    first = change_within_a_second(path, 1000, partial(server.open, "/files/f/a.txt"))
    etag = first.headers["ETag"]
    answer = server.get("/files/f/a.txt", Range="bytes=500-", If_Range=etag)
    assert (answer.status, answer.body) == (200, b"B" * 1000)
    wait_until(lambda: time.time() > path.stat().st_ctime + COARSE_S, "settled")
    etag = server.get("/files/f/a.txt", Range="bytes=0-499").headers["ETag"]
    assert server.get("/files/f/a.txt", Range="bytes=500-", If_Range=etag).status == 206


@pytest.mark.parametrize("address", ["/files/f/a.txt", "/download/f.zip"])
def test_a_cache_is_not_told_that_nothing_has_changed(server, path, address):
    first = change_within_a_second(path, 1000, partial(server.open, address))
    known = {"If_None_Match": first.headers["ETag"]}
    assert "Last-Modified" not in first.headers
    assert server.get(address, **known).status == 200
    wait_until(lambda: time.time() > path.stat().st_ctime + COARSE_S, "settled")
    assert server.get(address, **known).status == 200
    known = {"If_None_Match": server.get(address).headers["ETag"]}
    assert server.get(address, **known).status == 304


@pytest.mark.parametrize("address", ["/files/f/a.txt", "/download/f.zip"])
def test_a_file_that_changes_within_its_second_while_it_is_sent_is_cut(server, path, address):
    stream = change_within_a_second(path, LONG, partial(server.open, address))
    with pytest.raises(IncompleteRead):
        stream.read()
