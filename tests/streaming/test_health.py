"""Health where something of the server has stopped."""

import pytest


@pytest.fixture
def parts(own_site, monkeypatch):
    for module in ("self_check", "status"):
        monkeypatch.setattr(f"topics.{module}.EVERY_S", 0.1)
    parts = own_site.extensions["headwater"]
    for part in (parts.topics, parts.status, parts.self_check):
        part.start()
    yield parts
    for part in (parts.self_check, parts.status, parts.topics):
        part.stop()


@pytest.mark.parametrize("broken", ["dispatcher", "status", "writer"])
def test_without_deliveries_it_is_not_alive(own_site, parts, broken, until, monkeypatch):
    client = own_site.test_client()
    until(lambda: parts.topics.get("status") and parts.self_check.silent_s() < 0.5)
    assert client.get("/healthz").status_code == 200
    if broken == "writer":
        monkeypatch.setattr(
            "topics.connection_writer.ConnectionWriter.try_send", lambda writer, data: True
        )
        monkeypatch.setattr("topics.connection_writer.ConnectionWriter.wake", lambda writer: None)
    else:
        getattr(parts.topics if broken == "dispatcher" else parts, broken).stop()
    monkeypatch.setattr("streaming.health.MAX_SILENT_S", 0.5)
    until(lambda: client.get("/healthz").status_code == 503)
    answer = client.get("/healthz").json
    assert (answer["error"], answer["status"]) == ("deaf", 503)
    assert client.get("/readyz").status_code == 200
    parts.topics.stop()
    assert client.get("/readyz").json["error"] == "not_ready"


def test_the_canary_goes_out_again_when_its_feed_has_failed(own_site, parts, until):
    (reader,) = _followers_of_status(parts, until)
    reader.writer.close()
    until(lambda: _followers_of_status(parts, until)[0] is not reader)
    client = own_site.test_client()
    until(lambda: parts.self_check.silent_s() < 0.5)
    assert client.get("/healthz").status_code == 200


def test_the_canary_is_no_client(own_site, parts, until):
    _followers_of_status(parts, until)
    assert parts.topics.subscriptions.connections() == {}
    client = own_site.test_client()
    assert client.get("/events/status/readers").json["count"] == 0
    (status,) = [t for t in client.get("/events").json["topics"] if t["topic"] == "status"]
    assert status["readers"] == 0


def _followers_of_status(parts, until):
    until(lambda: parts.topics.get("status") and parts.topics.get("status").readers)
    return list(parts.topics.get("status").readers)


def test_before_it_is_started_it_is_not_ready(own_site):
    answer = own_site.test_client().get("/readyz")
    assert (answer.status_code, answer.json["error"]) == (503, "not_ready")
