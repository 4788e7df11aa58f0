from __future__ import annotations

import hashlib
import threading

import pytest

from auth import NativeThreads
from journal import run_here
from sources.catalogue.catalogue import load_catalogue, parse_catalogue
from sources.errors import BadSelection, MissingAttribute, SourceBusy, SourceUnavailable
from sources.folders.folder import Folder
from sources.sqlite.connections import read_only_uri
from sources.sqlite.preview import first_rows
from streaming.errors import Refusal
from streaming.orders import MAX_SELECTION_CHARS, Orders
from wire.formats import FORMATS


@pytest.fixture
def make_orders(tmp_path, lay_site):
    """make_orders(run_native): the orders of the catalogue of the sites."""
    catalogue = load_catalogue(lay_site(tmp_path))
    return lambda run_native=run_here, **options: Orders(
        catalogue, {}, NativeThreads(run_native), **options
    )


@pytest.fixture
def orders(make_orders):
    return make_orders()


def test_an_order_of_a_table(orders, tmp_path):
    words = [("columns", "name"), ("id__lte", "3"), ("sort", "-name"), ("excel", "1")]
    order = orders.read("numbers", "csv.gz", words)
    assert order[:4] == (
        "numbers", "csv.gz", "id__lte=3&columns=name&sort=-name&excel=1", True,
    )  # fmt: skip
    assert [column.name for column in order.query.columns] == ["name"]
    assert order.query.database == read_only_uri(tmp_path / "data.db")
    assert list(order.query.parameters.values()) == [3]
    assert order.rows_estimate is None
    assert order.fingerprint() is not None


ESTIMATES = {
    "a table": ("numbers", [], 1000),
    "an empty one": ("empty", [], 0),
    "a limit": ("numbers", [("limit", "10")], 10),
    "a limit above": ("numbers", [("limit", "2000")], 1000),
    "a filter": ("numbers", [("id", "1")], None),
    "a sort and columns": ("numbers", [("sort", "id"), ("columns", "id")], 1000),
    "a query": ("above", [], None),
    "generated": ("users", [], 100),
    "generated, with a limit": ("users", [("limit", "7")], 7),
}


@pytest.mark.parametrize(("name", "words", "want"), ESTIMATES.values(), ids=ESTIMATES.keys())
def test_the_estimate(orders, name, words, want):
    assert orders.read(name, "csv", words).rows_estimate == want


def test_parameters_of_a_query(orders):
    assert orders.read("above", "csv", []).query.parameters["least"] == 990
    assert orders.read("above", "csv", [("least", "5")]).query.parameters["least"] == 5


def test_a_generated_source_is_filtered_like_others(orders):
    order = orders.read("users", "csv", [("id__gt", "98"), ("name__like", "User%")])
    assert order.query.database.startswith("file:%3Amemory%3A")
    assert order.fingerprint() == orders.read("users", "csv", []).fingerprint() is not None


def test_one_selection_has_one_address_and_one_identity(orders):
    one, same, other = (orders.read("numbers", "csv", [("id__gt", n)]) for n in ("1", "01", "2"))
    assert (one.identity(), one.address()) == (same.identity(), same.address())
    assert one.identity() != other.identity()
    assert one.address() != other.address()


def test_another_column_is_another_identity_at_the_same_address(orders, change, tmp_path):
    before = orders.read("numbers", "csv", [])
    change(tmp_path / "data.db", "alter table numbers add column more")
    after = orders.read("numbers", "csv", [])
    assert before.address() == after.address()
    assert before.identity() != after.identity()


REFUSED = {
    "an unknown source": ("unheard", "csv", 404, "unknown_source", "unheard"),
    "one that is near": ("numbrs", "csv", 404, "unknown_source", "is it numbers?"),
    "no name": ("", "csv", 404, "unknown_source", "''"),
    "an unknown format": ("numbers", "doc", 404, "unknown_format", "parquet"),
    "an unknown compression": ("numbers", "csv.rar", 404, "unknown_format", ".gz or .zst"),
    "another case": ("numbers", "CSV", 404, "unknown_format", "csv"),
    "compressed twice": ("numbers", "csv.gz.gz", 404, "unknown_format", "csv"),
}


@pytest.mark.parametrize(
    ("name", "extension", "status", "code", "says"), REFUSED.values(), ids=REFUSED.keys()
)
def test_what_is_refused(orders, name, extension, status, code, says):
    with pytest.raises(Refusal) as caught:
        orders.read(name, extension, [])
    assert (caught.value.status, caught.value.code) == (status, code)
    assert says in str(caught.value)


# Rows of who asks

FILTERED = """
[sources.own]
database = "sqlite:///data.db"
table = "numbers"
where = "name is :principal.name or id <= cast(:principal.most as integer)"

[sources.owns]
database = "sqlite:///data.db"
query = "select * from numbers where id > :least"
where = "id <= :principal.most"
parameters.least = { type = "int", default = 990 }

[sources.all]
database = "sqlite:///data.db"
table = "numbers"
"""
ME = {"name": "number 7", "most": "2", "more": "x"}


@pytest.fixture
def filtered(tmp_path, lay_site):
    """The orders of sources with a filter."""
    catalogue = parse_catalogue(FILTERED, lay_site(tmp_path).parent)
    return Orders(catalogue, {"folder": Folder("folder", tmp_path)}, NativeThreads(run_here))


def rows(order):
    found = first_rows(order.query, 1000)
    return [row[0].value for row in found]


def test_the_rows_of_who_asks(filtered):
    assert rows(filtered.read("own", "csv", [("id__lt", "5")], {**ME, "most": "5"})) == [1, 2, 3, 4]
    assert rows(filtered.read("own", "csv", [], ME)) == [1, 2, 7]
    assert rows(filtered.read("owns", "csv", [("least", "0")], ME)) == [1, 2]
    assert rows(filtered.read("own", "csv", [], {**ME, "most": "x"})) == []


def test_an_attribute_that_is_missing(filtered):
    with pytest.raises(MissingAttribute, match="--attribute most=…"):
        filtered.read("own", "csv", [], {"name": "x"})
    with pytest.raises(MissingAttribute):
        filtered.read("owns", "csv", [])
    assert rows(filtered.read("all", "csv", [("limit", "1")])) == [1]


def test_no_figure_tells_of_rows_that_one_may_not_see(filtered):
    order = filtered.read("own", "csv", [("limit", "10")], ME)
    assert order.rows_estimate is None
    assert filtered.describe(filtered.source("own")).rows_estimate is None
    assert filtered.describe(filtered.source("all")).rows_estimate == 1000


@pytest.mark.usefixtures("small_sheets")
def test_what_fits_a_sheet_is_counted_under_the_filter(filtered, change, tmp_path):
    change(tmp_path / "data.db", "insert into numbers values (1001, 'one more than a sheet holds')")
    with pytest.raises(Refusal, match="more than 1000 rows"):
        filtered.read("all", "xlsx", [])
    assert filtered.read("own", "xlsx", [], ME).visibility_key


def test_audiences_are_apart(filtered):
    one, other = ({**ME, "most": most} for most in "23")
    orders = [filtered.read("own", "csv", [], attributes) for attributes in (one, other)]
    assert len({order.address() for order in orders}) == 2
    assert len({order.identity() for order in orders}) == 2
    again = filtered.read("own", "csv", [], {**one, "more": "other"})
    assert (again.address(), again.identity()) == (orders[0].address(), orders[0].identity())


def test_who_sees_the_same_is_of_one_audience(filtered):
    assert (
        filtered.visibility_key_of("own", ME)
        == filtered.read("own", "csv", [], ME).visibility_key
        != ""
    )
    assert filtered.visibility_key_of("own", ME) != filtered.visibility_key_of(
        "own", {**ME, "most": "3"}
    )
    assert filtered.visibility_key_of("own", ME) == filtered.visibility_key_of(
        "own", {**ME, "more": "y"}
    )
    assert filtered.visibility_key_of("all", ME) == filtered.visibility_key_of("folder", {}) == ""
    assert filtered.visibility_key_of("own", {}) is filtered.visibility_key_of("gone", ME) is None


def test_an_address_begins_with_what_a_url_says(filtered):
    order = filtered.read("all", "csv", [], ME)
    assert order.visibility_key == ""
    stem = hashlib.sha256(b'["all", "csv", ""]').hexdigest()[:8]
    other = order._replace(definition="other")
    assert order.address()[:8] == other.address()[:8] == stem
    assert order.address()[8:16] != other.address()[8:16]
    assert order.address()[:16] == order._replace(visibility_key="other").address()[:16]


def test_a_long_name_is_not_echoed(orders):
    with pytest.raises(Refusal) as caught:
        orders.read("x" * 9999, "csv", [])
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("extension", ["json", "parquet", "xlsx", "ndjson.gz"])
def test_excel_is_for_delimited_text(orders, extension):
    with pytest.raises(BadSelection, match="excel: is for csv and tsv"):
        orders.read("numbers", extension, [("excel", "1")])
    assert not orders.read("numbers", extension, [("excel", "0")]).excel


def test_a_selection_has_a_bound(orders):
    most = MAX_SELECTION_CHARS - len("name__like=")
    order = orders.read("numbers", "csv", [("name__like", "x" * most)])
    assert len(order.selection) == MAX_SELECTION_CHARS
    with pytest.raises(BadSelection, match=f"at most {MAX_SELECTION_CHARS} characters"):
        orders.read("numbers", "csv", [("name__like", "x" * (most + 1))])


@pytest.fixture
def small_sheets(monkeypatch):
    """A sheet of xlsx holds 1,000 rows and 2 columns."""
    small = FORMATS["xlsx"]._replace(max_rows=1000, max_columns=2)
    monkeypatch.setitem(FORMATS, "xlsx", small)


@pytest.mark.usefixtures("small_sheets")
def test_what_fits_a_sheet(orders):
    assert orders.read("numbers", "xlsx", []).rows_estimate == 1000
    assert orders.read("endless", "xlsx", [("limit", "1000")])


@pytest.mark.usefixtures("small_sheets")
def test_more_rows_than_a_sheet_holds(orders):
    with pytest.raises(Refusal, match="more than 1000 rows: xlsx holds no more") as caught:
        orders.read("endless", "xlsx", [])
    assert (caught.value.status, caught.value.code) == (422, "too_many_rows")
    assert caught.value.detail["formats"] == ["csv", "tsv", "ndjson", "json", "parquet", "arrow"]
    assert "parquet or arrow" in str(caught.value)


@pytest.mark.usefixtures("small_sheets")
def test_what_takes_long_to_count_is_not_refused(make_orders):
    """The recording says so when it comes to that."""
    orders = make_orders(statement_s=0.01)
    assert orders.read("silent", "xlsx", []).extension == "xlsx"


@pytest.mark.usefixtures("small_sheets")
def test_what_could_not_be_counted_since_others_were_asked_is_not_refused(orders, monkeypatch):
    def ask(source, work):
        raise SourceBusy("not now")

    monkeypatch.setattr(orders._inquiries, "ask", ask)
    assert orders.read("endless", "xlsx", []).extension == "xlsx"


@pytest.mark.usefixtures("small_sheets")
def test_more_columns_than_a_sheet_holds(orders, change, tmp_path):
    change(tmp_path / "data.db", "alter table numbers add column more")
    with pytest.raises(Refusal, match="3 columns: xlsx holds at most 2"):
        orders.read("numbers", "xlsx", [])
    assert orders.read("numbers", "xlsx", [("columns", "id,more")])


def test_a_database_that_has_gone(orders, tmp_path):
    (tmp_path / "data.db").unlink()
    with pytest.raises(SourceUnavailable):
        orders.read("numbers", "csv", [])


def test_what_asks_a_database_runs_where_it_may_block(make_orders, small_sheets):
    threads = []

    def run_native(work):
        done = []
        thread = threading.Thread(target=lambda: done.append(work()))
        thread.start()
        thread.join()
        threads.append(thread)
        return done[0]

    order = make_orders(run_native).read("numbers", "xlsx", [])
    # Whether it has changed, describe, count_at_most, volatility_of.
    assert len(threads) == 4
    assert order.fingerprint() is not None
    assert len(threads) == 5
