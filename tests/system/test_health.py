"""Whether it is alive and ready, and in numbers that are right and documented."""

import fcntl
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.system.server import CATALOGUE, ROOT, wait_until

TRANSFERS = ["/files/papers/a.txt", "/download/papers.zip", "/report/things"]


@pytest.fixture(scope="module")
def server(serve_all, tmp_path_factory):
    """A server of this file, with a folder."""
    folder = tmp_path_factory.mktemp("papers")
    (folder / "a.txt").write_text("a paper")
    return serve_all(f'{CATALOGUE}\n[folders.papers]\npath = "{folder}"\n')


def numbers(server):
    """Return {(name, labels…): value} and the families."""
    answer = server.get("/metrics")
    assert answer.status == 200
    families = list(text_string_to_metric_families(answer.body.decode()))
    found = {(s.name, *s.labels.values()): s.value for f in families for s in f.samples}
    return found, families


def test_every_number_is_documented_with_its_kind_and_its_text(server):
    row = r"\| `(\w+?)(?:_total)?(?:\{\w+\})?` \| (\w+) \| (.*) \|"
    rows = re.findall(row, (ROOT / "docs" / "running.md").read_text())
    documented = {name: (kind, text) for name, kind, text in rows}
    _, families = numbers(server)
    ours = {f.name: (f.type, f.documentation) for f in families}
    process = {name for name in ours if name.startswith("headwater_process_")}
    assert {name: told for name, told in ours.items() if name not in process} == documented
    assert "headwater_process_open_fds" in process


def test_the_numbers_are_right(server, follow):
    before, _ = numbers(server)
    reader = follow(server, "ndjson", "demo/counted")
    wait_until(lambda: server.readers("demo/counted"), "the reader is there")
    server.publish("demo/counted", *range(7))
    assert reader.numbers(7) == list(range(7))
    export = server.finished("numbers", "tsv")
    server.get(export["url"])
    paper, archive, report = (server.get(path).body for path in TRANSFERS)
    assert server.get("/no/such/thing").status == 404
    after, _ = numbers(server)

    def grown(*key):
        return after[key] - before.get(key, 0)

    assert grown("headwater_events_published_total") >= 7
    assert grown("headwater_events_pushed_total") >= 7
    assert after["headwater_connections", "ndjson"] == 1
    assert after["headwater_readers",] == 1
    assert grown("headwater_exports", "complete") == 1
    assert grown("headwater_sent_bytes_total", "exports") == export["bytes"]
    assert grown("headwater_sent_bytes_total", "files") == len(paper) + len(archive)
    assert grown("headwater_sent_bytes_total", "reports") == len(report)
    assert grown("headwater_responses_total", "4xx") == 1
    assert after["headwater_recordings_bytes",] >= export["bytes"]
    assert 0 <= after["headwater_hub_lag_seconds",] < 5


def test_it_is_alive_and_ready(server):
    assert server.get("/healthz").json()["status"] == "alive"
    wait_until(lambda: server.get("/readyz").status == 200, "it is ready")


def test_a_gap_that_was_told_is_counted(server):
    first = server.publish("few/counted", 0)["id"]
    for n in range(200):
        server.publish("few/counted", n)
    before, _ = numbers(server)
    wait_until(lambda: server.events("few/counted", first)[0]["name"] == "gap", "it expires")
    after, _ = numbers(server)
    assert after["headwater_gaps_told_total",] > before["headwater_gaps_told_total",]


def test_one_that_waits_for_the_one_before_it_is_alive_and_not_ready(serve, tmp_path):
    """The process before has the folder of topics until it is gone: here, this test has."""
    server = serve()
    folder = server.instance / "topics"
    assert server.stop() == 0
    with open(folder / "@lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server.start()
        answer = server.get("/readyz")
        assert (answer.status, answer.json()["error"]) == (503, "not_ready")
        assert answer.headers["Retry-After"]
        assert server.get("/healthz").status == 200
    wait_until(lambda: server.get("/readyz").status == 200, "it is ready")
