"""The watchdog of the test servers: what holds the hub is told, and nothing else."""

import json
import re

import pytest

from tests.system.gunicorn_process import GunicornProcess


@pytest.fixture
def watch(tmp_path):
    """A verb: watch(path, ...) asks a server for each and returns what its watchdog tells."""
    report = tmp_path / "report"
    server = GunicornProcess(tmp_path, HUB_REPORT=str(report))

    def watch(*paths):
        for path in paths:
            server.get(path)
        return [json.loads(line) for line in report.read_text().splitlines()]

    yield watch
    server.stop()


def test_a_loop_on_the_hub_is_told_with_its_stack(watch):
    (told,) = watch("/works?ms=80", "/hello")
    held = re.match("the hub was held for ([0-9]+) ms", told["what"])
    assert int(held[1]) >= 80
    # While it ran, and where it ended: of what is in C there is no more.
    assert len(told["stacks"]) > 1
    assert all("in works\n" in stack for stack in told["stacks"])


def test_waiting_is_not_told(watch):
    assert watch("/count?n=3&gap=0.1", "/hello") == []


def test_turns_of_others_in_between_are_not_told(watch):
    """As long in all."""
    assert watch("/works?ms=20&turns=5", "/hello") == []


def test_what_may_wait_for_a_disk_is_told_once(watch, tmp_path):
    (tmp_path / "file").touch()
    path = f"/file?path={tmp_path}/file"
    told = watch(path, path)
    called = [
        f"{call} was called on the hub, with '{tmp_path}/file'" for call in ("open", "os.stat")
    ]
    assert [each["what"] for each in told] == called
    assert all("in file\n" in each["stacks"][0] for each in told)


def test_a_sync_on_the_hub_is_told(watch):
    (told,) = watch("/syncs", "/syncs?native=1")
    assert told["what"].startswith("os.fsync was called on the hub")
