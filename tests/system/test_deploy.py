"""deploy/: Debian's nginx with our site file before a real server, and the other files as files."""

import hashlib
import http.client
import json
import re
import shutil
import socket
import subprocess
import time
from contextlib import closing
from dataclasses import fields

import pytest
import yaml

from settings import Settings
from tests.system.feeds import Polling, SocketIo
from tests.system.nginx import certificate, put_nginx  # noqa: F401 (fixtures)
from tests.system.server import ROOT, Stream, need, wait_until

DEPLOY = ROOT / "deploy"
# The most that one request publishes.
MOST_BYTES = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def nginx(server, put_nginx):  # noqa: F811
    """nginx before the server of this file."""
    return put_nginx(server.port)


def ask(nginx, path, method="GET", body=None, **headers):
    """Return the answer, read to its end, and its body; a header If_Range is sent as If-Range."""
    with closing(http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=20)) as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client.request(method, path, body, named)
        answer = client.getresponse()
        return answer, answer.read()


def curl(*options):
    need("curl")
    return subprocess.run(["curl", "-sS", *options], capture_output=True, timeout=30)


# Downloads.


def test_a_download_is_whole(server, nginx):
    answer, body = ask(nginx, "/download/numbers.csv")
    told = server.wait_for(answer.headers["Headwater-Export"], "complete")
    assert hashlib.sha256(body).hexdigest() == told["sha256"]
    assert answer.headers["ETag"] == f'"{told["id"]}"'
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_a_cut_download_is_resumed(server, nginx, tmp_path):
    with closing(Stream(nginx.port, "/download/numbers.ndjson", {})) as stream:
        tmp_path.joinpath("numbers").write_bytes(stream.read(1_000_000))
        told = server.wait_for(stream.headers["Headwater-Export"], "complete")
    url = f"{nginx.base}/download/numbers.ndjson"
    assert curl("-C", "-", "-o", tmp_path / "numbers", url).returncode == 0
    data = tmp_path.joinpath("numbers").read_bytes()
    assert hashlib.sha256(data).hexdigest() == told["sha256"]
    assert f"export={told['id']} range='bytes=1000000-'" in server.log


def test_the_first_bytes_come_while_the_rest_is_recorded(server, nginx):
    with closing(Stream(nginx.port, "/download/long.csv", {})) as stream:
        assert stream.read(10) == b"i,t\n1,row "
        export_id = stream.headers["Headwater-Export"]
        assert server.export(export_id)["state"] == "running"
    # nginx has told the server that the client is gone.
    wait_until(lambda: server.export(export_id)["readers"] == 0, "nobody reads")
    server.get(f"/exports/{export_id}", "DELETE")


def test_a_failing_export_is_never_complete(nginx):
    got = curl(f"{nginx.base}/download/stops.csv?at=300000")
    # 18: transfer closed with outstanding read data remaining.
    assert got.returncode == 18
    assert b"\n200000,200000\n" in got.stdout


def test_a_failing_export_is_never_complete_over_http_2(server, put_nginx, certificate):  # noqa: F811
    nginx = put_nginx(server.port, tls=certificate)
    url = f"https://127.0.0.1:{nginx.port}/download/stops.csv?at=300002"
    got = curl("--http2", "-k", "-w", "%{http_version}", url)
    # 92: the stream was not closed cleanly.
    assert got.returncode == 92
    assert got.stdout.endswith(b"2")
    assert b"\n200000,200000\n" in got.stdout


@pytest.mark.parametrize("path", ["/download/stops.csv?at=300001", "/exports/0123/file"])
def test_to_http_1_0_nothing_is_sent_that_could_be_torn(nginx, path):
    got = curl("--http1.0", "-w", "%{http_code} %{content_type}", nginx.base + path)
    assert got.stdout.endswith(b"505 application/json")
    assert json.loads(got.stdout.splitlines()[0])["status"] == 505
    assert curl("--http1.0", "-f", f"{nginx.base}/healthz").returncode == 0


def test_head_and_ranges(server, nginx):
    told = server.finished("numbers", "tsv")
    head, nothing = ask(nginx, told["url"], "HEAD")
    assert (head.status, head.headers["Content-Length"]) == (200, str(told["bytes"]))
    assert nothing == b""
    part, body = ask(nginx, told["url"], Range="bytes=5-9", If_Range=head.headers["ETag"])
    assert (part.status, len(body)) == (206, 5)
    assert part.headers["Content-Range"] == f"bytes 5-9/{told['bytes']}"
    _, whole = ask(nginx, told["url"])
    assert whole[5:10] == body


# Events.


@pytest.mark.parametrize("transport", ["ndjson", "sse", "websocket", "socket.io", "polling"])
def test_an_event_comes_at_once(server, nginx, follow, topic, transport):
    reader = follow(nginx, transport, topic)
    began_s = time.monotonic()
    server.publish(topic, 1)
    assert reader.numbers(1) == [1]
    assert time.monotonic() - began_s < 0.25


@pytest.mark.parametrize("reader_of", [SocketIo, Polling])
def test_history_then_live_on_socket_io(server, nginx, topic, reader_of):
    server.publish(topic, *range(5000))
    with reader_of(nginx.base, topic, "all") as reader:
        assert reader.numbers(5000) == list(range(5000))
        server.publish(topic, 5000)
        assert reader.numbers(1) == [5000]


def test_who_leaves_is_gone_from_presence(server, nginx, topic, follow):
    reader = follow(nginx, "sse", topic)
    assert len(server.readers(topic)) == 1
    reader.close()
    wait_until(lambda: server.readers(topic) == [], "nobody follows")


def test_as_much_as_one_request_may_publish(server, nginx, topic):
    line = json.dumps({"name": "number", "data": "x" * 950}).encode() + b"\n"
    count = MOST_BYTES // len(line)
    body = line * count
    answer, told = ask(nginx, f"/events/{topic}", "POST", body, Content_Type="application/x-ndjson")
    assert (answer.status, json.loads(told)["count"]) == (201, count)
    # One byte too many is the server's to refuse.
    answer, told = ask(
        nginx, f"/events/{topic}", "POST", b" " * (MOST_BYTES + 1), Content_Type="application/json"
    )
    assert (answer.status, json.loads(told)["status"]) == (413, 413)


# What nginx tells the server, and what it says when there is none.


def test_a_long_address_is_the_servers_to_judge(nginx):
    assert ask(nginx, "/healthz?" + "x" * 8000)[0].status == 200
    answer, told = ask(nginx, "/healthz?" + "x" * 9000)
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(told)["status"] == answer.status


def shake_hands(nginx, **headers):
    """Return the status of a WebSocket's opening handshake."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with socket.create_connection(("127.0.0.1", nginx.port), timeout=10) as client:
        lines = [
            f"{name.replace('_', '-')}: {value}" for name, value in (upgrade | headers).items()
        ]
        client.sendall("\r\n".join(["GET /ws/live HTTP/1.1", *lines, "", ""]).encode())
        return int(client.recv(4096).split()[1])


def test_a_page_of_this_site_may_connect_and_of_another_may_not(nginx):
    host = f"127.0.0.1:{nginx.port}"
    assert shake_hands(nginx, Host=host, Origin=f"http://{host}") == 101
    assert shake_hands(nginx, Host=host, Origin="http://elsewhere.example") == 403
    forged = {"X_Forwarded_Host": "elsewhere.example", "X_Forwarded_Proto": "http"}
    assert shake_hands(nginx, Host=host, Origin="http://elsewhere.example", **forged) == 403
    assert shake_hands(nginx, Host="a.localhost:80", Origin="http://a.localhost:80") == 101


def test_the_clients_address_arrives(launch, put_nginx):  # noqa: F811
    server = launch(HEADWATER_PROXIES="1").wait_until_it_answers()
    nginx = put_nginx(server.port)
    with socket.create_connection(
        ("127.0.0.1", nginx.port), timeout=10, source_address=("127.0.0.9", 0)
    ) as client:
        client.sendall(
            b"GET /healthz?mark HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n"
            b"Connection: close\r\n\r\n"
        )
        while client.recv(4096):
            pass
    (line,) = server.wait_until_accessed("/healthz?mark")
    assert line["client"] == "127.0.0.9"
    assert "192.0.2.1" not in str(line)


def test_without_a_server_there_is_an_error_of_its_shape(put_nginx, free_port):  # noqa: F811
    answer, body = ask(put_nginx(free_port), "/exports")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert answer.headers["Content-Type"] == "application/json"
    assert list(json.loads(body)) == ["error", "message", "status", "detail"]


@pytest.mark.parametrize("host", ["elsewhere.example", "192.0.2.1", "x.headwater.example"])
def test_another_host_does_not_reach_the_server(nginx, host):
    answer, body = ask(nginx, "/healthz", Host=host)
    assert (answer.status, json.loads(body)["error"]) == (421, "unknown_host")
    assert ask(nginx, "/healthz", Host="localhost")[0].status == 200


def test_nginx_refuses_more_requests_than_an_address_has(server, put_nginx):  # noqa: F811
    edits = [("rate=500r/s", "rate=1r/m"), ("burst=1000 nodelay", "burst=2 nodelay")]
    nginx = put_nginx(server.port, edits)
    answers = [ask(nginx, "/healthz") for _ in range(4)]
    assert [answer.status for answer, _ in answers] == [200, 200, 200, 429]
    answer, body = answers[-1]
    assert answer.headers["Retry-After"] == "1"
    assert list(json.loads(body)) == ["error", "message", "status", "detail"]


def test_nginx_refuses_more_connections_than_an_address_has(server, put_nginx):  # noqa: F811
    nginx = put_nginx(server.port, [("headwater_connections 500;", "headwater_connections 1;")])
    with closing(Stream(nginx.port, "/events/demo/a", {})):
        assert ask(nginx, "/healthz")[0].status == 429
    wait_until(lambda: ask(nginx, "/healthz")[0].status == 200, "the first one is gone")


COUNTED = {
    "IPv4": ("192.0.2.1", "192.0.2.2", False),
    "one /64": ("2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", True),
    "one /64 that ends in a zero": ("2001:db8:1::1:2:3", "2001:db8:1::1", True),
    "one /64 that ends in zeros": ("2001:db8::1:2:3:4", "2001:db8::1", True),
    "two of /64": ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
    "two of IPv4 in IPv6": ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
}


@pytest.mark.parametrize(("one", "other", "is_one"), COUNTED.values(), ids=COUNTED.keys())
def test_nginx_counts_an_address_of_ipv6_by_its_network(server, put_nginx, one, other, is_one):  # noqa: F811
    edits = [("rate=500r/s", "rate=1r/m"), ("burst=1000 nodelay", "burst=2 nodelay")]
    http = "set_real_ip_from 127.0.0.1; real_ip_header X-Client;"
    nginx = put_nginx(server.port, edits, http)
    for _ in range(3):
        assert ask(nginx, "/healthz", X_Client=one)[0].status == 200
    assert ask(nginx, "/healthz", X_Client=one)[0].status == 429
    assert ask(nginx, "/healthz", X_Client=other)[0].status == (429 if is_one else 200)


# The other files.

# Every name of a setting in them.
NAMES = re.compile(r"HEADWATER_[A-Z_]+")


# No folders: data is the operator's own, and doctor is code.
FILES = [path for path in sorted(DEPLOY.iterdir()) if path.is_file()]


@pytest.mark.parametrize("path", [*FILES, ROOT / "docs" / "deploy.md"], ids=str)
def test_what_is_set_is_a_setting(path):
    known = {field.metadata["env"] for field in fields(Settings)}
    assert set(NAMES.findall(path.read_text())) <= known


def test_compose_hands_nobody_more_than_nginx():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert "ports" not in services["headwater"]
    assert services["nginx"]["ports"] == ["127.0.0.1:8080:80"]
    # Else Compose would stop nginx first, which cuts what it carries.
    assert "depends_on" not in services["nginx"]
    # Its command puts another address there.
    assert (DEPLOY / "nginx.conf").read_text().count("server 127.0.0.1:8000;") == 1


def test_systemd_has_nothing_to_say_about_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd here")
    unit = tmp_path / "headwater.service"
    text = (DEPLOY / "headwater.service").read_text()
    unit.write_text(text.replace("/opt/headwater/.venv", str(ROOT / ".venv")))
    said = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=30
    )
    assert (said.returncode, said.stderr) == (0, "")
