"""The wheel: one name in site-packages, and below it a tree that serves as a checkout does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.system.server import ROOT, Server

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
def installed(site, tmp_path):
    users = 'sources.users = { generate = "users", rows = 10 }\n'
    server = Installed(tmp_path, users, PYTHONPATH=str(site))
    yield server.start()
    server.clean_up()


def test_it_serves(installed, site):
    assert installed.get("/download/users.csv?limit=1").body.count(b"\n") == 2
    assert installed.get("/static/page.css").status == 200
    assert b"<title>" in installed.get("/", Accept="text/html").body
    assert f"{site}/headwater/tree/gunicorn.conf.py" in installed.worker().cmdline()


def test_its_commands_are_those_of_the_tree(site, tmp_path):
    environ = os.environ | {"PYTHONPATH": str(site), "HEADWATER_INSTANCE": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "headwater", "tokens", "add", "me", "--scope", "admin"]
    run = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert (run.returncode, run.stdout[:3]) == (0, "hw_")
