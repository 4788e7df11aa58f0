"""`flask --app wsgi` with a catalogue that is wrong: each problem once, by the command for that."""

import os
import subprocess
import sys

import pytest

from tests.system.server import ROOT

PROBLEMS = "[sources.a]\ntable = 1\n[sources.b]\nrows = 1\n"
NO_TOML = "[sources.a]\ntable 1\n"


@pytest.fixture
def type_in(tmp_path):
    """type_in(catalogue, *words): a command that has ended; catalogue: the text of the file."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("HEADWATER_")}
    path = tmp_path / "headwater.toml"
    own = {"HEADWATER_INSTANCE": str(tmp_path), "HEADWATER_CATALOGUE": str(path)}

    def run(catalogue, *words):
        path.write_text(catalogue)
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", *words],
            cwd=ROOT, env=plain | own, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


def test_each_problem_is_said_once(type_in):
    ended = type_in(PROBLEMS, "catalogue")
    assert (ended.returncode, ended.stderr) == (1, "")
    lines = ended.stdout.splitlines()
    assert len(lines) == len(set(lines)) == 3
    assert lines[0].startswith("sources.a.database: ")


def test_what_is_no_toml_is_said_with_the_files_name(type_in, tmp_path):
    ended = type_in(NO_TOML, "catalogue")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.startswith(f"{tmp_path}/headwater.toml: line 2, column 7: ")


def test_a_command_that_needs_no_catalogue_says_one_line_of_it(type_in):
    ended = type_in(PROBLEMS, "tokens", "add", "ann", "--scope", "read:a")
    assert ended.returncode == 0
    assert ended.stdout.startswith("hw_")
    assert ended.stderr == (
        "headwater: the catalogue is wrong: `.venv/bin/flask --app wsgi catalogue` says why\n"
    )
