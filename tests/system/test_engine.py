"""Engine.IO and Socket.IO on a real gunicorn, by the official protocol suites and beyond them.

What upstream's server gets wrong is asked of both: `stock` is expected to fail, strictly, so that
this says so when upstream has mended it.
"""

import json
import select
import signal
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from time import monotonic

import pytest
import requests
import socketio

from tests.sockets.clients import BINARY, CLOSE, TEXT, Polling, RawWebSocket, close, frame
from tests.system.gunicorn_process import GunicornProcess
from tests.system.server import wait_until

STOCK = pytest.param("stock", marks=pytest.mark.xfail(strict=True, reason="upstream's defect"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """A verb: servers(app) returns a server that runs while the tests of this file do."""
    started = {}

    def server(app):
        if app not in started:
            folder = tmp_path_factory.mktemp(app)
            is_ours = not app.startswith("stock")
            started[app] = GunicornProcess(folder, module="socket_apps", app=app, is_ours=is_ours)
        return started[app]

    yield server
    for each in started.values():
        each.stop()


@pytest.fixture
def start(tmp_path):
    """A verb: start(app, ...) returns a server that ends with the test."""
    started = []

    def start(app, *options, **more):
        started.append(GunicornProcess(tmp_path, *options, module="socket_apps", app=app, **more))
        return started[-1]

    yield start
    for server in started:
        server.stop()


class Place:
    """Where an Engine.IO server is, and verbs to connect to it; close() ends what was opened.

    seconds: how long its clients wait for anything.
    """

    def __init__(self, server, path="/socket.io/", seconds=10):
        self.server, self.port, self.path, self.seconds = server, server.port, path, seconds
        self._sessions = []

    def poll(self):
        """Return a new session over polling."""
        self._sessions.append(Polling(self.port, self.path, seconds=self.seconds))
        return self._sessions[-1]

    def websocket(self, sid=None, **more):
        """Return a WebSocket: of a new session, whose open packet is read, or of another's."""
        query = "?EIO=4&transport=websocket" + (f"&sid={sid}" if sid else "")
        client = RawWebSocket(self.port, self.path + query, **{"seconds": self.seconds} | more)
        client.opened = None if sid else json.loads(client.text()[1:])
        return client

    def ask(self, method, query):
        """Return the status of a request."""
        return Polling(self.port, self.path + query, sid="").ask(method)[0]

    def close(self):
        for session in self._sessions:
            with suppress(OSError):
                session.post("1")


def serve(servers, kind, ours, stock, path="/socket.io/"):
    """Yield the place of ours or of upstream's; what upstream does not say comes never."""
    place = Place(servers(ours), path) if kind == "ours" else Place(servers(stock), path, 0.7)
    yield place
    place.close()


@pytest.fixture(params=["ours"])
def engine(servers, request):
    """An Engine.IO server that gives back what comes; pings after 300 ms, ends 200 ms later."""
    yield from serve(servers, request.param, "engine", "stock_engine", "/engine.io/")


@pytest.fixture(params=["ours"])
def suite(servers, request):
    """The Socket.IO server of the official suite, as brisk as the one above."""
    yield from serve(servers, request.param, "suite", "stock_suite")


@pytest.fixture
def brisk(servers):
    """The same as `live` below with the intervals of the official suite."""
    yield from serve(servers, "ours", "brisk", "brisk")


@pytest.fixture(params=["ours"])
def live(servers, request):
    """A Socket.IO server with the namespace /live, and the usual intervals."""
    yield from serve(servers, request.param, "live", "stock")


def both(name):
    """Mark a test as one that upstream's server fails. name: the fixture that serves it."""
    return pytest.mark.parametrize(name, ["ours", STOCK], indirect=True)


# Engine.IO: the handshake


@both("engine")
def test_the_open_packet(engine):
    opened = engine.poll().opened
    assert isinstance(opened.pop("sid"), str)
    assert opened == {
        "upgrades": ["websocket"],
        "pingInterval": 300,
        "pingTimeout": 200,
        "maxPayload": 1_000_000,
    }
    with engine.websocket() as client:
        del client.opened["sid"]
        assert client.opened == opened | {"upgrades": []}


REFUSED = {
    "no version": ("GET", "?transport=polling"),
    "a bad version": ("GET", "?EIO=abc&transport=polling"),
    "a bad transport": ("GET", "?EIO=4&transport=abc"),
    "an unknown session": ("GET", "?EIO=4&transport=polling&sid=x"),
    "an unknown session, told": ("POST", "?EIO=4&transport=polling&sid=x"),
    "a WebSocket that is not asked for": ("GET", "?EIO=4&transport=websocket"),
    "opened by POST": ("POST", "?EIO=4&transport=polling"),
}


@pytest.mark.parametrize(("method", "query"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(engine, method, query):
    assert engine.ask(method, query) == 400


REFUSED_NOT_BY_STOCK = {
    "no transport": ("GET", "?EIO=4"),
    "another method": ("PUT", "?EIO=4&transport=polling"),
}


@pytest.mark.parametrize(
    ("method", "query"), REFUSED_NOT_BY_STOCK.values(), ids=REFUSED_NOT_BY_STOCK.keys()
)
@both("engine")
def test_what_stock_does_not_refuse_so(engine, method, query):
    assert engine.ask(method, query) == 400


@pytest.mark.parametrize("query", ["?transport=websocket", "?EIO=4&transport=abc", "?EIO=4"])
def test_a_websocket_that_is_refused(engine, query):
    with RawWebSocket(engine.port, engine.path + query) as client:
        assert client.status == 400
        assert b"application/json" in client.handshake


def test_a_refusal_has_the_one_shape(engine):
    _, text = Polling(engine.port, engine.path, sid="x").poll()
    assert json.loads(text).keys() == {"error", "message", "status", "detail"}


@pytest.mark.parametrize(("origin", "status"), [("http://127.0.0.1", 101), ("http://evil", 403)])
def test_only_pages_of_the_same_origin_connect(engine, origin, status):
    path = f"{engine.path}?EIO=4&transport=websocket"
    with RawWebSocket(engine.port, path, Origin=origin) as client:
        assert client.status == status


def test_pages_of_another_origin_do_not_poll(engine):
    url = f"http://127.0.0.1:{engine.port}{engine.path}?EIO=4&transport=polling"
    answer = requests.get(url, headers={"Origin": "http://evil"}, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (403, "cross_origin")


# Engine.IO: messages


@both("engine")
def test_a_post_is_answered_as_the_suite_wants(engine):
    assert engine.poll().post("4hello") == (200, "ok")


@pytest.mark.parametrize("body", ["4hello", "4a\x1e4b\x1e4c", "4hello\x1ebAQIDBA=="])
def test_polled_messages(engine, body):
    client = engine.poll()
    assert client.post(body)[0] == 200
    assert "\x1e".join(client.packets()) == body


@both("engine")
def test_more_than_sixteen_packets_at_once(engine):
    client = engine.poll()
    body = "\x1e".join(f"4{n}" for n in range(100))
    assert client.post(body)[0] == 200
    assert "\x1e".join(client.packets()) == body


def test_messages_on_a_websocket(engine):
    with engine.websocket() as client:
        client.send("4hello", frame(BINARY, b"\1\2\3"))
        assert client.text() == "4hello"
        assert client.receive() == (BINARY, b"\1\2\3")


@pytest.mark.parametrize("message", ["4{}", '4"text"', "4[1]", "4null", "4"])
def test_a_message_is_text_whatever_it_looks_like(engine, message):
    with engine.websocket() as client:
        client.send(message)
        assert client.text() == message


BAD_BODIES = ["abc", "", "4a\x1e\x1e4b", "b????", "7", "0{}", "2probe"]


@both("engine")
@pytest.mark.parametrize("body", BAD_BODIES)
def test_a_bad_payload_closes_the_session(engine, body):
    client = engine.poll()
    assert client.post(body)[0] == 400
    assert client.poll()[0] == 400


@both("engine")
def test_a_payload_that_is_too_long_is_named(engine):
    client = engine.poll()
    assert client.post("4" * 1_000_001)[0] == 413
    assert client.poll()[0] == 400


@both("engine")
@pytest.mark.parametrize("message", ["abc", "", "7", "0{}", "2"])
def test_a_bad_packet_closes_the_websocket(engine, message):
    with engine.websocket() as client:
        began = monotonic()
        client.send(message)
        found = client.receive()  # stock writes an HTTP answer, or ends when no pong comes
        assert monotonic() - began < 0.2
        assert found[:1] == (CLOSE,)


def test_a_message_that_is_too_long_closes_the_websocket(engine):
    with engine.websocket() as client:
        client.send(frame(TEXT, b"4" * 1_000_001))
        assert client.close_code() == 1009


@both("engine")
def test_a_second_poll_closes_the_session(engine):
    client = engine.poll()
    with client.begin("GET") as one, client.begin("GET") as other:
        first, second = sorted([one.answer(), other.answer()])
    assert first == (200, "1")
    assert second[0] == 400
    assert client.poll()[0] == 400


@both("live")
def test_a_second_post_closes_the_session(live):
    client = live.poll()
    client.post("40/live,")
    with client.begin("POST", '42/live,["numbers",500]') as first:
        wait_until(lambda: client.post('42/live,["same"]')[0] == 400, "it is refused", 0.2)
        assert first.answer()[0] == 200
    assert client.poll()[0] == 400


# Engine.IO: heartbeats


def test_polled_pings(engine):
    client = engine.poll()
    for _ in range(3):
        began = monotonic()
        assert client.poll() == (200, "2")
        assert 0.2 < monotonic() - began < 0.45
        assert client.post("3")[0] == 200


def test_a_session_that_is_not_polled_ends_on_time(engine):
    client = engine.poll()
    began = monotonic()
    wait_until(lambda: monotonic() - began > 0.5, "its time is over")
    assert client.poll()[0] == 400


def test_pings_on_a_websocket(engine):
    with engine.websocket() as client:
        for _ in range(3):
            began = monotonic()
            assert client.receive() == (TEXT, b"2")
            assert 0.2 < monotonic() - began < 0.45
            client.send("3")


def test_who_answers_no_ping_is_closed(engine):
    with engine.websocket() as client:
        began = monotonic()
        assert client.close_code() == 1001
        assert 0.4 < monotonic() - began < 0.75


def test_a_pong_that_was_not_asked_for_changes_nothing(engine):
    with engine.websocket() as client:
        began = monotonic()
        client.send("3", "3")
        assert client.receive() == (TEXT, b"2")
        assert 0.2 < monotonic() - began < 0.45


def test_who_sends_something_else_is_alive(engine):
    with engine.websocket() as client:
        assert client.receive() == (TEXT, b"2")
        began = monotonic()
        while monotonic() - began < 0.6:
            client.send("4here")
            assert client.receive() == (TEXT, b"4here")


# Engine.IO: closing


@both("engine")
def test_a_client_that_closes_ends_its_poll(engine):
    client = engine.poll()
    with client.begin("GET") as poll:
        client.post("1")
        assert poll.answer() == (200, "6")
    assert client.poll()[0] == 400


def test_a_client_that_closes_on_a_websocket(engine):
    with engine.websocket() as client:
        client.send("1")
        assert client.close_code() == 1000


# Engine.IO: upgrading


def upgraded(engine, session):
    """Return a WebSocket to which the session has changed."""
    client = engine.websocket(session.sid)
    client.send("2probe")
    assert client.text() == "3probe"
    client.send("5")
    return client


@both("engine")
def test_an_upgrade(engine):
    session = engine.poll()
    with engine.websocket(session.sid) as client:
        client.send("2probe")
        assert client.text() == "3probe"
        assert session.poll() == (200, "6")
        client.send("5", "4hello")
        assert client.receive() == (TEXT, b"4hello")


def test_an_upgrade_ends_the_poll_that_waits(engine):
    session = engine.poll()
    with session.begin("GET") as poll, upgraded(engine, session) as client:
        assert poll.answer() == (200, "6")
        client.send("4hello")
        assert client.receive() == (TEXT, b"4hello")


@both("engine")
def test_what_has_changed_is_not_polled(engine):
    session = engine.poll()
    with engine.websocket(session.sid) as client:
        client.send("2probe", "5")
        wait_until(lambda: session.poll()[0] == 400, "it has changed", timeout_s=0.05)
        assert session.post("4no")[0] == 400
        assert client.text() == "3probe"
        client.send("4hello")
        assert client.receive() == (TEXT, b"4hello")


@both("engine")
def test_a_second_websocket_is_closed(engine):
    session = engine.poll()
    with engine.websocket(session.sid) as client, engine.websocket(session.sid) as second:
        second.send("2probe", "5")
        assert second.receive()[0] == CLOSE
        client.send("2probe", "5", "4hello")
        assert [client.text(), client.text()] == ["3probe", "4hello"]


@pytest.mark.parametrize("sent", [["4hello"], ["2"], ["2probe", "4hello"], ["2probe", "6"], [""]])
def test_a_failed_probe_leaves_the_polls(engine, sent):
    session = engine.poll()
    with engine.websocket(session.sid) as client:
        client.send(*sent)
        assert client.close_code() == 1000
    assert session.post("4hello") == (200, "ok")
    assert session.packets() == ["4hello"]


def test_a_probe_that_is_lost_leaves_the_polls(engine):
    session = engine.poll()
    with engine.websocket(session.sid) as client:
        client.send("2probe")
        assert client.text() == "3probe"
        client.reset()
    assert session.post("4hello") == (200, "ok")
    assert session.packet() == "4hello"
    with upgraded(engine, session) as client:
        client.send("4again")
        assert client.text() == "4again"


def test_a_probe_that_is_not_sent_ends(brisk):
    session = brisk.poll()
    session.post("40/live,")
    with brisk.websocket(session.sid) as client:
        began = monotonic()
        while monotonic() - began < 0.6:
            session.packets()
        assert client.is_ended()
        assert monotonic() - began < 1.5
    with upgraded(brisk, session) as client:
        assert client.text() == "2"


# Socket.IO: connecting


def connect(place, namespace="/", auth="", **more):
    """Return a WebSocket that is connected, and whose greeting is read."""
    client = place.websocket(**more)
    name = "" if namespace == "/" else namespace + ","
    client.send(f"40{name}{auth}")
    # In the right order from ours alone, which has a test of its own.
    answer, greeting = sorted([client.text(), client.text()])
    assert (answer[: 3 + len(name)], greeting[: 3 + len(name)]) == (f"40{name}{{", f"42{name}[")
    return client


@both("suite")
@pytest.mark.parametrize("name", ["", "/custom,"])
@pytest.mark.parametrize("auth", ["", '{"token":"123"}'])
def test_a_connect_is_answered_before_its_events(suite, name, auth):
    with suite.websocket() as client:
        client.send(f"40{name}{auth}")
        answer = client.text()
        assert answer.startswith(f"40{name}{{")
        assert json.loads(answer[2 + len(name) :]).keys() == {"sid"}
        assert client.text() == f'42{name}["auth",{auth or "{}"}]'


@both("suite")
def test_an_unknown_namespace(suite):
    with suite.websocket() as client:
        client.send("40/random")
        assert client.text() == '44/random,{"message":"Invalid namespace"}'


def test_who_joins_no_namespace_is_closed(suite):
    with suite.websocket() as client:
        began = monotonic()
        while (found := client.receive()) == (TEXT, b"2"):
            client.send("3")
        assert found[0] == CLOSE
        assert 0.9 < monotonic() - began < 1.3


def test_who_has_joined_stays(suite):
    with connect(suite) as client:
        assert read_for(client, 1.3) == TEXT


REFUSALS = {
    "refused": ('{"refuse":true}', {"message": "no", "data": {"because": "so"}}),
    "false": ('{"answer":false}', {"message": "Connection rejected by server"}),
}


@pytest.mark.parametrize(("auth", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_connect_that_is_refused(live, auth, reason):
    with live.websocket() as client:
        client.send(f"40/live,{auth}")
        assert client.text() == "44/live," + json.dumps(reason, separators=(",", ":"))
        client.send("40/live,")
        assert client.text().startswith("40/live,{")


@both("live")
def test_a_connect_handler_that_fails_is_answered(live):
    with live.websocket() as client:
        client.send('40/live,{"fail":true}', "40/live,")
        assert client.text().startswith('44/live,{"message":"internal_error"')
        assert client.text().startswith("40/live,{")


def test_a_client_joins_a_namespace_once(live):
    with connect(live, "/live") as client:
        client.send("40/live,")
        assert client.text().startswith("44/live,")
        client.send('42/live,1["same"]')
        assert client.text() == "43/live,1[]"


# Socket.IO: events


def test_events(suite):
    with connect(suite) as client:
        client.send('42["message",1,"2",{"3":[true]}]')
        assert client.text() == '42["message-back",1,"2",{"3":[true]}]'
        client.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert client.text() == '43456[1,"2",{"3":[false]}]'


def test_binary_events(suite):
    with connect(suite) as client:
        places = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'
        attachments = frame(BINARY, b"\1\2\3"), frame(BINARY, b"\4\5\6")
        client.send(f'452-["message",{places}]', *attachments)
        assert client.text() == f'452-["message-back",{places}]'
        assert [client.receive(), client.receive()] == [(BINARY, b"\1\2\3"), (BINARY, b"\4\5\6")]
        client.send(f'452-789["message-with-ack",{places}]', *attachments)
        assert client.text() == f"462-789[{places}]"
        assert [client.receive(), client.receive()] == [(BINARY, b"\1\2\3"), (BINARY, b"\4\5\6")]


def test_binary_events_over_polling(live):
    client = live.poll()
    client.post('40/live,\x1e451-/live,1["same",{"_placeholder":true,"num":0}]\x1ebAAE=')
    packets = client.packets()
    while len(packets) < 4:
        packets += client.packets()
    assert packets[2:] == ['461-/live,1[{"_placeholder":true,"num":0}]', "bAAE="]


@both("live")
def test_a_binary_broadcast_to_both_transports(live):
    polled = live.poll()
    polled.post("40/live,")
    with connect(live, "/live") as client:
        live.server.get("/emit/bang?bytes")
        packets = polled.packets()
        while "b" + "YmFuZw==" not in packets:
            packets += polled.packets()
        assert client.text() == '451-/live,["bang",[{"_placeholder":true,"num":0}]]'
        assert client.receive() == (BINARY, b"bang")


def test_leaving_a_namespace(suite):
    with connect(suite) as client:
        client.send("40/custom")
        assert client.text().startswith("40/custom,{")
        assert client.text() == '42/custom,["auth",{}]'
        client.send("41/custom", '42["message","to main"]', '42/custom,["message","no"]')
        assert client.text() == '42["message-back","to main"]'
        client.send("41")
        assert client.receive() == (TEXT, b"2")


BAD_PACKETS = {
    "an unknown type": ["4abc"],
    "no list": ["42{}"],
    "a bad number": ['42abc["same"]'],
    "a name that is reserved": ['42/live,["disconnect","x"]'],
    "text among attachments": [
        '452-/live,["same",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        '42/live,["same"]',
    ],
    "bytes that nobody announced": [frame(BINARY, b"x")],
    "a placeholder for nothing": [
        '451-/live,["same",{"_placeholder":true,"num":5}]',
        frame(BINARY, b"x"),
    ],
    "more attachments than anybody has": ['451000000000-/live,["same"]'],
    "an error, which is ours to say": ['44/live,"no"'],
    "deeper than Python goes": ['42/live,["same",' + "[" * 100_000],
}


@both("live")
@pytest.mark.parametrize("sent", BAD_PACKETS.values(), ids=BAD_PACKETS.keys())
def test_a_bad_packet_closes_the_connection(live, sent):
    with connect(live, "/live") as client:
        client.send(*sent)
        assert client.close_code() == 1002


@both("live")
def test_an_event_before_any_connect_closes_the_connection(live):
    with live.websocket() as client:
        client.send('42/live,["same"]')
        assert client.close_code() == 1002


HALF = '451-/live,7["one",{"_placeholder":true,"num":0},"'


def test_before_a_namespace_is_joined_nothing_is_kept(live):
    sent = HALF + '"]'
    with live.websocket() as client:
        client.send(sent)
        assert client.close_code() == 1002
    polled = live.poll()
    assert polled.post(sent)[0] == 400
    assert polled.poll()[0] == 400


def test_a_connect_is_short(live):
    with live.websocket() as client:
        client.send(f'40/live,{{"token":"{"x" * 65_536}"}}')
        assert client.close_code() == 1002


def test_an_event_has_a_bound_with_its_attachments(live):
    with connect(live, "/live") as client:
        client.send(HALF + "x" * 600_000 + '"]', frame(BINARY, bytes(390_000)))
        assert client.text().startswith('43/live,7[{"ok":false')
        client.send(HALF + "x" * 600_000 + '"]', frame(BINARY, bytes(410_000)))
        assert client.close_code() == 1002


def test_half_an_event_is_kept_as_the_text_it_is(live):
    """Parsed, its lists would be 25 times as large."""
    with ExitStack() as clients:
        joined = [clients.enter_context(connect(live, "/live")) for _ in range(10)]
        before = facts(live)["memory"]
        for client in joined:
            client.send('451-/live,["same"' + ",[]" * 300_000 + "]")
        wait_until(lambda: facts(live)["unfinished"] > 9_000_000, "all have come")
        assert facts(live)["memory"] - before < 30_000_000
    wait_until(lambda: facts(live)["unfinished"] == 0, "all are forgotten")


def half_an_event(client):
    client.send(HALF + "x" * 900_000 + '"]')


def half_a_message(client):
    client.send(frame(BINARY, bytes(900_000), head=0))


def half_a_frame(client):
    client.send(frame(BINARY, bytes(950_000))[:900_000])


@pytest.mark.parametrize("half", [half_an_event, half_a_message, half_a_frame])
def test_what_is_not_whole_has_a_bound_in_all(live, half):
    """Half of 64 MiB for one address."""
    refused = counted(live, "too_much_unfinished")
    with ExitStack() as clients:
        joined = [clients.enter_context(connect(live, "/live")) for _ in range(40)]
        for client in joined:
            half(client)
        # Those whose bytes were read last; which these are is not said.
        wait_until(lambda: counted(live, "too_much_unfinished") > refused, "one is refused")
        told, _, _ = select.select(joined, [], [], 10)
        assert {client.close_code() for client in told} == {1013}
        assert facts(live)["unfinished"] <= 2**25
    wait_until(lambda: facts(live)["unfinished"] == 0, "all are forgotten")
    with connect(live, "/live") as client:
        client.send(HALF + "x" * 900_000 + '"]', frame(BINARY, b"0"))
        assert client.text().startswith('43/live,7[{"ok":false')


@both("live")
def test_attachments_have_a_bound_together(live):
    with connect(live, "/live") as client:
        places = ",".join(['{"_placeholder":true,"num":0}'] * 3)
        client.send(f'453-/live,["same",{places}]', *[frame(BINARY, bytes(400_000))] * 3)
        assert client.close_code() == 1002


# A few of these in a row are in order; as many packets that say nothing as these are none.
SCRAPS = {
    "a NOOP": "6",
    "a pong that nobody asked for": "3",
    "an upgrade that is none": "5",
    "an acknowledgement that nobody waits for": "43/live,1[]",
    "an event for a namespace that was left": '42/other,["same"]',
}


@pytest.mark.parametrize("scrap", SCRAPS.values(), ids=SCRAPS.keys())
def test_many_packets_that_say_nothing_are_closed(live, scrap):
    before = counted(live, "too_many_frames")
    with connect(live, "/live") as client:
        client.send(*[scrap] * 200, '42/live,7["same",1]')
        assert client.text() == "43/live,7[1]"
        client.send(*[scrap] * 1000)
        assert client.close_code() == 1008
    assert counted(live, "too_many_frames") == before + 1


@pytest.mark.parametrize("scrap", SCRAPS.values(), ids=SCRAPS.keys())
def test_many_polled_packets_that_say_nothing_are_refused(live, scrap):
    client = live.poll()
    client.post("40/live,")
    assert client.post("\x1e".join([scrap] * 200)) == (200, "ok")
    status, text = client.post("\x1e".join([scrap] * 1000))
    assert (status, json.loads(text)["error"]) == (429, "too_many_frames")
    assert client.poll()[0] == 400


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_binary_event_that_is_deep_is_understood_or_refused(live, transport):
    """Its placeholders were looked for by recursion, which ended before that of JSON does."""
    for depth, is_taken in ((150, True), (500, False)):
        body = f'451-/live,7["one",{"[" * depth}{{"_placeholder":true,"num":0}}{"]" * depth}]'
        if transport == "polling":
            polled = live.poll()
            polled.post("40/live,")
            assert polled.post(body + "\x1ebAAAA")[0] == (200 if is_taken else 400)
            continue
        with connect(live, "/live") as client:
            client.send(body, frame(BINARY, b"0"))
            if is_taken:
                assert client.text().startswith("43/live,7[")
            else:
                assert client.close_code() == 1002


def test_a_bad_packet_over_polling_closes_the_session(live):
    client = live.poll()
    client.post("40/live,")
    assert client.post("42{}")[0] == 400
    assert client.poll()[0] == 400


def test_handlers_know_the_request(live):
    with connect(live, "/live", User_Agent="test/1") as client:
        client.send('42/live,1["whoami"]')
        sid, path, agent, address = json.loads(client.text()[len("43/live,1") :])[0]
        assert (path, agent, address) == ("/socket.io/", "test/1", "127.0.0.1")
        assert sid != client.opened["sid"]


# Socket.IO: handlers that fail

FAILING = {
    "it raises": ('"one",{}', "internal_error", 500),
    "it raises for a wrong type": ('"one",5', "internal_error", 500),
    "too many arguments": ('"one",1,2', "malformed", 400),
    "too few arguments": ('"one"', "malformed", 400),
    "its answer is not JSON": ('"unsayable"', "internal_error", 500),
    "there is none": ('"nonesuch"', "unknown_event", 404),
}


@both("live")
@pytest.mark.parametrize(("event", "error", "status"), FAILING.values(), ids=FAILING.keys())
def test_a_failing_event_is_acknowledged(live, event, error, status):
    with connect(live, "/live") as client:
        client.send(f"42/live,7[{event}]")
        text = client.text()
        assert text.startswith("43/live,7[")
        answer = json.loads(text[len("43/live,7") :])[0]
        assert (answer["ok"], answer["error"], answer["status"]) == (False, error, status)
        client.send('42/live,8["same",1]')
        assert client.text() == "43/live,8[1]"


def test_a_failing_event_is_logged_with_its_connection(live):
    with live.websocket() as client:
        client.send("40/live,")
        sid = json.loads(client.text()[len("40/live,") :])["sid"]
        client.text()
        client.send('42/live,["one",{}]', '42/live,["one",1,2]', '42/live,1["same"]')
        assert client.text() == "43/live,1[]"
    logged = f"handler failed event='one' connection={sid}"
    assert live.server.log.count(logged) == 1


@both("live")
def test_a_disconnect_handler_that_fails_leaves_nothing(live):
    with connect(live, "/live", '{"fail later":true}') as client:
        client.send("41/live,", "40/live,")
        assert client.text().startswith("40/live,{")
    wait_until(lambda: facts(live)["members"] == 0, "it is forgotten", timeout_s=3)


def facts(live):
    return json.loads(live.server.get("/facts"))


def counted(live, code):
    """Return how often something was refused or cut off with this code."""
    return facts(live)["refusals"].get(code, 0)


def test_why_clients_left(live):
    facts(live)
    with connect(live, "/live") as client:
        client.send(close(1000))
        client.is_ended()
    with connect(live, "/live") as client:
        client.send("1", close(1000))
        client.is_ended()
    polled = live.poll()
    polled.post("40/live,")
    polled.post("1")
    reasons = []
    wait_until(lambda: reasons.extend(facts(live)["left"]) or len(reasons) == 3, "all have left")
    assert sorted(reasons) == ["client disconnect", "client disconnect", "transport close"]


def test_who_leaves_while_connecting_is_undone(live):
    facts(live)
    with live.websocket() as client:
        client.send('40/live,{"sleep":0.3}')
        client.reset()
    wait_until(lambda: facts(live)["left"] == ["transport close"], "it is undone")
    assert facts(live)["members"] == facts(live)["environs"] == 0


def test_who_is_closed_while_connecting_is_undone(live):
    facts(live)
    with live.websocket() as client:
        client.send('40/live,{"sleep":0.3}')
        wait_until(lambda: facts(live)["members"] == 1, "it is connecting")
        live.server.get("/close_all")
        assert client.receive()[0] == CLOSE
    left = []
    wait_until(lambda: left.extend(facts(live)["left"]) or left, "it is undone")
    assert left == ["transport close"]
    assert facts(live)["members"] == facts(live)["environs"] == 0


def test_who_is_in_no_namespace_any_more_is_let_go(servers):
    with Place(servers("hasty")).websocket() as client:
        client.send("40/live,")
        while not client.text().startswith("42/live,"):
            pass
        client.send("41/live,")
        began = monotonic()
        assert client.close_code() == 1002
        assert monotonic() - began < 3


def test_a_namespace_without_handlers_is_none(brisk):
    with brisk.websocket() as client:
        client.send("40")
        assert client.text() == '44{"message":"Invalid namespace"}'


# What is refused and cut off is counted.


def poll_wrong(place):
    place.poll().post("9")


def name_no_session(place):
    assert Polling(place.server.port, sid="none").poll()[0] == 400


def say(place, *frames):
    with connect(place, "/live") as client:
        client.send(*frames)
        client.close_code()


def say_nothing(place):
    with connect(place, "/live") as client:
        client.close_code()


WRONGS = {
    "bad_packet": lambda place: say(place, "4abc"),
    "bad_packet by polling": poll_wrong,
    "bad_session": name_no_session,
    "message_too_big": lambda place: say(place, frame(TEXT, bytes(1_000_001))),
    "bad_frame": lambda place: say(place, frame(TEXT, b"4", head=0xF0)),
    "silent": say_nothing,
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_what_is_refused_is_counted_once(brisk, wrong):
    code = wrong.split()[0]
    before = counted(brisk, code)
    WRONGS[wrong](brisk)
    wait_until(lambda: counted(brisk, code) == before + 1, "it is counted")


# Slow clients


@pytest.mark.holds_hub("the test's own handler encodes 20 MB in one go")
def test_who_reads_nothing_is_cut_off(live):
    before = counted(live, "unread")
    with connect(live, "/live", receive_bytes=4096) as client:
        client.send('42/live,["much",200,100000]')
        wait_until(lambda: counted(live, "unread") == before + 1, "it is cut off")
        assert client.is_ended()
    assert facts(live)["websocket"] == 0
    assert "client cut off reason=unread_control" in live.server.log


def test_who_polls_nothing_is_cut_off(live):
    before = counted(live, "unread")
    client = live.poll()
    client.post("40/live,")
    client.post('42/live,["much",3000,10]')
    wait_until(lambda: counted(live, "unread") == before + 1, "it is cut off")
    assert client.poll()[0] == 400
    assert facts(live)["polling"] == 0
    assert "client cut off reason=unfetched_mail" in live.server.log


def test_a_tick_is_for_those_who_are_free(live):
    polled = live.poll()
    polled.post("40/live,")
    packets = polled.packets()
    while len(packets) < 2:
        packets += polled.packets()
    with connect(live, "/live") as client:
        live.server.get("/tick/one")
        assert client.text() == '42/live,["one",{"data":"one"}]'
    with polled.begin("GET") as poll:
        wait_until(lambda: facts(live)["waiting"] == 1, "its poll waits")
        live.server.get("/tick/two")
        assert poll.answer() == (200, '42/live,["two",{"data":"two"}]')


def is_over(moment):
    return monotonic() >= moment


def read_for(client, seconds, pause_s=0.0):
    """Read so long, with pauses; answer pings; return the last opcode."""
    began = monotonic()
    while monotonic() - began < seconds:
        opcode, payload = client.receive()
        if payload == b"2":
            client.send("3")
        read_again = monotonic() + pause_s
        wait_until(partial(is_over, read_again), "a pause")
    return opcode


def test_a_ping_does_not_wait_behind_data(brisk):
    with connect(brisk, "/live", receive_bytes=4096) as client:
        client.send('42/live,["feed",1000000]')
        assert read_for(client, 1.2) == TEXT


def test_who_reads_slowly_is_alive(brisk):
    with connect(brisk, "/live", receive_bytes=4096) as client:
        client.send('42/live,["fat_feed",1000000]')
        assert read_for(client, 2.5, pause_s=0.02) == TEXT


def test_who_is_waited_for_by_a_handler_is_alive(brisk):
    with brisk.websocket() as client:
        client.send('40/live,{"sleep":1.0}')
        assert client.text() == "2"
        assert client.text().startswith("40/live,")


# Changing over, while there is something to send


def numbers_of(packets, name):
    """Return the numbers of the events of that name."""
    head = f'42/live,["{name}",'
    return [int(packet[len(head) : -1]) for packet in packets if packet.startswith(head)]


@pytest.mark.parametrize("name", ["number", "fed"])
def test_nothing_is_lost_or_doubled_by_an_upgrade(live, name):
    event = {"number": "numbers", "fed": "feed"}[name]
    session = live.poll()
    session.post("40/live,")
    with session.begin("POST", f'42/live,["{event}",600]') as post:
        packets = session.packets()
        while len(numbers_of(packets, name)) < 50:
            packets += session.packets()
        with live.websocket(session.sid) as client:
            client.send("2probe")
            assert client.text() == "3probe"
            packets += session.packets()
            client.send("5")
            while len(numbers_of(packets, name)) < 600:
                packets.append(client.text())
        assert post.answer()[0] == 200
    assert numbers_of(packets, name) == list(range(600))


# Real clients


@pytest.fixture
def real(live):
    """python-socketio's client, to be connected."""
    with requests.Session() as session:
        client = socketio.Client(reconnection=False, http_session=session)
        yield client
        client.disconnect()
        if client.eio.ws:
            client.eio.ws.shutdown()  # which it forgets when the server has closed


TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]]


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
def test_python_socketio(live, real, transports):
    greetings, numbers = [], []
    real.on("greeting", greetings.append, namespace="/live")
    real.on("number", numbers.append, namespace="/live")
    url = f"http://127.0.0.1:{live.port}"
    real.connect(url, auth={"a": 1}, namespaces=["/live"], transports=transports)
    assert real.transport() == transports[-1]
    assert real.call("same", ("ä", b"\0", [1]), namespace="/live", timeout=5) == ("ä", b"\0", [1])
    assert real.call("one", 5, namespace="/live", timeout=5)["error"] == "internal_error"
    real.emit("numbers", 100, namespace="/live")
    # It runs each handler on a thread of its own, so it keeps no order.
    wait_until(lambda: sorted(numbers) == list(range(100)), "all came")
    assert greetings == [{"a": 1}]


def test_python_socketio_is_told_to_go(live, real):
    gone = []
    real.on("disconnect", lambda reason: gone.append(reason), namespace="/live")
    real.connect(f"http://127.0.0.1:{live.port}", namespaces=["/live"])
    live.server.get("/close_all")
    wait_until(lambda: gone, "it has noticed")


# The end


def test_everybody_is_closed(live):
    polled = live.poll()
    with live.websocket() as client, polled.begin("GET") as poll:
        wait_until(lambda: facts(live)["waiting"], "it is polled")
        live.server.get("/close_all")
        assert client.receive() == (CLOSE, struct.pack("!H", 1012) + b"the server restarts")
        client.send(close(1012))
        assert poll.answer() == (200, "1")
    assert facts(live)["polling"] == facts(live)["websocket"] == 0


def test_between_two_polls_one_is_told_of_the_end_by_the_next(live):
    polled = live.poll()
    polled.post("40/live,")
    assert polled.packet().startswith("40/live,{")
    live.server.get("/emit/last")
    live.server.get("/close_all")
    # What it says meanwhile is no reason to give up.
    assert polled.post('42/live,["echo",1]') == (200, "ok")
    assert polled.poll() == (200, '42/live,["last","last"]\x1e1')
    assert polled.poll()[0] == 400
    assert facts(live)["polling"] == 0


def test_nothing_comes_behind_a_close(live):
    with connect(live, "/live") as client:
        client.send('42/live,["fat_feed",1000000]')
        assert client.text().startswith('42/live,["fed",0')
        live.server.get("/close_all")
        assert client.close_code() == 1012
        client.stop_sending()
        assert client.rest() == b""


def test_a_drain_ends_websockets_at_once(start):
    place = Place(start("live"))
    with connect(place, "/live") as client:
        place.server.signal(signal.SIGTERM)
        assert client.is_ended()
    assert place.server.process.wait(3) == 0
    assert "Traceback" not in place.server.log


def test_the_logs_are_quiet(servers):
    """At the end of the tests that share their servers."""
    for app in ("engine", "suite"):
        assert "Traceback" not in servers(app).log


# Nothing is left behind


WAYS = [RawWebSocket.reset, lambda client: client.send("1"), lambda c: c.send("41/live,")]


def come_and_go(place, times):
    """Connect so often, four at a time, and leave one way or another."""

    def once(number):
        with connect(place, "/live") as client:
            WAYS[number % 3](client)

    with ThreadPoolExecutor(4) as clients:
        assert sum(1 for _ in clients.map(once, range(times))) == times
    wait_until(lambda: facts(place)["websocket"] == 0, "all have left")


def test_four_thousand_come_and_go(start):
    place = Place(start("live"))
    come_and_go(place, 500)
    before = facts(place)
    come_and_go(place, 4_000)
    wait_until(lambda: facts(place)["greenlets"] <= before["greenlets"], "their greenlets ended")
    after = facts(place)
    assert (after["members"], after["environs"]) == (0, 0)
    assert after["descriptors"] <= before["descriptors"]
    # Not one each; eventlet keeps timers for a while that were cancelled.
    assert after["objects"] <= before["objects"] + 2000
    assert after["memory"] <= before["memory"] + 3 * 2**20


def test_polls_that_stop_leave_nothing(start):
    place = Place(start("brisk"))
    before = facts(place)
    for _ in range(200):
        place.poll().post("40/live,")
    assert facts(place)["polling"] > 0
    wait_until(lambda: facts(place)["polling"] == 0, "all have ended")
    after = facts(place)
    assert (after["members"], after["environs"]) == (0, 0)
    assert after["greenlets"] <= before["greenlets"] + 1  # the watch


def test_an_idle_one_is_small(start):
    place = Place(start("live", HEADWATER_CONNECTIONS="2000"))
    with ExitStack() as clients:
        for _ in range(100):
            clients.enter_context(connect(place, "/live"))
        before = facts(place)
        for _ in range(400):
            clients.enter_context(connect(place, "/live"))
        after = facts(place)
    assert after["greenlets"] == before["greenlets"]
    assert (after["memory"] - before["memory"]) / 400 < 9_000  # measured: 5,000
    assert (after["objects"] - before["objects"]) / 400 < 42.5  # measured: 25.3 at the least
