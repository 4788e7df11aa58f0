"""The OpenAPI document is one, and says of every route what the routing table says."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from flask import Flask

from app import create_app
from auth.scopes import PUBLIC, required_scopes
from settings import Settings
from sources.columns import TYPES
from sources.selection import OPERATORS
from streaming.openapi import group, read_document, resolve
from wire.formats import EXTENSIONS, TARBALL, media_type_of

Operations = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def document():
    return read_document()


@pytest.fixture
def app(tmp_path, lay_site):
    return create_app(Settings(catalogue=lay_site(tmp_path), instance=tmp_path / "instance"))


def routes_of(app: Flask) -> dict[str, str]:
    """Return the endpoint of each `METHOD /path`, as the document writes it."""
    routes = {}
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        # Flask adds these to every route.
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            routes[f"{method} {path}"] = rule.endpoint
    return routes


def operations_of(document: dict[str, Any]) -> Operations:
    return {
        f"{method} {path}": operation
        for operations in group(document).values()
        for method, path, operation in operations
    }


def differences(app: Flask, document: dict[str, Any]) -> set[str]:
    """Return what is routed or described, and not both; and what is another endpoint's."""
    routes = routes_of(app)
    described = {address: each["operationId"] for address, each in operations_of(document).items()}
    return {
        address
        for address in routes.keys() | described.keys()
        if not is_id_of(described.get(address, ""), routes.get(address, "nothing"))
    }


def is_id_of(operation_id: str, endpoint: str) -> bool:
    """Is it the endpoint, or, where that has several addresses, the endpoint and a word more?"""
    return operation_id == endpoint or operation_id.startswith(endpoint + ".")


def parameters_of(document: dict[str, Any], operation: dict[str, Any]) -> list[dict[str, Any]]:
    return [resolve(document, each) for each in operation["parameters"]]


def test_it_is_openapi_3_1(document):
    schemathesis.openapi.from_dict(document).validate()
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_what_is_not_openapi_is_noticed(document):
    broken = json.loads(json.dumps(document))
    del broken["paths"]["/sources"]["get"]["responses"]["200"]["description"]
    with pytest.raises(jsonschema_rs.ValidationError, match="description"):
        schemathesis.openapi.from_dict(broken).validate()


def test_every_route_is_described_and_nothing_else(app, document):
    assert differences(app, document) == set()


def test_a_route_that_is_not_described_is_noticed(app, document):
    app.add_url_rule("/new/<path:thing>", "new.thing", lambda thing: thing, methods=["PUT"])
    assert differences(app, document) == {"PUT /new/{thing}"}


def test_a_method_that_is_not_described_is_noticed(app, document):
    app.add_url_rule("/sources", "sources.forget", lambda: "", methods=["DELETE"])
    assert differences(app, document) == {"DELETE /sources"}


def test_a_description_of_nothing_is_noticed(app, document):
    extra = {**document, "paths": {**document["paths"], "/gone": document["paths"]["/sources"]}}
    assert differences(app, extra) == {"GET /gone"}


def test_its_lists_are_those_of_the_code(document):
    schemas = document["components"]["schemas"]
    formats = [*EXTENSIONS, TARBALL.extension]
    assert schemas["Format"]["enum"] == formats
    assert schemas["Operator"]["enum"] == list(OPERATORS)
    assert schemas["ColumnType"]["enum"] == list(TYPES)
    sent = document["paths"]["/download/{file}"]["get"]["responses"]["200"]["content"]
    assert {*sent} == {media_type_of(each).partition(";")[0] for each in formats}


def test_every_error_has_the_one_shape(document):
    for name, answer in document["components"]["responses"].items():
        shape = answer["content"].get("application/json", {"schema": None})["schema"]
        if name not in ("SeeOther", "PermanentRedirect"):
            assert shape == {"$ref": "#/components/schemas/Error"}, name


def test_every_reference_leads_somewhere(document):
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)):
        assert resolve(document, {"$ref": reference})


def test_everything_shared_is_used(document):
    text = json.dumps(document)
    for kind in ("parameters", "responses", "headers"):
        for name in document["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name


def test_every_operation_has_its_path_parameters_and_an_id_of_its_own(document):
    operations = operations_of(document)
    assert len({each["operationId"] for each in operations.values()}) == len(operations)
    for address, operation in operations.items():
        parameters = parameters_of(document, operation)
        keys = [(each["in"], each["name"]) for each in parameters]
        assert len(set(keys)) == len(keys), address
        in_path = {each["name"] for each in parameters if each["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", address)), address


def test_what_nobody_is_asked_for_is_what_needs_nothing(app, document):
    routes = routes_of(app)
    for address, operation in operations_of(document).items():
        is_open = required_scopes(routes[address], defaultdict(str)) is PUBLIC
        assert (operation.get("security") == []) == is_open, address
        assert is_open or "401" in operation["responses"], address
        shared = {"400", "403", "414", "429", "431"}
        if "{" in address:
            shared |= {"308", "404", "405"}
        if address.startswith("GET ") and not is_open:
            # A browser is led to /login.
            shared |= {"303"}
        assert shared <= operation["responses"].keys(), address


def test_no_mistake_of_the_server_is_described(document):
    for address, operation in operations_of(document).items():
        told = {status for status in operation["responses"] if status >= "500"}
        assert told <= {"501", "503", "507"}, address


def test_who_asks_too_often_is_told_when_to_come_back(document):
    for name in ("TooManyRequests", "ServiceUnavailable"):
        assert "Retry-After" in document["components"]["responses"][name]["headers"]


def test_both_addresses_say_the_same(client, document):
    told = client.get("/openapi.json")
    assert told.mimetype == "application/json"
    assert told.json == {**document, "servers": [{"url": "/"}]}
    page = client.get("/api")
    assert page.mimetype == "text/html"
    for address, operation in operations_of(document).items():
        assert f"<code>{address}</code>" in page.text
        assert f'id="{operation["operationId"]}"' in page.text


def test_the_page_has_nothing_that_the_policy_forbids(client):
    text = client.get("/api").text
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", text)


def test_every_link_of_the_page_into_itself_leads_somewhere(client):
    text = client.get("/api").text
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def test_a_mounted_application_says_where_it_is(client):
    told = client.get("/openapi.json", environ_overrides={"SCRIPT_NAME": "/stream"})
    assert told.json["servers"] == [{"url": "/stream"}]
