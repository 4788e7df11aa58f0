"""A reload reads the catalogue again, and leaves everything as it was when that is wrong."""

import fcntl
import signal
import subprocess
import sys

import pytest

from tests.system.server import CATALOGUE, ROOT, is_gone, open_paths, wait_until

MORE = '\n[sources.more]\ndatabase = "sqlite:///numbers.db"\ntable = "numbers"\n'
WRONG = {
    "no TOML": ("\n[sources.more\n", "line "),
    "a database that is not there": (MORE.replace("numbers.db", "no.db"), "sources.more.database"),
}


@pytest.fixture
def server(serve):
    return serve()


def put(server, more):
    server.folder.joinpath("headwater.toml").write_text(CATALOGUE + more)


def hang_up(server):
    server.process.send_signal(signal.SIGHUP)


def reload(server):
    """Reload, and return once the old worker is gone and the new one answers."""
    old = server.worker()
    hang_up(server)
    wait_until(lambda: is_gone(old), "the old worker is gone", 30)
    server.wait_until_it_answers()


def refusals(server):
    """Return what is said of reloads that were refused."""
    return [line for line in server.log.splitlines() if "reload refused" in line]


def sources(server):
    return {each["name"] for each in server.get("/sources").json()["sources"]}


def test_what_is_new_in_the_catalogue_is_served(server):
    assert "more" not in sources(server)
    put(server, MORE)
    reload(server)
    assert "more" in sources(server)
    assert refusals(server) == []


@pytest.mark.parametrize(("more", "where"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_catalogue_changes_nothing_until_it_is_mended(server, follow, more, where):
    worker, reader = server.worker(), follow(server, "websocket", "demo/reload")
    download = server.open("/download/long.csv")
    assert download.read(1000)
    put(server, more)
    hang_up(server)
    wait_until(lambda: refusals(server), "it is refused", 20)
    wait_until(lambda: any(where in line for line in server.log.splitlines()), "why")
    assert server.worker() == worker
    server.publish("demo/reload", 1)
    assert reader.numbers(1) == [1]
    assert len(download.read(1_000_000)) == 1_000_000
    download.close()
    server.cancel_all()
    reader.close()
    put(server, MORE)
    reload(server)
    assert "more" in sources(server)
    assert len(refusals(server)) == 1
    assert server.events("demo/reload")[0]["data"] == 1


def command(server, *words):
    """Return a command of flask's that has ended."""
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", *words],
        cwd=ROOT, env=server.environ, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_the_command_says_what_is_wrong(server):
    assert command(server, "catalogue").returncode == 0
    put(server, WRONG["a database that is not there"][0])
    ended = command(server, "catalogue")
    assert ended.returncode == 1
    assert ended.stdout.startswith("sources.more.database: ")
    assert ended.stdout.count("\n") == 1
    assert "Traceback" not in ended.stderr


def test_other_commands_work_when_the_catalogue_is_wrong(server):
    put(server, WRONG["no TOML"][0])
    ended = command(server, "--help")
    assert ended.returncode == 0
    assert "headwater: the catalogue is wrong:" in ended.stderr
    assert "catalogue" in ended.stdout


# One server a folder, also when the one before is just being killed.


def test_a_start_waits_for_the_last_of_the_one_before(server):
    folder = server.instance
    assert server.stop() == 0
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server.launch()
        path = str(folder.resolve() / "lock")
        wait_until(lambda: path in open_paths(server.family()[0]), "it has come to the lock")
    server.wait_until_it_answers()


def test_killed_and_started_at_once_it_comes_back(server):
    for _ in range(3):
        server.process.kill()  # its worker sees that by itself, within half a second
        server.process.wait(10)
        server.start()


# Exports of a source that has become narrower.

NARROW = '\n[sources.more]\ndatabase = "sqlite:///numbers.db"\nquery = "select i from numbers"\n'


def test_what_was_recorded_of_a_wider_source_is_nobodys(server):
    put(server, MORE)
    reload(server)
    told = server.finished("more", limit=100_000)
    server.wait_until_kept(told["id"])
    put(server, NARROW)
    reload(server)
    assert server.get("/exports").json()["exports"] == []
    answers = [server.get(f"/exports/{told['id']}{rest}").status for rest in ("", "/file")]
    assert answers == [404, 404]
    url, etag = "/download/more.csv?limit=100000", f'"{told["id"]}"'
    assert server.get(url, Range="bytes=500-").status == 409
    assert server.get(url, Range="bytes=500-", If_Match=etag).status == 412
    whole = server.get(url, Range="bytes=500-", If_Range=etag)
    assert (whole.status, whole.body[:4]) == (200, b"i\n1\n")
    assert server.get(url, Range="bytes=500-").status == 409, "nothing is added to the wide one"
