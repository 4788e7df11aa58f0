"""What is found out once stays right: routes, names, addresses, standing fields."""

from __future__ import annotations

import pytest
from flask import Response, jsonify, redirect, request, url_for

from streaming.application import MAX_ROUTE_CHARS, Application

STANDING = [("X-Frame-Options", "DENY"), ("Cache-Control", "private, no-cache")]
OF_PAGES = [("Content-Security-Policy", "default-src 'none'")]


@pytest.fixture
def app():
    app = Application(__name__, STANDING, OF_PAGES)
    app.add_url_rule("/plain", "v.plain", lambda: "plain")
    app.add_url_rule("/list/", "v.list", lambda: "list")
    app.add_url_rule("/json", "v.json", lambda: jsonify(b=1, a="é"))
    app.add_url_rule("/to", "v.to", lambda: redirect("/plain"))
    app.add_url_rule("/own", "v.own", lambda: Response("x", headers={"cache-control": "no-store"}))
    app.add_url_rule("/same", "v.same", lambda: Response(status=304))
    app.add_url_rule("/body", "v.body", lambda: request.get_data() * 2, methods=["POST"])
    app.add_url_rule("/address/<path:name>", "v.address", _address)
    return app


def _address(name: str) -> dict[str, str]:
    assert request.view_args is not None
    request.view_args["more"] = "of this request alone"
    return {"own": url_for("v.address", name=name), "list": url_for("v.list", page="a b")}


@pytest.fixture
def client(app):
    return app.test_client()


def test_an_address_is_routed_once(app, client):
    for _ in range(3):
        assert client.get("/plain").text == "plain"
    assert (app._find.cache_info().misses, app._find.cache_info().hits) == (1, 2)


def test_each_request_has_its_own_values(client):
    for name in ("a", "b", "a"):
        for _ in range(2):
            assert client.get(f"/address/{name}").json["own"] == f"/address/{name}"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/plain", 405), ("GET", "/none", 404), ("GET", "/list", 308)],
)
def test_what_has_no_route_is_told_so_each_time(client, method, path, status):
    for _ in range(2):
        assert client.open(path, method=method).status_code == status


def test_a_redirect_leads_to_the_name_that_was_called(client):
    for host in ("one.example", "two.example:81", "one.example"):
        answer = client.get("/list", headers={"Host": host})
        assert answer.headers["Location"] == f"http://{host}/list/"


def test_a_name_that_is_none_is_refused_each_time(client):
    for _ in range(2):
        assert client.get("/plain", headers={"Host": "x" * 64}).status_code == 400


def test_addresses_are_of_the_mount_of_the_request(client):
    for mount in ("", "/mounted", "", "/mounted"):
        told = client.get("/address/x%20y", environ_overrides={"SCRIPT_NAME": mount}).json
        assert told == {"own": f"{mount}/address/x%20y", "list": f"{mount}/list/?page=a+b"}


def test_long_addresses_are_not_remembered(app, client):
    name = "x" * MAX_ROUTE_CHARS
    assert client.get(f"/address/{name}").json["own"] == f"/address/{name}"
    assert app._find.cache_info().currsize == 0


def test_standing_fields_are_on_each_answer_that_has_none(client):
    assert client.get("/plain").headers["Cache-Control"] == "private, no-cache"
    for path in ("/plain", "/json", "/own", "/to", "/none", "/same"):
        assert client.get(path).headers.getlist("X-Frame-Options") == ["DENY"], path
    assert client.get("/own").headers.getlist("Cache-Control") == ["no-store"]
    assert "Content-Security-Policy" in client.get("/plain").headers
    assert "Content-Security-Policy" not in client.get("/json").headers


def test_json_is_as_flask_makes_it_in_the_order_given(client):
    answer = client.get("/json")
    assert answer.data == b'{"b":1,"a":"\\u00e9"}\n'
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Length"] == str(len(answer.data))


def test_what_is_not_modified_has_no_length(client):
    assert "Content-Length" not in client.get("/same").headers


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_a_body_is_read_as_long_as_it_says(client, body):
    assert client.post("/body", data=body).data == body * 2
