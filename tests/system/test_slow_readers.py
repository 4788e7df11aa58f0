"""A reader that does not read costs nobody anything, and learns what it has missed.

All is seen in one minute of load, at which the tests look from their sides.
"""

import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests.system.cutter import Cutter
from tests.system.feeds import GAP, LAST, READERS, Publisher
from tests.system.server import wait_until

pytestmark = pytest.mark.slow

TOPIC = "load/minute"
ABANDONED = "demo/abandoned"
STALLED = ["ndjson", "sse", "websocket"]
# Python's Socket.IO client takes fewer than 2,000 events a second.
HEALTHY = ["ndjson", "sse", "websocket", "node"]
MANY = 5

# The load: 2,000 events a second of 1 KB, of which the topic keeps those of two seconds.
AT_ONCE = 50
EVERY_S = AT_ONCE / 2000
FILLING = "x" * 1000

MINUTE_S = 60
# Until every buffer on the way is full, and the topic is.
WARM_S = 8
# How long a Socket.IO client hears nothing: after more than that it would give up by itself.
DEAF_S = 15
MAX_GROWTH_BYTES = 8 * 1024**2
P99_S = 0.5


@dataclass
class Minute:
    """What was seen. memory_bytes: of the worker, once it is warm.

    presence: in the middle of it. abandoned: who is still there of those who never came back.
    stalled, healthy: by transport what was heard, numbers and gaps, each with how late it came.
    """

    published: int = 0
    memory_bytes: list = field(default_factory=list)
    presence: list = field(default_factory=list)
    abandoned: list = field(default_factory=list)
    stalled: dict = field(default_factory=dict)
    healthy: dict = field(default_factory=dict)


def publish(base):
    """Keep the load up for a minute; return how many numbers were published, from 0 on."""
    publisher = Publisher(base)
    began_s = time.monotonic()
    turn = 0
    while time.monotonic() - began_s < MINUTE_S:
        first = turn * AT_ONCE
        data = [[n, time.time(), FILLING] for n in range(first, first + AT_ONCE)]
        publisher.publish(TOPIC, *data, key=f"turn-{turn}")
        turn += 1
        time.sleep(max(0.0, began_s + turn * EVERY_S - time.monotonic()))
    publisher.publish(TOPIC, [turn * AT_ONCE, time.time(), ""], name=LAST, key=LAST)
    publisher.close()
    return turn * AT_ONCE


def listen(reader):
    """Return what a reader is told until the last: numbers and gaps, each with how late it came."""
    heard = []
    for told in reader:
        if told.name == GAP:
            heard.append((told, 0.0))
        elif told.name in ("number", LAST):
            number, sent_s, _ = told.data
            heard.append((number, time.time() - sent_s))
            if told.name == LAST:
                break
    return heard


def follow_and_listen(transport, base):
    """The same in a process of its own: no other reader's work makes it late."""
    with READERS[transport](base, TOPIC) as reader:
        return listen(reader)


def abandon(server):
    """Subscribe over polling, which is no connection that could be seen to end, and stay away."""
    for _ in range(50):
        opened = server.get("/socket.io/?EIO=4&transport=polling").body
        path = f"/socket.io/?EIO=4&transport=polling&sid={json.loads(opened[1:])['sid']}"
        said = f'40/live,\x1e42/live,["subscribe",{{"topic":"{ABANDONED}"}}]'
        assert server.get(path, "POST", said.encode()).body == b"ok"
    wait_until(lambda: len(server.readers(ABANDONED)) == 50, "they follow")


@pytest.fixture(scope="module")
def minute(serve_all, javascript):
    """The minute, with readers of each transport that do not read, and some that do."""
    server, seen = serve_all(), Minute()
    spawn = multiprocessing.get_context("spawn")
    with (
        ExitStack() as opened,
        ThreadPoolExecutor(1) as thread,
        ProcessPoolExecutor(len(HEALTHY), spawn) as processes,
    ):

        def follow(base, name):
            return opened.enter_context(READERS[name](base, TOPIC))

        abandon(server)
        cutter = opened.enter_context(Cutter(server.port))
        stalled = {name: [follow(server.base, name) for _ in range(MANY)] for name in STALLED}
        deaf = follow(cutter.base, "node")
        healthy = {name: processes.submit(follow_and_listen, name, server.base) for name in HEALTHY}
        everybody = len(STALLED) * MANY + 1 + len(HEALTHY)
        wait_until(lambda: len(server.readers(TOPIC)) == everybody, "all follow", 30)
        publishing = thread.submit(publish, server.base)
        began_s = time.monotonic()
        while wait([publishing], timeout=2).not_done:
            if time.monotonic() - began_s > WARM_S:
                seen.memory_bytes.append(server.worker().memory_full_info().pss)
                seen.presence = server.readers(TOPIC)
            if time.monotonic() - began_s > MINUTE_S - DEAF_S:
                cutter.stall()
        cutter.go_on()
        seen.published = publishing.result()
        seen.abandoned = server.readers(ABANDONED)
        seen.stalled = {name: [listen(each) for each in some] for name, some in stalled.items()}
        seen.stalled["node"] = [listen(deaf)]
        seen.healthy = {name: each.result() for name, each in healthy.items()}
    return seen


def test_the_load_was_there(minute):
    assert minute.published > 1500 * MINUTE_S


@pytest.mark.parametrize("transport", HEALTHY)
def test_others_get_everything_in_time(minute, transport):
    heard = minute.healthy[transport]
    assert [number for number, _ in heard] == list(range(minute.published + 1))
    late_s = sorted(late_s for _, late_s in heard)
    assert late_s[len(late_s) * 99 // 100] < P99_S


def test_the_memory_stays_where_it_was(minute):
    assert len(minute.memory_bytes) > 10
    assert max(minute.memory_bytes) - minute.memory_bytes[0] < MAX_GROWTH_BYTES


@pytest.mark.parametrize("transport", [*STALLED, "node"])
def test_who_stood_still_is_told_what_it_has_missed(minute, transport):
    for heard in minute.stalled[transport]:
        gaps = [each for each, _ in heard if not isinstance(each, int)]
        assert {gap.data["reason"] for gap in gaps} == {"too slow"}
        expected = 0
        for each, _ in heard:
            if isinstance(each, int):
                assert each == expected
                expected += 1
            else:
                expected += each.data["lost"]
        assert expected == minute.published + 1
        assert sum(gap.data["lost"] for gap in gaps) > minute.published / 10


def test_presence_shows_who_is_behind(minute):
    behind = [each for each in minute.presence if each["lag_events"] > 10_000]
    assert len(behind) == len(STALLED) * MANY + 1
    for each in behind:
        assert each["lag_s"] > 0.5
        assert each["behind"] == "its connection is full"


def test_who_never_polls_again_is_forgotten(minute):
    assert minute.abandoned == []
