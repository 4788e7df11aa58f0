"""make run: what is wrong is said before anything is fetched, made or served."""

import os
import subprocess

import pytest

from tests.system.server import ROOT, need

WRONG = {
    "a setting": ({"HEADWATER_POTR": "1"}, "HEADWATER_POTR: there is no such setting"),
    "a value": ({"HEADWATER_PORT": "http"}, "HEADWATER_PORT: 'http' is not a whole number"),
    "no catalogue": ({"HEADWATER_CATALOGUE": "no/such.toml"}, "no/such.toml: cannot be read"),
    "a setting, with a catalogue": (
        {"HEADWATER_CATALOGUE": "no/such.toml", "HEADWATER_PORT": "-1"},
        "HEADWATER_PORT: '-1' is not",
    ),
}


@pytest.mark.parametrize(("environ", "why"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_at_once(tmp_path, environ, why):
    need("make")
    plain = {k: v for k, v in os.environ.items() if not k.startswith("HEADWATER_")}
    instance = tmp_path / "instance"
    ended = subprocess.run(
        ["make", "run"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**plain, "HEADWATER_INSTANCE": str(instance), **environ},
    )  # fmt: skip
    said = ended.stdout + ended.stderr
    assert ended.returncode == 2
    assert said.count(why) == 1
    assert "Listening" not in said
    assert "downloading" not in said
    assert not instance.exists()
