"""What /live does inside; what clients see of it is in tests/system/test_live.py."""

import pytest

NAMESPACE = "/live"


@pytest.fixture
def client(own_site, monkeypatch):
    """Flask-SocketIO's test client, once Flask makes no request any more."""
    topics = own_site.extensions["headwater"].topics
    topics.start()
    monkeypatch.setattr(own_site, "request_context", lambda environ: pytest.fail("a request"))
    yield own_site.extensions["socketio"].test_client(own_site, NAMESPACE)
    topics.stop()


def call(client, event, fields):
    return client.emit(event, fields, namespace=NAMESPACE, callback=True)


def test_no_event_needs_a_flask_request(client):
    """One for each took half of the time in which a client connects and subscribes."""
    assert [each["name"] for each in client.get_received(NAMESPACE)] == ["response"]
    assert call(client, "subscribe", {"topic": "status"})["ok"]
    assert call(client, "readers", {"topic": "status"})["ok"]
    assert call(client, "cancel", {"id": "none"})["error"] == "unknown_export"
    assert (
        call(client, "publish", {"topic": "status", "name": "n", "data": 1})["error"]
        == "not_writable"
    )
    assert call(client, "unsubscribe", {"topic": "status"})["ok"]
    client.emit("request_data", {"message": "hi"}, namespace=NAMESPACE)
    client.emit("request_data", "hi", namespace=NAMESPACE)
    told = [each["name"] for each in client.get_received(NAMESPACE)]
    assert told == ["data_response", "error"]
    client.disconnect(NAMESPACE)


def test_an_event_that_there_is_not_is_refused(client):
    assert call(client, "dance", {})["error"] == "unknown_event"
    assert call(client, "subscribe", ["status"])["error"] == "malformed"


def test_a_client_that_is_gone_follows_nothing(client, own_site):
    """Flask-SocketIO's test client has no session, as one that was closed meanwhile."""
    assert call(client, "subscribe", {"topic": "status"})["ok"]
    assert not own_site.extensions["headwater"].topics.subscriptions.readers
