"""A thousand clients that take their time, made by slowhttptest, and one good one among them.

Part of `make soak`: what it measures wants a machine with nothing else to do.
"""

import http.client
import subprocess
import time
from contextlib import closing

import pytest

from tests.system.server import need, wait_until

SLOW = 1000
# It takes five to begin.
SECONDS = 11
SERVED_S = 0.25
# The slow ones are of 127.0.0.1.
GOOD = ("127.0.0.2", 0)

# Heads, bodies and answers that take for ever.
MODES = {
    "heads": ["-H", "-i", "2", "-x", "24"],
    "bodies": ["-B", "-i", "2", "-s", "8192", "-x", "10", "-t", "POST"],
    "reads": ["-X", "-w", "16", "-y", "64", "-n", "2", "-z", "16", "-k", "3"],
}
PATHS = {"heads": "/sources", "bodies": "/exports", "reads": "/download/numbers.csv"}


@pytest.fixture(scope="module")
def server(serve_all):
    return serve_all(
        HEADWATER_CONNECTIONS="2000",
        # All of them are of one address.
        HEADWATER_CONNECTIONS_PER_PRINCIPAL="2000",
        HEADWATER_BODY_S="4",
        HEADWATER_STALL_S="4",
    )


def attack(server, mode):
    """Return a running slowhttptest; it ends by itself."""
    need("slowhttptest")
    command = ["slowhttptest", "-c", str(SLOW), "-r", "500", "-l", str(SECONDS), "-p", "3"]
    command += [*MODES[mode], "-u", server.url(PATHS[mode])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def connections(server):
    """Return how many sockets the worker has."""
    return len(server.worker().net_connections())


def times_of_a_good_client(server, process):
    """Return how long each answer took while the process ran."""
    times = []
    while process.poll() is None:
        began_s = time.perf_counter()
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, 30, GOOD)) as client:
            client.request("GET", "/sources")
            assert client.getresponse().status == 200
        times.append(time.perf_counter() - began_s)
        time.sleep(0.02)
    return sorted(times)


@pytest.mark.parametrize("mode", MODES)
def test_a_good_client_is_served_beside_a_thousand_slow_ones(server, mode):
    process = attack(server, mode)
    try:
        wait_until(lambda: connections(server) > SLOW * 0.3, "they are there")
        times = times_of_a_good_client(server, process)
    finally:
        process.kill()
        process.communicate()
    assert len(times) > 8
    assert times[len(times) * 99 // 100] < SERVED_S, times[-10:]
    wait_until(lambda: connections(server) < 50, "they are gone", 20)
