"""A request as a spec: what is selected, what is refused, and the rows of a principal."""

from __future__ import annotations

import hashlib
import math
import threading

import pytest

from auth import NativeThreads
from exports.definitions import Definitions
from exports.errors import TooManyColumns, TooManyRows, UnknownFormat
from exports.spec_reader import MAX_SELECTION_CHARS, SpecReader
from journal import run_here
from sources.catalogue.catalogue import load_catalogue, parse_catalogue
from sources.errors import BadSelection, MissingAttribute, SourceBusy, SourceUnavailable
from sources.folders.folder import Folder
from sources.sqlite.connections import read_only_uri
from sources.sqlite.preview import first_rows
from streaming.inquiries import Inquiries
from wire.formats import EXTENSIONS, FORMATS


@pytest.fixture
def sources(tmp_path, lay_site):
    """The sources of the sites."""
    return load_catalogue(lay_site(tmp_path)).sources


@pytest.fixture
def make_reader():
    """make_reader(sources, …): read(name, …), as SpecReader.read of the source with this name."""

    def make(sources, run_native=run_here, statement_s=math.inf, **changes):
        threads = NativeThreads(run_native)
        databases = Inquiries(threads, statement_s)
        for name, value in changes.items():
            setattr(databases, name, value)
        definitions = Definitions(sources, {})
        reader = SpecReader(definitions, databases, threads.descriptions, threads.files)
        return lambda name, *request: reader.read(sources[name], *request)

    return make


@pytest.fixture
def read(make_reader, sources):
    return make_reader(sources)


def test_a_spec_of_a_table(read, tmp_path):
    words = [("columns", "name"), ("id__lte", "3"), ("sort", "-name"), ("excel", "1")]
    spec = read("numbers", "csv.gz", words)
    assert spec[:4] == (
        "numbers", "csv.gz", "id__lte=3&columns=name&sort=-name&excel=1", True,
    )  # fmt: skip
    assert [column.name for column in spec.query.columns] == ["name"]
    assert spec.query.database == read_only_uri(tmp_path / "data.db")
    assert list(spec.query.parameters.values()) == [3]
    assert spec.rows_estimate is None
    assert spec.fingerprint() is not None


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
def test_the_estimate(read, name, words, want):
    assert read(name, "csv", words).rows_estimate == want


def test_parameters_of_a_query(read):
    assert read("above", "csv", []).query.parameters["least"] == 990
    assert read("above", "csv", [("least", "5")]).query.parameters["least"] == 5


def test_a_generated_source_is_filtered_like_others(read):
    spec = read("users", "csv", [("id__gt", "98"), ("name__like", "User%")])
    assert spec.query.database.startswith("file:%3Amemory%3A")
    assert spec.fingerprint() == read("users", "csv", []).fingerprint() is not None


def test_one_selection_has_one_address_and_one_identity(read):
    one, same, other = (read("numbers", "csv", [("id__gt", n)]) for n in ("1", "01", "2"))
    assert (one.identity(), one.address()) == (same.identity(), same.address())
    assert one.identity() != other.identity()
    assert one.address() != other.address()


def test_another_column_is_another_identity_at_the_same_address(read, change, tmp_path):
    before = read("numbers", "csv", [])
    change(tmp_path / "data.db", "alter table numbers add column more")
    after = read("numbers", "csv", [])
    assert before.address() == after.address()
    assert before.identity() != after.identity()


UNKNOWN = {
    "an unknown format": ("doc", "parquet"),
    "an unknown compression": ("csv.rar", ".gz or .zst"),
    "another case": ("CSV", "csv"),
    "compressed twice": ("csv.gz.gz", "csv"),
    "none": ("", "the format is missing"),
}


@pytest.mark.parametrize(("extension", "says"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_an_unknown_format(read, extension, says):
    with pytest.raises(UnknownFormat) as caught:
        read("numbers", extension, [])
    assert says in str(caught.value)
    assert caught.value.detail == {"formats": list(EXTENSIONS)}


# The rows of a principal

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
    """The sources with a filter."""
    return parse_catalogue(FILTERED, lay_site(tmp_path).parent).sources


@pytest.fixture
def read_own(make_reader, filtered):
    """read_own(name, …): as `read`, of the sources with a filter."""
    return make_reader(filtered)


def rows(spec):
    found = first_rows(spec.query, 1000)
    return [row[0].value for row in found]


def test_the_rows_of_who_asks(read_own):
    assert rows(read_own("own", "csv", [("id__lt", "5")], {**ME, "most": "5"})) == [1, 2, 3, 4]
    assert rows(read_own("own", "csv", [], ME)) == [1, 2, 7]
    assert rows(read_own("owns", "csv", [("least", "0")], ME)) == [1, 2]
    assert rows(read_own("own", "csv", [], {**ME, "most": "x"})) == []


def test_an_attribute_that_is_missing(read_own):
    with pytest.raises(MissingAttribute, match="--attribute most=…"):
        read_own("own", "csv", [], {"name": "x"})
    with pytest.raises(MissingAttribute):
        read_own("owns", "csv", [])
    assert rows(read_own("all", "csv", [("limit", "1")])) == [1]


def test_no_figure_tells_of_rows_that_one_may_not_see(read_own):
    spec = read_own("own", "csv", [("limit", "10")], ME)
    assert spec.rows_estimate is None
    assert read_own("own", "csv", [], ME).rows_estimate is None
    assert read_own("all", "csv", []).rows_estimate == 1000


@pytest.mark.usefixtures("small_sheets")
def test_what_fits_a_sheet_is_counted_under_the_filter(read_own, change, tmp_path):
    change(tmp_path / "data.db", "insert into numbers values (1001, 'one more than a sheet holds')")
    with pytest.raises(TooManyRows, match="more than 1000 rows"):
        read_own("all", "xlsx", [])
    assert read_own("own", "xlsx", [], ME).visibility_key


def test_visibility_keys_are_apart(read_own):
    one, other = ({**ME, "most": most} for most in "23")
    specs = [read_own("own", "csv", [], attributes) for attributes in (one, other)]
    assert len({spec.address() for spec in specs}) == 2
    assert len({spec.identity() for spec in specs}) == 2
    again = read_own("own", "csv", [], {**one, "more": "other"})
    assert (again.address(), again.identity()) == (specs[0].address(), specs[0].identity())


def test_who_sees_the_same_has_one_visibility_key(read_own, filtered, tmp_path):
    definitions = Definitions(filtered, {"folder": Folder("folder", tmp_path)})
    key = definitions.visibility_key("own", ME)
    assert key == read_own("own", "csv", [], ME).visibility_key != ""
    assert key != definitions.visibility_key("own", {**ME, "most": "3"})
    assert key == definitions.visibility_key("own", {**ME, "more": "y"})
    assert definitions.visibility_key("all", ME) == definitions.visibility_key("folder", {}) == ""
    assert definitions.visibility_key("own", {}) is definitions.visibility_key("gone", ME) is None


def test_an_address_begins_with_what_a_url_says(read_own):
    spec = read_own("all", "csv", [], ME)
    assert spec.visibility_key == ""
    stem = hashlib.sha256(b'["all", "csv", ""]').hexdigest()[:8]
    other = spec._replace(definition="other")
    assert spec.address()[:8] == other.address()[:8] == stem
    assert spec.address()[8:16] != other.address()[8:16]
    assert spec.address()[:16] == spec._replace(visibility_key="other").address()[:16]


@pytest.mark.parametrize("extension", ["json", "parquet", "xlsx", "ndjson.gz"])
def test_excel_is_for_delimited_text(read, extension):
    with pytest.raises(BadSelection, match="excel: is for csv and tsv"):
        read("numbers", extension, [("excel", "1")])
    assert not read("numbers", extension, [("excel", "0")]).excel


def test_a_selection_has_a_bound(read):
    most = MAX_SELECTION_CHARS - len("name__like=")
    spec = read("numbers", "csv", [("name__like", "x" * most)])
    assert len(spec.selection) == MAX_SELECTION_CHARS
    with pytest.raises(BadSelection, match=f"may have {MAX_SELECTION_CHARS} characters"):
        read("numbers", "csv", [("name__like", "x" * (most + 1))])


@pytest.fixture
def small_sheets(monkeypatch):
    """A sheet of xlsx holds 1,000 rows and 2 columns."""
    small = FORMATS["xlsx"]._replace(max_rows=1000, max_columns=2)
    monkeypatch.setitem(FORMATS, "xlsx", small)


@pytest.mark.usefixtures("small_sheets")
def test_what_fits_a_sheet(read):
    assert read("numbers", "xlsx", []).rows_estimate == 1000
    assert read("endless", "xlsx", [("limit", "1000")])


@pytest.mark.usefixtures("small_sheets")
def test_more_rows_than_a_sheet_holds(read):
    with pytest.raises(TooManyRows, match="more than 1000 rows: xlsx holds no more") as caught:
        read("endless", "xlsx", [])
    assert caught.value.detail["max_rows"] == 1000
    assert caught.value.detail["formats"] == ["csv", "tsv", "ndjson", "json", "parquet", "arrow"]
    assert "parquet or arrow" in str(caught.value)


@pytest.mark.usefixtures("small_sheets")
def test_what_takes_long_to_count_is_not_refused(make_reader, sources):
    """The recording says so when it comes to that."""
    read = make_reader(sources, statement_s=0.01)
    assert read("silent", "xlsx", []).extension == "xlsx"


@pytest.mark.usefixtures("small_sheets")
def test_what_could_not_be_counted_since_others_were_asked_is_not_refused(make_reader, sources):
    def ask(source, work):
        raise SourceBusy("not now")

    assert make_reader(sources, ask=ask)("endless", "xlsx", []).extension == "xlsx"


@pytest.mark.usefixtures("small_sheets")
def test_more_columns_than_a_sheet_holds(read, change, tmp_path):
    change(tmp_path / "data.db", "alter table numbers add column more")
    with pytest.raises(TooManyColumns, match="3 columns: xlsx holds at most 2"):
        read("numbers", "xlsx", [])
    assert read("numbers", "xlsx", [("columns", "id,more")])


def test_a_database_that_has_gone(read, tmp_path):
    (tmp_path / "data.db").unlink()
    with pytest.raises(SourceUnavailable):
        read("numbers", "csv", [])


def test_what_asks_a_database_runs_where_it_may_block(make_reader, sources, small_sheets):
    threads = []

    def run_native(work):
        done = []
        thread = threading.Thread(target=lambda: done.append(work()))
        thread.start()
        thread.join()
        threads.append(thread)
        return done[0]

    spec = make_reader(sources, run_native)("numbers", "xlsx", [])
    # Whether it has changed, describe, count_at_most, volatility_of.
    assert len(threads) == 4
    assert spec.fingerprint() is not None
    assert len(threads) == 5
