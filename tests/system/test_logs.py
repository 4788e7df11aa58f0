"""Logs on the running server: every transport, real rotation under load, kills, bad input."""

import gzip
import json
import signal
import subprocess
import threading
import time
from itertools import pairwise

import pytest

from tests.system.feeds import GAP, HEARTBEAT, READERS, Ndjson, Sse, resume
from tests.system.log_writer import LAST, LogWriter
from tests.system.server import need, open_paths, wait_until

CATALOGUE = """
logs.app = { path = "app.log" }
logs.quiet = { path = "quiet.log" }
logs.short = { path = "short.log", retain_lines = 10 }
logs.access = { path = "instance/logs/access.log" }
"""


class LogNdjson(Ndjson):
    """A log as NDJSON at its own address."""

    path = "/logs/"

    def __init__(self, base, topics, since=None, headers=None, **query):
        headers = {"Accept": "application/x-ndjson", **(headers or {})}
        super().__init__(base, topics.removeprefix("logs/"), since, headers, follow=1, **query)


class LogSse(Sse):
    path = "/logs/"

    def __init__(self, base, topics, since=None, headers=None, **query):
        super().__init__(base, topics.removeprefix("logs/"), since, headers, follow=1, **query)


WAYS = {**READERS, "/logs ndjson": LogNdjson, "/logs sse": LogSse}
each_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(scope="module")
def logged(serve_all):
    """A server that follows logs."""
    return start_logged(serve_all)


def start_logged(serve, **how):
    return serve(catalogue=CATALOGUE, **how)


@pytest.fixture
def write(request):
    """write(path, ...): who writes to the log at path."""
    made = []

    def write(*how, **more):
        made.append(LogWriter(*how, **more))
        return made[-1]

    yield write
    for writer in made:
        writer.close()


@pytest.fixture
def fresh(logged, request):
    """An empty log of the test's own: what was there before is under another name."""
    path = logged.folder / "app.log"
    append(path, f"begin {request.node.name}")
    wait_for_line(logged, f"begin {request.node.name}")
    return path


def append(path, *lines):
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write("".join(line + "\n" for line in lines))


def lines_of(server, name="app", query="lines=all"):
    answer = server.get(f"/logs/{name}?{query}")
    assert answer.status == 200, answer.body
    return answer.body.decode().split("\n")[:-1]


def wait_for_line(server, line, name="app"):
    wait_until(lambda: lines_of(server, name, "lines=1") == [line], f"{line} is there")


def newest_of(server, name="app"):
    (shown,) = [log for log in server.get("/logs").json()["logs"] if log["name"] == name]
    return shown["newest"]


# Every transport.


@each_way
def test_ends_of_lines_are_told_on_no_transport(logged, fresh, request, way):
    if way == "node":
        request.getfixturevalue("javascript")
    with WAYS[way](logged.base, "logs/app", newest_of(logged)) as reader:
        append(fresh, "one\r", "10%\r20%\r")
        told = reader.take(2)
    assert [each.data["line"] for each in told] == ["one", "10%\r20%"]
    assert told[-1].data["end"] == fresh.stat().st_size


@each_way
def test_lines_are_told_on_every_transport(logged, fresh, request, way):
    if way == "node":
        request.getfixturevalue("javascript")
    since = newest_of(logged)
    append(fresh, "one", 'a "quoted" \\ é 🌊')
    with WAYS[way](logged.base, "logs/app", since) as reader:
        append(fresh, "two")
        told = reader.take(3)
    assert [each.data["line"] for each in told] == ["one", 'a "quoted" \\ é 🌊', "two"]
    assert {each.name for each in told} == {"line"}
    assert told[-1].data["end"] == fresh.stat().st_size
    assert [each.id for each in told] == sorted(each.id for each in told)


def test_the_kernel_says_that_there_is_a_line(logged, fresh):
    """Who only looks each second would take five for these."""
    with LogNdjson(logged.base, "logs/app", None, lines=0) as reader:
        began_s = time.monotonic()
        for number in range(10):
            append(fresh, str(number))
            reader.take(1)
    assert time.monotonic() - began_s < 2.5


def test_a_log_is_text_for_people(logged, fresh):
    append(fresh, "one", "two", "three")
    wait_for_line(logged, "three")
    answer = logged.get("/logs/app?lines=2")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Headwater-Cursor"] < newest_of(logged)
    assert answer.body == b"two\nthree\n"
    assert logged.get(f"/logs/app?since={answer.headers['Headwater-Cursor']}").body == answer.body


def test_text_is_followed(logged, fresh):
    append(fresh, "one")
    wait_for_line(logged, "one")
    stream = logged.open("/logs/app?lines=1&follow=1")
    append(fresh, "two", "three")
    assert stream.read(len("one\ntwo\nthree\n")) == b"one\ntwo\nthree\n"
    stream.close()


def test_who_searches_and_follows_gets_what_matches(logged, fresh):
    append(fresh, "GET /a", "POST /b", "GET /c")
    wait_for_line(logged, "GET /c")
    streams = [
        logged.open(f"/logs/app?{query}&follow=1")
        for query in ("grep=^GET&lines=2", "grep=get&ignore_case=1&lines=1", "grep=^POST&lines=0")
    ]
    append(fresh, "POST /d", "GET /e")
    wants = [b"GET /a\nGET /c\nGET /e\n", b"GET /c\nGET /e\n", b"POST /d\n"]
    assert [stream.read(len(want)) for stream, want in zip(streams, wants, strict=True)] == wants


def test_who_finds_nothing_hears_the_heartbeats(logged, fresh):
    with LogNdjson(logged.base, "logs/app", None, lines="all", grep="no such line") as reader:
        append(fresh, "something else")
        heartbeat = next(reader)
        while heartbeat.id < newest_of(logged):
            heartbeat = next(reader)
    assert heartbeat.name == HEARTBEAT


SEARCHES = {
    "a text": ("grep=b.c&literal=1", ["a b.c"]),
    "an expression": ("grep=b.c", ["a b.c", "a bxc"]),
    "in any case": ("grep=BXC&ignore_case=1", ["a bxc"]),
    "the last of them": ("grep=^a&lines=1", ["a bxc"]),
    "more than there are": ("grep=^a&lines=5", ["a b.c", "a bxc"]),
    "none": ("grep=zzz", []),
    "quotes and backslashes": (r'grep=q"\\', ['q"\\ é']),
    "beyond ASCII": ("grep=%C3%A9$", ['q"\\ é']),
    "an empty line": ("grep=^$", [""]),
    "before CR LF": ("grep=code=5$", ["job ended code=5"]),
    "behind a byte order mark": ("grep=^%23Fields", ["#Fields: a"]),
}


@pytest.fixture(scope="module")
def searchable(logged):
    append(logged.folder / "quiet.log", "\ufeff#Fields: a\r", "job ended code=5\r")
    append(logged.folder / "quiet.log", "a b.c", "a bxc", 'q"\\ é', "", "last")
    wait_for_line(logged, "last", "quiet")
    return logged


@pytest.mark.parametrize(("query", "want"), SEARCHES.values(), ids=SEARCHES.keys())
def test_a_log_is_searched(searchable, query, want):
    query = query.replace('"', "%22").replace("\\", "%5C").replace("^", "%5E")
    for lines in ("", "&lines=all") if "lines" not in query else ("",):
        assert lines_of(searchable, "quiet", query + lines) == want


def test_an_expression_that_would_run_for_ever_answers_at_once(logged):
    append(logged.folder / "quiet.log", "a" * 16_000 + "!")
    wait_until(lambda: lines_of(logged, "quiet", "lines=1")[0].startswith("aaa"), "it is there")
    began_s = time.monotonic()
    for pattern in ("(a%2B)%2B$", "(a|a)*$", "(a*)*b", "(.*)*x"):
        assert lines_of(logged, "quiet", f"grep={pattern}&lines=all&literal=0")[:-1] is not None
    assert time.monotonic() - began_s < 2


def test_a_line_beyond_the_bound_is_cut_and_marked(logged, fresh):
    append(fresh, "y" * 1_000_000, "next")
    wait_for_line(logged, "next")
    cut = 1_000_000 - 16 * 1024
    long, _ = lines_of(logged, query="lines=2")
    assert long == "y" * 16 * 1024 + f" [{cut} bytes cut]"
    with LogNdjson(logged.base, "logs/app", None, lines=2) as reader:
        first, second = reader.take(2)
    assert (first.data["cut"], len(first.data["line"])) == (cut, 16 * 1024)
    assert second.data["line"] == "next"


def test_what_was_let_go_of_is_a_gap(logged):
    path = logged.folder / "short.log"
    append(path, "0")
    wait_for_line(logged, "0", "short")
    since = newest_of(logged, "short")
    append(path, *map(str, range(1, 31)))
    wait_until(
        lambda: lines_of(logged, "short") == [str(n) for n in range(21, 31)], "they are gone"
    )
    text = lines_of(logged, "short", f"since={since}")
    assert text == ["# gap: 20 lines lost (expired)", *map(str, range(21, 31))]
    with LogNdjson(logged.base, "logs/short", since) as reader:
        gap = next(reader)
    assert (gap.name, gap.data["lost"]) == (GAP, 20)
    assert gap.data["refetch"] == "/logs/short?lines=all"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-ndjson", "text/event-stream"])
@pytest.mark.parametrize("parameters", ["; charset=utf-8", ';CHARSET="UTF-8";q=0.5'])
def test_accept_may_have_parameters(logged, kind, parameters):
    answer = logged.get("/logs/app", Accept=kind + parameters)
    assert (answer.status, answer.headers.get_content_type()) == (200, kind)


PAGES = {
    "text/html": "text/html",
    "text/html;q=0.5, application/json": "text/html",
    "text/html,application/xhtml+xml,*/*;q=0.8": "text/html",
    "*/*": "text/plain",
    "application/json, */*;q=0.1": "text/plain",
}


@pytest.mark.parametrize(("accept", "kind"), PAGES.items())
def test_a_page_is_for_clients_that_prefer_it_to_lines(logged, accept, kind):
    assert logged.get("/logs/app", Accept=accept).headers.get_content_type() == kind


@pytest.fixture(scope="module")
def lossy(serve_all):
    """A server that was away while its log was rotated to where it is not found."""
    server = start_logged(serve_all)
    path = server.folder / "app.log"
    append(path, "one")
    wait_for_line(server, "one")
    server.stop()
    append(path, "two")
    path.unlink()
    append(path, "three")
    server.start()
    wait_for_line(server, "three")
    return server


@each_way
def test_what_was_lost_while_the_server_was_away_is_a_gap(lossy, request, way):
    if way == "node":
        request.getfixturevalue("javascript")
    with WAYS[way](lossy.base, "logs/app", "all") as reader:
        one, gap, three = reader.take(3)
    assert [one.data["line"], three.data["line"]] == ["one", "three"]
    assert gap.name == GAP
    told = {key: gap.data[key] for key in ("from", "to", "lost", "reason", "refetch")}
    refetch = "/logs/app?lines=all"
    assert told == {
        "from": one.id,
        "to": None,
        "lost": None,
        "reason": "rotated",
        "refetch": refetch,
    }


def test_a_gap_is_told_in_text_also_of_what_is_searched(lossy):
    gap = "# gap: lines lost (rotated)"
    assert lines_of(lossy) == ["one", gap, "three"]
    assert lines_of(lossy, query="grep=t&lines=all") == [gap, "three"]
    assert lines_of(lossy, query="grep=e&lines=1") == ["three"]


# Bad input.

BAD = {
    "no such log": ("/logs/nothing", {}, 404, "unknown_log"),
    "a path": ("/logs/..%2Fapp", {}, 404, "not_found"),
    "lines: no number": ("/logs/app?lines=ten", {}, 400, "malformed_lines"),
    "lines: negative": ("/logs/app?lines=-1", {}, 400, "malformed_lines"),
    "lines: other digits": ("/logs/app?lines=%D9%A1", {}, 400, "malformed_lines"),
    "lines: too many": ("/logs/app?lines=9999999999", {}, 400, "malformed_lines"),
    "since: no cursor": ("/logs/app?since=yesterday", {}, 400, "malformed_cursor"),
    "since: the future": (f"/logs/app?since={'v' * 30}", {}, 409, "future_cursor"),
    "since and lines": ("/logs/app?since=5m&lines=3", {}, 400, "since_and_lines"),
    "grep: no expression": ("/logs/app?grep=(", {}, 400, "malformed_search"),
    "grep: a backreference": (r"/logs/app?grep=(a)%5C1", {}, 400, "malformed_search"),
    "grep: too long": (f"/logs/app?grep={'a' * 201}", {}, 400, "malformed_search"),
    "grep: too much memory": (
        "/logs/app?grep=((a%7B100%7D)%7B100%7D)%7B100%7D", {}, 400, "malformed_search",
    ),
    "grep: what is no UTF-8": ("/logs/app?grep=%ff", {}, 200, None),
    "a word misspelt": ("/logs/app?folow=1", {}, 400, "malformed"),
    "a word misspelt, to a browser": ("/logs/app?folow=1", {"Accept": "text/html"}, 400, None),
    "accept": ("/logs/app", {"Accept": "image/png"}, 406, "not_acceptable"),
    "publishing": ("POST /events/logs/app", {}, 403, "not_writable"),
    "method": ("POST /logs/app", {}, 405, "method_not_allowed"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "headers", "status", "error"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused(logged, path, headers, status, error):
    method, _, path = path.rpartition(" ")
    body = b'{"data": 1}' if method else None
    kind = {"Content_Type": "application/json"} if method else {}
    answer = logged.get(path, method or "GET", body, **kind, **headers)
    assert answer.status == status, answer.body
    if error:
        told = answer.json()
        assert set(told) == {"error", "message", "status", "detail"}
        assert (told["error"], told["status"]) == (error, status)


def test_a_log_that_is_not_there_is_named_with_the_one_that_is_like_it(logged):
    told = logged.get("/logs/ap").json()
    assert told["message"] == "there is no log 'ap'; is it app?"
    assert "app" in told["detail"]["logs"]
    told = logged.get("/logs/zzz").json()
    assert told["message"] == "there is no log 'zzz'; GET /logs lists what there is"


# What it costs.


def test_fifty_followers_cost_one_reader_of_the_file(logged, fresh):
    append(fresh, "before")
    wait_for_line(logged, "before")
    streams = [logged.open("/logs/app?follow=1&lines=1") for _ in range(50)]
    append(fresh, "after")
    assert {stream.read(len("before\nafter\n")) for stream in streams} == {b"before\nafter\n"}
    assert open_paths(logged.worker()).count(str(fresh)) == 1
    for stream in streams:
        stream.close()


# The server's own log.


def test_the_access_log_has_a_line_for_each_request(logged):
    agent = 'x"}\\ é'
    answer = logged.get("/exports?a=1%20%22", User_Agent=agent.encode("latin-1").decode("latin-1"))
    (line,) = logged.wait_until_accessed("/exports?a=1%20%22")
    assert line.pop("seconds") < 5
    assert line.pop("time").endswith("Z")
    assert line.pop("id") == answer.headers["X-Request-ID"]
    assert line == {
        "client": "127.0.0.1", "method": "GET", "path": "/exports?a=1%20%22",
        "protocol": "HTTP/1.1",
        "status": 200, "bytes": len(answer.body), "agent": agent, "referer": None,
    }  # fmt: skip


def test_a_client_that_took_its_connection_over_has_one_line_when_it_is_gone(logged, request):
    paths = {}
    for way in ("ndjson", "websocket"):
        # An age that nobody else asks for tells its line.
        with WAYS[way](logged.base, "status", f"{time.time_ns() // 1000 % 10**9}ms") as reader:
            paths[way] = reader.address
            next(reader)
            assert not [each for each in logged.accessed() if each["path"] == reader.address]
    for way, path in paths.items():
        found = logged.wait_until_accessed(path)
        assert [each["status"] for each in found] == [101 if way == "websocket" else 200]
        assert found[0]["seconds"] > 0
    assert found[0]["bytes"] is None or found[0]["bytes"] > 0


def test_following_the_access_log_makes_no_lines(logged):
    with LogNdjson(logged.base, "logs/access", None, lines=0) as reader:
        logged.get("/exports?mark=1")
        while json.loads(next(reader).data["line"])["path"] != "/exports?mark=1":
            pass
        before = len(logged.accessed())
        assert next(reader).name == HEARTBEAT
        assert len(logged.accessed()) == before


# Rotation.


def numbers_in(lines):
    return [int(line.split()[0]) for line in lines if line[:1].isdigit()]


def lines_on_disk(path):
    """Return the numbers in the log and in what rotation has left."""
    numbers = []
    for each in path.parent.glob(f"{path.stem}*"):
        data = gzip.decompress(each.read_bytes()) if each.suffix == ".gz" else each.read_bytes()
        numbers += numbers_in(data.decode().splitlines())
    assert len(numbers) == len(set(numbers))
    return set(numbers)


class ToLast(threading.Thread):
    """Who follows to the last line, and comes back after each cut. Not waited for if it fails."""

    def __init__(self, reader_of, base):
        super().__init__(daemon=True)
        self.reader_of, self.base = reader_of, base
        self.told = []
        self.start()

    def run(self):
        for told in resume(self.reader_of, self.base, "logs/app", "all"):
            self.told.append(told)
            if told.name != "line" or told.data["line"].endswith(LAST):
                return

    def numbers(self):
        """Return the numbers that it was told."""
        self.join(timeout=30)
        assert not self.is_alive(), f"it came only to {self.told[-1:]}"
        assert {told.name for told in self.told} == {"line"}, self.told[-1]
        return numbers_in([told.data["line"] for told in self.told])


def check_numbers(numbers, written):
    assert all(one < other for one, other in pairwise(numbers))
    assert written <= set(numbers)


REOPEN = "postrotate\nkill -HUP {pid}\nendscript"
MODES = {
    "create": f"create\n{REOPEN}",
    "create, compressed at once": f"create\ncompress\n{REOPEN}",
    "create, dated": f"create\ndateext\ndateformat -%s\n{REOPEN}",
    "create, before the extension": f"create\ncompress\nextension .log\n{REOPEN}",
    "copytruncate, before the extension": "copytruncate\nextension .log",
    "copytruncate": "copytruncate",
    "copytruncate, compressed at once": "copytruncate\ncompress",
}
ROTATIONS = 6


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES.keys())
def test_logrotate_under_load_loses_and_doubles_nothing(serve, write, request, mode):
    need("logrotate")
    request.getfixturevalue("javascript")
    server = start_logged(serve)
    path = server.folder / "app.log"
    writer = write(path, 2000)
    config = server.folder / "logrotate.conf"
    rules = mode.format(pid=writer.process.pid)
    config.write_text(f"{path} {{\nrotate 100\nnotifempty\n{rules}\n}}\n")
    ways = {name: way for name, way in WAYS.items() if name != "polling"}
    followers = [ToLast(way, server.base) for way in ways.values()]
    for _ in range(ROTATIONS):
        if "dateext" in mode:
            # It refuses to rotate twice in a second.
            began_s = time.time() + 1.1
            wait_until(lambda began_s=began_s: time.time() >= began_s, "another second")
        grow(path)
        command = ["logrotate", "-f", "-s", server.folder / "state", config]
        subprocess.run(command, check=True, timeout=20)
    grow(path)
    writer.stop()
    written = lines_on_disk(path)
    assert len(written) > 1000
    for follower in followers:
        check_numbers(follower.numbers(), written)


def grow(path):
    """Wait until something was written since."""
    wait_until(lambda: path.exists() and path.stat().st_size > 10_000, "the log grows")


def test_a_kill_and_rotations_meanwhile_lose_and_double_nothing(serve, write, free_port):
    server = start_logged(serve, HEADWATER_PORT=free_port)
    path = server.folder / "app.log"
    writer = write(path, 2000, burst=20)
    followers = [ToLast(way, server.base) for way in (Ndjson, LogNdjson)]
    for turn in range(3):
        wait_until(lambda: len(lines_of(server)) > 500, "lines come")
        server.kill()
        for number in range(2):
            grow(path)
            path.rename(f"{path}.{9 - 2 * turn - number}")
            writer.process.send_signal(signal.SIGHUP)
        server.start()
    grow(path)
    count = writer.stop()
    assert lines_on_disk(path) == set(range(count))
    for follower in followers:
        assert follower.numbers() == list(range(count))


def test_text_says_when_to_come_back(serve):
    server = start_logged(serve)
    stream = server.open("/logs/app?follow=1")
    server.process.terminate()
    assert stream.read().startswith(b"# reconnect: ")
    server.stop()


def test_a_log_that_becomes_a_link_shows_nothing_from_elsewhere(serve):
    server = start_logged(serve)
    path = server.folder / "app.log"
    path.write_text("ours\n")
    wait_until(lambda: b"ours" in server.get("/logs/app").body, "its line comes")
    path.unlink()
    path.symlink_to("/etc/passwd")
    wait_until(lambda: "trouble=a link leads out" in server.log, "it is logged")
    assert server.get("/logs/app").body == b"ours\n"
    (shown,) = [log for log in server.get("/logs").json()["logs"] if log["name"] == "app"]
    assert shown["size_bytes"] is None
