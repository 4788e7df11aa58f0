"""static/js/live.js in Node, against the real server: tests/js, each file as one test here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.server import ROOT, end_clients, need

FILES = sorted(Path(ROOT, "tests/js").glob("*.test.mjs"))


def test_the_script_of_the_docs_follows(server):
    need("node")
    (script,) = re.findall(r"(?s)```js\n(.*?)```", Path(ROOT, "docs/live-js.md").read_text())
    server.publish("demo/documented", 1)
    # Its imports are relative to the folder of the project, as those of a file there.
    command = [
        "node",
        "--input-type=module",
        "-e",
        script.replace("http://127.0.0.1:8000", server.base),
    ]
    client = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert client.stdout.readline() == "demo/documented 1\n"
        server.publish("demo/documented", 2)
        assert client.stdout.readline() == "demo/documented 2\n"
    finally:
        end_clients([client])


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
