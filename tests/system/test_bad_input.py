"""Bad input: 4xx in the one JSON shape that names what was wrong, never more, never a 5xx."""

import http.client
import json
from contextlib import closing
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.system.server import Answer
from wire.formats import EXTENSIONS

# Nothing of these may be in an answer: the server's insides.
INSIDES = ["Traceback", "/work", "/tmp", ".py", "sqlite3.", "select ", "SELECT ", "recursive"]


def check(answer, status):
    """Check that an answer is an error of this status in the one shape, and return it."""
    assert answer.status == status, answer.body
    told = answer.json()
    assert list(told) == ["error", "message", "status", "detail"]
    assert told["status"] == status
    assert told["error"]
    assert isinstance(told["detail"], dict)
    for inside in INSIDES:
        assert inside not in answer.body.decode()
    return told


# A path, its status, and what the message must name.
PATHS = {
    "unknown source": ("/download/nmbers.csv", 404, "numbers"),
    "unknown source, nothing like it": ("/download/zzz.csv", 404, "zzz"),
    "no format": ("/download/numbers", 404, "the format is missing"),
    "unknown format": ("/download/numbers.exe", 404, "exe"),
    "unknown compression": ("/download/numbers.csv.bz2", 404, "csv.bz2"),
    "compressed twice": ("/download/numbers.csv.gz.gz", 404, "csv.gz.gz"),
    "format in capitals": ("/download/numbers.CSV", 404, "CSV"),
    "no source": ("/download/.csv", 404, "source"),
    "..": ("/download/../headwater.csv", 404, "source"),
    "encoded dots": ("/download/%2e%2e%2fheadwater.toml", 404, "source"),
    "encoded twice": ("/download/%252e%252e%252fheadwater.csv", 404, "source"),
    "NUL": ("/download/numbers%00.csv", 404, "\\x00"),
    "NUL in the format": ("/download/numbers.csv%00", 404, "\\x00"),
    "not UTF-8": ("/download/%ff%fe.csv", 404, "source"),
    "a source of 3 kB": (f"/download/{'a' * 3000}.csv", 404, "aaa"),
    "unknown source shown": ("/sources/nmbers", 404, "numbers"),
    "source shown with ..": ("/sources/%2e%2e", 404, "source"),
    "unknown export": ("/exports/0123456789abcdef", 404, "0123456789abcdef"),
    "unknown export's file": ("/exports/0123456789abcdef/file", 404, "0123456789abcdef"),
    "export with ..": ("/exports/%2e%2e", 404, ".."),
    "export with NUL": ("/exports/%00", 404, "\\x00"),
    "export of 3 kB": (f"/exports/{'a' * 3000}", 404, "aaa"),
    "no such page": ("/nothing/here", 404, ""),
}


@pytest.mark.parametrize(("path", "status", "names"), PATHS.values(), ids=PATHS.keys())
def test_paths(server, path, status, names):
    told = check(server.get(path), status)
    assert names in told["message"] + json.dumps(told["detail"])
    assert len(told["message"]) < 1000


# The words of a query string on `numbers` (i integer, name text, x real), and what is named.
WORDS = {
    "unknown column": ("columns=i,nope", ["nope", "name"]),
    "no column": ("columns=", ["columns"]),
    "a column twice": ("columns=i,i", ["columns", "twice"]),
    "unknown sort": ("sort=-nope", ["nope"]),
    "empty sort": ("sort=", ["sort"]),
    "unknown parameter": ("minutes=5", ["minutes", "name"]),
    "nearly a column": ("nmae=5", ["name"]),
    "unknown operator": ("i__above=5", ["above", "gte"]),
    "no operator": ("i__=5", ["i__", "gte"]),
    "column in another case": ("NAME=x", ["NAME", "name"]),
    "text for an integer": ("i=abc", ["i", "abc"]),
    "a decimal for an integer": ("i=1.5", ["1.5"]),
    "past 64 bits": ("i=9223372036854775808", ["9223372036854775808"]),
    "text for a real": ("x__gt=nan", ["nan", "number"]),
    "hexadecimal": ("x=0x10", ["0x10"]),
    "digits that are not ASCII": ("i=%D9%A3", ["i"]),
    "one of a list": ("i__in=1,2,x", ["x"]),
    "600 in a list": ("i__in=" + ",".join("1" * 600), ["500"]),
    "null is yes or no": ("i__null=maybe", ["maybe"]),
    "limit is no number": ("limit=ten", ["limit", "ten"]),
    "limit is negative": ("limit=-1", ["limit", "-1"]),
    "limit is absurd": (f"limit={'9' * 40}", ["limit"]),
    "limit with an underscore": ("limit=1_0", ["1_0"]),
    "limit is empty": ("limit=", ["limit"]),
    "limit twice": ("limit=1&limit=2", ["limit", "twice"]),
    "excel is yes or no": ("excel=2", ["excel"]),
    "NUL": ("i=%00", ["x00"]),
    "all at once": ("limit=-1&columns=nope&i=abc", ["limit", "nope", "abc"]),
}


@pytest.mark.parametrize(("words", "names"), WORDS.values(), ids=WORDS.keys())
def test_words(server, words, names):
    before = len(server.get("/exports").json()["exports"])
    told = check(server.get(f"/download/numbers.csv?{words}"), 400)
    assert told["error"] == "bad_selection"
    for name in names:
        assert name in told["message"]
    assert len(server.get("/exports").json()["exports"]) == before


def test_at_most_twenty_problems_are_told(server):
    words = "&".join(f"nope{i}=1" for i in range(200))
    told = check(server.get(f"/download/numbers.csv?{words}"), 400)
    named = [i for i in range(200) if f'"nope{i}"' in told["message"]]
    assert named == list(range(20))


def test_parameters_of_a_query(server):
    assert "at" in check(server.get("/download/stops.csv?at=soon"), 400)["message"]
    assert "rwos" in check(server.get("/download/stops.csv?rwos=1"), 400)["message"]
    assert check(server.get("/download/stops.json?excel=1"), 400)["message"].startswith("excel")


def test_a_missing_parameter_is_named(serve):
    server = serve(
        catalogue="""
[sources.some]
database = "sqlite:///numbers.db"
query = "select i from numbers where i < :below"
parameters.below = { type = "int" }
"""
    )
    told = check(server.get("/download/some.csv"), 400)
    assert "below" in told["message"]
    assert server.get("/download/some.csv?below=2").body == b"i\n1\n"
    assert server.get("/sources/some").json()["parameters"][0]["name"] == "below"


def test_what_a_sheet_cannot_hold_is_refused_with_what_can(server):
    told = check(server.get("/download/long.xlsx"), 422)
    assert "1048575" in told["message"]
    assert "parquet" in told["message"]


# The body of POST /exports: content type, body, status, what is named.
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
BODIES = {
    "nothing": (JSON, b"", 400, ""),
    "no JSON": (JSON, b"{", 400, "JSON"),
    "not UTF-8": (JSON, b'{"source": "\xff"}', 400, "JSON"),
    "a list": (JSON, b"[]", 400, "object"),
    "a list in a list, 30,000 deep": (JSON, b"[" * 30_000, 400, ""),
    "objects 10,000 deep": (JSON, b'{"a":' * 10_000, 400, ""),
    "no source": (JSON, b'{"format": "csv"}', 400, "source"),
    "no format": (JSON, b'{"source": "numbers"}', 400, "format"),
    "source is no text": (JSON, b'{"source": {}, "format": "csv"}', 400, "source"),
    "limit is null": (JSON, b'{"source": "numbers", "format": "csv", "limit": null}', 400, "limit"),
    "limit is NaN": (JSON, b'{"source": "numbers", "format": "csv", "limit": NaN}', 400, "limit"),
    "limit of 5,000 digits": (
        JSON,
        b'{"source": "numbers", "format": "csv", "limit": %s}' % (b"9" * 5000),
        400,
        "",
    ),
    "half a character": (
        JSON,
        b'{"source": "numbers", "format": "csv", "name": "\\ud800"}',
        400,
        "name",
    ),
    "half a character as a key": (
        JSON,
        b'{"source": "numbers", "format": "csv", "\\ud800": "x"}',
        400,
        "",
    ),
    "a list for one value": (
        JSON,
        b'{"source": "numbers", "format": "csv", "name": ["a", "b"]}',
        400,
        "name: one value",
    ),
    "an empty list": (
        JSON,
        b'{"source": "numbers", "format": "csv", "name__in": []}',
        400,
        "name__in: the list is empty",
    ),
    "a key given twice": (
        JSON,
        b'{"source": "numbers", "format": "csv", "limit": 1, "limit": 2}',
        400,
        "limit",
    ),
    "an object in a list": (
        JSON,
        b'{"source": "numbers", "format": "csv", "columns": [{}]}',
        400,
        "columns",
    ),
    "unknown source": (JSON, b'{"source": "nmbers", "format": "csv"}', 404, "numbers"),
    "unknown format": (JSON, b'{"source": "numbers", "format": "doc"}', 404, "doc"),
    "unknown word": (FORM, b"source=numbers&format=csv&nope=1", 400, "nope"),
    "another type": ("text/plain", b"source=numbers", 415, "application/json"),
    "no type": ("", b"source=numbers", 415, "application/x-www-form-urlencoded"),
    "a broken form": ("multipart/form-data", b"--x", 400, "source"),
    "a broken form with a boundary": ("multipart/form-data; boundary=x", b"--x\r\n", 400, ""),
    "too large": (JSON, b" " * 70_000, 413, ""),
}


@pytest.mark.parametrize(("kind", "body", "status", "names"), BODIES.values(), ids=BODIES.keys())
def test_bodies(server, kind, body, status, names):
    told = check(server.get("/exports", "POST", body, Content_Type=kind), status)
    assert names in told["message"]


METHODS = {
    "/download/numbers.csv": "DELETE",
    "/download": "POST",
    "/exports": "PUT",
    "/exports/0123456789abcdef": "POST",
    "/exports/0123456789abcdef/file": "DELETE",
    "/sources": "BREW",
}


@pytest.mark.parametrize(("path", "method"), METHODS.items())
def test_a_method_that_is_not_allowed_names_those_that_are(server, path, method):
    answer = server.get(path, method)
    check(answer, 405)
    assert "GET" in answer.headers["Allow"]
    assert method not in answer.headers["Allow"]


def test_an_error_has_no_body_on_head(server):
    answer = server.get("/download/nmbers.csv", "HEAD")
    assert (answer.status, answer.body) == (404, b"")


# What is wrong before it is a request, and the status it gets.
NO_REQUESTS = {
    "a line of 8 kB": (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * 8190), 414),
    "a header of 9 kB": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n" % (b"a" * 9000),
        431,
    ),
    "no request line": (b"GARBAGE\r\n\r\n", 400),
}


@pytest.mark.parametrize(("data", "status"), NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
def test_what_is_no_request_is_answered_in_the_same_shape(server, data, status):
    answer = http.client.HTTPResponse(server.send(data))
    answer.begin()
    check(Answer(answer.status, answer.headers, answer.read()), status)


# What is no Host (RFC 9112, 3.2), as lines of a head; and a path of each way in.
NO_HOSTS = {
    "none": "",
    "empty": "Host:\r\n",
    "two": "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n",
    "two that differ": "Host: 127.0.0.1\r\nHost: evil.example\r\n",
    "a list": "Host: 127.0.0.1, evil.example\r\n",
    "behind the bracket": "Host: [::1]evil.example\r\n",
    "userinfo": "Host: evil.example@127.0.0.1\r\n",
    "a port that is no number": "Host: 127.0.0.1:evil.example\r\n",
    "a port that is too large": "Host: 127.0.0.1:65536\r\n",
    "only a port": "Host: :8000\r\n",
    "a blank": "Host: 127.0.0.1 evil.example\r\n",
    "a path": "Host: 127.0.0.1/evil.example\r\n",
}
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
WAYS_IN = {
    "HTTP": ("GET /sources", ""),
    "a body": ("POST /exports", "Content-Type: application/json\r\nContent-Length: 2\r\n"),
    "nothing there": ("GET /nothing/here", ""),
    "WebSocket": ("GET /ws/events/demo/a", UPGRADE),
    "Socket.IO": ("GET /socket.io/?EIO=4&transport=polling", ""),
    "Socket.IO, WebSocket": ("GET /socket.io/?EIO=4&transport=websocket", UPGRADE),
}


def ask_raw(server, request, fields, version="1.1"):
    """Return the Answer to a request of which every line is given, and its body is {}."""
    body = b"{}" if "Content-Length" in fields else b""
    client = server.send(f"{request} HTTP/{version}\r\n{fields}\r\n".encode() + body)
    answer = http.client.HTTPResponse(client)
    answer.begin()
    is_upgraded = answer.status == 101
    return Answer(answer.status, answer.headers, b"" if is_upgraded else answer.read())


@pytest.mark.parametrize("host", NO_HOSTS.values(), ids=NO_HOSTS.keys())
@pytest.mark.parametrize(("request_", "fields"), WAYS_IN.values(), ids=WAYS_IN.keys())
def test_what_is_no_host_is_refused_on_every_way_in(server, request_, fields, host):
    assert check(ask_raw(server, request_, host + fields), 400)["error"] == "bad_request"


HOSTS = ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:", "[::1]", "[::1]:8000"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_is_a_name_or_an_address_and_perhaps_a_port(server, host):
    assert ask_raw(server, "GET /sources", f"Host: {host}\r\nConnection: close\r\n").status == 200
    assert ask_raw(server, "GET /ws/events/demo/a", f"Host: {host}\r\n{UPGRADE}").status == 101


def test_http_1_0_needs_no_host_but_a_right_one(server):
    assert ask_raw(server, "GET /sources", "", "1.0").status == 200
    check(ask_raw(server, "GET /sources", "Host: a@127.0.0.1\r\n", "1.0"), 400)


# RFC 9112, 3.2.2: a target in absolute form says the host, whatever Host says.
TARGETS = {
    "ours": ("http://localhost/sources?x=/", "localhost", 200),
    "in capitals": ("HTTP://LOCALHOST:80/sources", "localhost", 200),
    "ours, and a Host of another": ("http://localhost/sources", "evil.example", 200),
    "another's, and a Host of ours": ("http://evil.example/sources", "localhost", 403),
    "userinfo": ("http://evil.example@localhost/sources", "localhost", 400),
    "behind the bracket": ("http://[::1]evil.example/sources", "localhost", 400),
    "no host": ("http:///sources", "localhost", 400),
    "a port that is none": ("http://localhost:x/sources", "localhost", 400),
    "ours, and a Host that is none": ("http://localhost/sources", "a@localhost", 400),
    "another scheme": ("ftp://localhost/sources", "localhost", 400),
    "no slash": ("sources?x=http://localhost/", "localhost", 400),
}


@pytest.mark.parametrize(("target", "host", "status"), TARGETS.values(), ids=TARGETS.keys())
def test_targets_in_absolute_form(server, target, host, status):
    answer = ask_raw(server, f"GET {target}", f"Host: {host}\r\nConnection: close\r\n")
    if status != 200:
        check(answer, status)
    assert answer.status == status


def test_a_target_in_absolute_form_needs_a_host_as_well(server):
    check(ask_raw(server, "GET http://localhost/sources", ""), 400)


def test_a_chunked_body_that_never_says_its_length_is_bounded(server):
    head = b"POST /exports HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    client = server.send(head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    client.sendall(chunk * 4 + b"0\r\n\r\n")
    assert client.recv(4096).startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))


# Whatever is asked: never a 5xx.

names = st.sampled_from(["numbers", "things", "users", "long", "nope"]) | st.text(max_size=20)
extensions = st.sampled_from(EXTENSIONS) | st.text(max_size=10)
columns = st.sampled_from(["i", "name", "x", "id", "t", "b", "m", "i,x", "-i"]) | st.text(
    max_size=8
)
operators = st.sampled_from(["", "__gt", "__in", "__like", "__null", "__ne"]) | st.text(max_size=8)
keys = st.sampled_from(["limit", "sort", "columns", "excel", "rows"]) | st.tuples(
    columns, operators
).map("".join)
values = columns | st.integers().map(str) | st.floats().map(str) | st.text(max_size=20)
ranges = st.none() | st.from_regex(r"bytes=[0-9,-]{0,20}", fullmatch=True)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    name=names,
    extension=extensions,
    words=st.lists(st.tuples(keys, values), max_size=4),
    asks=ranges,
)
def test_no_question_is_answered_by_a_5xx(server, connection, name, extension, words, asks):
    query = "&".join(f"{escape(key)}={escape(value)}" for key, value in [("limit", "9"), *words])
    path = f"/download/{escape(name)}.{escape(extension)}?{query}"
    try:
        connection.request("GET", path, headers={"Range": asks} if asks else {})
        answer = connection.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        connection.close()
        pytest.fail(f"{path}: {error!r}")
    # 409: a range of what nobody has made. 422: what a source has does not fit the format.
    assert answer.status in (200, 206, 308, 400, 404, 409, 416, 422), body
    if answer.status >= 400:
        assert list(json.loads(body)) == ["error", "message", "status", "detail"]


def escape(text):
    return quote(text.encode("utf-8", "replace"), safe="")


@pytest.fixture(scope="module")
def connection(server):
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as client:
        yield client


def test_nothing_of_all_this_was_a_mistake_of_the_server(server):
    assert "request failed" not in server.log
    assert "Traceback" not in server.log


def test_no_other_parser_is_taken_where_one_is_installed(serve, tmp_path):
    """gunicorn's own in C is found by its name; it takes what the one in Python refuses."""
    module = tmp_path / "modules" / "gunicorn_h1c.py"
    module.parent.mkdir()
    module.write_text("LimitRequestLine = None\ndef parse_request(*head, **how): raise SystemExit")
    server = serve(PYTHONPATH=str(module.parent))
    assert server.get("/healthz").status == 200
