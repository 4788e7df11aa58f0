"""README.md: what it has somebody run does what it says."""

import re
import subprocess
import sys

import pytest

from tests.system.server import ROOT, end_clients, wait_until


@pytest.fixture
def start_python():
    """start_python(program): a running Python whose output can be read."""
    started = []

    def start(program):
        command = [sys.executable, "-u", "-c", program]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    end_clients(started)


def test_the_python_client_follows_until_it_is_ended(server, start_python):
    (program,) = re.findall(r"(?s)```python\n(.*?)```", (ROOT / "README.md").read_text())
    client = start_python(program.replace("http://127.0.0.1:8000", server.base))
    wait_until(lambda: server.readers("demo/readme"), "it follows")
    assert "'ok': True" in client.stdout.readline()
    for n in (1, 2):
        server.publish("demo/readme", n)
        line = client.stdout.readline()
        assert "'topic': 'demo/readme'" in line
        assert f"'data': {n}" in line
    assert client.poll() is None
