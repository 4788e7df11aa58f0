"""The key that signs: made once, for our eyes only, and refused when it is not so any more."""

from pathlib import Path

import pytest

from auth import SecretUnusable, read_secret
from auth.secret import KEY_BYTES


@pytest.fixture
def path(tmp_path):
    return tmp_path / "instance" / "secret.key"


def test_it_is_made_once(path):
    key = read_secret(path)
    assert len(key) == KEY_BYTES
    assert read_secret(path) == key == path.read_bytes()


def test_only_we_can_read_it(path):
    read_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["secret.key"]


def test_no_two_are_alike(path, tmp_path):
    assert read_secret(path) != read_secret(tmp_path / "other.key")


def test_what_a_start_that_was_killed_has_left_is_no_key(path):
    path.parent.mkdir()
    path.with_name(".secret.key.0a.new").write_bytes(b"half")
    path.with_name(".secret.key.0a.new").chmod(0o600)
    assert len(read_secret(path)) == KEY_BYTES


def test_one_of_another_length_may_be_put_there(path):
    path.parent.mkdir()
    path.write_bytes(b"k" * 64)
    path.chmod(0o400)
    assert read_secret(path) == b"k" * 64


@pytest.mark.parametrize("size", [0, 1, KEY_BYTES - 1])
def test_one_that_is_too_short_is_refused_and_left(path, size):
    path.parent.mkdir()
    path.write_bytes(b"k" * size)
    path.chmod(0o600)
    with pytest.raises(SecretUnusable, match="too short for a key; remove it"):
        read_secret(path)
    assert path.stat().st_size == size


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_one_that_others_can_read_is_refused(path, mode):
    read_secret(path)
    path.chmod(mode)
    with pytest.raises(SecretUnusable, match="can be read by others: chmod 600 it"):
        read_secret(path)
    path.chmod(0o600)
    assert read_secret(path)


def test_a_folder_in_its_place_is_refused(path):
    path.mkdir(parents=True)
    with pytest.raises(SecretUnusable, match="cannot be read or made: Is a directory"):
        read_secret(path)


def test_a_file_in_the_place_of_its_folder_is_refused(path):
    path.parent.write_text("a file")
    with pytest.raises(SecretUnusable, match="cannot be read or made"):
        read_secret(path)


def test_a_folder_that_cannot_be_made_is_told():
    # Not even by root.
    with pytest.raises(SecretUnusable, match="cannot be read or made"):
        read_secret(Path("/proc/headwater/secret.key"))
