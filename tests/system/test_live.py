"""The original contract of /live to the letter, and topics and exports on the namespace /live."""

import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from itertools import pairwise
from urllib.parse import quote

import engineio.payload
import pytest
from websockets.sync.client import connect

from tests.system.feeds import HEARTBEAT, LAST, SocketIo, WholeSse, live_client, start_node
from tests.system.server import ROOT, wait_until

TRANSPORTS = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgraded": ["polling", "websocket"],
}
each_way = pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=TRANSPORTS.keys())
each_live_path = pytest.mark.parametrize("path", ["/ws/live", "/ws/live/"])

# How late a beat may be: two cores run the server, the clients and whatever else.
LATE_S = 0.4
BEATS = 11


def listen(client):
    """Have a client of /live remember what it hears: when, under which name, with which fields."""
    client.heard = []

    def hear(name, *fields):
        client.heard.append((time.monotonic(), name, *fields))

    client.on("*", hear, namespace="/live")


@pytest.fixture
def join():
    """A verb: join(server) returns a client of /live that is connected."""
    with ExitStack() as clients:

        def join(server, transports=("websocket",)):
            return clients.enter_context(live_client(server.base, transports, listen))

        yield join


@pytest.fixture
def open_live():
    """A verb: open_live(server, path) returns an open WebSocket."""
    with ExitStack() as clients:

        def open_live(server, path="/ws/live"):
            url = server.url(path).replace("http", "ws", 1)
            return clients.enter_context(connect(url, close_timeout=1, proxy=None))

        yield open_live


def heard(client, name):
    """Return the fields of the events of that name."""
    return [fields[0] for _, event, *fields in list(client.heard) if event == name]


def wait_for(client, name, count=1):
    return wait_until(lambda: heard(client, name)[count - 1 :], f"{count} {name} come")


def call(client, event, **fields):
    """Emit an event and return its acknowledgement."""
    return client.call(event, fields, namespace="/live", timeout=10)


# The original contract.


@each_way
def test_who_connects_is_greeted(server, join, transports):
    client = join(server, transports)
    assert wait_for(client, "response") == [{"data": "Connected to live stream"}]


@each_way
def test_request_data_is_answered_to_that_client(server, join, transports):
    client, other = join(server, transports), join(server)
    for message in ("hello", "Ünïcødé 🌊", 7):
        client.emit("request_data", {"message": message}, namespace="/live")
    wait_for(client, "data_response", 3)
    answers = [fields["data"] for fields in heard(client, "data_response")]
    assert answers == ["Response to: hello", "Response to: Ünïcødé 🌊", "Response to: 7"]
    assert heard(other, "data_response") == []


@each_live_path
def test_ws_live_answers_a_message(server, open_live, path):
    client = open_live(server, path)
    client.send(json.dumps({"message": "hello"}))
    answer = json.loads(client.recv(timeout=5))
    assert answer == {"type": "response", "message": "Server received: hello"}


@pytest.mark.parametrize("message", ["hello", "hello wörld & 1/2", "a?b#c%"])
def test_a_broadcast_reaches_everybody(server, join, open_live, message):
    lives = [join(server, transports) for transports in TRANSPORTS.values()]
    sockets = [open_live(server, path) for path in ("/ws/live", "/ws/live/")]
    answer = server.get(f"/broadcast/{quote(message, safe='')}", "POST")
    assert (answer.status, answer.json()) == (200, {"message": "Message broadcast sent"})
    for client in lives:
        assert wait_for(client, "broadcast") == [{"data": message}]
    for client in sockets:
        texts = (client.recv(timeout=5) for _ in range(3))
        assert f"Broadcast: {message}" in texts


def check_beat(times):
    """Check that something came every second, and that lateness did not add up."""
    late_s = [at - times[0] - n for n, at in enumerate(times)]
    assert max(map(abs, late_s)) < LATE_S, late_s
    assert min(map(abs, late_s[len(late_s) // 2 :])) < 0.1, late_s


def hear_beats(client):
    """Return when the updates of a /ws/live came, and their fields."""
    beats = [(json.loads(client.recv(timeout=5)), time.monotonic()) for _ in range(BEATS)]
    return [at for _, at in beats], [fields for fields, _ in beats]


def test_the_tick_keeps_its_beat(server, join, open_live):
    lives = [join(server), join(server, TRANSPORTS["polling"])]
    sockets = [open_live(server, path) for path in ("/ws/live", "/ws/live/")]
    with ThreadPoolExecutor(2) as pool:
        beats = list(pool.map(hear_beats, sockets))
    for times, fields in beats:
        check_beat(times)
        texts = [each.pop("data") for each in fields]
        assert fields == [{"type": "update"}] * BEATS
        found = [re.fullmatch(r"Server time: (\S+), Count: (\d+)", text) for text in texts]
        assert [int(each[2]) for each in found] == list(range(1, BEATS + 1))
        assert abs(datetime.fromisoformat(found[-1][1]).timestamp() - time.time()) < 2
    for client in lives:
        wait_for(client, "status_update", BEATS - 1)
        check_beat([at for at, name, *_ in client.heard if name == "status_update"])


def test_the_tick_of_live_is_one_for_everybody(server, join):
    clients = [join(server, transports) for transports in TRANSPORTS.values()]
    for client in clients:
        wait_for(client, "status_update", 4)
    texts = [[each["data"] for each in heard(client, "status_update")] for client in clients]
    assert len(set(texts[0]) & set(texts[1]) & set(texts[2])) >= 3
    found = [re.fullmatch(r"Server time: (\d+\.\d+), Count: (\d+)", text) for text in texts[0]]
    counts = [int(each[2]) for each in found]
    assert counts == list(range(counts[0], counts[0] + len(counts)))
    assert abs(float(found[-1][1]) - time.time()) < 2


def test_the_javascript_client(server, javascript):
    emits = [["request_data", {"message": "hello"}], ["readers", {"topic": "status"}]]
    script = ROOT / "tests" / "system" / "node" / "live.mjs"
    words = json.dumps({"base": server.base, "emits": emits})
    node = subprocess.Popen(["node", script, words], cwd=ROOT, stdout=subprocess.PIPE)
    told = {}
    while {"response", "data_response", "ack", "status_update", "broadcast"} - set(told):
        name, fields = json.loads(node.stdout.readline())
        told[name] = fields
        if name == "connect":
            server.get("/broadcast/hello", "POST")
    node.kill()
    node.communicate()
    assert told["response"] == {"data": "Connected to live stream"}
    assert told["data_response"] == {"data": "Response to: hello"}
    assert told["ack"] == {"ok": True, "topic": "status", "count": 0, "readers": []}
    assert told["broadcast"] == {"data": "hello"}


# Topics.


def test_subscribe_is_acknowledged_before_its_events(server, join, topic):
    newest = server.publish(topic, 1, 2)["id"]
    client = join(server)
    told = call(client, "subscribe", topic=topic, since="all")
    (own,) = server.readers(topic)
    assert list(told) == ["ok", "topic", "cursor", "newest", "connection"]
    assert (told["ok"], told["topic"], told["connection"]) == (True, topic, own["connection"])
    assert told["cursor"] < newest
    assert wait_for(client, "event", 2)
    events = heard(client, "event")
    assert events == server.events(topic)
    assert list(events[0]) == ["id", "topic", "name", "data", "time"]


def test_subscriptions_of_a_connection_come_and_go_by_themselves(server, join, topic):
    client = join(server)
    for name in ("a", "b"):
        assert call(client, "subscribe", topic=f"{topic}/{name}")["ok"]
    server.publish(f"{topic}/a", 1)
    server.publish(f"{topic}/b", 2)
    wait_for(client, "event", 2)
    told = call(client, "unsubscribe", topic=f"{topic}/a")
    assert told == {"ok": True, "topic": f"{topic}/a"}
    server.publish(f"{topic}/a", 3)
    server.publish(f"{topic}/b", 4)
    wait_for(client, "event", 3)
    data = [event["data"] for event in heard(client, "event")]
    assert (sorted(data[:2]), data[2:]) == ([1, 2], [4])
    assert server.readers(f"{topic}/a") == []


def test_to_subscribe_again_begins_again(server, join, topic):
    server.publish(topic, 1, 2)
    client = join(server)
    for count in (2, 4):
        assert call(client, "subscribe", topic=topic, since="all")["ok"]
        wait_for(client, "event", count)
    server.publish(topic, 3)
    wait_for(client, "event", 5)
    assert [event["data"] for event in heard(client, "event")] == [1, 2, 1, 2, 3]
    assert len(server.readers(topic)) == 1


@each_way
def test_publish_over_live(server, join, topic, transports):
    client = join(server, transports)
    one = call(client, "publish", topic=topic, name="order", data={"n": 1})
    events = [{"name": "order", "data": {"n": n}} for n in (2, 3)]
    many = [call(client, "publish", topic=topic, events=events, key="k") for _ in range(2)]
    plain = call(client, "publish", topic=topic, data=None)
    kept = server.events(topic)
    assert [(e["name"], e["data"]) for e in kept[:3]] == [("order", {"n": n}) for n in (1, 2, 3)]
    assert (kept[3]["name"], kept[3]["data"]) == ("message", None)
    assert one == {"ok": True, "id": kept[0]["id"], "topic": topic, "count": 1}
    assert many == [{"ok": True, "id": kept[2]["id"], "topic": topic, "count": 2}] * 2
    assert plain["id"] == kept[3]["id"]


def test_a_key_is_the_same_over_live_and_http(server, join, topic):
    told = call(join(server), "publish", topic=topic, data=1, key="k", name="number")
    assert server.publish(topic, 1, Idempotency_Key="k")["id"] == told["id"]
    assert len(server.events(topic)) == 1


def test_readers_over_live(server, join, follow, topic):
    reader = follow(server, "ndjson", topic)
    told = call(join(server), "readers", topic=topic)
    assert (told["ok"], told["topic"], told["count"]) == (True, topic, 1)
    assert told["readers"][0]["connection"] == reader.connection
    assert told["readers"] == server.readers(topic)


def test_pythons_polling_client_as_it_comes_can_take_history(server, join, topic, monkeypatch):
    monkeypatch.setattr(engineio.payload.Payload, "max_decode_packets", 16)
    server.publish(topic, *range(40))
    client = join(server, TRANSPORTS["polling"])
    client.emit("subscribe", {"topic": topic, "since": "all"}, namespace="/live")
    wait_until(lambda: len(heard(client, "event")) == 40, "history comes", 3)


def test_an_upgrade_in_mid_stream_loses_nothing(server, topic, javascript, tmp_path):
    since = server.publish(topic, 0)["id"]
    server.publish(topic, *range(1, 3000))
    with open(tmp_path / "heard", "w+") as heard:
        options = {"since": since, "readers": 20, "resumes": True}
        node = start_node(server.base, topic, stdout=heard, **options)
        wait_until(lambda: len(server.readers(topic)) == 20, "all follow")
        server.publish(topic, *range(3000, 3100))
        server.publish(topic, 3100, name=LAST)
        assert node.wait(30) == 0
        heard.seek(0)
        told = [json.loads(line) for line in heard]
    events = [(reader, fields) for reader, kind, fields in told if kind == "event"]
    for each in range(20):
        numbers = [e["data"] for reader, e in events if reader == each and e["name"] != HEARTBEAT]
        assert numbers == list(range(1, 3101))


# What the server itself publishes.


def test_status_says_how_the_server_is(server, follow):
    told = follow(server, "ndjson", "status").take(3)
    assert [each.name for each in told] == ["status"] * 3
    seconds = [after.data["time"] - before.data["time"] for before, after in pairwise(told)]
    assert all(abs(each - 1) < LATE_S for each in seconds)
    assert set(told[-1].data) == {
        "time", "hub_lag_ms", "connections", "events_per_s", "bytes_per_s", "memory_bytes",
        "exports_running",
    }  # fmt: skip
    assert told[-1].data["connections"]["ndjson"] == 1


@pytest.fixture(scope="module")
def one_at_a_time(serve_all):
    return serve_all(HEADWATER_EXPORTS_RUNNING="1")


def watch(reader, export_id, last):
    """Return what is told of an export until its state `last`."""
    told = []
    while not told or told[-1].name != last:
        each = next(reader)
        if isinstance(each.data, dict) and each.data.get("id") == export_id:
            told.append(each)
    return told


ENDS = {
    "complete": ("long", {"rows": 3_000_000}),
    "failed": ("stops", {"at": 1_500_000}),
    "cancelled": ("long", {"rows": 1_999_999_999}),
}


@pytest.mark.parametrize(("end", "source", "words"), [(k, *v) for k, v in ENDS.items()])
def test_every_state_of_an_export_is_told(one_at_a_time, join, end, source, words):
    server = one_at_a_time
    with WholeSse(server.base, "exports") as sse, SocketIo(server.base, "exports") as live:
        blocking = server.running()
        export_id = server.prepare(source, **words)
        client = join(server)
        told = call(client, "cancel", id=blocking)
        assert told == {"ok": True, "id": blocking, "state": "cancelled"}
        if end == "cancelled":
            server.wait_for(export_id, "running")
            assert call(client, "cancel", id=export_id)["state"] == "cancelled"
        told = watch(sse, export_id, end)
        assert watch(live, export_id, end) == told
    assert [each.name for each in told if each.name != "progress"] == ["queued", "running", end]
    assert [each.data["state"] for each in told if each.name != "progress"] == [
        "queued", "running", end,
    ]  # fmt: skip
    final = server.export(export_id)
    assert {key: told[-1].data[key] for key in ("rows", "state", "error")} == {
        key: final[key] for key in ("rows", "state", "error")
    }


def test_progress_is_told_five_times_a_second_at_most(one_at_a_time, follow):
    server = one_at_a_time
    export_id = server.running()
    told = follow(server, "sse", f"exports/{export_id}").take(8)
    server.get(f"/exports/{export_id}", "DELETE")
    assert {each.name for each in told} == {"progress"}
    rows = [each.data["rows"] for each in told]
    assert rows == sorted(rows)
    of_it = [e for e in server.events(f"exports/{export_id}") if e["name"] == "progress"]
    assert all(after["time"] - before["time"] > 0.19 for before, after in pairwise(of_it))
    assert (of_it[-1]["time"] - of_it[0]["time"]) / len(of_it) < 0.5


def test_what_cannot_be_cancelled(server, join):
    told = call(join(server), "cancel", id="0123456789abcdef")
    assert (told["ok"], told["status"]) == (False, 404)
    assert list(told) == ["ok", "error", "message", "status", "detail"]
