"""The wheel: one name in site-packages, and below it a tree that serves as a checkout does."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from tests.system.server import ROOT, Server, wait_until

# What of a checkout no server needs.
LEFT_OUT = re.compile(
    r"(tests|benchmarks|docs|setup|headwater|\.ci)/|deploy/[^/]+$|Makefile"
    r"|[^/]+\.(md|in|txt|json|toml)$|\."
)


def files_of_the_project():
    """Return the paths that git knows, and those that it would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {path for path in run.stdout.split("\n") if (ROOT / path).is_file()}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """What pip puts into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in files_of_the_project():
        (folder / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / "source" / path)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    alone = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile"]
    subprocess.run([*pip, *alone, "--target", "site", "./source"], cwd=folder, check=True)
    return folder / "site"


def test_it_has_one_name(site):
    names = {path.name for path in site.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"headwater", "bin"}


def test_nothing_is_left_out(site):
    tree = site / "headwater" / "tree"
    there = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    assert there == {path for path in files_of_the_project() if not LEFT_OUT.match(path)}


class Installed(Server):
    """A server of a wheel, started in a folder that has no checkout."""

    def launch(self, *prefix):
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-P", "-m", "headwater"],
                cwd=self.folder, env=self.environ, stdout=log, stderr=log,
            )  # fmt: skip


@pytest.fixture
def foreign(tmp_path):
    """A folder with modules that are called like ours, and say so when they are imported."""
    for name in ("app", "wsgi", "settings", "commands", "auth", "exports", "flask", "json"):
        (tmp_path / f"{name}.py").write_text("import sys\nsys.stderr.write('foreign')\n1 / 0\n")
    return tmp_path


@pytest.fixture
def installed(site, foreign):
    users = 'sources.users = { generate = "users", rows = 10 }\n'
    server = Installed(foreign, users, PYTHONPATH=str(site), HEADWATER_INSTANCE="instance")
    yield server.start()
    server.clean_up()


def test_it_serves(installed, site):
    assert installed.get("/download/users.csv?limit=1").body.count(b"\n") == 2
    assert installed.get("/static/page.css").status == 200
    assert b"<title>" in installed.get("/", Accept="text/html").body
    assert f"{site}/headwater/tree/gunicorn.conf.py" in installed.worker().cmdline()
    assert (installed.folder / "instance" / "recordings").is_dir(), "where it was called"
    installed.process.send_signal(signal.SIGHUP)
    wait_until(lambda: installed.log.count("Booting worker") == 2, "it is loaded again")
    assert "foreign" not in installed.log


def test_its_commands_are_those_of_the_tree(site, foreign):
    environ = os.environ | {"PYTHONPATH": str(site), "HEADWATER_INSTANCE": "mine"}
    command = [sys.executable, "-P", "-m", "headwater", "tokens", "add", "me", "--scope", "admin"]
    run = subprocess.run(command, cwd=foreign, env=environ, capture_output=True, text=True)
    assert (run.returncode, run.stdout[:3], "foreign" in run.stderr) == (0, "hw_", False)
    assert (foreign / "mine" / "state.db").exists()
