"""What a sample and its profiles say, against the same rows looked through in Python."""

from __future__ import annotations

import math
import sqlite3
import statistics
import threading
from collections import Counter
from contextlib import closing

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.database import TableSource
from sources.errors import SourceFailed
from sources.profile import Bin, SampleInfo, TimeBin, Value
from sources.sqlite import connections, profiling
from sources.sqlite.column_types import make_column
from sources.sqlite.connections import IN_MEMORY
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.profiling import BINS, CUT, OWN_BINS, SHARES, SqliteSample

MADE = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"


@pytest.fixture
def open_sample(make_database):
    """open_sample(*statements, sql=...): a sample of that, closed at the end."""
    made = []

    def open_it(*statements, sql="select * from t", parameters=None):
        database = make_database(*statements, name=f"{len(made)}.db")
        with closing(sqlite3.connect(database)) as connection:
            shape = f"select * from ({sql}) limit 0"
            names = [d[0] for d in connection.execute(shape, parameters or {}).description]
        columns = [make_column(name, "BLOB") for name in names]
        made.append(SqliteSample(SqliteDatabase(database).query(sql, parameters or {}, columns)))
        return made[-1]

    yield open_it
    for sample in made:
        sample.close()


def profile_of(values):
    """Return the profile of a column without affinity that has these values."""
    rows = " union all ".join(f"select :v{i} as x" for i in range(len(values)))
    bound = {f"v{i}": value for i, value in enumerate(values)}
    with closing(
        SqliteSample(SqliteDatabase(IN_MEMORY).query(rows, bound, [make_column("x", "BLOB")]))
    ) as sample:
        assert sample.take() == SampleInfo("all", len(values), len(values))
        return sample.profile(0)


def test_numbers():
    values = [None, 5, 1, 2.5, 1, 1.0, None, 9]
    found = profile_of(values)
    assert (found.rows, found.nulls, found.distinct) == (8, 2, 4)
    assert (found.numbers.integers, found.numbers.reals) == (4, 2)
    assert (found.numbers.least, found.numbers.most) == (1, 9)
    assert found.numbers.mean == pytest.approx(19.5 / 6)
    assert found.numbers.quantiles == ((0.05, 1), (0.25, 1), (0.5, 1), (0.75, 5), (0.95, 9))
    assert found.frequent == ((Value(1, None), 3),)
    assert found.texts is None
    assert found.blobs is None


NUMBERS = st.lists(
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.integers(-70, 70),
        st.floats(allow_nan=False),
        st.none(),
    ),
    min_size=1,
    max_size=60,
)


@given(NUMBERS)
def test_numbers_are_what_python_finds(values):
    found = profile_of(values)
    numbers = sorted(value for value in values if value is not None)
    finite = [number for number in numbers if math.isfinite(number)]
    assert found.nulls == len(values) - len(numbers)
    assert found.distinct == len(set(numbers))
    if not numbers:
        assert found.numbers is None
        return
    assert found.numbers.infinite == len(numbers) - len(finite)
    assert found.numbers.integers == sum(isinstance(number, int) for number in numbers)
    ranked = [numbers[math.ceil(share * len(numbers)) - 1] for share in SHARES]
    assert [number for _, number in found.numbers.quantiles] == ranked
    if finite:
        assert (found.numbers.least, found.numbers.most) == (finite[0], finite[-1])
    check_bins(found.numbers.bins, finite)


def check_bins(bins, numbers):
    """Each number is in one bin, that of its place; they follow one another without a gap."""
    assert sum(each.rows for each in bins) == len(numbers)
    for number, each in enumerate(bins):
        is_last = number == len(bins) - 1
        is_own = each.start == each.stop
        inside = [value for value in numbers if value >= each.start]
        if is_own:
            inside = [value for value in inside if value == each.start]
        elif not is_last:
            inside = [value for value in inside if value < each.stop]
        assert each.rows == len(inside), each
        if not is_last and not is_own:
            assert each.stop == bins[number + 1].start


def test_a_few_whole_numbers_have_a_bin_each():
    found = profile_of([1, 3, 3])
    assert found.numbers.bins == (Bin(1, 1, 1), Bin(2, 2, 0), Bin(3, 3, 2))
    assert len(profile_of([0, OWN_BINS - 1]).numbers.bins) == OWN_BINS


def test_more_whole_numbers_share_bins_of_whole_width():
    bins = profile_of([0, 99]).numbers.bins
    assert len(bins) == BINS
    assert {each.stop - each.start for each in bins[:-1]} == {5}


def test_all_of_one_number_is_one_bin():
    assert profile_of([7.5] * 3).numbers.bins == (Bin(7.5, 7.5, 3),)


def test_whole_numbers_beyond_2_to_the_53_are_told_apart():
    first = 2**60 + 1
    found = profile_of([first, first + 1, first + 2])
    assert (found.numbers.least, found.numbers.most) == (first, first + 2)
    assert [each.rows for each in found.numbers.bins] == [1, 1, 1]
    assert found.distinct == 3


EXTREMES = {
    "both infinities have no mean": ([math.inf, -math.inf], None, None, None, 2),
    "infinite ones are left out": ([math.inf, 1.0, 3.0], 1.0, 3.0, 2.0, 1),
    "a sum that is no real": ([1e308, 1e308, 1.5e308], 1e308, 1.5e308, None, 0),
    "a span that is no real": ([-1.7e308, 1.7e308], -1.7e308, 1.7e308, 0.0, 0),
    "nan is NULL": ([math.nan, 1], 1, 1, 1.0, 0),
}


@pytest.mark.parametrize(
    ("values", "least", "most", "mean", "infinite"), EXTREMES.values(), ids=EXTREMES.keys()
)
def test_extremes(values, least, most, mean, infinite):
    found = profile_of(values).numbers
    assert (found.least, found.most, found.mean, found.infinite) == (least, most, mean, infinite)


def test_texts():
    values = ["b", "", "äöü", "b", None, "a" * 3]
    found = profile_of(values)
    assert found.numbers is None
    assert found.texts._replace(example=None) == (
        5, 0, 3, pytest.approx(8 / 5), Value("", None), Value("äöü", None), None,
    )  # fmt: skip
    assert found.texts.example.value in ("äöü", "aaa")
    assert found.frequent == ((Value("b", None), 2),)


def test_what_is_long_is_cut_with_its_length():
    found = profile_of(["x" * 10_000, "x" * 9_999, "x" * CUT, b"\0" * 1000])
    assert found.distinct == 4
    assert found.texts.last == found.texts.example == Value("x" * CUT, 10_000)
    assert found.texts.first == Value("x" * CUT, None)
    assert found.blobs.example == Value(bytes(CUT), 1000)


def test_the_most_frequent():
    values = [letter for i, letter in enumerate("abcdefghijklm") for _ in range(i + 1)]
    found = profile_of(values)
    want = Counter(values).most_common(profiling.FREQUENT)
    assert [(value.value, count) for value, count in found.frequent] == want


def test_classes_in_one_column_are_told_apart():
    found = profile_of([1, 1.0, 2.5, "1", "one", b"1", None])
    assert (found.numbers.integers, found.numbers.reals) == (1, 2)
    assert (found.texts.rows, found.blobs.rows, found.nulls) == (2, 1, 1)
    assert found.distinct == 5


def test_nothing_but_null():
    found = profile_of([None, None])
    assert found == (2, 2, 0, None, None, None, None, ())


def test_dates(open_sample):
    """Of a column that is declared as one: texts and numbers that are, and the rest beside them."""
    values = ["2026-03-05T10:30:00Z", "2025-12-31", 1772706605, "2026-01-01 00:30:00+02:00", "n/a"]
    rows = ", ".join(f"({value!r})" for value in [*values, values[0]]) + ", (null)"
    sample = open_sample("create table t (x timestamp)", f"insert into t values {rows}")
    sample._query = sample._query._replace(columns=[make_column("x", "NUMERIC", None, "TIMESTAMP")])
    sample.take()
    found = sample.profile(0)
    assert found.times[:4] == (5, "2025-12-31 00:00:00", "2026-03-05 10:30:05", False)
    assert found.times.bins[0] == TimeBin("2025-12-29", "2026-01-04", 2)
    assert found.times.bins[-1] == TimeBin("2026-03-02", "2026-03-08", 3)
    assert sum(each.rows for each in found.times.bins) == 5
    assert (found.numbers, found.texts.rows, found.texts.first.value) == (None, 1, "n/a")
    assert (found.rows, found.nulls) == (7, 1)


def test_days(open_sample):
    sample = open_sample("create table t (x date)", "insert into t values ('2026-03-05')")
    sample._query = sample._query._replace(columns=[make_column("x", "NUMERIC", None, "DATE")])
    sample.take()
    assert sample.profile(0).times.are_days
    assert sample.profile(0).texts is None


def test_texts_that_are_all_dates_are_dates():
    assert profile_of(["2026-03-05", None, "2026-03-06 10:30:00"]).times.rows == 2
    assert profile_of(["2026-03-05", "n/a"]).times is None
    assert profile_of(["2026-03-05", "n/a"]).texts.rows == 2
    assert profile_of(["2026-03-05", 7]).times is None
    assert profile_of([2461104.5]).times is None


def test_text_that_is_not_utf8_is_shown_as_such(open_sample):
    sample = open_sample("create table t as select cast(x'ff62' as text) as x")
    assert sample.take().rows == 1
    assert sample.profile(0).texts.first.value == "\ufffdb"


def test_an_empty_table(open_sample):
    sample = open_sample("create table t (a integer, b text)")
    assert sample.take() == SampleInfo("all", 0, 0)
    assert sample.profile(1) == (0, 0, 0, None, None, None, None, ())


def test_odd_names_and_names_that_repeat(make_database):
    database = make_database(
        'create table t ("a ""quoted"" name" integer, "x.y" text)', "insert into t values (1, 'a')"
    )
    columns = (
        SqliteDatabase(database).describe(TableSource("t", SqliteDatabase(database), "t")).columns
    )
    with closing(
        SqliteSample(SqliteDatabase(database).query("select * from t", {}, columns))
    ) as sample:
        sample.take()
        assert sample.profile(0).numbers.least == 1
    twice = SqliteDatabase(database).query("select 1 as x, 2 as x", {}, columns)
    with closing(SqliteSample(twice)) as sample:
        sample.take()
        assert [sample.profile(i).numbers.least for i in range(2)] == [1, 2]


def test_parameters_are_bound(open_sample):
    sql = "select i from t where i > :least limit :_0"
    sample = open_sample(
        f"create table t as {MADE.format(100)}", sql=sql, parameters={"least": 90, "_0": 5}
    )
    assert sample.take() == SampleInfo("all", 5, 5)
    assert sample.profile(0).numbers.least == 91


def test_more_columns_than_are_profiled(open_sample):
    many = ", ".join(f"{i} as c{i}" for i in range(1500))
    sample = open_sample(sql=f"select {many}")
    assert sample.take().rows == 1
    last = profiling.MOST_COLUMNS - 1
    assert sample.profile(last).numbers.least == last


@pytest.fixture
def small(monkeypatch):
    """small(rows): a sample has at most so many."""
    return lambda rows: monkeypatch.setattr(profiling, "TRIES", ((rows, 20.0), (10, 20.0)))


def test_of_more_rows_a_sample_is_spread_over_all(open_sample, small):
    small(1000)
    sample = open_sample(f"create table t as {MADE.format(100_000)}")
    taken = sample.take()
    assert (taken.kind, taken.total) == ("spread", 100_000)
    # By chance, but 1000 ± 8 times its deviation.
    assert abs(taken.rows - 1000) < 8 * math.sqrt(1000)
    found = sample.profile(0)
    assert found.rows == found.distinct == taken.rows
    assert statistics.mean(each.rows for each in found.numbers.bins) == taken.rows / BINS
    assert min(each.rows for each in found.numbers.bins) > 0
    assert found.numbers.least < 5_000
    assert found.numbers.most > 95_000


def test_what_cannot_be_counted_in_time_is_sampled_from_its_beginning(
    open_sample, small, monkeypatch
):
    small(1000)
    monkeypatch.setattr(profiling, "COUNT_S", 0.05)
    endless = MADE.format(-1)
    sample = open_sample(sql=endless)
    assert sample.take() == SampleInfo("first", 1000, None)
    assert sample.profile(0).numbers.most == 1000


def test_a_query_without_end_and_without_rows(open_sample, monkeypatch):
    monkeypatch.setattr(profiling, "TRIES", ((1000, 0.05), (10, 0.05)))
    sample = open_sample(sql=MADE.format(-1) + " where i < 0")
    assert sample.take() == SampleInfo("none", 0, None)


def test_fewer_rows_are_taken_when_more_are_slow(open_sample, monkeypatch):
    monkeypatch.setattr(profiling, "TRIES", ((10**9, 0.2), (50, 20.0)))
    monkeypatch.setattr(profiling, "SAMPLE_CELLS", 10**9)
    monkeypatch.setattr(profiling, "COUNT_S", 0.05)
    assert open_sample(sql=MADE.format(-1)).take() == SampleInfo("first", 50, None)


def test_fewer_rows_are_taken_when_more_have_no_room(open_sample, monkeypatch):
    monkeypatch.setattr(profiling, "SAMPLE_PAGES", 100)
    monkeypatch.setattr(profiling, "TRIES", ((10_000, 20.0), (100, 20.0)))
    rows = "select hex(randomblob(100)) as x from n"
    sample = open_sample(
        f"create table t as {MADE.format(10_000).replace('select i from n', rows)}"
    )
    taken = sample.take()
    assert (taken.kind, taken.total) == ("spread", 10_000)
    assert 0 < taken.rows < 1000


def test_a_column_that_takes_long_is_profiled_by_a_part(open_sample, monkeypatch):
    monkeypatch.setattr(profiling, "PART_ROWS", 100)
    sample = open_sample(f"create table t as {MADE.format(20_000)}")
    sample.take()
    monkeypatch.setattr(profiling, "COLUMN_S", -1)
    found = sample.profile(0)
    assert found.rows == 100
    assert (found.numbers.least, found.numbers.most) == (200, 20_000)
    monkeypatch.setattr(profiling, "COLUMN_S", 20)
    assert sample.profile(0, is_brief=True).rows == 100
    assert sample.profile(0).rows == 20_000


def test_the_database_is_let_go_once_the_rows_are_taken(open_sample, change):
    sample = open_sample(f"create table t as {MADE.format(10)}")
    sample.take()
    # Where somebody still read it, this would wait for its lock, and then fail.
    change(open_database_of(sample), "delete from t", "drop table t")
    assert sample.profile(0).rows == 10


def open_database_of(sample):
    return sample._query.database.removeprefix("file:").removesuffix("?mode=ro")


FAILURES = {
    "at its first row": "select json('no') as x",
    "at a later one": "select iif(i > 1000, json('no'), i) as x from (" + MADE.format(5000) + ")",
    "a table that is gone": "select * from gone",
}


@pytest.mark.parametrize("sql", FAILURES.values(), ids=FAILURES.keys())
def test_a_query_that_fails(make_database, sql):
    database = make_database("create table t (x)")
    sample = SqliteSample(SqliteDatabase(database).query(sql, {}, [make_column("x", "")]))
    with closing(sample), pytest.raises(SourceFailed, match="the database stopped: "):
        sample.take()


def test_a_locked_database(open_sample, monkeypatch):
    monkeypatch.setattr(connections, "BUSY_TIMEOUT_S", 0.05)
    sample = open_sample("create table t (x)")
    with closing(apsw.Connection(str(open_database_of(sample)))) as writer:
        writer.execute("begin exclusive")
        with pytest.raises(SourceFailed, match="locked"):
            sample.take()


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    path = tmp_path / "gone.db"
    with pytest.raises(SourceFailed):
        SqliteSample(SqliteDatabase(path).query("select 1", {}, [make_column("x", "")])).take()
    assert not path.exists()


def test_close_ends_what_runs_on_another_thread(open_sample, monkeypatch, until):
    monkeypatch.setattr(profiling, "TRIES", ((1000, 3600.0),))
    sample = open_sample(sql=MADE.format(-1) + " where i < 0")
    failures = []

    def take():
        try:
            sample.take()
        except SourceFailed as error:
            failures.append(error)

    thread = threading.Thread(target=take)
    thread.start()
    until(lambda: sample._connections)
    sample.close()
    thread.join(20)
    assert not thread.is_alive()
    assert failures
    assert sample._connections == []


def test_nothing_is_asked_of_a_closed_sample(open_sample):
    sample = open_sample("create table t (x)")
    sample.take()
    sample.close()
    with pytest.raises(SourceFailed):
        sample.profile(0)
    sample.close()


def test_long_values_are_not_read(open_sample):
    size = profiling.READ_BYTES + 1
    sample = open_sample(
        "create table t (t text, b blob)",
        f"insert into t values (printf('%.*c', {size}, 'x'), zeroblob({size})), ('short', x'00')",
    )
    assert sample.take() == SampleInfo("all", 2, 2)
    assert sample.profile(0).texts.longest == sample.profile(1).blobs.longest == size
    assert sample.profile(0).texts.example == Value("…", size)


def test_values_by_chance_are_computed_once(make_database):
    sql = "select iif(random() % 2, 'text', 1.5) as x from t"
    columns = [make_column("x", "BLOB")]
    database = make_database("create table t (x)", f"insert into t {MADE.format(2000)}")
    asked = SqliteDatabase(database).query(sql, {}, columns)._replace(is_random=True)
    with closing(SqliteSample(asked)) as sample:
        sample.take()
        found = sample.profile(0)
    assert found.distinct == 2
    assert (found.numbers.least, found.texts.example) == (1.5, Value("text", None))


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_texts_of_utf_16(make_database, encoding):
    database = make_database(
        f"pragma encoding = '{encoding}'",
        "create table t (x)",
        "insert into t values ('größe'), ('日本'), ('größe')",
    )
    asked = SqliteDatabase(database).query("select x from t", {}, [make_column("x", "BLOB")])
    with closing(SqliteSample(asked)) as sample:
        sample.take()
        found = sample.profile(0)
    assert found.frequent == ((Value("größe", None), 2),)
    assert found.texts.last == Value("日本", None)
