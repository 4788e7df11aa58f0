"""Mounted below a path: every address that the server gives begins with it, and is there."""

import json
import re

import pytest

from auth import Tokens
from state import State
from tests.system.server import wait_until
from tests.system.test_logs import append

MOUNT = "/hw"
CATALOGUE = """
sources.users = { generate = "users", rows = 10 }
folders.papers = { path = "PAPERS" }
logs.app = { path = "app.log", retain_lines = 5 }
topics."few/*" = { durable = false, retain_events = 5 }
"""
JSON, NDJSON, HTML = "application/json", "application/x-ndjson", "text/html"
# Of documents: keys of addresses, and attributes that hold them.
KEYS = ("url", "next", "zip", "tar", "refetch")
ATTRIBUTE = re.compile(r'(?:href|src|action)="(/[^"]*)"')
# What pages and JSON are at, and files that end.
TO_GET = re.compile(MOUNT + r"/(|sources.*|report/.*|exports.*|files.*|logs|logs/app|static/.*)")


@pytest.fixture(scope="module")
def mounted(serve_all, tmp_path_factory):
    """A server below MOUNT that needs tokens; ask(path, accept, ...) is asked with one."""
    instance = tmp_path_factory.mktemp("instance")
    text = Tokens(State(instance)).add("ann", ["admin"], {})
    folder = tmp_path_factory.mktemp("papers")
    for name in ("a.txt", "sub/b.txt"):
        folder.joinpath(name).parent.mkdir(exist_ok=True)
        folder.joinpath(name).write_text("a paper")
    catalogue = CATALOGUE.replace("PAPERS", str(folder))
    server = serve_all(catalogue, HEADWATER_INSTANCE=str(instance), SCRIPT_NAME=MOUNT)
    append(server.folder / "app.log", *map(str, range(10)))
    bearer = {"Authorization": f"Bearer {text}"}
    server.ask = lambda path, accept=JSON, method="GET", body=None, **headers: server.get(
        path, method, body, Accept=accept, **bearer, **headers
    )
    return server


def addresses_in(answer):
    """Return the addresses of this server that an answer gives, in its body or its head."""
    found = [value for name, value in answer.headers.items() if name == "Location"]
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if kind == HTML:
        return found + ATTRIBUTE.findall(answer.body.decode().replace("&amp;", "&"))
    return found + list(_values_in(answer.json())) if kind == JSON else found


def _values_in(told):
    if isinstance(told, list):
        for each in told:
            yield from _values_in(each)
    elif isinstance(told, dict):
        for key, value in told.items():
            if key in KEYS and isinstance(value, str):
                yield value
            else:
                yield from _values_in(value)


def test_every_address_is_below_it_and_is_there(mounted):
    mounted.ask(f"{MOUNT}/exports", method="POST", **as_json({"source": "users", "format": "csv"}))
    wait_until(
        lambda: mounted.ask(f"{MOUNT}/exports").json()["exports"][0]["url"], "an export is made"
    )
    left = [f"{MOUNT}/", f"{MOUNT}/files/papers", f"{MOUNT}/files/papers/?limit=1"]
    left += [f"{MOUNT}/{each}" for each in ("sources", "exports", "files", "logs", "events")]
    seen = set(left)
    while left:
        path = left.pop()
        for accept in (JSON, HTML):
            answer = mounted.ask(path, accept)
            assert answer.status < 400 or answer.status == 406, path
            for found in addresses_in(answer):
                found = found.partition("#")[0].removeprefix(mounted.base)
                assert found.startswith(f"{MOUNT}/"), (path, found)
                if found not in seen and TO_GET.fullmatch(found):
                    left.append(found)
                seen.add(found)
    for each in ("/logs/app", "/download/users.csv", "/files/papers/a.txt", "/report/users"):
        assert any(found.startswith(MOUNT + each) for found in seen)


def as_json(fields):
    return {"body": json.dumps(fields), "Content_Type": JSON}


def events_of(mounted, path):
    return [json.loads(line) for line in mounted.ask(path, NDJSON).body.splitlines()]


def test_addresses_in_events_are_below_it(mounted):
    mounted.ask(f"{MOUNT}/exports", method="POST", **as_json({"source": "users", "format": "tsv"}))

    def urls():
        told = events_of(mounted, f"{MOUNT}/events/exports?since=all&poll=1")
        return [url for each in told if (url := each["data"]["url"])]

    for url in wait_until(urls, "an export is told of"):
        assert url.startswith(f"{MOUNT}/exports/")
        assert mounted.ask(url).status == 200


FRESH = {"few/a": "/events/few/a?since=all", "logs/app": "/logs/app?lines=all"}


@pytest.mark.parametrize(("topic", "fresh"), FRESH.items())
def test_a_gap_leads_to_a_fresh_start_below_it(mounted, topic, fresh):
    path = f"{MOUNT}/events/{topic}"
    if topic == "few/a":
        mounted.ask(path, method="POST", **as_json({"data": 0}))
    first, *_ = wait_until(lambda: events_of(mounted, f"{path}?since=all&poll=1"), "it begins")
    for n in range(10):
        if topic == "few/a":
            mounted.ask(path, method="POST", **as_json({"data": n}))
        else:
            append(mounted.folder / "app.log", f"more {n}")

    def gap():
        told = events_of(mounted, f"{path}?since={first['id']}&poll=1")
        return next((each for each in told if each["name"] == "gap"), None)

    refetch = wait_until(gap, "events have expired")["data"]["refetch"]
    assert refetch == f"{MOUNT}{fresh}"


def test_a_signed_link_is_made_of_an_address_as_it_is_given(mounted):
    made = mounted.ask(
        f"{MOUNT}/links", method="POST", **as_json({"url": f"{MOUNT}/download/users.csv"})
    )
    assert made.status == 201
    assert mounted.get(made.json()["url"]).status == 200
    refused = mounted.ask(
        f"{MOUNT}/links", method="POST", **as_json({"url": "/download/users.csv"})
    )
    assert (refused.status, refused.json()["error"]) == (422, "no_such_address")
    assert f"{MOUNT}/" in refused.json()["message"]


def test_a_log_in_leads_back(mounted):
    asked = mounted.get(f"{MOUNT}/logs?a=1", Accept=HTML)
    assert (asked.status, asked.headers["Location"]) == (
        303,
        f"{MOUNT}/login?next={MOUNT}/logs?a%3D1",
    )


OUTSIDE = [
    "/",
    "/sources",
    "/hw2/sources",
    "/hwsources",
    "/HW/sources",
    "//hw/sources",
    "/%2fhw/",
    "/h",
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_outside_of_it_is_not_found(mounted, path, method):
    answer = mounted.ask(path, method=method, **as_json({}))
    assert answer.status == 404
    told = answer.json()
    assert (list(told), told["error"]) == (["error", "message", "status", "detail"], "not_found")


@pytest.mark.parametrize("path", ["/hw/", "/%68w/sources"])
def test_a_path_below_it_is_found(mounted, path):
    assert mounted.ask(path).status == 200
