"""The worker and gunicorn.conf.py on a real gunicorn, with real sockets and curl."""

import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic

import psutil
import pytest
import simple_websocket

from tests.system.gunicorn_process import GunicornProcess, read_to_end, read_until
from tests.system.server import ROOT, need, wait_until

MIB = 1024 * 1024


@pytest.fixture
def start(tmp_path):
    """A verb: start(*options, HEADWATER_X=...) returns a server that ends with the test."""
    started = []

    def start(*options, **more):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(GunicornProcess(folder, *options, **more))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the tests that leave it as it was."""
    server = GunicornProcess(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def half_heads(server):
    """What will be the seconds until each of fifty clients is cut off that sent half a head."""
    began = monotonic()
    clients = [server.send(b"GET / HTTP/1.1\r\nHost:") for _ in range(50)]

    def seconds_until_cut(client):
        assert client.recv(1) == b""
        return monotonic() - began

    with ThreadPoolExecutor(len(clients)) as waiting:
        yield [waiting.submit(seconds_until_cut, client) for client in clients]


@pytest.fixture(scope="module")
def big_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "big"
    path.write_bytes(os.urandom(MIB) * 64)
    return path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    need("openssl")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2"
    subprocess.run(
        [*command.split(), "-keyout", folder / "key", "-out", folder / "cert"],
        check=True,
        capture_output=True,
    )
    return [f"--keyfile={folder / 'key'}", f"--certfile={folder / 'cert'}"]


# Patching


def test_patches_after_the_fork_and_before_the_load(start, tmp_path):
    conf = tmp_path / "conf.py"
    conf.write_text(
        "exec(open('gunicorn.conf.py').read())\n"
        "def post_fork(server, worker):\n"
        "    from server.monkey_patching import eventlet\n"
        "    hub = getattr(eventlet.hubs._threadlocal, 'hub', None)\n"
        "    patched = eventlet.patcher.is_monkey_patched('socket')\n"
        "    os.environ['AT_FORK'] = f'hub={hub} patched={patched}'\n"
    )
    server = start("-c", str(conf))
    state = json.loads(server.get("/state"))
    assert state["at fork"] == "hub=None patched=False"
    assert state["patched before load"] is True
    assert "deprecated" not in server.log


# Connections


def fill(server, n):
    """Return n connections that have been answered once and are kept."""
    clients = [server.ask("/hello") for _ in range(n)]
    for client in clients:
        read_until(client, b"hello\n")
    return clients


def test_one_connection_too_many_is_told_so_at_once(start):
    server = start(HEADWATER_CONNECTIONS="3")
    kept = fill(server, 3)
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=1)
    client.request("GET", "/hello")
    answer = client.getresponse()
    body = json.load(answer)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.headers["Connection"] == "close"
    assert answer.headers["Content-Type"] == "application/json"
    assert body.pop("message")
    assert body == {"error": "too_many_connections", "status": 503, "detail": {"limit": 3}}
    kept.pop().close()

    def is_let_in():
        with server.ask("/hello") as client:
            return b"200 OK" in read_until(client, b"\r\n\r\n")

    wait_until(is_let_in, "the freed place is given away")


def test_refusals_are_logged_at_most_once_a_second(start):
    server = start(HEADWATER_CONNECTIONS="1")
    fill(server, 1)
    began = monotonic()
    for _ in range(50):
        with server.ask("/hello") as client:
            assert b"503" in read_to_end(client)
    lines = server.log.count("too many connections: limit=1")
    assert 1 <= lines <= 1 + (monotonic() - began)


def test_half_a_request_head_keeps_nobody_waiting(server, half_heads):
    assert server.get("/hello") == b"hello\n"
    assert not any(cut.done() for cut in half_heads)


# Responses


IDLE = {"nothing": b"", "half a head": b"GET / HTTP/1.1\r\nHo"}


@pytest.mark.parametrize("sent", IDLE.values(), ids=IDLE.keys())
def test_a_connection_without_a_next_request_is_ended(start, sent):
    client = start("--keep-alive=1").ask("/hello")
    read_until(client, b"\r\n\r\n")
    began = monotonic()
    client.sendall(sent)
    read_to_end(client)
    assert 0.5 < monotonic() - began < 8


def test_first_bytes_are_sent_at_once(server):
    with server.ask("/count?n=6&gap=0.2") as client:
        read_until(client, b"\r\n\r\n")
        arrivals = []
        for i in range(1, 6):
            read_until(client, b"%d\n" % i)
            arrivals.append(monotonic())
    assert arrivals[-1] - arrivals[0] > 0.4


BREAKS = {
    "chunked": ("/breaks", "1.1", 18),
    "with a length": ("/breaks?length", "1.1", 18),
    "HTTP/1.0": ("/breaks", "1.0", 56),  # the only end it knows is the close, so a reset
    "HTTP/1.0 with a length": ("/breaks?length", "1.0", 56),
    "by a green time-out": ("/breaks?timeout", "1.1", 18),
}


@pytest.mark.parametrize(("path", "version", "status"), BREAKS.values(), ids=BREAKS.keys())
def test_a_body_that_breaks_is_cut(server, path, version, status):
    curl = server.curl(path, f"--http{version}")
    body, _ = curl.communicate(timeout=10)
    assert curl.returncode == status
    assert body in (b"first\n", b"")


def test_a_taken_socket_is_left_alone_and_closed(server):
    with server.ask("/taken") as client:
        assert read_to_end(client) == b"HTTP/1.1 101 Taken\r\n\r\nmine"
    assert "taken is closed" in server.log


def slowest_answer_s(server):
    """Return the longest of twenty answers, one after the other."""
    waits = []
    for _ in range(20):
        began = monotonic()
        assert server.get("/hello") == b"hello\n"
        waits.append(monotonic() - began)
    return max(waits)


def test_a_fast_download_leaves_the_others_their_turn(server):
    curl = server.curl("/flood", "-o", "/dev/null")
    assert slowest_answer_s(server) < 0.5
    curl.kill()


# Bodies

LENGTH, CHUNKED = b"Content-Length: 100000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"
TINY_CHUNKS = b"1\r\nx\r\n" * 10_000
ENDLESS = {
    "unread, of a length": (b"POST /hello", LENGTH, bytes(MIB)),
    "unread, of a GET": (b"GET /hello", LENGTH, bytes(MIB)),
    "unread, tiny chunks": (b"POST /hello", CHUNKED, TINY_CHUNKS),
    "read, tiny chunks": (b"POST /size", CHUNKED, TINY_CHUNKS),
}


def with_body(line, fields):
    return line + b" HTTP/1.1\r\nHost: localhost\r\n" + fields


@pytest.mark.parametrize(("line", "fields", "piece"), ENDLESS.values(), ids=ENDLESS.keys())
def test_an_endless_body_leaves_the_others_their_turn(start, line, fields, piece):
    server = start("--timeout", "3")
    assert server.get("/hello") == b"hello\n"
    worker, is_over = server.worker(), threading.Event()

    def stream():
        while not is_over.is_set():
            with server.send(with_body(line, fields)) as client, suppress(OSError):
                while not is_over.is_set():
                    client.sendall(piece)

    with ThreadPoolExecutor() as pool:
        streaming = pool.submit(stream)
        try:
            assert slowest_answer_s(server) < 2
        finally:
            is_over.set()
        streaming.result()
    assert server.workers() == [worker]
    assert "WORKER TIMEOUT" not in server.log


LEFT = {
    "little of a length": (b"Content-Length: 65536\r\n\r\n" + bytes(65536), True),
    "more": (b"Content-Length: 65537\r\n\r\n" + bytes(65537), False),
    "chunks": (CHUNKED + b"1\r\nx\r\n0\r\n\r\n", False),
    "what waits to be sent": (b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", False),
    "nothing that waits": (b"Expect: 100-continue\r\n\r\n", True),
}


@pytest.mark.parametrize(("rest", "is_kept"), LEFT.values(), ids=LEFT.keys())
def test_after_an_unread_body_the_connection_goes_on_or_says_that_it_ends(server, rest, is_kept):
    with server.send(with_body(b"POST /hello", rest)) as client:
        answer = read_until(client, b"hello\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        kept = b"keep-alive" if is_kept else b"close"
        assert b"Connection: " + kept in answer.split(b"\r\n")
        if is_kept:
            client.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            read_until(client, b"hello\n")
        else:
            assert client.recv(1) == b""


def test_a_body_that_waits_is_asked_for_when_it_is_read(server):
    waits = b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with server.send(with_body(b"POST /size", waits)) as client:
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abcde")
        assert b"Connection: keep-alive\r\n" in read_until(client, b"\r\n\r\n2\r\n5\n\r\n")


def test_a_client_that_still_sends_a_bad_request_can_read_the_answer(server):
    with server.send(b"GET /" + b"x" * 60_000) as client:
        assert read_to_end(client).startswith(b"HTTP/1.1 414 URI Too Long\r\n")


# Files


def test_sendfile_sends_a_large_file_whole(server, big_file):
    body = server.get(f"/file?path={big_file}")
    assert hashlib.sha256(body).digest() == hashlib.sha256(big_file.read_bytes()).digest()


def test_sendfile_honours_offset_and_count(server, big_file):
    path = f"/file?path={big_file}&offset={3 * MIB + 5}&length={2 * MIB + 7}"
    with server.ask(path, version="1.0") as client:
        head, _, body = read_to_end(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert body == big_file.read_bytes()[3 * MIB + 5 : 5 * MIB + 12]


def test_sendfile_cuts_when_the_file_ends_early(server, big_file):
    curl = server.curl(f"/file?path={big_file}&offset={63 * MIB}&length={2 * MIB}")
    body, _ = curl.communicate(timeout=10)
    assert (curl.returncode, len(body)) == (18, MIB)


def test_a_reader_that_pauses_blocks_nobody_and_gets_all(server, big_file):
    with server.ask(f"/file?path={big_file}", version="1.0") as paused:
        begin = read_until(paused, b"\r\n\r\n")
        assert slowest_answer_s(server) < 0.5
        assert (begin + read_to_end(paused)).endswith(big_file.read_bytes())


# Life and end


def has_ended(worker):
    return not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_the_heartbeat_goes_on_through_streams_idleness_and_drain(start):
    server = start("--timeout", "2")
    fill(server, 1)
    worker = server.worker()
    # The arbiter looks once a second, so it kills at the latest three seconds after a last beat.
    curl = server.curl("/count?n=35&gap=0.2")
    began = monotonic()
    wait_until(lambda: monotonic() - began > 3.4, "long enough to be killed while it streams")
    assert server.workers() == [worker]
    worker.terminate()  # not the arbiter: while that ends, it no longer watches the heartbeat
    body, _ = curl.communicate(timeout=15)
    assert (curl.returncode, body.count(b"\n")) == (0, 35)
    assert "WORKER TIMEOUT" not in server.log


def refuses(server):
    try:
        server.send()
    except ConnectionRefusedError:
        return True
    return False


def test_term_stops_accepting_closes_idle_clients_and_lets_a_response_end(start):
    server = start()
    [idle], running = fill(server, 1), server.ask("/count?n=8&gap=0.2")
    read_until(running, b"0\n")
    server.signal(signal.SIGTERM)
    assert idle.recv(1) == b""
    wait_until(lambda: refuses(server), "new connections are refused", timeout_s=1)
    read_until(running, b"\n7\n\r\n0\r\n\r\n")
    assert server.process.wait(2) == 0
    assert "cut connections" not in server.log


def test_a_client_that_has_just_connected_may_still_ask(start):
    server = start()
    newcomer, silent = server.send(), server.send()
    [idle] = fill(server, 1)  # accepted after the newcomers
    server.signal(signal.SIGTERM)
    assert idle.recv(1) == b""  # the drain has been round
    newcomer.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert read_to_end(newcomer).endswith(b"hello\n")
    silent.settimeout(4)  # its time for the head would be ten seconds
    assert silent.recv(1) == b""
    assert server.process.wait(2) == 0


def test_term_cuts_what_outlives_the_graceful_time(start):
    server = start("--graceful-timeout", "2")
    curl = server.curl("/count?n=1000&gap=0.2")
    old = server.curl("/count?n=1000&gap=0.2", "--http1.0")
    assert curl.stdout.read(2) == old.stdout.read(2) == b"0\n"
    began = monotonic()
    server.signal(signal.SIGTERM)
    body, _ = curl.communicate(timeout=5)
    old.communicate(timeout=5)
    assert (curl.returncode, old.returncode) == (18, 56)
    assert re.fullmatch(rb"([0-9]+\n)+", body)
    assert server.process.wait(3) == 0
    assert 1 < monotonic() - began < 4
    assert "cut connections=2" in server.log
    assert server.log.count("count is closed") == 2
    assert "SIGKILL" not in server.log


def test_quit_ends_at_once(start):
    server = start()
    curl = server.curl("/count?n=1000&gap=0.2")
    assert curl.stdout.read(2) == b"0\n"
    began = monotonic()
    server.signal(signal.SIGQUIT)
    assert server.process.wait(5) == 0
    assert monotonic() - began < 2
    curl.communicate()
    assert curl.returncode == 18


def test_hup_reloads_and_a_running_download_ends_whole(start):
    server = start()
    old = server.worker()
    curl = server.curl("/count?n=15&gap=0.2")
    assert curl.stdout.read(2) == b"0\n"
    server.signal(signal.SIGHUP)

    def new_pid():
        pid = json.loads(server.get("/state"))["pid"]
        return pid if pid != old.pid else None

    pid = wait_until(new_pid, "a new worker answers")
    assert curl.poll() is None
    body, _ = curl.communicate(timeout=10)
    assert (curl.returncode, body.splitlines()[-1]) == (0, b"14")
    wait_until(lambda: has_ended(old), "the old worker ends")
    assert json.loads(server.get("/state"))["pid"] == pid


def test_a_worker_ends_after_max_requests(start):
    server = start("--max-requests", "3")
    pids = []
    wait_until(
        lambda: pids.append(json.loads(server.get("/state"))["pid"]) or len(set(pids)) == 2,
        "another worker answers",
    )
    assert "Autorestarting worker" in server.log


def test_a_worker_ends_when_its_arbiter_is_lost(start):
    server = start()
    worker = server.worker()
    curl = server.curl("/count?n=1000&gap=0.2")
    assert curl.stdout.read(2) == b"0\n"
    server.process.kill()
    wait_until(lambda: has_ended(worker), "the worker ends by itself", timeout_s=4)


@pytest.mark.holds_hub("gunicorn opens its log anew on the hub, when it is told to")
def test_usr1_reopens_the_log(start, tmp_path):
    log = tmp_path / "error.log"
    server = start("--error-logfile", str(log), "--bind", "127.0.0.1:0")
    wait_until(log.exists, "the log")
    server.log_path = log
    server.get("/hello")
    worker = server.worker()
    log.rename(tmp_path / "old.log")
    server.signal(signal.SIGUSR1)
    wait_until(
        lambda: any(Path(file.path) == log for file in worker.open_files()),
        "the worker writes to a new file",
    )


def test_a_held_hub_is_named_and_replaced(start):
    server = start("--timeout", "1")
    server.ask("/hold")
    wait_until(lambda: "in hold" in server.log, "the stack of the one who holds it")
    assert server.get("/hello") == b"hello\n"
    assert "WORKER TIMEOUT" in server.log


def test_half_a_request_head_is_cut_off_after_ten_seconds(server, half_heads):
    # At the end of the tests that share its server, so that its ten seconds go by beside them.
    for cut in half_heads:
        assert 9 < cut.result() < 15
    assert json.loads(server.get("/refusals"))["header_timeout"] == len(half_heads)


# Binds


def test_tls(start, certificate, big_file):
    server = start(*certificate)
    curl = server.curl(f"/file?path={big_file}", "-k", scheme="https")
    body, _ = curl.communicate(timeout=20)
    assert hashlib.sha256(body).digest() == hashlib.sha256(big_file.read_bytes()).digest()
    broken = server.curl("/breaks", "-k", scheme="https")
    assert broken.communicate(timeout=10)[0] == b"first\n"
    assert broken.returncode != 0


def test_tls_drain_and_limit(start, certificate):
    server = start(*certificate, HEADWATER_CONNECTIONS="1")
    running = server.curl("/count?n=10&gap=0.2", "-k", scheme="https")
    assert running.stdout.read(2) == b"0\n"
    refused = server.curl("/hello", "-k", scheme="https")
    assert b"too_many_connections" in refused.communicate(timeout=5)[0]
    server.signal(signal.SIGTERM)
    assert running.communicate(timeout=10)[0].endswith(b"9\n")
    assert running.returncode == 0
    assert server.process.wait(3) == 0


def test_unix_socket(start, tmp_path):
    need("curl")
    path = tmp_path / "sock"
    start("--bind", f"unix:{path}")
    wait_until(path.exists, "the socket")
    command = ["curl", "-sS", "--unix-socket", path, "http://localhost/count?n=3&gap=0"]
    assert subprocess.run(command, capture_output=True).stdout == b"0\n1\n2\n"


# Socket.IO (Engine.IO 4: 0 open, 2 ping, 3 pong, 4 message, 5 upgrade; 40 connect, 42 event)

SAY, SAID = '42["echo","hi"]', '42["echoed","hi"]'


@pytest.fixture
def live(start):
    return start(app="live")


def poll(server, sid, packet=None):
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    path = "/socket.io/?EIO=4&transport=polling" + (f"&sid={sid}" if sid else "")
    client.request("POST" if packet else "GET", path, packet)
    text = client.getresponse().read().decode()
    client.close()
    return text


def websocket(server, sid=None):
    path = "/socket.io/?EIO=4&transport=websocket" + (f"&sid={sid}" if sid else "")
    # Byte by byte: a frame in one packet with the 101 would lie unread until the next one comes.
    return simple_websocket.Client(f"ws://127.0.0.1:{server.port}{path}", receive_bytes=1)


def test_socketio_polls_and_upgrades(live):
    sid = json.loads(poll(live, None)[1:])["sid"]
    assert poll(live, sid, "40") == "OK"
    assert poll(live, sid).startswith("40{")
    assert poll(live, sid, SAY) == "OK"
    assert poll(live, sid) == SAID
    client = websocket(live, sid)
    client.send("2probe")
    assert client.receive(timeout=5) == "3probe"
    client.send("5")
    client.send(SAY)
    # The upgrade may leave a 6 (no operation), which was to end a waiting poll.
    assert SAID in (client.receive(timeout=5), client.receive(timeout=1))
    client.close()
    assert "Traceback" not in live.log


def test_socketio_by_websocket_alone(live):
    client = websocket(live)
    assert client.receive(timeout=5).startswith("0{")
    client.send("40")
    assert client.receive(timeout=5).startswith("40{")
    client.send(SAY)
    assert client.receive(timeout=5) == SAID
    client.close()
    assert "Traceback" not in live.log


def test_a_drain_ends_a_websocket_at_once(live):
    client = websocket(live)
    assert client.receive(timeout=5).startswith("0{")
    live.signal(signal.SIGTERM)
    with pytest.raises(simple_websocket.ConnectionClosed):
        client.receive(timeout=5)
    assert live.process.wait(2) == 0
    assert "cut connections" not in live.log


# gunicorn.conf.py


def last_line(server, status=1):
    """Return the line that a server ended with; it must be the only one besides the greeting."""
    assert server.process.wait(10) == status
    lines = [line for line in server.log.splitlines() if "Starting gunicorn" not in line]
    assert len(lines) == 1, server.log
    return lines[0]


def test_a_second_server_on_the_same_instance_is_told_so(start):
    first = start()
    first.get("/hello")
    second = start(HEADWATER_INSTANCE=str(first.instance))
    told = last_line(second)
    assert "another server uses" in told
    assert f"process {first.process.pid} (gunicorn" in told
    assert f"of the user {os.geteuid()} has locked {first.instance / 'lock'}" in told
    assert first.instance.joinpath("lock").stat().st_mode & 0o777 == 0o600
    assert first.instance.stat().st_mode & 0o777 == 0o700
    first.signal(signal.SIGHUP)
    wait_until(lambda: len(first.seen_workers | {*first.workers()}) > 1, "a reload")
    third = start(HEADWATER_INSTANCE=str(first.instance))
    assert "another server uses" in last_line(third)


def test_a_busy_port_is_told_so(start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = last_line(start(HEADWATER_PORT=str(port)))
    remedy = "set HEADWATER_PORT or stop the other server"
    assert line == f"headwater: port {port} on 127.0.0.1 is in use: {remedy}"


def test_a_port_that_is_no_number_is_told_so(start):
    assert "HEADWATER_PORT: 'http' is not" in last_line(start(HEADWATER_PORT="http"))


def test_preloading_is_refused(start):
    server = start("--preload")
    assert server.process.wait(10) == 1
    assert "--preload loads the application before" in server.log


@pytest.mark.parametrize(
    ("options", "environ"),
    [
        (["-w", "2"], {}),
        (["--workers=4"], {}),
        (["-w", "0"], {}),
        ([], {"WEB_CONCURRENCY": "2"}),
        ([], {"GUNICORN_CMD_ARGS": "-w 3"}),
    ],
    ids=["-w", "--workers", "none", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS"],
)
def test_more_than_one_worker_is_refused_in_one_line(start, options, environ):
    assert "headwater runs one worker, not " in last_line(start(*options, **environ))


def configure(path, workers):
    """Write a configuration of gunicorn with so many workers; in one step, as it may be read."""
    beside = path.with_suffix(".new")
    beside.write_text(f"exec(open('gunicorn.conf.py').read())\nworkers = {workers}\n")
    beside.replace(path)


def test_workers_of_a_configuration_are_refused_too(start, tmp_path):
    configure(tmp_path / "conf.py", 2)
    assert "headwater runs one worker, not 2" in last_line(start("-c", str(tmp_path / "conf.py")))


@pytest.mark.parametrize("tell", [signal.SIGTTIN, signal.SIGHUP])
def test_a_running_server_keeps_to_one_worker(start, tmp_path, tell):
    """When it is told to have one more, and when a reload reads of two."""
    configure(tmp_path / "conf.py", 1)
    server = start("-c", str(tmp_path / "conf.py"))
    pids = [json.loads(server.get("/state"))["pid"]]

    def workers():
        return [worker for worker in server.workers() if not has_ended(worker)]

    def reload():
        (old,) = workers()
        server.signal(signal.SIGHUP)
        wait_until(lambda: has_ended(old), "the old worker ends")
        pids.append(json.loads(server.get("/state"))["pid"])

    configure(tmp_path / "conf.py", 2)
    if tell == signal.SIGHUP:
        reload()
    else:
        server.signal(tell)
    wait_until(lambda: "workers=2 is ignored" in server.log, "it says so")
    # Signals are handled one after the other: what the first one began is done by then.
    configure(tmp_path / "conf.py", 1)
    reload()
    assert [worker.pid for worker in workers()] == pids[-1:]
    assert server.log.count("Booting worker") == len(set(pids)) == len(pids)


def test_an_old_python_is_told_so():
    code = "import sys; sys.version_info = (3, 10); exec(open('gunicorn.conf.py').read())"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1
    assert re.fullmatch(r"headwater needs Python 3\.11 or newer.*\n", ended.stderr)


def test_nothing_is_written_outside_the_instance_folder(start):
    server = start()
    server.get("/hello")
    assert sorted(os.listdir(server.log_path.parent)) == ["gunicorn.log", "instance"]  # noqa: PTH208
    assert sorted(os.listdir(server.instance)) == ["lock", "logs", "state.db"]  # noqa: PTH208
