"""make run: what is wrong is said before anything is fetched, made or served."""

import os
import socket
import subprocess
from functools import partial

import pytest

from tests.system.server import ROOT, need

WRONG = {
    "a setting": ({"HEADWATER_POTR": "1"}, "HEADWATER_POTR: there is no such setting"),
    "an address without tokens": (
        {"HEADWATER_HOST": "0.0.0.0"},
        "it does not listen on 0.0.0.0 without",
    ),
    "a value": ({"HEADWATER_PORT": "http"}, "HEADWATER_PORT: 'http' is not a whole number"),
    "no catalogue": ({"HEADWATER_CATALOGUE": "no/such.toml"}, "no/such.toml: cannot be read"),
    "a setting, with a catalogue": (
        {"HEADWATER_CATALOGUE": "no/such.toml", "HEADWATER_PORT": "-1"},
        "HEADWATER_PORT: '-1' is not",
    ),
}


@pytest.fixture
def refuse(tmp_path):
    """A verb: refuse(why, HEADWATER_X=…) has `make run` say why and end, with nothing done."""
    need("make")
    return partial(_refuse, tmp_path / "instance")


def _refuse(instance, why, **environ):
    plain = {k: v for k, v in os.environ.items() if not k.startswith("HEADWATER_")}
    ours = {"HEADWATER_INSTANCE": str(instance), "HEADWATER_PORT": "0", **environ}
    ended = subprocess.run(
        ["make", "run"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**plain, **ours},
    )  # fmt: skip
    said = ended.stdout + ended.stderr
    assert ended.returncode == 2, said
    assert said.count(why) == 1
    assert "Listening" not in said
    assert "downloading" not in said
    assert not instance.exists()


@pytest.mark.parametrize(("environ", "why"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_at_once(refuse, environ, why):
    refuse(why, **environ)


def test_a_busy_port_is_said_at_once(refuse):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refuse(f"port {port} on 127.0.0.1 is in use", HEADWATER_PORT=str(port))
