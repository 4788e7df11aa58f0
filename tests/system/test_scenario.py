"""The promise of the feeds as a whole: every event once and in order, whatever breaks in between.

Readers of every transport are cut by resets and stand still by chance, publishers are cut too, the
server is killed, reloaded and stopped meanwhile. soak.py plays the same for longer.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import chain, pairwise, permutations
from typing import NamedTuple

import psutil
import pytest

from tests.sockets.clients import Polling
from tests.system.cutter import Cutter, Weather, close_by_reset
from tests.system.feeds import GAP, LAST, READERS, RECONNECT, Publisher, resume, start_node
from tests.system.server import ROOT, end_clients, is_gone, wait_until

CROWD = {"ndjson": 40, "sse": 40, "websocket": 40, "socket.io": 40, "node": 40}
STORM = Weather(cut_s=(1.0, 6.0), stall_s=(1.0, 3.0), stalling=0.2)
EVERY_S = 0.04
COMES_S = 60


class Heard(NamedTuple):
    """A line of what a reader was told."""

    id: str
    name: str
    data: object


class Crowd:
    """Readers in processes of their own, one for each transport, until the event `last`."""

    def __init__(self, folder, base, topic, since, sizes):
        self.sizes = sizes
        self._paths = {transport: folder / f"{transport}.heard" for transport in sizes}
        self.processes = [
            self._start(base, topic, since, transport, size) for transport, size in sizes.items()
        ]

    def _start(self, base, topic, since, transport, size):
        with open(self._paths[transport], "w") as heard:
            if transport == "node":
                options = {"since": since, "readers": size, "resumes": True}
                return start_node(base, topic, stdout=heard, **options)
            words = [base, topic, since, transport, str(size)]
            command = [sys.executable, "-m", "tests.system.feeds", *words]
            return subprocess.Popen(command, cwd=ROOT, stdout=heard)

    def wait(self):
        """Wait until every reader has had the last."""
        for transport, process in zip(self.sizes, self.processes, strict=True):
            try:
                assert process.wait(COMES_S) == 0, transport
            except subprocess.TimeoutExpired:
                missing = self.sizes[transport] - sum(
                    any(heard.name == LAST for heard in all_heard)
                    for all_heard in self.heard(transport).values()
                )
                pytest.fail(f"{missing} readers of {transport} have not come to the end")

    def heard(self, transport):
        """Return what each reader was told: a list of Heard, by reader."""
        found = defaultdict(list)
        for line in self._paths[transport].read_text().splitlines():
            reader, *rest = json.loads(line)
            if transport == "node":
                kind, event = rest
                if kind != "event" or event["name"] in ("heartbeat", "reconnect"):
                    continue
                rest = event["id"], event["name"], event["data"]
            found[reader].append(Heard(*rest))
        return found


@contextmanager
def publishing(base, topic, most):
    """Publish numbers from 1 on, beside the caller; yields a list that they are added to.

    most: so many at once, or fewer.
    """
    acknowledged, over = [], threading.Event()
    publisher = Publisher(base)

    def publish():
        while not over.wait(EVERY_S):
            first = len(acknowledged) + 1
            some = range(first, first + 1 + first % most)
            publisher.publish(topic, *some)
            acknowledged.extend(some)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield acknowledged
    finally:
        over.set()
        thread.join(COMES_S)
    publisher.publish(topic, len(acknowledged) + 1, name=LAST)
    publisher.close()


def reach(acknowledged, count):
    wait_until(lambda: len(acknowledged) >= count, f"{count} are published", 600)


def play(server, cutter, crowd, topic, *, events, kills):
    """Publish so many events through the storm, kill the server so often; return how many."""
    cutter.storm(STORM)
    with publishing(cutter.base, topic, most=5) as acknowledged:
        for kill in range(1, kills + 1):
            reach(acknowledged, events * kill // (kills + 1))
            server.kill()
            server.start()
        reach(acknowledged, events)
        cutter.storm(None)
    crowd.wait()
    return len(acknowledged)


def check_numbers(all_heard, published):
    """Check that each number was heard once and in order, or is one of the lost of a gap there.

    Returns how many were lost.
    """
    ids = [heard.id for heard in all_heard]
    assert all(before < after for before, after in pairwise(ids))
    expected = 1
    lost = 0
    for heard in all_heard:
        if heard.name == GAP:
            lost += heard.data["lost"]
            expected += heard.data["lost"]
        else:
            assert heard.data == expected, all_heard[max(0, expected - 3) :][:6]
            expected += 1
    assert expected == published + 2
    return lost


@pytest.fixture
def stage(serve, free_port, put_cutter, tmp_path, javascript):
    """A verb: stage(topic, sizes) returns a server, a cutter before it, and a crowd that reads."""
    crowds = []

    def stage(topic, sizes):
        server = serve(HEADWATER_PORT=free_port)
        cutter = put_cutter(server)
        since = server.publish(topic, 0)["id"]
        crowds.append(Crowd(tmp_path, cutter.base, topic, since, sizes))
        readers = sum(sizes.values())
        wait_until(lambda: len(server.readers(topic)) == readers, "all follow", COMES_S)
        return server, cutter, crowds[-1]

    yield stage
    for crowd in crowds:
        end_clients(crowd.processes)


def test_every_event_once_and_in_order_over_cuts_stalls_and_kills(stage):
    server, cutter, crowd = stage("demo/all", CROWD)
    published = play(server, cutter, crowd, "demo/all", events=500, kills=2)
    for transport, size in CROWD.items():
        heard = crowd.heard(transport)
        assert len(heard) == size
        assert {check_numbers(each, published) for each in heard.values()} == {0}
    assert cutter.cuts > sum(CROWD.values())
    assert cutter.stalls > sum(CROWD.values()) / 10
    kept = [event["data"] for event in server.events("demo/all")]
    assert kept == list(range(published + 2))


def first_of(server, topic):
    """Return the oldest number that is kept."""
    return server.events(topic)[0]["data"]


def test_with_a_small_retention_every_event_is_heard_or_counted_as_lost(stage):
    sizes = dict.fromkeys(CROWD, 6)
    server, cutter, crowd = stage("short/all", sizes)
    with publishing(server.base, "short/all", most=30) as acknowledged:
        for is_killed in (False, True, False):
            cutter.refuse()
            before = len(acknowledged)
            reach(acknowledged, before + 300)
            if is_killed:
                server.kill()
                server.start()
            wait_until(lambda n=before: first_of(server, "short/all") > n + 100, "they are gone")
            cutter.let_in()
            # Of a client that was cut while it polled, the server learns nothing for 45 s.
            wait_until(lambda: len(server.readers("short/all")) >= 6 * len(sizes), "all are back")
            reach(acknowledged, len(acknowledged) + 100)
    crowd.wait()
    for transport in sizes:
        heard = crowd.heard(transport)
        assert len(heard) == 6
        for each in heard.values():
            assert check_numbers(each, len(acknowledged)) > 300


@pytest.mark.parametrize(("first", "second"), list(permutations(READERS, 2)))
def test_a_reader_goes_on_over_another_transport(server, follow, topic, first, second):
    before = server.publish(topic, 0)["id"]
    server.publish(topic, 1, 2)
    one = follow(server, first, topic, before)
    assert one.numbers(2) == [1, 2]
    one.close()
    server.publish(topic, 3, 4)
    other = follow(server, second, topic, one.cursor)
    server.publish(topic, 5)
    assert other.numbers(3) == [3, 4, 5]


# Publishing: what is acknowledged is there, once, whatever happened meanwhile.


def test_a_retry_over_a_cut_adds_nothing(server, topic):
    body = b'{"data": 1}'
    head = f"POST /events/{topic} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Idempotency-Key: one\r\nContent-Length: {len(body)}\r\n\r\n"
    client = server.send(head.encode() + body)
    close_by_reset(client)
    client.close()
    wait_until(lambda: server.events(topic), "it is kept")
    headers = {"Content_Type": "application/json", "Idempotency_Key": "one"}
    again = [server.get(f"/events/{topic}", "POST", body, **headers) for _ in range(3)]
    (kept,) = server.events(topic)
    assert [a.status for a in again] == [201, 201, 201]
    assert [a.json()["id"] for a in again] == [kept["id"]] * 3


def test_retries_at_the_same_time_add_nothing(server, topic):
    with ThreadPoolExecutor(20) as pool:
        receipts = list(
            pool.map(lambda _: server.publish(topic, 1, 2, Idempotency_Key="k"), range(40))
        )
    assert [event["data"] for event in server.events(topic)] == [1, 2]
    assert len({json.dumps(receipt) for receipt in receipts}) == 1


def test_a_key_with_other_events_is_refused(server, topic):
    server.publish(topic, 1, Idempotency_Key="k")
    headers = {"Content_Type": "application/json", "Idempotency_Key": "k"}
    answer = server.get(f"/events/{topic}", "POST", b'{"data": 2}', **headers)
    assert (answer.status, answer.json()["error"]) == (422, "key_reused")


def test_many_publishers_at_once_are_each_in_order(server, topic):
    def publish(publisher):
        return [server.publish(topic, [publisher, n])["id"] for n in range(20)]

    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(publish, range(16)))
    kept = server.events(topic)
    assert [event["id"] for event in kept] == sorted(chain.from_iterable(ids))
    for publisher, own in enumerate(ids):
        assert [e["data"][1] for e in kept if e["data"][0] == publisher] == list(range(20))
        assert [e["id"] for e in kept if e["data"][0] == publisher] == own


@pytest.fixture
def mortal(serve, free_port):
    return serve(HEADWATER_PORT=free_port)


def test_what_was_acknowledged_is_there_after_sigkill(mortal):
    receipts = []
    for life in range(4):
        receipts.append(mortal.publish("demo/kept", life, Idempotency_Key=f"life-{life}"))
        mortal.kill()
        mortal.start()
        assert mortal.publish("demo/kept", life, Idempotency_Key=f"life-{life}") == receipts[-1]
    kept = mortal.events("demo/kept")
    assert [event["data"] for event in kept] == list(range(4))
    assert [event["id"] for event in kept] == [receipt["id"] for receipt in receipts]


def test_what_many_publishers_had_acknowledged_is_there_after_sigkill(mortal):
    acknowledged = []

    def publish(publisher):
        with suppress(OSError, http.client.HTTPException):
            for n in range(100_000):
                acknowledged.append(mortal.publish("demo/kept", [publisher, n])["id"])

    with ThreadPoolExecutor(8) as pool:
        all_done = pool.map(publish, range(8))
        wait_until(lambda: len(acknowledged) > 300, "they publish")
        mortal.kill()
        list(all_done)
    mortal.start()
    kept = [event["id"] for event in mortal.events("demo/kept")]
    assert set(acknowledged) <= set(kept)
    assert kept == sorted(set(kept))
    assert len(kept) <= len(acknowledged) + 8


# A full disk.


def fill_up(server):
    """Publish until there is no room; return the numbers that were acknowledged."""
    headers = {"Content_Type": "application/json"}
    for n in range(1000):
        body = json.dumps({"data": [n, "x" * 60_000]})
        answer = server.get("/events/demo/full", "POST", body, **headers)
        if answer.status != 201:
            assert (answer.status, answer.json()["error"]) == (507, "no_room")
            return n
    return pytest.fail("there is always room")


def check_full(server, make_room):
    """Fill the disk and see that nothing is lost, that the server goes on, and works with room."""
    count = fill_up(server)
    assert [event["data"][0] for event in server.events("demo/full")] == list(range(count))
    assert server.publish("brief/x", 1)["count"] == 1
    make_room()
    server.publish("demo/full", [count])
    numbers = [event["data"][0] for event in server.events("demo/full")]
    assert numbers == list(range(count + 1))
    server.kill()
    server.start()
    assert [event["data"][0] for event in server.events("demo/full")] == numbers
    assert "Traceback" not in server.log


def test_a_topic_whose_file_may_not_grow(serve):
    server = serve("prlimit", "--fsize=2000000:unlimited")
    unlimited = (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY)
    check_full(server, lambda: server.worker().rlimit(psutil.RLIMIT_FSIZE, unlimited))


def test_a_topic_on_a_full_disk(serve, tmp_path):
    folder = tmp_path / "0" / "instance" / "topics"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        (folder / "ballast").write_bytes(bytes(2_000_000))
        check_full(serve(), (folder / "ballast").unlink)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


# The server stops, or is replaced.


def test_everybody_is_told_when_to_come_back(mortal, follow, topic):
    server = mortal
    readers = {name: [follow(server, name, topic) for _ in range(4)] for name in READERS}
    streams = [server.open(f"/events/{topic}") for _ in range(300)]
    everybody = 4 * len(READERS) + len(streams)
    wait_until(lambda: len(server.readers(topic)) == everybody, "all follow")
    began_s = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began_s < 5
    told = [list(reader)[-1].data for some in readers.values() for reader in some]
    told += [json.loads(stream.read().splitlines()[-1])["data"] for stream in streams]
    after_ms = [fields["after_ms"] for fields in told]
    assert len(set(after_ms)) == everybody
    assert 0 < min(after_ms) < max(after_ms) < 10_000
    assert {reader.close_code for reader in readers["websocket"]} == {1012}
    assert "Traceback" not in server.log


def test_between_two_polls_one_is_told_too(mortal, topic):
    host = "127.0.0.1", mortal.port
    with (
        closing(http.client.HTTPConnection(*host, timeout=10)) as kept,
        closing(http.client.HTTPConnection(*host, timeout=10)) as idle,
    ):

        def poll(sid=""):
            kept.request("GET", f"/socket.io/?EIO=4&transport=polling{sid}")
            answer = kept.getresponse()
            assert answer.status == 200
            return answer.read().decode()

        sid = json.loads(poll()[1:])["sid"]
        told = Polling(mortal.port, sid=sid)
        told.post("40/live,")
        assert "40/live" in poll(f"&sid={sid}")
        told.post(f'42/live,0["subscribe",{{"topic":"{topic}"}}]')
        while "43/live,0" not in poll(f"&sid={sid}"):
            pass  # a tick
        idle.request("GET", "/healthz")
        idle.getresponse().read()
        mortal.process.send_signal(signal.SIGTERM)
        assert idle.sock.recv(1) == b""  # the drain has been round
        *_, reconnect, last = poll(f"&sid={sid}").split("\x1e")
        assert reconnect.startswith('42/live,["reconnect",')
        assert last == "1"
        assert kept.sock is None  # nothing more is awaited
    assert mortal.process.wait(3) == 0


def hear_the_end(reader):
    """Return what a reader is told until it is cut or ended."""
    told = []
    with suppress(ConnectionError):
        for each in reader:
            told.append(each)
    return told


BEHIND = ["ndjson", "sse", "websocket", "socket.io"]
MUCH = 20_000


@pytest.fixture(scope="module")
def stopped(serve_all):
    """What readers were told that were behind when the server stopped, and then came back to.

    By transport: what it was told until the end, and the first that it was told afterwards.
    """
    server = serve_all()
    server.publish("demo/much", -1)
    with ThreadPoolExecutor(len(BEHIND)) as pool, ExitStack() as opened:
        cutter = opened.enter_context(Cutter(server.port))
        readers = [opened.enter_context(READERS[n](cutter.base, "demo/much")) for n in BEHIND]
        cutter.stall()
        for first in range(0, MUCH, 1000):
            server.publish("demo/much", *[[n, "x" * 1000] for n in range(first, first + 1000)])
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not server.accepts(), "it stops")
        cutter.go_on()
        told = dict(zip(BEHIND, pool.map(hear_the_end, readers), strict=True))
        server.process.wait(20)
        server.start()
        # The last id that it got, as docs/events.md tells it to keep.
        last = {n: next(e.id for e in reversed(told[n]) if e.id is not None) for n in BEHIND}
        again = [
            opened.enter_context(READERS[n](server.base, "demo/much", last[n])) for n in BEHIND
        ]
        after = dict(zip(BEHIND, (reader.take(1)[0] for reader in again), strict=True))
    return told, after


@pytest.mark.parametrize("transport", BEHIND)
def test_who_is_behind_when_the_server_stops_loses_nothing(stopped, transport):
    told, after = stopped
    numbers = [each.data[0] for each in told[transport] if each.name == "number"]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) < MUCH
    assert (after[transport].name, after[transport].data[0]) == ("number", len(numbers))


@pytest.mark.parametrize("transport", BEHIND)
def test_who_is_behind_when_the_server_stops_is_told_too(stopped, transport):
    told, _ = stopped
    assert told[transport][-1].name == RECONNECT


def hear(transport, base, topic, since):
    """Return what a reader is told that comes back until the event `last`."""
    heard = []
    for told in resume(READERS[transport], base, topic, since):
        heard.append(Heard(told.id, told.name, told.data))
        if told.name == LAST:
            break
    return heard


def test_readers_and_publishers_get_through_a_reload(mortal, topic, javascript):
    server = mortal
    since = server.publish(topic, 0)["id"]
    with ThreadPoolExecutor(len(READERS)) as pool:
        heard = [pool.submit(hear, name, server.base, topic, since) for name in READERS]
        with publishing(server.base, topic, most=3) as acknowledged:
            for _ in range(2):
                reach(acknowledged, len(acknowledged) + 30)
                worker = server.worker()
                server.process.send_signal(signal.SIGHUP)
                wait_until(lambda old=worker: is_gone(old), "the old worker is gone", 30)
            reach(acknowledged, len(acknowledged) + 30)
    for each in heard:
        assert check_numbers(each.result(), len(acknowledged)) == 0
