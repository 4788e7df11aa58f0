"""Clients that take nothing of what they are sent: cut, counted, and free to come back."""

import pytest

from tests.system.server import wait_until
from tests.system.test_health import numbers
from tests.system.test_websocket import RawWebSocket

STALL_S = 2
PATH = "/download/long.csv?rows=1500000"


@pytest.fixture(scope="module")
def impatient(serve_all):
    return serve_all(HEADWATER_STALL_S=str(STALL_S))


def stalled(server):
    return numbers(server)[0].get(("headwater_refusals_total", "stalled"), 0)


def test_a_download_frees_its_place_and_goes_on(impatient):
    before = stalled(impatient)
    stream = impatient.open(PATH)
    start, etag = stream.read(10_000), stream.headers["ETag"]
    export_id = etag.strip('"')
    assert impatient.export(export_id)["readers"] == 1
    wait_until(lambda: stalled(impatient) > before, "it is cut", STALL_S + 10)
    assert impatient.export(export_id)["readers"] == 0
    assert numbers(impatient)[0]["headwater_clients",] == 1  # who asks for it
    rest = impatient.get(PATH, Range=f"bytes={len(start)}-", If_Range=etag)
    assert rest.status == 206
    assert start + rest.body == impatient.get(PATH).body


def open_feed(server, transport, topic):
    path = f"/events/{topic}"
    if transport == "websocket":
        return RawWebSocket(server.port, f"/ws{path}", receive_bytes=4096)
    return server.open(path, Accept=f"text/{transport}" if transport == "event-stream" else "*/*")


@pytest.mark.parametrize("transport", ["ndjson", "event-stream", "websocket"])
def test_a_feed_is_cut_and_counted(impatient, transport):
    topic, before = f"load/{transport}", stalled(impatient)
    client = open_feed(impatient, transport, topic)
    wait_until(lambda: impatient.readers(topic), "the reader is there")
    for _ in range(6):
        impatient.publish(topic, *["x" * 65_000] * 50)
    wait_until(lambda: stalled(impatient) > before, "it is cut", STALL_S + 10)
    assert stalled(impatient) == before + 1
    assert impatient.readers(topic) == []
    client.close()
