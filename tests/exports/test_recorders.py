"""This side of the recording processes, with real ones on the other."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from exports import recorders as recorders_module
from exports.disk_store import DiskStore
from exports.job import Job
from exports.recorders import PROJECT, Recorders
from state import State


class Heard(list):
    """The reports that came; `lost` counts the fork servers that died. As Exports, it forgets."""

    lost = 0
    forget = None

    def of(self, export_id):
        return [{**report, "id": None} for report in self if report["id"] == export_id]

    def has_exited(self, export_id):
        return any("exited" in report for report in self.of(export_id))

    def on_lost(self):
        self.forget()
        self.lost += 1


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def recorders(heard):
    recorders = Recorders(heard.append, heard.on_lost)
    heard.forget = recorders.forget
    recorders.start()
    yield recorders
    recorders.stop()


@pytest.fixture
def fork_server(recorders, newest_recorder):
    return newest_recorder()


@pytest.fixture
def job(tmp_path, spec):
    def make(export_id, source):
        target = DiskStore(tmp_path, State(tmp_path)).target(export_id)
        return Job(export_id, target, "csv", False, spec(source).query, source.name)

    return make


def test_the_reports_of_one_job(recorders, heard, job, numbers, numbers_csv, until, tmp_path):
    recorders.record(job("one", numbers))
    until(lambda: heard.has_exited("one"))
    reports = heard.of("one")
    assert reports[0] == {"id": None, "opened": True, "pausable": False}
    assert reports[-2]["rows"] == 1000
    assert "complete" in reports[-2]
    assert reports[-1] == {"id": None, "exited": 0}
    assert (tmp_path / "one.data").read_bytes() == numbers_csv


def test_a_failure_is_said_and_the_process_ends_well(recorders, heard, job, query, until):
    recorders.record(job("one", query("hopeless")))
    until(lambda: heard.has_exited("one"))
    assert [sorted(each) for each in heard.of("one")][-2:] == [
        ["failed", "id", "message"], ["exited", "id"],
    ]  # fmt: skip
    assert heard.of("one")[-1]["exited"] == 0


def test_jobs_run_beside_each_other(recorders, heard, job, query, numbers, until):
    recorders.record(job("long", query("endless")))
    recorders.record(job("short", numbers))
    until(lambda: heard.has_exited("short"))
    assert not heard.has_exited("long")


def test_kill_ends_one_job(recorders, heard, job, query, until):
    for name in ("one", "two"):
        recorders.record(job(name, query("silent")))
    until(lambda: len([each for each in heard if "opened" in each]) == 2)
    recorders.kill("one")
    until(lambda: heard.has_exited("one"))
    assert heard.of("one")[-1]["exited"] == -signal.SIGKILL
    assert not heard.has_exited("two")


def test_pause_stops_one_job_until_it_is_resumed(recorders, heard, job, query, until):
    for name in ("one", "two"):
        recorders.record(job(name, query("endless")))
    until(lambda: min(len(heard.of(name)) for name in ("one", "two")) > 2)
    recorders.pause("one")
    tasks = Path(f"/proc/{recorders._pids['one']}/task")
    # Its threads stop one after another.
    until(
        lambda: {each.read_text().rpartition(") ")[2][0] for each in tasks.glob("*/stat")} == {"T"}
    )
    used_s, said = recorders.used_s("one"), len(heard.of("two"))
    until(lambda: len(heard.of("two")) > said + 2)
    assert recorders.used_s("one") == used_s > 0
    recorders.resume("one")
    until(lambda: recorders.used_s("one") > used_s)
    recorders.pause("one")
    recorders.kill("one")
    until(lambda: heard.has_exited("one"))
    assert recorders.used_s("one") == 0.0


@pytest.fixture
def nicenesses(recorders):
    """nicenesses(export_id): of each thread of its process."""

    def look(export_id):
        tasks = Path(f"/proc/{recorders._pids[export_id]}/task").iterdir()
        return {os.getpriority(os.PRIO_PROCESS, int(task.name)) for task in tasks}

    return look


def test_a_recorder_is_nicer_within_the_servers_session(recorders, heard, job, query, until):
    recorders.record(job("one", query("endless")))
    until(lambda: "one" in recorders._pids)
    pid = recorders._pids["one"]
    assert os.getsid(pid) == os.getsid(0), "or niceness would not count where autogroup is on"
    assert os.getpgid(pid) != os.getpgid(0), "a terminal's Ctrl-C would end it"


def test_what_is_long_is_nicer_than_what_has_just_begun(
    recorders, heard, job, query, nicenesses, until
):
    recorders.record(job("tried", query("endless"))._replace(chance_s=60.0))
    until(lambda: "tried" in recorders._pids)
    (fresh,) = nicenesses("tried")
    assert fresh > os.getpriority(os.PRIO_PROCESS, 0)
    recorders.record(job("long", query("endless")))
    until(lambda: len(heard.of("long")) > 2)
    (long,) = nicenesses("long")
    assert long > fresh
    recorders.resume("tried")
    until(lambda: nicenesses("tried") == {long})


CHANCES = {
    "it computes": ("silent", signal.SIGPROF),
    "it gives rows": ("endless", signal.SIGPROF),
    "it waits for a lock": ("locked", signal.SIGALRM),
}


@pytest.mark.parametrize(("name", "want"), CHANCES.values(), ids=CHANCES.keys())
def test_a_job_ends_without_a_trace_when_its_chance_is_over(
    recorders, heard, job, query, until, tmp_path, name, want
):
    source = query(name if name != "locked" else "select 1 as i")
    wanted = job("one", source)._replace(chance_s=0.05, may_stay=True)
    with closing(sqlite3.connect(source.database.path, isolation_level=None)) as writer:
        if name == "locked":
            writer.execute("begin exclusive")
        recorders.record(wanted)
        until(lambda: heard.has_exited("one"))
    assert heard.of("one") == [{"id": None, "exited": -want}]
    assert not (tmp_path / "one.data").exists()


@pytest.mark.parametrize("extension", ["csv", "parquet", "csv.gz"])
def test_a_job_within_its_chance_is_the_same(
    recorders, heard, job, numbers, until, tmp_path, extension
):
    for name, chance_s in (("one", 0.0), ("two", 5.0)):
        wanted = job(name, numbers)._replace(chance_s=chance_s, extension=extension)
        recorders.record(wanted)
        until(lambda name=name: heard.has_exited(name))
    assert (tmp_path / "one.data").read_bytes() == (tmp_path / "two.data").read_bytes()
    assert {**heard.of("one")[-2], "links": 0} == {**heard.of("two")[-2], "links": 0}
    assert heard.of("two")[0] == {"id": None, "opened": True, "pausable": True}


def test_killing_what_is_not_there_is_harmless(recorders, heard, job, numbers, until):
    recorders.kill("nobody")
    recorders.record(job("one", numbers))
    until(lambda: heard.has_exited("one"))


def test_a_spare_that_died_is_replaced(recorders, heard, fork_server, job, numbers, until):
    recorders.record(job("zero", numbers))
    until(lambda: heard.has_exited("zero"))
    (spare,) = until(fork_server.children)
    spare.kill()
    until(lambda: [each.pid for each in fork_server.children()] not in ([], [spare.pid]))
    recorders.record(job("one", numbers))
    until(lambda: heard.has_exited("one"))
    assert heard.of("one")[-1]["exited"] == 0


def test_a_lost_fork_server_takes_its_children_and_is_replaced(
    recorders, heard, fork_server, job, query, numbers, until
):
    recorders.record(job("one", query("silent")))
    until(lambda: len(fork_server.children()) == 2)
    children = fork_server.children()
    os.kill(fork_server.pid, signal.SIGKILL)
    until(lambda: heard.lost == 1)
    until(lambda: not any(each.is_running() for each in children))
    recorders.record(job("two", numbers))
    until(lambda: heard.has_exited("two"))
    assert heard.lost == 1


def test_a_killed_fork_server_that_nobody_used_is_replaced(
    recorders, heard, fork_server, job, numbers, until
):
    fork_server.kill()
    until(lambda: heard.lost == 1)
    recorders.record(job("one", numbers))
    until(lambda: heard.has_exited("one"))


def test_stop_ends_every_process_and_is_no_loss(recorders, heard, fork_server, job, query, until):
    recorders.record(job("one", query("silent")))
    until(lambda: len(fork_server.children()) == 2)
    processes = [fork_server, *fork_server.children()]
    recorders.stop()
    assert psutil.wait_procs(processes, timeout=5)[1] == []
    assert heard.lost == 0


def test_no_descriptor_is_left(heard, job, numbers, until):
    def run_one():
        recorders = Recorders(heard.append, heard.on_lost)
        heard.forget = recorders.forget
        recorders.start()
        recorders.stop()

    run_one()
    process = psutil.Process()
    before = process.num_fds()
    run_one()
    until(lambda: process.num_fds() <= before)


def test_no_descriptor_is_left_where_none_could_be_started(heard, monkeypatch, tmp_path):
    made = []
    make = socket.socketpair
    monkeypatch.setattr(socket, "socketpair", lambda *how: made.extend(make(*how)) or made)
    monkeypatch.setattr(recorders_module, "PROJECT", tmp_path / "not there")
    with pytest.raises(FileNotFoundError):
        Recorders(heard.append, heard.on_lost).start()
    left = [each for each in made if each.fileno() >= 0]
    for each in left:
        each.close()
    assert left == []


def test_the_next_record_starts_another_after_forget(
    recorders, heard, fork_server, job, numbers, until, newest_recorder
):
    recorders.record(job("one", numbers))
    until(lambda: heard.has_exited("one"))
    fork_server.kill()
    until(lambda: heard.lost == 1)
    for name in ("two", "three"):
        recorders.record(job(name, numbers))
    until(lambda: heard.has_exited("two") and heard.has_exited("three"))
    assert newest_recorder() != fork_server
    assert heard.lost == 1, "one is started, not one a job"


def test_a_report_that_is_not_handled_leaves_the_others_heard(heard, job, numbers, until, caplog):
    def hear(report):
        heard.append(report)
        assert "opened" not in report

    recorders = Recorders(hear, heard.on_lost)
    heard.forget = recorders.forget
    recorders.start()
    recorders.record(job("one", numbers))
    until(lambda: heard.has_exited("one"))
    assert "report not handled" in caplog.text
    recorders.stop()


def test_a_recording_does_not_outlive_its_server(tmp_path):
    """What is left when the server is killed: nothing, as its end of the socket is gone."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "exports.recorder", str(theirs.fileno())]
        process = subprocess.Popen(command, cwd=PROJECT, pass_fds=[theirs.fileno()])
    ours.close()
    assert process.wait(timeout=20) == 0
