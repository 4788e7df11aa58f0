"""static/js/live.js in Node, against the real server: tests/js, each file as one test here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.server import ROOT, need

FILES = sorted(Path(ROOT, "tests/js").glob("*.test.mjs"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_in_node(file):
    need("node")
    ran = subprocess.run(
        ["node", "--test", file],
        cwd=ROOT,
        env={**os.environ, "HEADWATER_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
    assert "# pass 0\n" not in ran.stdout
