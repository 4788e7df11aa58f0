"""What is installed is what was looked at: each pin names the files that it stands for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = (ROOT, ROOT / "setup", ROOT / "benchmarks" / "peers")
FILES = sorted(path for folder in FOLDERS for path in folder.glob("*requirements*.txt"))
INSTALLS = ["setup/environment.sh", "deploy/Dockerfile", "benchmarks/peers/broadcasters.py"]
HASHED = re.compile(r"[\w.-]+==\S+( --hash=sha256:[0-9a-f]{64})+")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_requirement_is_pinned_with_its_hashes(path):
    lines = re.sub(r" *\\\n *", " ", path.read_text(encoding="utf-8")).splitlines()
    pins = [line.strip() for line in lines if not line.lstrip().startswith("#") and line.strip()]
    assert pins
    assert [pin for pin in pins if not HASHED.fullmatch(pin)] == []


@pytest.mark.parametrize("path", INSTALLS)
def test_what_is_installed_has_to_have_hashes(path):
    assert "--require-hashes" in ROOT.joinpath(path).read_text(encoding="utf-8")


def test_what_is_compiled_anew_has_hashes():
    assert "--generate-hashes" in ROOT.joinpath("Makefile").read_text(encoding="utf-8")
