"""Health where something of the server has stopped."""


def test_without_deliveries_it_is_not_alive(own_site, until, monkeypatch):
    topics = own_site.extensions["headwater"].topics
    topics.start()
    client = own_site.test_client()
    assert client.get("/healthz").status_code == 200
    topics.dispatcher.stop()
    monkeypatch.setattr("streaming.health.MOST_SILENT_S", 0.05)
    until(lambda: client.get("/healthz").status_code == 503)
    answer = client.get("/healthz").json
    assert (answer["error"], answer["status"]) == ("deaf", 503)
    topics.stop()
    assert client.get("/readyz").json["error"] == "not_ready"


def test_before_it_is_started_it_is_not_ready(own_site):
    answer = own_site.test_client().get("/readyz")
    assert (answer.status_code, answer.json["error"]) == (503, "not_ready")
