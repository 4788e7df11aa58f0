"""Names and types of columns, as /sources shows them and as its page asks for them."""

from __future__ import annotations

import html
from urllib.parse import parse_qsl, urlsplit

import pytest

from app import create_app
from settings import Settings

CATALOGUE = """
[sources.sales]
database = "sqlite:///sales.db"
table = "sales"

[sources.sums]
database = "sqlite:///sales.db"
query = "select sum(amount) as amount, max(placed) as placed from sales"
"""


@pytest.fixture
def client(tmp_path, make_database):
    make_database(
        'create table sales (id integer primary key, "City, State" text, placed timestamp,'
        " day date, amount decimal(10, 2), paid boolean, note)",
        "insert into sales values (1, 'Boston, MA', '2026-03-05 10:30', '2026-03-05', 1.5, 1,"
        " null), (2, 'Bern, BE', '2026-03-06 10:30', '2026-03-06', 3, 0, null)",
        name="sales.db",
    )
    (tmp_path / "headwater.toml").write_text(CATALOGUE)
    settings = Settings(catalogue=tmp_path / "headwater.toml", instance=tmp_path / "instance")
    application = create_app(settings)
    exports = application.extensions["headwater"].exports
    exports.start()
    with application.test_client() as client:
        yield client
    exports.stop()


def test_types_are_named_as_people_name_them(client):
    sales, sums = client.get("/sources").json["sources"]
    assert {each["name"]: each["type"] for each in sales["columns"]} == {
        "id": "integer", "City, State": "text", "placed": "timestamp", "day": "date",
        "amount": "decimal", "paid": "boolean", "note": "any",
    }  # fmt: skip
    assert {each["name"]: each["type"] for each in sums["columns"]} == {
        "amount": "real", "placed": "text",
    }  # fmt: skip
    page = client.get("/sources/sales", headers={"Accept": "text/html"}).text
    assert "placed <small>timestamp</small>" in page


FORMS = {
    "a box that is ticked": (
        {"columns": "City, State"},
        ["City, State"],
        ["Boston, MA", "Bern, BE"],
    ),
    "an order": ({"columns": "id", "sort": "City, State"}, ["id"], ["2", "1"]),
    "an order, descending": ({"columns": "id", "sort": "-City, State"}, ["id"], ["1", "2"]),
    "a list in the address": (
        {"columns": "id,day", "limit": "1"},
        ["id", "day"],
        ["1", "2026-03-05"],
    ),
    "an order in the address": ({"columns": "id", "sort": "-day,id"}, ["id"], ["2", "1"]),
    "a filter": (
        {"columns": "id", "where": "City, State", "operator": "in", "value": '"Bern, BE",Bonn'},
        ["id"],
        ["2"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "names", "cells"), FORMS.values(), ids=FORMS.keys())
def test_the_form_takes_names_with_commas(client, fields, names, cells):
    answer = client.get("/sources/sales", query_string=fields, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    shown = answer.text.split("<thead>")[1]
    assert [f'<th scope="col">{name}</th>' in shown for name in names] == [True] * len(names)
    assert [shown.index(f">{cell}</td>") for cell in cells] == sorted(
        shown.index(f">{cell}</td>") for cell in cells
    )
    address = html.unescape(answer.text.split('class="button" href="')[1].split('"')[0])
    rows = client.get(address).text.splitlines()
    assert len(rows) == len(shown.split("<tbody>")[1].split("<tr>"))


def test_a_list_in_json_is_taken_as_it_is(client):
    order = {
        "source": "sales",
        "format": "csv",
        "columns": ["City, State", "id"],
        "sort": ["-City, State"],
        "City, State__in": ["Boston, MA", '"', "Bonn"],
    }
    answer = client.post("/exports", json=order)
    assert answer.status_code == 202
    words = dict(parse_qsl(answer.json["selection"]))
    assert words["columns"] == '"City, State",id'
    rows = client.get(f"{urlsplit(answer.location).path}/file").text
    assert rows == '"City, State",id\n"Boston, MA",1\n'


def test_an_empty_list_is_refused(client):
    answer = client.post("/exports", json={"source": "sales", "format": "csv", "id__in": []})
    assert (answer.status_code, answer.json["message"]) == (400, "id__in: the list is empty")


WRONG = {
    "placed__gte=next+year": 'placed__gte: "next year" is no date; 2026, 2026-03, 2026-03-05 or',
    "amount__lt=abc": 'amount__lt: "abc" is not a number',
    "paid=yes": 'paid: "yes" is neither true nor false',
}


@pytest.mark.parametrize(("query", "message"), WRONG.items())
def test_a_value_of_another_type_is_refused(client, query, message):
    answer = client.get(f"/download/sales.csv?{query}")
    assert (answer.status_code, answer.json["error"]) == (400, "bad_selection")
    assert answer.json["message"].startswith(message)


def test_a_report_tells_dates(client):
    page = client.get("/report/sales?columns=placed,day").text
    assert "<caption>The dates, in UTC</caption>" in page
    assert "<caption>The dates</caption>" in page
    assert "2026-03-05 10:30:00</td>" in page
    assert "bars from 2026-03-05 to 2026-03-06" in page
    assert "<small>timestamp</small>" in page
    assert "The texts" not in page
