"""Which exports are seen after the catalogue has changed: those of the present definition."""

from __future__ import annotations

import shutil

import pytest

from app import create_app
from auth.access import Principal, Scope
from settings import Settings

BEFORE = """
[sources.wide]
database = "sqlite:///data.db"
table = "numbers"

[folders.papers]
path = "papers"
"""
TABLE, PATH = 'table = "numbers"', 'path = "papers"'
NARROWED = {
    "another table": (TABLE, 'table = "empty"'),
    "a query of fewer columns": (TABLE, 'query = "select id from numbers"'),
    "a query of fewer rows": (TABLE, 'query = "select * from numbers where id < 9"'),
    "a filter": (TABLE, f'{TABLE}\nwhere = "id < 9"'),
    "another database": ('database = "sqlite:///data.db"', 'database = "sqlite:///other.db"'),
}
FOLDERS = {
    "another folder": (PATH, 'path = "other"'),
    "hidden files too": (PATH, f"{PATH}\nhidden = true"),
}
ALICE = Principal("alice", ("read:*",))


@pytest.fixture
def serve(tmp_path, lay_site):
    """serve(catalogue): a client of an app in the one instance folder; the one before is ended."""
    catalogue = lay_site(tmp_path)
    shutil.copy(tmp_path / "data.db", tmp_path / "other.db")
    for name in ("papers", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("a paper")
    parts = []

    def start(text):
        for each in parts:
            each.exports.stop()
        catalogue.write_text(text)
        settings = Settings(catalogue=catalogue, instance=tmp_path / "instance", resume_wait_s=0.2)
        app = create_app(settings)
        parts.append(app.extensions["headwater"])
        parts[-1].exports.start()
        return app.test_client()

    yield start
    parts[-1].exports.stop()


def parts_of(client):
    return client.application.extensions["headwater"]


def download(client, file="wide.csv", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(f"/download/{file}", headers=named, buffered=True)


@pytest.mark.parametrize("change", NARROWED.values(), ids=NARROWED.keys())
def test_what_was_recorded_of_a_wider_source_is_nobodys(serve, change):
    export_id = download(serve(BEFORE)).headers["Headwater-Export"]
    client = serve(BEFORE.replace(*change))
    assert client.get("/exports").json["exports"] == []
    for path in (f"/exports/{export_id}", f"/exports/{export_id}/file"):
        assert client.get(path).status_code == 404
    assert client.delete(f"/exports/{export_id}").status_code == 404
    follow = Scope("subscribe", f"exports/{export_id}")
    assert not parts_of(client).authenticator.grants(ALICE, follow)


@pytest.mark.parametrize("change", NARROWED.values(), ids=NARROWED.keys())
def test_nothing_of_it_is_resumed(serve, change):
    first = download(serve(BEFORE))
    etag, rest = first.headers["ETag"], "bytes=500-"
    client = serve(BEFORE.replace(*change))
    assert download(client, Range=rest, If_Match=etag).status_code == 412
    for specs in (rest, "bytes=-5"):
        assert download(client, Range=specs).status_code == 409
    whole = download(client, Range=rest, If_Range=etag)
    assert (whole.status_code, whole.headers["ETag"] != etag) == (200, True)


def test_what_a_client_has_of_it_is_compared_with_what_is_served_now(serve):
    """Else a bare Range adds the rest of the narrow file to the beginning of the wide one."""
    download(serve(BEFORE))
    client = serve(BEFORE.replace(TABLE, f'{TABLE}\nwhere = "id > 1"'))
    now = download(client)
    assert len(now.data) > 1000
    assert download(client, Range="bytes=500-").status_code == 409
    assert download(client, Range="bytes=500-", If_Range=now.headers["ETag"]).status_code == 206


@pytest.mark.parametrize("change", FOLDERS.values(), ids=FOLDERS.keys())
def test_so_is_an_archive_of_another_folder(serve, change):
    export_id = download(serve(BEFORE), "papers.tar.zst").headers["Headwater-Export"]
    client = serve(BEFORE.replace(*change))
    assert client.get(f"/exports/{export_id}/file").status_code == 404


def test_what_is_defined_as_before_is_seen_as_before(serve):
    files = ("wide.csv", "papers.tar.zst")
    client = serve(BEFORE)
    made = [download(client, file).headers["Headwater-Export"] for file in files]
    client = serve("# the same\n" + BEFORE)
    assert {each["id"] for each in client.get("/exports").json["exports"]} == set(made)
    for export_id in made:
        assert client.get(f"/exports/{export_id}/file").status_code == 200
        assert parts_of(client).authenticator.grants(
            ALICE, Scope("subscribe", f"exports/{export_id}")
        )
