"""The report of a source from the real server: what it says, when it says it, and to whom."""

import html
import re
import sqlite3
import time
from contextlib import closing
from html.parser import HTMLParser

import pytest

from streaming.report import MOST_OF_ONE, MOST_OPEN
from tests.system.server import ROWS, open_paths, wait_until

# The reports that are waited for here take longer.
AT_ONCE_S = 1.0
VOID = {"meta", "link", "rect", "br", "img", "input"}


class Outline(HTMLParser):
    """Fails where a tag is closed that is not open; `open` is what is open at the end."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def outline(page):
    found = Outline()
    found.feed(page)
    found.close()
    return found


def is_whole(page):
    return page.endswith("</html>") and outline(page).open == []


def text_of(page):
    """Return what a page says, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def report(server, path, status=200):
    answer = server.get(f"/report/{path}")
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    page = answer.body.decode()
    assert is_whole(page)
    return page


def column(page, name):
    """Return what a page says of a column."""
    sections = re.findall(r"<section.*?</section>", page, re.S)
    (found,) = [each for each in sections if f"<bdi>{name}</bdi></h2>" in each]
    return text_of(found)


def chunks(server, path):
    """Yield the chunks of an answer as they come."""
    client = server.send(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    with client, client.makefile("rb") as lines:
        while lines.readline() != b"\r\n":
            pass
        while size := int(lines.readline(), 16):
            yield lines.read(size).decode()
            lines.readline()


def test_the_figures_are_those_of_the_data(server):
    page = report(server, "numbers")
    assert f"{ROWS:,} rows. The report covers all of them." in text_of(page)
    with closing(sqlite3.connect(server.folder / "numbers.db")) as connection:
        least, most, mean = connection.execute(
            "select min(x), max(x), avg(x) from numbers"
        ).fetchone()
    said = column(page, "x")
    assert f"{ROWS:,} values, none missing. All are different." in said
    assert f"minimum {least:g} " in said
    assert f"maximum {most:,.6g} " in said
    assert f"mean {mean:,.6g} " in said
    said = column(page, "name")
    assert "shortest 9 characters longest 14 characters" in said
    assert "first in order name of 1 last in order name of 99999" in said


def test_a_histogram_has_its_numbers_as_text(server):
    page = report(server, "numbers?columns=i")
    bars = re.findall(r'<rect class="fore" x="[\d.]+" y="[\d.]+" width="9" height="60.0"/>', page)
    assert len(bars) == 20
    rows = re.findall(
        r'<th scope="row">([\d,]+) to (?:below )?([\d,]+)</th><td[^>]*>([\d,]+)<', page
    )
    assert len(rows) == 20
    assert {count for _, _, count in rows} == {"10,000"}
    assert (rows[0][0], rows[-1][1]) == ("1", f"{ROWS:,}")
    assert 'role="img" aria-label="Histogram of i, 20 bars from 1 to 200,000;' in page


def test_every_class_of_value(server):
    page = report(server, "things")
    assert "minimum -9,223,372,036,854,775,808" in column(page, "i")
    assert "maximum 9,223,372,036,854,775,807" in column(page, "i")
    assert "Several kinds: 1 integer, 1 real, 2 texts, 1 blob." in column(page, "m")
    assert "x'" + "80" * 16 + "…' (100 bytes)" in column(page, "b")
    assert "two↵lines⟨000D⟩↵and a⇥tab" in column(page, "t")


def test_each_column_is_sent_when_it_is_computed(server):
    sent = list(chunks(server, "/report/things"))
    # The frame, each of the six columns with what follows it, and the end.
    assert len(sent) == 1 + 6 + 1
    assert is_whole("".join(sent))
    assert "About 6 rows are being read …" in text_of(sent[0])
    for number, piece in enumerate(sent[1:7], 1):
        assert f'id="c{number}"' in piece
        assert f'id="c{number + 1}"' not in piece


def test_the_frame_comes_before_any_row(server):
    began_s = time.monotonic()
    coming = chunks(server, "/report/sorts")
    frame = next(coming)
    assert time.monotonic() - began_s < AT_ONCE_S
    assert '<a href="#c1">' in frame
    assert frame.rstrip().endswith("Rows are being read …</p>")
    assert not is_whole(frame)
    coming.close()


SELECTIONS = {
    "a filter": ("numbers?i__lte=10", "10 rows."),
    "a limit": ("numbers?limit=7&sort=-i", "7 rows."),
    "a parameter": ("long?rows=12", "12 rows."),
    "generated rows": ("users", "10,000 rows."),
    "generated rows, filtered": ("users?id__gt=9990", "10 rows."),
    "no row": ("numbers?limit=0", "There are no rows."),
    "none that fits": ("numbers?i=-1", "There are no rows."),
}


@pytest.mark.parametrize(("path", "want"), SELECTIONS.values(), ids=SELECTIONS.keys())
def test_a_selection_narrows(server, path, want):
    assert f" being read … {want}" in text_of(report(server, path))


def test_a_limit_takes_the_first_of_the_order(server):
    page = report(server, "numbers?limit=5&sort=-i&columns=i")
    assert f"minimum {ROWS - 4:,} " in column(page, "i")
    assert "<bdi>name</bdi>" not in page


def test_an_order_alone_is_not_sorted_for(server):
    page = report(server, "numbers?sort=-x&columns=i")
    assert f"{ROWS:,} rows. The report covers all" in text_of(page)
    assert server.get("/report/numbers?sort=nope").status == 400


def test_the_downloads_are_of_the_same_rows(server):
    page = report(server, "numbers?i__lte=10&columns=name")
    (link,) = re.findall(r'href="(/download/numbers.csv[^"]*)"', page)
    answer = server.get(html.unescape(link))
    assert answer.body.splitlines() == [b"name", *(b"name of %d" % i for i in range(1, 11))]


REFUSED = {
    "no such source": ("nope", 404, "unknown_source"),
    "a bad selection": ("numbers?limit=ten", 400, "bad_selection"),
    "a bad column": ("numbers?columns=nope", 400, "bad_selection"),
    "a parameter of another type": ("long?rows=x", 400, "bad_selection"),
}


@pytest.mark.parametrize(("path", "status", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_an_error_before_the_page_is_a_status(server, path, status, code):
    answer = server.get(f"/report/{path}")
    assert (answer.status, answer.json()["error"]) == (status, code)


def test_a_database_that_is_gone_is_a_status(server):
    database = server.folder / "logged.db"
    moved = database.rename(server.folder / "moved.db")
    try:
        answer = server.get("/report/logged")
    finally:
        moved.rename(database)
    assert (answer.status, answer.json()["error"]) == (503, "source_unavailable")
    assert "1 row." in text_of(report(server, "logged"))


def test_an_error_after_the_first_byte_is_said_where_it_happened(server):
    page = report(server, "stops?at=5")
    said = text_of(page)
    assert "The rows could not be read: the database stopped: integer overflow." in said
    assert 'role="alert"' in page
    assert "End of the report" in said


HOSTILE = """
create table hostile as select '<script>alert(1)</script>' as "<b>bold</b>",
 '"&''></svg><img src=x onerror=alert(1)>' as "a ""quoted"" name",
 char(0x202e) || 'gnp.exe' as turned, printf('%.*c', 10000, 'W') as long,
 cast(x'ff' as text) as torn, char(0) as zero
"""


@pytest.fixture(scope="module")
def hostile(serve_all, tmp_path_factory):
    """A server whose only source has hostile values."""
    folder = tmp_path_factory.mktemp("hostile")
    with closing(sqlite3.connect(folder / "hostile.db")) as connection:
        connection.execute(HOSTILE)
    address = f"sqlite:///{folder}/hostile.db"
    return serve_all(catalogue=f"sources.hostile = {{ database = '{address}', table = 'hostile' }}")


def test_values_and_names_are_text(hostile):
    page = report(hostile, "hostile")
    found = outline(page)
    assert {"script", "b", "img"}.isdisjoint(found.tags)
    assert "<bdi>&lt;b&gt;bold&lt;/b&gt;</bdi>" in page
    assert "<bdi>⟨202E⟩gnp.exe</bdi>" in page
    assert "<bdi>" + "W" * 100 + "…</bdi> <small>(10,000 characters)</small>" in page
    assert "<bdi>\ufffd</bdi>" in page
    assert "<bdi>⟨0000⟩</bdi>" in page


def test_nothing_of_the_page_needs_unsafe_inline(hostile):
    found = outline(report(hostile, "hostile"))
    assert not [name for name, _ in found.attributes if name == "style" or name.startswith("on")]
    assert {"style", "script"}.isdisjoint(found.tags)


def test_a_selection_is_shown_as_text(hostile):
    page = report(hostile, "hostile?turned__ne=%3Cscript%3E%22")
    assert "<bdi>turned__ne</bdi>=<bdi>&lt;script&gt;&#34;</bdi>" in page
    assert "script" not in outline(page).tags


def test_who_leaves_ends_the_work(server):
    worker = server.worker()
    before = len(server.log)
    coming = chunks(server, "/report/sorts")
    next(coming)
    coming.close()
    # Much sooner than the steps that it would have gone on for.
    wait_until(lambda: "transfer report=sorts" in server.log[before:], "it has ended", 2)
    left = [path for path in open_paths(worker) if "etilqs" in path or "numbers.db" in path]
    assert left == []
    assert "Traceback" not in server.log[before:]


def test_so_many_of_one_are_open_at_once_and_no_more(server):
    reading = [chunks(server, "/report/sorts") for _ in range(MOST_OF_ONE)]
    for each in reading:
        next(each)
    refused = server.get("/report/things")
    assert (refused.status, refused.json()["error"]) == (503, "too_many_reports")
    assert refused.headers["Retry-After"]
    began_s = time.monotonic()
    assert server.get("/exports").status == 200
    assert time.monotonic() - began_s < AT_ONCE_S
    for each in reading:
        each.close()
    wait_until(lambda: server.get("/report/users?limit=1").status == 200, "there is a place", 20)


def test_head_is_answered_without_a_report(server):
    answer = server.get("/report/numbers", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    for _ in range(MOST_OPEN):
        server.get("/report/numbers", "HEAD")
    assert "6 rows." in text_of(report(server, "things"))
