"""What a server remembers in state.db: across kills, beside other processes, from before it."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from urllib.parse import urlencode

import pytest

from auth import Tokens
from state import State
from state.takeover import PUT_AWAY
from tests.state.test_takeover import ANN, BOB, DONE, EARLIER, GONE, TORN, copy_earlier
from tests.system.server import ROOT, status_unless_cut, wait_until
from tests.system.test_login import Browser

LINK = "/files/nowhere/a.txt?link="
# Signed by the version before: of one use and used; of three, of which two are used.
SPENT = LINK + (
    "WyIwZmMwMTYyNThiODUwYWM1IiwiOWFjNGQzMTBjMjQ5Iiw0MTAyNDQ0ODAwLDEsMTc5NjA3NDA0Ni44ODld"
    ".7lsxy5FI3I8us__Ggm5DAij0oeo"
)
LEFT = LINK + (
    "WyI0M2MxYTNkM2EyMWJjYjA0IiwiOWFjNGQzMTBjMjQ5Iiw0MTAyNDQ0ODAwLDMsMTc5NjA3NDA0Ni44OTJd"
    ".1yZlPlyRBQ2gHZGGQ3n7MBONE4Y"
)


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def earlier(tmp_path):
    """An instance folder of the version before."""
    folder = copy_earlier(tmp_path / "earlier")
    (folder / "secret.key").write_bytes(b"k" * 32)
    (folder / "secret.key").chmod(0o600)
    return folder


def test_a_folder_of_the_version_before_is_taken_over(serve, earlier):
    server = serve(HEADWATER_INSTANCE=str(earlier))
    statuses = [server.get("/sources", **bearer(text)).status for text in (ANN, BOB, GONE)]
    assert statuses == [200, 200, 401]
    # There is no such folder: that is known once the use is counted.
    assert [server.get(path).status for path in (SPENT, LEFT, LEFT)] == [403, 404, 403]
    kept = {path.name for path in earlier.iterdir()}
    assert {"state.db", PUT_AWAY} <= kept
    assert kept & {path.name for path in EARLIER.iterdir()} == {"recordings"}


def test_exports_of_the_version_before_are_there(serve, earlier):
    server = serve(HEADWATER_INSTANCE=str(earlier))
    for path in (f"/exports/{DONE}/file", "/download/users.csv?limit=20"):
        answer = server.get(path, **bearer(ANN))
        assert (answer.status, answer.headers["ETag"]) == (200, f'"{DONE}"')
        assert answer.body == (EARLIER / "recordings" / f"{DONE}.data").read_bytes()
    torn = server.record(TORN)
    assert (torn["state"], torn["error"][0], torn["bytes"]) == ("failed", "interrupted", 1000)
    assert [path.name for path in server.recordings.iterdir()] == [f"{DONE}.data"]
    # What a client may have of it is not known to its end.
    asked = {"Range": "bytes=999999999999-", **bearer(ANN)}
    assert server.get("/download/long.csv", **asked).status == 409


@pytest.fixture
def flask():
    """flask(folder, *words): a command that has ended."""

    def flask(folder, *words):
        environ = {"HEADWATER_INSTANCE": str(folder), "PATH": ""}
        command = [sys.executable, "-m", "flask", "--app", "wsgi", *words]
        return subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    return flask


def test_a_command_takes_it_over_unless_a_server_of_then_still_runs(flask, earlier):
    holder = subprocess.Popen(["flock", earlier / "lock", "cat"], stdin=subprocess.PIPE)
    with holder:
        locked = ["flock", "--nonblock", earlier / "lock", "true"]
        wait_until(lambda: subprocess.run(locked, check=False).returncode, "it is locked")
        refused = flask(earlier, "tokens", "list")
        assert refused.returncode != 0
        assert f"a server of an earlier version uses {earlier}: stop it" in refused.stderr
        assert (earlier / "tokens.json").exists()
        holder.stdin.close()
    told = flask(earlier, "tokens", "list")
    assert (told.returncode, len(told.stdout.splitlines())) == (0, 4)


@pytest.fixture
def site(serve, tmp_path):
    """A server, and the text of a token that may do everything."""
    folder = tmp_path / "instance"
    text = Tokens(State(folder)).add("ann", ["admin"], {})
    return serve(HEADWATER_INSTANCE=str(folder)), text


def link_of_one_use(server, text):
    """Return the path of a link to the sources' rows."""
    asked = '{"url": "/download/users.csv?limit=1", "uses": 1}'
    json = {"Content_Type": "application/json"}
    made = server.get("/links", "POST", asked, **bearer(text), **json)
    assert made.status == 201, made.body
    return made.json()["url"]


def test_what_was_answered_survives_a_kill(site):
    server, text = site
    path = link_of_one_use(server, text)
    assert server.get(path).status == 200
    ann, copy = Browser(server), Browser(server)
    ann.log_in(text)
    copy.cookies = dict(ann.cookies)
    assert copy.ask("/exports").status == 200
    assert ann.ask("/logout", "POST", {"csrf_token": ann.mark("/exports")}).status == 303
    server.kill()
    server.start()
    assert server.get(path).json()["error"] == "link_spent"
    assert copy.ask("/exports", Accept="application/json").status == 401


def test_a_log_out_that_ends_after_a_reload_is_known(site):
    server, text = site
    ann, copy = Browser(server), Browser(server)
    ann.log_in(text)
    copy.cookies = dict(ann.cookies)
    body = urlencode({"csrf_token": ann.mark("/exports")})
    cookie = "; ".join(f"{name}={value}" for name, value in ann.cookies.items())
    client = server.send(
        f"POST /logout HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {cookie}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body[:5]}".encode()
    )
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.log.count("Booting worker") == 2, "another worker boots")
    server.wait_until_it_answers()
    assert copy.ask("/exports", Accept="application/json").status == 200
    client.sendall(body[5:].encode())
    assert client.recv(100).startswith(b"HTTP/1.1 303")

    def is_ended():
        return copy.ask("/exports", Accept="application/json").status == 401

    wait_until(is_ended, "the other worker knows it")


def test_an_export_is_known_as_soon_as_its_id_is(serve):
    server = serve()
    for rows in range(3):
        export_id = server.prepare("long", rows=10**9 + rows)
        server.kill()
        server.start()
        assert server.export(export_id)["error"]["error"] == "interrupted"


def test_a_token_is_made_and_withdrawn_beside_a_server(site, flask):
    server, _ = site
    text = flask(server.instance, "tokens", "add", "bob", "--scope", "admin").stdout.strip()
    wait_until(lambda: server.get("/sources", **bearer(text)).status == 200, "it is known")
    feed = server.open("/events/demo/a", **bearer(text))
    assert flask(server.instance, "tokens", "withdraw", text.split("_")[1]).returncode == 0
    gone = partial(server.get, "/sources", **bearer(text))
    wait_until(lambda: status_unless_cut(gone) == 401, "it is no more", 5)
    with pytest.raises(Exception, match=r"IncompleteRead|reset"):
        feed.read()


def replace_by_a_copy(path):
    with closing(sqlite3.connect(path)) as state, closing(sqlite3.connect(f"{path}.new")) as copy:
        state.backup(copy)
    Path(f"{path}.new").replace(path)


def remove(path):
    for each in path.parent.glob("state.db*"):
        each.unlink()


def leave_a_link(path):
    path.unlink()
    path.symlink_to("unmounted")


@pytest.mark.parametrize("spoil", [remove, leave_a_link, replace_by_a_copy])
def test_no_worker_begins_without_the_tokens_that_were_there(site, spoil):
    server, _ = site
    worker = server.worker()
    spoil(server.instance / "state.db")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload refused, nothing is changed" in server.log, "it is refused")
    assert server.worker() == worker
    assert server.get("/sources").status == 401
    worker.kill()
    assert server.process.wait(20) == 1
    assert f"no worker is started: {server.instance}/state.db is gone or" in server.log
    assert "Traceback" not in server.log


def test_a_log_that_was_removed_is_not_replaced(site, flask):
    server, text = site
    path = link_of_one_use(server, text)
    assert server.get(path).status == 200
    (server.instance / "state.db-wal").unlink()
    refused = flask(server.instance, "tokens", "withdraw", text.split("_")[1])
    assert refused.returncode != 0
    assert "state.db-wal was removed while a server uses it" in refused.stderr
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload refused, nothing is changed" in server.log, "it is refused")
    assert not (server.instance / "state.db-wal").exists()
    assert server.stop() == 0
    server.start()
    assert server.get(path).json()["error"] == "link_spent"


def test_a_link_to_the_file_does_as_well(site, flask, tmp_path):
    server, text = site
    assert server.stop() == 0
    path = server.instance / "state.db"
    path.rename(tmp_path / "moved.db")
    path.symlink_to(tmp_path / "moved.db")
    server.start()
    assert flask(server.instance, "tokens", "list").returncode == 0
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.log.count("Booting worker") == 2, "another worker boots")
    server.wait_until_it_answers()
    assert server.get("/sources", **bearer(text)).status == 200


def test_a_token_of_another_file_than_the_servers_is_not_withdrawn(site, flask):
    server, text = site
    replace_by_a_copy(server.instance / "state.db")
    for words in (["withdraw", text.split("_")[1]], ["add", "bob", "--scope", "admin"]):
        refused = flask(server.instance, "tokens", *words)
        assert (refused.returncode != 0, refused.stdout) == (True, "")
        assert "state.db was replaced while it was open: stop the server" in refused.stderr


def test_tokens_that_cannot_be_read_are_not_trusted_for_ever(site):
    server, text = site
    path, aside = server.instance / "state.db", server.instance / "aside"
    path.rename(aside)
    wait_until(lambda: "state.db is gone" in server.log, "it is missed")
    assert server.get("/sources", **bearer(text)).status == 200, "for a moment"
    wait_until(lambda: server.get("/sources", **bearer(text)).status == 503, "they are too old", 20)
    assert server.get("/sources", **bearer(text)).json()["error"] == "state_unusable"
    opened = server.get("/socket.io/?EIO=4&transport=polling", **bearer(text))
    assert opened.status == 503
    assert server.get("/healthz").status == 200
    aside.rename(path)
    wait_until(lambda: server.get("/sources", **bearer(text)).status == 200, "they are read again")
    assert "Traceback" not in server.log


def test_what_a_command_of_the_version_before_leaves_beside_a_server_is_taken_over(site, flask):
    server, _ = site
    left = server.instance / "tokens.json"
    shutil.copy(EARLIER / "tokens.json", left)
    assert flask(server.instance, "tokens", "withdraw", BOB.split("_")[1]).returncode == 0
    assert not left.exists()
    wait_until(lambda: server.get("/sources", **bearer(ANN)).status == 200, "it is known")
    assert server.get("/sources", **bearer(BOB)).status == 401


def test_a_lock_is_waited_for_and_told_and_nothing_is_counted(site):
    server, text = site
    path = link_of_one_use(server, text)
    with closing(sqlite3.connect(server.instance / "state.db")) as other:
        other.execute("begin immediate")
        refused = server.get(path)
        assert (refused.status, refused.json()["error"]) == (503, "state_busy")
        assert str(server.instance) not in refused.body.decode()
        assert f"error={server.instance}/state.db is locked" in server.log
        assert refused.headers["Retry-After"] == "5"
        assert server.get("/sources", **bearer(text)).status == 200
    assert server.get(path).status == 200
    assert server.get(path).json()["error"] == "link_spent"


def test_many_that_wait_for_a_lock_wait_at_the_same_time(site):
    server, text = site
    path = link_of_one_use(server, text)
    with closing(sqlite3.connect(server.instance / "state.db")) as other:
        other.execute("begin immediate")
        begun_s = monotonic()
        with ThreadPoolExecutor(20) as pool:
            refused = list(pool.map(server.get, [path] * 20))
        # One after the other, they waited for two seconds each.
        assert monotonic() - begun_s < 8
    assert {each.json()["error"] for each in refused} == {"state_busy"}
    assert server.get(path).status == 200


def test_exports_go_on_while_it_is_locked(serve):
    server = serve()
    server.finished("numbers", limit=1)
    with closing(sqlite3.connect(server.instance / "state.db")) as other:
        other.execute("begin immediate")
        export_id = server.prepare("numbers", limit=2)
        assert server.get(f"/exports/{export_id}/file").body.count(b"\n") == 3
    server.wait_until_kept(export_id)
    assert 1 <= server.log.count("record not written") <= 2, "at its start and its end"
    assert f"record not written id={export_id} error={server.instance}/state.db is" in server.log


@pytest.fixture
def small_instance(tmp_path):
    """An instance folder on a disk of 4 MiB, with its recordings on another one."""
    folder = tmp_path / "small"
    mounted = [folder, folder / "recordings"]
    for each in mounted:
        each.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", each]
        if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("mounting a small disk needs root")
    yield folder
    for each in reversed(mounted):
        subprocess.run(["umount", "--lazy", each], check=True)


def test_reading_it_by_a_hard_link_does_not_lose_what_comes_then(launch, flask, tmp_path):
    """SQLite's locks end where the process closes the file: a command would remove the log."""
    folder, served = tmp_path / "instance", tmp_path / "served"
    text = Tokens(State(folder)).add("ann", ["admin"], {})
    served.mkdir()
    (served / "hard").hardlink_to(folder / "state.db")
    (served / "a.txt").touch()
    catalogue = (
        'sources.users = { generate = "users", rows = 10 }\n'
        f'folders.served.path = "{served}"\n'
    )  # fmt: skip
    server = launch(catalogue=catalogue, HEADWATER_INSTANCE=str(folder)).wait_until_it_answers()
    path = link_of_one_use(server, text)
    assert server.get("/files/served/a.txt", **bearer(text)).status == 200
    assert server.get("/files/served/hard", **bearer(text)).status == 404
    for archive in ("zip", "tar.zst"):
        answer = server.get(f"/download/served.{archive}", **bearer(text))
        assert (answer.status, b"SQLite format" in answer.body) == (200, False)
    assert flask(folder, "tokens", "list").returncode == 0
    assert server.get(path).status == 200
    server.kill()
    server.start()
    assert server.get(path).json()["error"] == "link_spent"


def fill_up(path):
    with suppress(OSError), open(path, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_disk_that_is_full_at_the_start_after_a_kill_is_told(serve, small_instance):
    state = State(small_instance)
    Tokens(state).add("ann", ["admin"], {})
    server = serve(HEADWATER_INSTANCE=str(small_instance))
    server.kill()
    fill_up(small_instance / "filler")
    server.launch()
    assert server.process.wait(20) != 0
    assert "headwater cannot start:" in server.log
    assert "No space left on device" in server.log
    assert "Traceback" not in server.log


def test_exports_go_on_while_its_disk_is_full(serve, small_instance):
    server = serve(HEADWATER_INSTANCE=str(small_instance))
    filler = small_instance / "filler"
    fill_up(filler)
    for limit in range(1, 300):
        lost = server.finished("numbers", limit=limit)
        if "record not written" in server.log:
            break
    assert server.get(lost["url"]).status == 200
    told = f"record not written id={lost['id']} error={small_instance}/state.db cannot be written"
    assert 1 <= server.log.count(told) <= 2, "at its start and its end"
    filler.unlink()
    server.wait_until_kept(server.finished("numbers", limit=1000)["id"])


def newer(path):
    Tokens(State(path.parent)).add("ann", ["admin"], {})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("pragma user_version = 99")


NO_START = {
    "no database": (lambda path: path.write_text("tokens\n" * 1000), "cannot be used: file is not"),
    "a newer version": (newer, "was written by a newer version of Headwater"),
    "a folder": (lambda path: path.mkdir(), "cannot be used: unable to open"),
}


@pytest.mark.parametrize(("make", "why"), NO_START.values(), ids=NO_START.keys())
def test_what_cannot_be_used_ends_the_start_with_one_line(launch, flask, tmp_path, make, why):
    folder = tmp_path / "instance"
    folder.mkdir()
    make(folder / "state.db")
    server = launch(HEADWATER_INSTANCE=str(folder))
    assert server.process.wait(20) == 1
    assert f"\nheadwater: {folder}/state.db {why}" in server.log
    assert "Traceback" not in server.log
    told = flask(folder, "tokens", "list")
    assert told.returncode != 0
    assert f"{folder}/state.db {why}" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_worker_stops_with_its_state_in_one_file(site):
    server, _ = site
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(40) == 0
    assert not list(server.instance.glob("state.db-*"))
