"""How much one may have: requests, connections, exports that wait, bytes a second; who may start.

Each limit is of one principal: another one is served meanwhile.
"""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from statistics import median
from types import MappingProxyType
from typing import NamedTuple

import pytest

from auth import Tokens
from auth.request_scheduler import TURN_S
from benchmarks.flooder import count_served, flood
from state import State
from streaming.report import MOST_OF_ONE, MOST_OPEN
from tests.sockets.clients import TEXT, RawWebSocket, close, frame
from tests.system.server import CATALOGUE, ROOT, wait_until


class Site(NamedTuple):
    """A server, and the texts of its tokens by their principals."""

    server: object
    tokens: dict[str, str]

    def bearer(self, name):
        return {"Authorization": f"Bearer {self.tokens[name]}"}

    def get(self, name, path="/sources", method="GET", body=None, **headers):
        return self.server.get(path, method, body, **self.bearer(name), **headers)

    def open(self, name, path="/events/demo/a"):
        return self.server.open(path, **self.bearer(name))


@pytest.fixture(scope="module")
def make_site(serve_all, tmp_path_factory):
    """make_site(*names, HEADWATER_X=...): a server with a token for each name.

    scopes: of a name that is not an admin's.
    """

    def make_site(*names, scopes=MappingProxyType({}), **environ):
        instance = tmp_path_factory.mktemp("instance")
        file = Tokens(State(instance))
        tokens = {name: file.add(name, scopes.get(name, ["admin"]), {}) for name in names}
        return Site(serve_all(HEADWATER_INSTANCE=str(instance), **environ), tokens)

    return make_site


def refusal_of(answer, status, code):
    """Return the message of an error in the one shape, which says when to come back."""
    assert (answer.status, answer.headers.get_content_type()) == (status, "application/json")
    shape = json.loads(answer.body)
    assert shape.keys() == {"error", "message", "status", "detail"}
    assert (shape["error"], shape["status"]) == (code, status)
    assert re.fullmatch(r"[1-9][0-9]?", answer.headers["Retry-After"])
    return shape["message"]


def refusals(site, name, code):
    """Return how many there were, as /metrics tells."""
    text = site.get(name, "/metrics").body.decode()
    found = re.search(rf'^headwater_refusals_total{{code="{code}"}} ([0-9]+)', text, re.M)
    return int(found[1]) if found else 0


# Requests a minute.

FLOOD_S = 3


@pytest.fixture(scope="module")
def brisk(make_site):
    names = ("ann", "bob", "carl", "dora", "watch")
    return make_site(*names, HEADWATER_REQUESTS_PER_MINUTE="20")


def is_twenty(count):
    """Were as many served as may be? One more, where a minute of the clock has turned meanwhile."""
    return count in (20, 21)


def test_the_21st_request_of_a_minute_is_refused(brisk):
    answers = [brisk.get("ann") for _ in range(22)]
    served = [answer.status for answer in answers].index(429)
    assert is_twenty(served)
    message = refusal_of(answers[served], 429, "too_many_requests")
    assert message.startswith("20 requests a minute")
    assert refusals(brisk, "watch", "too_many_requests") >= 1
    assert brisk.get("bob").status == 200


# A flood of one principal.


def flooding(site, connections, **options):
    shown = site.bearer("flood")["Authorization"]
    return flood(site.server.port, "/sources", shown, connections, FLOOD_S, **options)


def test_a_flood_that_is_refused_costs_little(make_site):
    site = make_site("flood", "bob", HEADWATER_REQUESTS_PER_MINUTE="30")
    before_s = sum(site.server.worker().cpu_times()[:2])
    with flooding(site, 20) as process:
        statuses = count_served(process)
    assert statuses[200] in range(30, 61)
    # One every 20 ms, and those that the first got at once.
    assert 10 < statuses[429] <= FLOOD_S * 50 + 20
    assert sum(site.server.worker().cpu_times()[:2]) - before_s < FLOOD_S / 2
    assert site.get("bob").status == 200


@pytest.mark.parametrize("anew", [False, True], ids=["kept", "anew"])
def test_a_flood_that_is_allowed_gets_no_more_than_others(make_site, anew):
    """Of as many turns as one who asks again and again, whatever connections it has."""
    site = make_site("flood", "bob", HEADWATER_REQUESTS_PER_MINUTE="0")
    answers = 0
    with flooding(site, 50, anew=anew) as process:
        while process.poll() is None:
            assert site.get("bob").status == 200
            answers += 1
        statuses = count_served(process)
    assert answers > statuses[200] / 4


def test_an_endless_body_that_is_refused_leaves_the_others_their_turn(make_site):
    site, is_over = make_site("ann"), threading.Event()
    head = b"POST /exports HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000000\r\n\r\n"

    def stream():
        while not is_over.is_set():
            with site.server.send(head) as client, suppress(OSError):
                while not is_over.is_set():
                    client.sendall(bytes(1 << 20))

    with ThreadPoolExecutor() as pool:
        streaming = pool.submit(stream)
        try:
            took_s = [timed(site.server, "/healthz")[1] for _ in range(20)]
        finally:
            is_over.set()
        streaming.result()
    assert max(took_s) < 2


# A flood of what is refused.


class Refused(NamedTuple):
    """What is asked, by whom, and how its refusal is counted. line, fields: see flood."""

    code: str
    name: str | None = None
    path: str = "/sources"
    line: str = ""
    fields: str = ""
    anew: bool = False

    def flood(self, site):
        shown = f"Bearer {site.tokens.get(self.name, self.name)}" if self.name else ""
        return flood(
            site.server.port, self.path, shown, FLOODING, 60,
            line=self.line, fields=self.fields, anew=self.anew, address=OTHER,
        )  # fmt: skip


# From where a flood comes.
OTHER = "127.0.0.2"
FLOODING, ANSWERS = 50, 40
FOREIGN = "Origin: https://example.org\r\n"
JSON = "Content-Type: application/json\r\nContent-Length: "
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
POLLING = "/socket.io/?EIO=4&transport=polling"
REFUSED = {
    "404, no such address": Refused("not_found", "flood", "/nowhere"),
    "404, no such address, nobody": Refused("not_found", None, "/nowhere"),
    "404, as a page": Refused("not_found", "flood", "/nowhere", fields="Accept: text/html\r\n"),
    "404, no such source": Refused("unknown_source", "flood", "/sources/nowhere"),
    "404, no such folder": Refused("unknown_folder", "flood", "/files/nowhere/file"),
    "404, no such topic": Refused(
        "unknown_topic",
        "flood",
        line="POST /events/nowhere HTTP/1.1",
        fields=JSON + '13\r\n\r\n{"data": 1}',
    ),
    "401, no token": Refused("unauthorized"),
    "401, no token, a connection each": Refused("unauthorized", anew=True),
    "401, no good token": Refused("bad_credential", "hw_no_token"),
    "403, no scope": Refused("forbidden", "narrow", "/sources/things"),
    "403, another site": Refused("cross_origin", "flood", line="POST / HTTP/1.1", fields=FOREIGN),
    "400, no selection": Refused("bad_selection", "flood", "/download/things.csv?x=1"),
    "405": Refused("method_not_allowed", "flood", line="DELETE /sources HTTP/1.1"),
    "413": Refused(
        "request_entity_too_large",
        "flood",
        line="POST /exports HTTP/1.1",
        fields=f"{JSON}1000000\r\n",
    ),
    "HTTP: no Host": Refused("bad_request", fields="Host: b\r\n"),
    "HTTP: no method": Refused("bad_request", line="g!t / HTTP/1.1"),
    "HTTP: 414": Refused("uri_too_long", path=f"/{'a' * 9000}"),
    "HTTP: 431": Refused("request_header_fields_too_large", fields="A: b\r\n" * 70),
    "sessions: too many": Refused("too_many_connections", None, POLLING),
    "sessions: no good token": Refused("bad_credential", "hw_no_token", POLLING),
    "sessions: another site": Refused("cross_origin", "flood", POLLING, fields=FOREIGN),
    "sessions: unknown": Refused("bad_session", "flood", f"{POLLING}&sid=nobody"),
    "sessions: no such transport": Refused("bad_session", None, f"{POLLING}s"),
    "WebSocket: no token": Refused("unauthorized", None, "/ws/live", fields=UPGRADE),
    "WebSocket: no key": Refused("bad_handshake", "flood", "/ws/live", fields=UPGRADE),
}


@pytest.fixture(scope="module")
def refusing(make_site):
    """A site where a second session of a client without a token is one too many."""
    return make_site(
        "flood", "narrow", "bob",
        scopes={"narrow": ["read:nothing"]},
        HEADWATER_REQUESTS_PER_MINUTE="0", HEADWATER_SESSIONS_WITHOUT_TOKEN="1",
    )  # fmt: skip


def ask_again(site, request):
    """Ask ANSWERS times in one write, so that none waits for this process; read the answers."""
    with closing(connect_from("127.0.0.1", site.server, request * ANSWERS)) as client:
        answers = client.makefile("rb")
        for _ in range(ANSWERS):
            assert answers.readline().split()[1] == b"200"
            head = http.client.parse_headers(answers)
            answers.read(int(head["Content-Length"]))


def asked_by(site, name):
    return asked(fields=f"Authorization: {site.bearer(name)['Authorization']}\r\n")


def count_beside(site, refused, request=None):
    """Return how often a flood is refused while ANSWERS requests are answered."""
    request = request or asked_by(site, "bob")
    first = refusals(site, "bob", refused.code)
    with refused.flood(site) as process:
        try:
            wait_until(
                lambda: refusals(site, "bob", refused.code) > first + FLOODING, "it is there", 30
            )
            before = refusals(site, "bob", refused.code)
            ask_again(site, request)
            return refusals(site, "bob", refused.code) - before
        finally:
            process.kill()


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
def test_a_flood_that_is_refused_gets_no_more_than_others(refusing, refused):
    """Each of its refusals has a turn: between two answers there are a few, not one of each."""
    assert count_beside(refusing, refused) < ANSWERS * FLOODING / 5


def test_a_flood_through_a_proxy_is_of_the_address_that_it_names(make_site):
    site = make_site("bob", HEADWATER_PROXIES="1", HEADWATER_REQUESTS_PER_MINUTE="0")
    refused = Refused("not_found", None, "/nowhere", fields="X-Forwarded-For: 192.0.2.1\r\n")
    request = asked("/healthz", "X-Forwarded-For: 192.0.2.2\r\n")
    assert count_beside(site, refused, request) < ANSWERS * FLOODING / 5


def test_connections_that_are_refused_get_no_more_than_others(make_site):
    site = make_site("bob", HEADWATER_CONNECTIONS_PENDING="5")
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connect_from(OTHER, site.server))
        during = count_beside(site, Refused("too_many_pending_connections"))
    # A connection is accepted between any two steps of others, of which an answer has several.
    assert during < ANSWERS * FLOODING / 3


# Floods on sockets.

SOCKETS = 50
SESSION = "/socket.io/?EIO=4&transport=websocket"


def watch(site, name, is_over):
    """Ask again and again until it is over; return how many seconds each answer took, in order."""
    took_s = []
    while not is_over() or len(took_s) < 20:
        began_s = time.monotonic()
        assert site.get(name).status == 200
        took_s.append(time.monotonic() - began_s)
    return sorted(took_s)


def worked_s(site):
    """Return how much processor time the worker has used."""
    # Linux: CPUCLOCK_SCHED of a process, which is exact, where /proc has hundredths.
    return time.clock_gettime(~site.server.worker().pid << 3 | 2)


def send_all(clients, data):
    """Send data on each, and wait for its end, on a thread each; return what tells that all have.

    A server that has had enough takes no more.
    """

    def send(client):
        with suppress(OSError):
            client.send(data, close(1000))
        assert client.is_ended()

    threads = ThreadPoolExecutor(len(clients))
    ends = [threads.submit(send, client) for client in clients]
    threads.shutdown(wait=False)
    return lambda: all(each.done() for each in ends)


def test_a_flood_of_frames_that_say_nothing_is_closed(make_site):
    """20 MB of NOOP from clients that have shown nothing."""
    site = make_site("bob")
    with ExitStack() as opened:
        clients = [
            opened.enter_context(closing(RawWebSocket(site.server.port, SESSION)))
            for _ in range(SOCKETS)
        ]
        alone_s = watch(site, "bob", lambda: True)
        beside_s = watch(site, "bob", send_all(clients, frame(TEXT, b"6") * 57_000))
    assert refusals(site, "bob", "too_many_frames") == SOCKETS
    assert median(beside_s) < 5 * median(alone_s) + 0.05


def test_sockets_of_one_owner_have_one_turn(make_site):
    """However many of them send without a pause what is answered."""
    site = make_site("flood", "bob", HEADWATER_REQUESTS_PER_MINUTE="0")
    headers, said = site.bearer("flood"), frame(TEXT, b'{"message":"m"}')
    with ExitStack() as opened:
        clients = [
            opened.enter_context(closing(RawWebSocket(site.server.port, "/ws/live", **headers)))
            for _ in range(SOCKETS)
        ]
        is_over = send_all(clients, said * 1000)
        # The last one has begun, behind a turn of all others.
        site.get("bob")
        before_s = worked_s(site)
        ask_again(site, asked_by(site, "bob"))
        took_s = worked_s(site) - before_s
        assert not is_over()
    # Of processor time, so it is the same beside other processes: a turn between two answers, and
    # not one of each socket.
    assert took_s < ANSWERS * 4 * TURN_S


def test_polls_of_a_session_are_requests(brisk):
    path = "/socket.io/?EIO=4&transport=polling"
    answers = [brisk.get("dora", path) for _ in range(22)]
    served = [answer.status for answer in answers].index(429)
    assert is_twenty(served)
    refusal_of(answers[served], 429, "too_many_requests")


def emit(client, event, fields):
    """Return the acknowledgement."""
    client.send(f"42/live,7{json.dumps([event, fields])}")
    while not (text := client.text()).startswith("43/live,7"):
        pass
    return json.loads(text.removeprefix("43/live,7"))[0]


def test_messages_on_a_socket_are_requests(brisk):
    path = "/socket.io/?EIO=4&transport=websocket"
    with closing(RawWebSocket(brisk.server.port, path, **brisk.bearer("carl"))) as client:
        client.send("40/live,")
        while not client.text().startswith("40/live,"):
            pass
        answers = [emit(client, "unsubscribe", {"topic": "demo/a"}) for _ in range(21)]
    served = [answer["ok"] for answer in answers].index(False)
    # Opening the session was one, and joining the namespace.
    assert is_twenty(served + 2)
    refused = answers[served]
    assert (refused["error"], refused["status"]) == ("too_many_requests", 429)
    assert brisk.get("carl").status == 429


def count_answered(ask):
    """Return which of 25 in a row is the first that is refused."""
    for count in range(25):
        if "too_many_requests" in ask():
            return count
    return 25


def test_messages_on_the_textbooks_websocket_are_requests(make_site):
    site = make_site("ann", "watch", HEADWATER_REQUESTS_PER_MINUTE="20")
    with closing(RawWebSocket(site.server.port, "/ws/live", **site.bearer("ann"))) as client:

        def ask():
            client.send('{"message": "m"}')
            while '"update"' in (text := client.text()):
                pass
            return text

        # Opening it was one.
        assert is_twenty(count_answered(ask) + 1)
    assert refusals(site, "watch", "too_many_requests") == 1


SAID = ["request_data", "no_such_event", "connect again"]


@pytest.mark.parametrize("said", SAID)
def test_whatever_is_said_on_a_socket_is_a_request(make_site, said):
    site = make_site("ann", HEADWATER_REQUESTS_PER_MINUTE="20")
    path = "/socket.io/?EIO=4&transport=websocket"
    with closing(RawWebSocket(site.server.port, path, **site.bearer("ann"))) as client:
        client.send("40/live,")

        def ask():
            if said == "connect again":
                client.send("41/live,", "40/live,")
                starts = ("40/live,", "44/live,")
            else:
                client.send(f'42/live,7["{said}", {{"message": "m"}}]')
                starts = ("43/live,7",)
            while not (text := client.text()).startswith(starts):
                pass
            return text

        while not client.text().startswith("40/live,"):
            pass
        assert is_twenty(count_answered(ask) + 2)


def test_probes_are_no_requests(brisk):
    for _ in range(25):
        assert brisk.server.get("/healthz").status == 200
        assert brisk.server.get("/readyz").status == 200


# Connections.


@pytest.fixture(scope="module")
def narrow(make_site):
    return make_site(
        "ann", "bob", "carl", "dora", "eve",
        HEADWATER_CONNECTIONS_PER_PRINCIPAL="3",
        HEADWATER_EXPORTS_RUNNING="1", HEADWATER_EXPORTS_OPEN="1",
        HEADWATER_EXPORTS_QUEUED_PER_PRINCIPAL="1",
    )  # fmt: skip


@pytest.fixture
def full(narrow):
    """Three feeds: as many as ann may have."""
    # Those of the test before may be on their way out.
    feeds = [wait_until(lambda: feed_of(narrow, "ann"), "there is room") for _ in range(3)]
    yield feeds
    for feed in feeds:
        feed.close()


def test_the_4th_connection_is_refused(narrow, full):
    assert [feed.status for feed in full] == [200, 200, 200]
    message = refusal_of(narrow.get("ann", "/events/demo/a"), 429, "too_many_connections")
    assert message.startswith("3 connections")
    assert refusals(narrow, "bob", "too_many_connections") >= 1
    assert narrow.open("bob").status == 200


# Rooms that all share: reports, statements, the time of each.

PAGE = {"Accept": "text/html"}
# It takes longer than a page waits, before its first row.
SLOW = "/sources/sorts"


def test_reports_of_one_leave_places_to_others(make_site):
    site = make_site("ann", "bob")
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(site.open, "ann", "/report/sorts") for _ in range(8)]
        # Ann's are at work, and the rest of them waits.
        wait_until(lambda: sum(each.done() for each in asked) == MOST_OF_ONE, "they have begun")
        began_s = time.monotonic()
        answer = site.get("bob", "/report/things?columns=i")
        took_s = time.monotonic() - began_s
        assert (answer.status, answer.body.endswith(b"</html>")) == (200, True)
        # One step of Ann's takes seconds.
        assert took_s < 5
        refused = [each.result() for each in asked if each.result().status != 200]
    assert len(refused) == 8 - MOST_OF_ONE
    for stream in refused:
        told = json.loads(stream.read())
        assert (stream.status, told["error"], told["status"]) == (503, "too_many_reports", 503)
        assert told["detail"] == {"most": MOST_OPEN, "most_of_one": MOST_OF_ONE}
        assert int(stream.headers["Retry-After"]) > 0


def test_slow_previews_of_one_hold_up_no_other(make_site):
    """Of the same database: each of them takes as long as a statement may."""
    site = make_site("ann", "bob")
    with ThreadPoolExecutor(5) as threads:
        slow = [threads.submit(site.get, "ann", SLOW, **PAGE) for _ in range(5)]
        wait_until(lambda: any(each.done() for each in slow), "the first has ended", 20)
        assert b"name of 1<" in site.get("bob", "/sources/numbers", **PAGE).body
        # It would come behind all of hers.
        assert sum(each.done() for each in slow) <= 3
        assert {each.result().status for each in slow} <= {200, 503}


CATALOGUE_OF_STEPS = """
sources.numbers = { database = "sqlite:///numbers.db", table = "numbers" }

[sources.steps]
database = "sqlite:///numbers.db"
query = '''with recursive n(i) as (select 1 union all select i + 1 from n)
 select i from n where instr(hex(zeroblob(1000000)), 'F' || i) > 0'''
"""


def test_no_statement_that_a_request_waits_for_takes_longer_than_it_may(serve_all):
    """Be its steps long: SQLite counts them and not the time that each takes."""
    server = serve_all(CATALOGUE_OF_STEPS, HEADWATER_STATEMENT_S="0.3")
    began_s = time.monotonic()
    page = server.get("/sources/steps", **PAGE)
    assert page.status == 200
    assert b"The preview takes too long" in page.body
    # Four tries at the rows, with fewer each time.
    report = server.get("/report/steps")
    assert b"The database returned no row within the time limit of a report" in report.body
    assert time.monotonic() - began_s < 6


# Connections before a request on them is admitted.

NO_TOKEN = "Authorization: Bearer hw_no_token\r\n"


def connect_from(address, server, data=b""):
    """Return a connection of that address that has sent data."""
    client = socket.create_connection(
        ("127.0.0.1", server.port), timeout=20, source_address=(address, 0)
    )
    client.sendall(data)
    return client


def asked(path="/sources", fields=""):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()


def status_of(client):
    """Return the status of the answer, once its head is there."""
    head = client.makefile("rb")
    status = int(head.readline().split()[1])
    while head.readline().strip():
        pass
    return status


def test_silent_connections_take_the_place_of_nobody_else(make_site):
    site = make_site("ann", HEADWATER_CONNECTIONS="300", HEADWATER_CONNECTIONS_PENDING="200")
    with ExitStack() as stack:
        silent = [
            stack.enter_context(connect_from(OTHER, site.server, b"GET /" * (i % 2)))
            for i in range(310)
        ]
        began_s = time.monotonic()
        assert site.get("ann").status == 200
        assert time.monotonic() - began_s < 2
        assert status_of(silent[200]) == 429
        assert refusals(site, "ann", "too_many_pending_connections") == 110
        assert refusals(site, "ann", "too_many_connections") == 0
    wait_until(lambda: serves(OTHER, site.server), "their places are free")


def serves(address, server):
    with closing(connect_from(address, server, asked("/healthz"))) as client:
        return status_of(client) == 200


CROWDED = {
    "HEADWATER_CONNECTIONS": "40",
    "HEADWATER_CONNECTIONS_PENDING": "20",
    "HEADWATER_CONNECTIONS_PER_PRINCIPAL": "20",
}


def crowd(stack, site, address):
    """Hold as many connections that wait after a request, and before one, as an address may."""
    clients = [connect_from(address, site.server, asked("/healthz")) for _ in range(20)]
    for client in clients:
        stack.enter_context(client)
        status_of(client)
    for _ in range(20):
        stack.enter_context(connect_from(address, site.server))


@pytest.mark.parametrize("addresses", [[OTHER], [OTHER, "127.0.0.3"]], ids=["one", "two"])
def test_connections_that_ask_nothing_make_room_for_other_addresses(make_site, addresses):
    site = make_site("ann", **CROWDED)
    token = f"Authorization: Bearer {site.tokens['ann']}\r\n"
    with ExitStack() as stack:
        feed = stack.enter_context(closing(site.open("ann")))
        for address in addresses:
            crowd(stack, site, address)
        asking = [connect_from("127.0.0.1", site.server, asked(fields=token)) for _ in range(5)]
        assert [status_of(stack.enter_context(client)) for client in asking] == [200] * 5
        assert refusals(site, "ann", "displaced") >= 5
        # What asked something and is still answered keeps its place.
        event = {"body": b'{"data": 1}', "Content_Type": "application/json"}
        assert site.get("ann", "/events/demo/a", "POST", **event).status == 201
        assert feed.read(7) == b'{"id":"'


def test_an_address_displaces_none_of_its_own_connections(make_site):
    site = make_site("ann", **CROWDED)
    with ExitStack() as stack:
        crowd(stack, site, OTHER)
        with closing(connect_from(OTHER, site.server, asked("/healthz"))) as client:
            assert status_of(client) == 429
        assert refusals(site, "ann", "displaced") == 1  # the one on which this is asked


KEPT = {"without a token": ("", 401, True), "with none that is good": (NO_TOKEN, 401, False)}


@pytest.mark.parametrize(("fields", "status", "is_served"), KEPT.values(), ids=KEPT.keys())
def test_what_was_not_admitted_is_pending(make_site, fields, status, is_served):
    """An address is a principal, whose connections have their own bound."""
    site = make_site("ann", HEADWATER_CONNECTIONS_PENDING="3")
    with ExitStack() as stack:
        for _ in range(3):
            kept = stack.enter_context(connect_from(OTHER, site.server, asked(fields=fields)))
            assert status_of(kept) == status
        assert serves(OTHER, site.server) == is_served
        assert serves("127.0.0.1", site.server)


def test_a_proxy_is_counted_by_the_client_that_it_names(make_site):
    limits = {"HEADWATER_CONNECTIONS_PENDING": "2", "HEADWATER_CONNECTIONS_PER_PRINCIPAL": "2"}
    site = make_site("ann", HEADWATER_PROXIES="1", **limits)
    with ExitStack() as stack:

        def status_for(client):
            request = asked("/healthz", f"X-Forwarded-For: {client}\r\n")
            return status_of(stack.enter_context(connect_from(OTHER, site.server, request)))

        for _ in range(5):
            stack.enter_context(connect_from(OTHER, site.server))
        assert [status_for("192.0.2.1") for _ in range(3)] == [200, 200, 429]
        assert status_for("192.0.2.2") == 200
        assert status_for("::ffff:192.0.2.1") == 429
        # One of IPv6 by its /64.
        networks = ["2001:db8::1", "2001:db8::2", "2001:db8::3:4:5:6", "2001:db8:0:1::1"]
        assert [status_for(client) for client in networks] == [200, 200, 429, 200]


PATHS = ["/ws/events/demo/a", "/ws/live/", "/socket.io/?EIO=4&transport=websocket"]


@pytest.mark.parametrize("path", PATHS)
def test_a_4th_that_is_a_websocket_is_refused(narrow, full, path):
    with closing(RawWebSocket(narrow.server.port, path, **narrow.bearer("ann"))) as client:
        assert client.status == 429
    with closing(RawWebSocket(narrow.server.port, path, **narrow.bearer("carl"))) as client:
        assert client.status == 101


def test_sessions_are_counted_without_their_connections(narrow):
    """Each request of polling may have a connection of its own, which is gone at once."""
    path = "/socket.io/?EIO=4&transport=polling"
    opened = [narrow.get("eve", path) for _ in range(3)]
    assert [answer.status for answer in opened] == [200] * 3
    refusal_of(narrow.get("eve", path), 429, "too_many_connections")
    assert narrow.get("dora", path).status == 200
    sid = json.loads(opened[0].body[1:])["sid"]
    assert narrow.get("eve", f"{path}&sid={sid}", "POST", b"1").status == 200
    assert narrow.get("eve", path).status == 200


def test_an_address_has_few_sessions_that_have_shown_no_token(make_site):
    site = make_site("ann", HEADWATER_SESSIONS_WITHOUT_TOKEN="3")
    with ExitStack() as opened:

        def session():
            client = RawWebSocket(site.server.port, SESSION)
            return opened.enter_context(closing(client))

        unknown = [session() for _ in range(3)]
        assert [client.status for client in unknown] == [101] * 3
        assert session().status == 429
        polls = site.server.get(SESSION.replace("websocket", "polling"))
        refusal_of(polls, 429, "too_many_connections")
        assert site.get("ann", SESSION.replace("websocket", "polling")).status == 200
        # One shows a token in its CONNECT, and is counted to that from then on.
        unknown[0].send(f'40/live,{{"token":"{site.tokens["ann"]}"}}')
        while not unknown[0].text().startswith("40/live,"):
            pass
        assert session().status == 101
        assert session().status == 429


def test_who_leaves_makes_room(narrow, full):
    assert narrow.get("ann").status == 429
    full.pop().close()
    wait_until(lambda: narrow.get("ann").status == 200, "one has left")
    # The connection of that answer is to be gone first.
    full.append(wait_until(lambda: feed_of(narrow, "ann"), "there is room"))
    assert narrow.get("ann").status == 429


def feed_of(site, name):
    """Return a feed, None if it is refused."""
    feed = site.open(name)
    if feed.status == 200:
        return feed
    feed.close()
    return None


# Exports that wait.


def prepare(site, name, source):
    body = json.dumps({"source": source, "format": "csv"})
    return site.get(name, "/exports", "POST", body, Content_Type="application/json")


def test_one_more_export_than_may_wait_is_refused(narrow):
    running = prepare(narrow, "dora", "long").json()["id"]
    path = f"/exports/{running}"
    wait_until(lambda: narrow.get("dora", path).json()["state"] == "running", "it runs")
    waiting = prepare(narrow, "dora", "numbers")
    assert (waiting.status, waiting.json()["state"]) == (202, "queued")
    refusal_of(prepare(narrow, "dora", "things"), 429, "too_many_exports")
    of_eve = prepare(narrow, "eve", "twin")
    assert (of_eve.status, of_eve.json()["state"]) == (202, "queued")
    # What is there already waits no second time.
    assert prepare(narrow, "dora", "numbers").json()["id"] == waiting.json()["id"]
    assert narrow.get("dora", path, "DELETE").status == 200
    for answer in (waiting, of_eve):
        one = f"/exports/{answer.json()['id']}"
        wait_until(lambda one=one: narrow.get("eve", one).json()["state"] == "complete", "its turn")
    assert prepare(narrow, "dora", "things").status == 202


# Bytes a second.

FILE = bytes(range(256)) * 2344
ROWS = 24_000
CSV = b"i,name,x\n" + b"".join(b"%d,name of %d,%r\n" % (i, i, i / 8) for i in range(1, ROWS + 1))


@pytest.fixture(scope="module")
def slow(serve_all, tmp_path_factory):
    """A server that sends 200,000 bytes a second, to anybody."""
    folder = tmp_path_factory.mktemp("papers")
    (folder / "paper.bin").write_bytes(FILE)
    house = f'\n[folders.papers]\npath = "{folder}"\n'
    return serve_all(CATALOGUE + house, HEADWATER_BYTES_PER_S="200000")


def timed(server, path):
    """Return the body of an answer, and the seconds that it took."""
    began_s = time.monotonic()
    answer = server.get(path)
    assert answer.status == 200
    return answer.body, time.monotonic() - began_s


def test_downloads_are_sent_at_their_pace(slow):
    paths = {"/files/papers/paper.bin": FILE, f"/download/numbers.csv?limit={ROWS}": CSV}
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda path: timed(slow, path), paths))
        # Others are served meanwhile.
        assert slow.get("/sources").status == 200
    for (body, took_s), whole in zip(answers, paths.values(), strict=True):
        assert body == whole
        assert took_s >= 2.5


# Who may start.

# All of a start up to the moment before it listens: by gunicorn itself, and by its settings here.
START = """
import sys
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.arbiter import Arbiter

sys.argv = ["gunicorn", "wsgi:app"]
arbiter = Arbiter(WSGIApplication())
arbiter.cfg.on_starting(arbiter)
"""
CURE = ".venv/bin/flask --app wsgi tokens add NAME --scope …, or HEADWATER_OPEN=1 for everybody"


@pytest.fixture
def start(tmp_path):
    """start(HEADWATER_X=...): the exit status, and what was said."""

    def start(**environ):
        plain = {k: v for k, v in os.environ.items() if not k.startswith("HEADWATER_")}
        places = {"HEADWATER_PORT": "0", "HEADWATER_INSTANCE": str(tmp_path), "LANG": "C.UTF-8"}
        ended = subprocess.run(
            [sys.executable, "-c", START], cwd=ROOT, env=plain | places | environ,
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        return ended.returncode, ended.stderr

    return start


def test_without_tokens_it_does_not_listen_to_other_machines(start):
    for more in ({}, {"HEADWATER_OPEN": "0"}):
        status, said = start(HEADWATER_HOST="0.0.0.0", **more)
        assert status == 1
        assert said == f"headwater: it does not listen on 0.0.0.0 without tokens: {CURE}\n"


def test_with_tokens_it_does(start, tmp_path):
    tokens = Tokens(State(tmp_path))
    text = tokens.add("ann", ["admin"], {})
    # One is enough, be it good or not.
    tokens.withdraw(text.split("_")[1])
    status, said = start(HEADWATER_HOST="0.0.0.0")
    assert (status, said.count("\n")) == (0, 1)
    assert "requests need a token" in said


def test_it_does_for_who_says_so(start):
    status, said = start(HEADWATER_HOST="0.0.0.0", HEADWATER_OPEN="1")
    assert (status, said.count("\n")) == (0, 1)
    assert "HEADWATER_OPEN=1: everyone has full access" in said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_on_this_machine_it_needs_none(start, host):
    status, said = start(HEADWATER_HOST=host)
    assert (status, said.count("\n")) == (0, 1)
    assert "there are no tokens: it listens to this machine only" in said


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_tokens_that_cannot_be_read_are_not_passed_over(start, tmp_path, host):
    (tmp_path / "tokens.json").write_text("[")
    status, said = start(HEADWATER_HOST=host, HEADWATER_OPEN="1")
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith(f"headwater: {tmp_path}/tokens.json cannot be read: ")


def test_the_log_of_a_server_says_who_may_ask(slow, brisk):
    assert "there are no tokens: it listens to this machine only" in slow.log
    assert "requests need a token" in brisk.server.log


def test_a_key_that_others_can_read_ends_the_start(launch, tmp_path):
    instance = tmp_path / "instance"
    instance.mkdir()
    (instance / "secret.key").write_bytes(b"k" * 32)
    (instance / "secret.key").chmod(0o644)
    server = launch(HEADWATER_INSTANCE=str(instance))
    assert server.process.wait(20) == 3
    assert "secret.key can be read by others: chmod 600 it" in server.log
    assert "Traceback" not in server.log
