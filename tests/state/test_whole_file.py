"""Files that are replaced: whole, or as they were."""

import os
import resource
import signal

import pytest

from state.whole_file import replacing, write_whole


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.json"


def names_beside(path):
    return [each.name for each in path.parent.iterdir()]


def test_what_is_written_is_there_alone(path):
    for content in (b"first", b"", b"x" * 100_000):
        write_whole(path, content)
        assert path.read_bytes() == content
        assert names_beside(path) == ["a.json"]


def test_its_mode_is_the_new_ones(path):
    path.touch()
    path.chmod(0o644)
    write_whole(path, b"secret", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def full_disk():
    """No file may be longer than 1,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_what_cannot_be_written_leaves_it_as_it_was(path, full_disk):
    write_whole(path, b"as it was")
    with pytest.raises(OSError, match="too large"):
        write_whole(path, bytes(2000))
    assert path.read_bytes() == b"as it was"
    assert names_beside(path) == ["a.json"]


def test_a_block_that_fails_leaves_it_as_it_was(path):
    path.write_bytes(b"as it was")
    with pytest.raises(ZeroDivisionError), replacing(path) as draft:
        draft.write_bytes(bytes(1 // 0))
    with pytest.raises(FileNotFoundError), replacing(path):
        # Nothing was made.
        pass
    assert path.read_bytes() == b"as it was"
    assert names_beside(path) == ["a.json"]


def test_content_and_name_are_synced_in_this_order(path, monkeypatch):
    synced = []
    fsync = os.fsync

    def note(descriptor):
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115, PTH119
        synced.append((name, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_whole(path, b"content")
    (draft, was_there), (folder, is_there) = synced
    assert draft.startswith(".a.json.")
    assert (was_there, folder, is_there) == (False, path.parent.name, True)
