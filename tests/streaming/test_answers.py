"""Downloads over the test client, from real exports. Source of the rules: RFC 9110, 13 to 15."""

from __future__ import annotations

import base64
import hashlib
import itertools

import pytest

from tests.conftest import all_exports

_fresh = itertools.count(1)


@pytest.fixture(autouse=True)
def presence_is_asked_often(monkeypatch):
    monkeypatch.setattr("streaming.answers.PRESENCE_CHECK_S", 0.02)


@pytest.fixture
def url():
    """The address of a download that nobody has asked for yet; its bytes are those of `numbers`."""
    return f"/download/numbers.csv?id__gt=-{next(_fresh)}"


@pytest.fixture
def exports(site):
    return site.extensions["headwater"].exports


@pytest.fixture
def complete(client, url, exports, until):
    """A complete export; `.url` is its download, `.file` the address of its file."""
    export = exports.get(client.get(url, buffered=True).headers["Headwater-Export"])
    until(lambda: export.state == "complete")
    export.url, export.file = url, f"/exports/{export.id}/file"
    return export


@pytest.fixture
def growing(client, exports, until):
    """An export that is recorded without end; `.file` is the address of its file."""
    answer = client.post(
        "/exports", json={"source": "endless", "format": "csv", "i__gt": -next(_fresh)}
    )
    export = exports.get(answer.json["id"])
    export.file = f"/exports/{export.id}/file"
    until(lambda: export.journal.size > 1000)
    yield export
    exports.cancel(export)


def get(client, url, **headers):
    return client.get(url, headers={name.replace("_", "-"): each for name, each in headers.items()})


# The whole


def test_a_download(client, url, numbers_csv):
    answer = client.get(url)
    assert answer.status_code == 200
    assert answer.data == numbers_csv
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "numbers.csv" in answer.headers["Content-Disposition"]
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["ETag"] == f'"{answer.headers["Headwater-Export"]}"'


def test_the_file_of_a_complete_export(client, complete, numbers_csv):
    answer = client.get(complete.file)
    assert answer.data == numbers_csv
    assert answer.headers["Content-Length"] == str(len(numbers_csv))
    assert "immutable" in answer.headers["Cache-Control"]
    digest = base64.b64encode(hashlib.sha256(numbers_csv).digest()).decode()
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"


def test_no_length_is_said_before_it_is_known(client, growing):
    with client.get(growing.file, buffered=False) as answer:
        assert answer.status_code == 200
        assert "Content-Length" not in answer.headers
        assert "Repr-Digest" not in answer.headers


def test_head_is_get_without_the_body(client, complete):
    got, head = client.get(complete.file), client.head(complete.file)
    assert head.data == b""
    same = dict(got.headers)
    assert {name: head.headers[name] for name in same} == same
    assert head.status_code == 200


def test_head_of_what_nobody_has_asked_for_tells_its_length(client, url, numbers_csv):
    answer = client.head(url)
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(numbers_csv))
    assert answer.headers["ETag"] == client.get(url).headers["ETag"]


def test_head_waits_within_a_bound_and_what_it_began_is_given_up(own_site, monkeypatch, until):
    monkeypatch.setattr("streaming.exports.HEAD_WAIT_S", 0.05)
    client, exports = own_site.test_client(), own_site.extensions["headwater"].exports
    answer = client.head("/download/endless.csv")
    assert (answer.status_code, answer.headers.get("Content-Length")) == (200, None)
    (export,) = all_exports(exports)
    assert (export.background, export.readers) == (False, 0)
    exports._abandon_grace_s = 0
    until(lambda: not export.is_open)
    assert export.error.code == "abandoned"


def test_head_of_what_fails_says_so(client):
    assert client.head(f"/download/hopeless.csv?limit={next(_fresh)}").status_code == 503


def test_head_of_what_nobody_can_share_starts_nothing(client, url, exports, site):
    """The bytes that a GET gets are made for it."""
    site.data.touch()
    before = len(all_exports(exports))
    answer = client.head(url)
    assert (answer.status_code, answer.data) == (200, b"")
    assert not {"ETag", "Content-Length"} & set(answer.headers.keys())
    assert len(all_exports(exports)) == before


def test_head_gives_nobody_bytes_that_a_bare_range_could_be_of(client, complete, site, change):
    change(site.data, "update numbers set name = 'number  2' where id = 2")
    assert client.head(complete.url).headers["Headwater-Export"] != complete.id
    answer = get(client, complete.url, Range="bytes=100-")
    change(site.data, "update numbers set name = 'number 2' where id = 2")
    assert (answer.status_code, answer.headers["Headwater-Export"]) == (206, complete.id)


def test_head_says_no_length_that_it_does_not_know(client, growing):
    assert "Content-Length" not in client.head(growing.file).headers


def test_http_1_0_waits_for_the_length(client, url, numbers_csv):
    answer = client.get(url, environ_overrides={"SERVER_PROTOCOL": "HTTP/1.0"})
    assert answer.data == numbers_csv
    assert answer.headers["Content-Length"] == str(len(numbers_csv))


def test_http_1_0_is_refused_what_has_no_end(client, growing):
    answer = client.get(growing.file, environ_overrides={"SERVER_PROTOCOL": "HTTP/1.0"})
    assert (answer.status_code, answer.json["error"]) == (503, "still_recording")
    assert "Retry-After" in answer.headers
    assert growing.readers == 0


# Ranges of what is complete


def test_one_span(client, complete, numbers_csv):
    answer = get(client, complete.file, Range="bytes=100-99999999")
    size = len(numbers_csv)
    assert (answer.status_code, answer.data) == (206, numbers_csv[100:])
    assert answer.headers["Content-Range"] == f"bytes 100-{size - 1}/{size}"
    assert answer.headers["Content-Length"] == str(size - 100)


def test_14_2_a_range_that_is_ignored(client, complete, numbers_csv):
    answer = get(client, complete.file, Range="rows=0-9")
    assert (answer.status_code, answer.data) == (200, numbers_csv)


def test_15_5_17_no_byte_that_exists(client, complete, numbers_csv):
    answer = get(client, complete.file, Range="bytes=99999999-")
    assert (answer.status_code, answer.json["error"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(numbers_csv)}"


def test_14_6_several_spans(client, complete, numbers_csv):
    answer = get(client, complete.file, Range="bytes=0-6,-4")
    assert answer.status_code == 206
    kind, _, boundary = answer.headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    assert len(answer.data) == int(answer.headers["Content-Length"])
    _, first, second, end = answer.data.split(b"--" + boundary.strip('"').encode())
    size = len(numbers_csv)
    assert first.split(b"\r\n\r\n", 1)[1] == numbers_csv[:7] + b"\r\n"
    assert f"Content-Range: bytes 0-6/{size}".encode() in first
    assert second.split(b"\r\n\r\n", 1)[1] == numbers_csv[-4:] + b"\r\n"
    assert end.startswith(b"--")


def test_what_is_read_in_parts_is_kept_to_the_last(client, complete, exports, numbers_csv, until):
    until(lambda: not exports._runner._underway)
    headers = {"Range": "bytes=0-6,-4"}
    with client.get(complete.file, headers=headers, buffered=False) as answer:
        parts = answer.iter_encoded()
        got = next(parts) + next(parts)
        assert got.endswith(b"\r\n\r\n" + numbers_csv[:7])
        assert complete.readers == 2
        exports.cancel(complete)
        rest = b"".join(parts)
        assert b"\r\n\r\n" + numbers_csv[-4:] + b"\r\n--" in rest
        assert len(got + rest) == int(answer.headers["Content-Length"])
    assert complete.readers == 0
    assert not complete.journal.path.exists()


def test_14_2_head_has_no_ranges(client, complete):
    assert client.head(complete.file, headers={"Range": "bytes=0-9"}).status_code == 200


# Ranges of what is growing


def test_a_span_that_is_recorded_already(client, growing):
    answer = get(client, growing.file, Range="bytes=2-11")
    assert (answer.status_code, answer.data) == (206, b"text\n1,and")
    assert answer.headers["Content-Range"] == "bytes 2-11/*"
    assert answer.headers["Content-Length"] == "10"


def test_a_span_waits_for_its_last_byte_only(client, growing):
    """Not for the end, which never comes here."""
    first = growing.journal.size + 50_000
    with get(client, growing.file, Range=f"bytes={first}-{first + 9}") as answer:
        assert (answer.status_code, len(answer.data)) == (206, 10)
        assert answer.headers["Content-Range"] == f"bytes {first}-{first + 9}/*"
        assert answer.data == growing.journal.read(first, 10)
        assert growing.state == "running"
    assert growing.readers == 0


def test_all_of_what_grows_is_answered_as_the_whole(client, growing):
    with client.get(growing.file, headers={"Range": "bytes=0-"}, buffered=False) as answer:
        assert answer.status_code == 200
        assert not {"Content-Range", "Content-Length"} & set(answer.headers.keys())
    assert growing.readers == 0


def test_all_of_what_is_complete_is_a_range(client, complete, numbers_csv):
    answer = get(client, complete.file, Range="bytes=0-")
    assert (answer.status_code, answer.data) == (206, numbers_csv)


def test_a_span_past_the_end_of_what_grows_is_clipped(client, url, numbers_csv, until):
    def ask():
        answer = get(client, url, Range="bytes=0-99999999")
        return answer if answer.status_code != 503 else None

    answer = until(ask)
    assert (answer.status_code, answer.data) == (206, numbers_csv)
    size = len(numbers_csv)
    assert answer.headers["Content-Range"] == f"bytes 0-{size - 1}/{size}"


def test_a_failure_comes_before_the_bytes_that_were_waited_for(client, exports):
    url = f"/download/hopeless.csv?limit={next(_fresh)}"
    answer = get(client, url, Range="bytes=0-99")
    assert (answer.status_code, answer.json["error"]) == (503, "source_failed")
    newest = next(each for each in all_exports(exports) if each.source == "hopeless")
    assert newest.readers == 0


@pytest.mark.parametrize("header", ["bytes=5-", "bytes=-5", "bytes=0-99999999999", "bytes=0-1,3-4"])
def test_what_needs_the_end_waits_a_while_for_it(client, growing, header):
    answer = get(client, growing.file, Range=header)
    assert (answer.status_code, answer.json["error"]) == (503, "still_recording")
    assert set(answer.json["detail"]) == {"rows", "bytes"}
    assert growing.readers == 0


# Conditions

# One of each outcome; tests/wire/test_validators.py has all cases.
CONDITIONS = {
    "13.1.2 not modified": ({"If_None_Match": "{tag}"}, 304),
    "13.1.1 not the one that is named": ({"If_Match": '"other"', "Range": "bytes=0-9"}, 412),
    "13.1.5 If-Range holds": ({"If_Range": "{tag}", "Range": "bytes=0-9"}, 206),
    "13.1.5 If-Range does not hold": ({"If_Range": '"other"', "Range": "bytes=0-9"}, 200),
}


@pytest.mark.parametrize("address", ["url", "file"])
@pytest.mark.parametrize(("headers", "want"), CONDITIONS.values(), ids=CONDITIONS.keys())
def test_conditions(client, complete, headers, want, address):
    tag = f'"{complete.id}"'
    sent = {name: each.replace("{tag}", tag) for name, each in headers.items()}
    answer = get(client, getattr(complete, address), **sent)
    assert answer.status_code == want
    assert answer.headers["ETag"] == tag
    assert want not in (304, 412) or "Content-Length" not in answer.headers or want == 412


def test_a_304_has_no_body_and_says_how_to_keep_it(client, complete):
    answer = get(client, complete.file, If_None_Match="*")
    assert answer.data == b""
    assert "immutable" in answer.headers["Cache-Control"]


# Resuming a download


def test_if_range_goes_on_with_what_it_names(client, complete, numbers_csv, site, change):
    change(site.data, f"insert into empty values ({next(_fresh)})")
    assert client.get(complete.url).headers["Headwater-Export"] != complete.id
    answer = get(client, complete.url, Range="bytes=100-", If_Range=f'"{complete.id}"')
    assert (answer.status_code, answer.data) == (206, numbers_csv[100:])
    assert answer.headers["Headwater-Export"] == complete.id


def test_if_range_of_what_is_gone_is_answered_with_a_new_whole(client, complete, exports):
    exports.cancel(complete)
    answer = get(client, complete.url, Range="bytes=100-", If_Range=f'"{complete.id}"')
    assert answer.status_code == 200
    assert answer.headers["Headwater-Export"] != complete.id


def test_a_bare_range_goes_on_with_the_only_one_there_has_been(client, complete, numbers_csv):
    answer = get(client, complete.url, Range="bytes=100-")
    assert (answer.status_code, answer.data) == (206, numbers_csv[100:])
    assert answer.headers["Headwater-Export"] == complete.id


@pytest.fixture
def again(client, exports, until):
    """again(url): another export of that address, complete."""

    def download(url):
        export = exports.get(client.get(url, buffered=True).headers["Headwater-Export"])
        until(lambda: export.state == "complete")
        return export

    return download


SPLICES = ["bytes=100-", "bytes=100-109", "bytes=-10", "bytes=0-1,100-"]


@pytest.mark.parametrize("header", SPLICES)
@pytest.mark.parametrize("is_gone", [False, True])
def test_a_bare_range_goes_on_where_another_export_has_the_same_bytes(
    client, complete, site, change, again, exports, header, is_gone
):
    change(site.data, f"insert into empty values ({next(_fresh)})")
    second = again(complete.url)
    assert second is not complete
    if is_gone:
        exports.cancel(complete)
    answer = get(client, complete.url, Range=header)
    assert (answer.status_code, answer.headers["Headwater-Export"]) == (206, second.id)


def test_discarded_and_made_again_goes_on(client, complete, exports, again, numbers_csv):
    exports.cancel(complete)
    again(complete.url)
    answer = get(client, complete.url, Range="bytes=100-")
    assert (answer.status_code, answer.data) == (206, numbers_csv[100:])


@pytest.mark.parametrize("header", SPLICES)
def test_a_bare_range_makes_no_export(client, complete, exports, header):
    """Neither after its export is gone nor where there was none, but for the end of the latter."""
    exports.cancel(complete)
    fresh = complete.url + "000"
    before = len(all_exports(exports))
    for url in (complete.url, fresh) if header != "bytes=-10" else (complete.url,):
        answer = get(client, url, Range=header)
        assert (answer.status_code, answer.json["error"]) == (409, "cannot_resume")
        assert answer.json["detail"] == {"exports": []}
        assert "begin without a Range" in answer.json["message"]
        assert not {"Content-Range", "Content-Length"} & set(answer.headers.keys())
    assert len(all_exports(exports)) == before


def test_what_a_bare_range_may_be_of_is_named(own_site, until, change):
    client, exports = own_site.test_client(), own_site.extensions["headwater"].exports
    url, made = "/download/numbers.csv", []
    for name in ("one", "two"):
        change(own_site.data, f"update numbers set name = '{name}' where id = 1")
        made.append(exports.get(client.get(url, buffered=True).headers["Headwater-Export"]))
        until(lambda: made[-1].state == "complete")
    answer = get(client, url, Range="bytes=100-")
    assert (answer.status_code, answer.json["error"]) == (409, "cannot_resume")
    named = answer.json["detail"]["exports"]
    assert [each["id"] for each in named] == [made[1].id, made[0].id]
    for each in named:
        rest = get(client, url, Range="bytes=100-", If_Range=each["etag"])
        assert rest.status_code == 206
        assert rest.data == get(client, each["url"], Range="bytes=100-").data


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-109"])
def test_what_can_be_compared_later_is_waited_for(own_site, until, header):
    client, exports = own_site.test_client(), own_site.extensions["headwater"].exports
    first = exports.get(
        client.get("/download/numbers.csv", buffered=True).headers["Headwater-Export"]
    )
    until(lambda: not exports._runner._underway)
    exports.cancel(first)
    for extension in ("csv", "tsv", "json", "ndjson"):  # as many as are recorded at once
        client.post("/exports", json={"source": "silent", "format": extension})
    client.post("/exports", json={"source": "numbers", "format": "csv"})
    answer = get(client, "/download/numbers.csv", Range=header)
    assert (answer.status_code, answer.json["error"]) == (503, "still_recording")
    assert "Retry-After" in answer.headers
    for export in all_exports(exports)[1:]:
        exports.cancel(export)
    until(lambda: all_exports(exports)[0].state == "complete")
    assert get(client, "/download/numbers.csv", Range=header).status_code == 206


def test_the_end_of_what_nobody_has_had_is_a_beginning(client, url, numbers_csv):
    """polars and other readers of Parquet begin with it, on an address that nobody has asked."""
    for _ in range(2):
        answer = get(client, url, Range="bytes=-10")
        assert (answer.status_code, answer.data) == (206, numbers_csv[-10:])


def test_a_412_makes_no_export(client, url, exports):
    before = len(all_exports(exports))
    for headers in ({}, {"Range": "bytes=5-"}, {"If_None_Match": "*"}):
        answer = get(client, url, If_Match='"nothing"', **headers)
        assert (answer.status_code, answer.json["error"]) == (412, "precondition_failed")
    assert client.head(url, headers={"If-Match": '"nothing"'}).status_code == 412
    assert len(all_exports(exports)) == before


@pytest.mark.parametrize("listed", ["{}", '"other", {}', '{}, "other"'])
def test_if_match_goes_on_with_what_it_names(client, complete, numbers_csv, site, change, listed):
    change(site.data, f"insert into empty values ({next(_fresh)})")
    assert client.get(complete.url).headers["Headwater-Export"] != complete.id
    if_match = listed.replace("{}", f'"{complete.id}"')
    answer = get(client, complete.url, Range="bytes=100-", If_Match=if_match)
    assert (answer.status_code, answer.data) == (206, numbers_csv[100:])
    assert answer.headers["Headwater-Export"] == complete.id
    assert get(client, complete.url, If_Match=if_match).status_code == 412, "it is not as now"


def test_a_bare_range_of_what_nobody_has_had(client, url, numbers_csv, until, exports):
    """Nobody has other bytes, so a range of the first export there is cannot be added to them."""
    answer = get(client, url, Range="bytes=0-9")
    assert (answer.status_code, answer.data) == (206, numbers_csv[:10])
    (export,) = [
        each for each in all_exports(exports) if each.id == answer.headers["Headwater-Export"]
    ]
    until(lambda: export.state == "complete")


def test_a_bare_range_from_the_start_begins_anew_after_a_change(client, complete, site, change):
    change(site.data, f"insert into empty values ({next(_fresh)})")
    answer = get(client, complete.url, Range="bytes=0-9")
    assert answer.status_code in (206, 503)
    assert answer.headers.get("Headwater-Export") != complete.id


def test_a_bare_range_where_one_has_been_forgotten(own_site, until):
    client, exports = own_site.test_client(), own_site.extensions["headwater"].exports

    def download():
        answer = client.get("/download/numbers.csv", buffered=True)
        export = exports.get(answer.headers["Headwater-Export"])
        until(lambda: export.state == "complete" and not exports._runner._underway)
        return export

    retention = exports._registry.retention
    retention.limits = retention.limits._replace(max_exports=1)
    exports.cancel(download())
    again = download()
    assert exports.made_at(again.address) == [again]
    assert again.address in exports._registry.forgotten or pytest.fail("nothing was forgotten")
    answer = get(client, "/download/numbers.csv", Range="bytes=100-")
    assert answer.status_code == 409
    client.get("/download/numbers.tsv", buffered=True)
    tsv = get(client, "/download/numbers.tsv", Range="bytes=100-")
    assert tsv.status_code == 206, "of this address nothing was forgotten"


def test_a_bare_range_after_the_table_has_another_column(own_site, change, until, numbers_csv):
    """The first bytes are of rows without it: what follows them must not be of rows with it."""
    client, exports = own_site.test_client(), own_site.extensions["headwater"].exports
    first = exports.get(client.get("/download/numbers.csv").headers["Headwater-Export"])
    until(lambda: first.state == "complete")
    change(own_site.data, "alter table numbers add column more text default 'more'")
    answer = get(client, "/download/numbers.csv", Range="bytes=100-109")
    assert (answer.status_code, answer.data) == (206, numbers_csv[100:110])
    assert answer.headers["Headwater-Export"] == first.id
    exports.cancel(first)
    client.get("/download/numbers.csv", buffered=True)
    assert get(client, "/download/numbers.csv", Range="bytes=100-109").status_code == 409


# What is not there


def test_gone_is_said_with_the_reason(client, complete, exports):
    exports.cancel(complete)
    for ask in (client.get, client.head):
        assert ask(complete.file).status_code == 410
    answer = client.get(complete.file)
    assert answer.json["error"] == "recording_gone"
    assert complete.id in answer.json["message"]
    assert get(client, complete.file, If_None_Match="*").status_code == 410


def test_what_fails_before_its_first_byte_is_a_status(client, exports):
    answer = client.get(f"/download/hopeless.csv?limit={next(_fresh)}")
    assert (answer.status_code, answer.json["error"]) == (503, "source_failed")
    assert "malformed JSON" in answer.json["message"]


def test_what_has_failed_before_it_is_read_is_a_status(client, exports, until, monkeypatch):
    submit = exports.submit

    def submit_and_wait(*order, **how):
        export = submit(*order, **how)
        until(lambda: not export.is_open)
        return export

    monkeypatch.setattr(exports, "submit", submit_and_wait)
    answer = client.get(f"/download/hopeless.csv?limit={next(_fresh)}")
    assert (answer.status_code, answer.json["error"]) == (503, "source_failed")


def test_what_fails_before_its_first_byte_leaves_no_reader(client, exports):
    client.get(f"/download/hopeless.csv?limit={next(_fresh)}")
    newest = next(each for each in all_exports(exports) if each.source == "hopeless")
    assert newest.readers == 0


def test_no_reader_is_left(client, exports, complete):
    for headers in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=0-1,4-5"}, {"If-None-Match": "*"}):
        client.get(complete.file, headers=headers).close()
        client.head(complete.file, headers=headers).close()
    assert complete.readers == 0


def test_a_body_that_is_cut_leaves_no_reader(client, growing):
    answer = client.get(growing.file, buffered=False)
    assert growing.readers == 1
    answer.close()
    assert growing.readers == 0


# Exports as resources


def test_preparing_an_export(client, exports, until):
    answer = client.post(
        "/exports", json={"source": "numbers", "format": "json", "limit": next(_fresh)}
    )
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/exports/{answer.json['id']}"
    export = exports.get(answer.json["id"])
    until(lambda: export.state == "complete")
    shown = client.get(answer.headers["Location"]).json
    assert (shown["state"], shown["rows"], shown["prepared"]) == ("complete", export.rows, True)
    assert shown["url"] == f"/exports/{export.id}/file"
    assert client.get("/exports").json["exports"][0]["id"] == export.id


def test_a_form_does_as_well(client):
    form = {"source": "numbers", "format": "csv", "id__in": "1,2", "limit": str(next(_fresh))}
    answer = client.post("/exports", data=form)
    assert answer.json["selection"] == f"id__in=1%2C2&limit={form['limit']}"


def test_cancelling(client, growing):
    answer = client.delete(f"/exports/{growing.id}")
    assert (answer.status_code, answer.json["state"]) == (200, "cancelled")
    assert answer.json["error"]["error"] == "cancelled"
    assert answer.json["url"] is None
    assert client.delete(f"/exports/{growing.id}").json["state"] == "cancelled"


BAD = {
    "an unknown source": ("GET", "/download/unheard.csv", 404, "unknown_source", "unheard"),
    "a source that is near": ("GET", "/download/number.csv", 404, "unknown_source", "numbers"),
    "two dots": ("GET", "/download/..%2fnumbers.csv", 404, "unknown_source", "sources"),
    "NUL": ("GET", "/download/numbers%00.csv", 404, "unknown_source", r"\\x00"),
    "an unknown format": ("GET", "/download/numbers.pdf", 404, "unknown_format", "parquet"),
    "no format": ("GET", "/download/numbers", 404, "unknown_format", "csv"),
    "a bad selection": ("GET", "/download/numbers.csv?limit=x&y=1", 400, "bad_selection", "limit"),
    "no parameter": ("GET", "/download/needs.csv", 400, "bad_selection", "word"),
    "excel of a format that is": (
        "GET",
        "/download/numbers.json?excel=1",
        400,
        "bad_selection",
        "csv",
    ),
    "an unknown export": ("GET", "/exports/unheard", 404, "unknown_export", "/exports"),
    "an unknown file": ("GET", "/exports/unheard/file", 404, "unknown_export", "/exports"),
    "cancelling an unknown one": ("DELETE", "/exports/unheard", 404, "unknown_export", "/exports"),
    "another method": ("PUT", "/exports", 405, "method_not_allowed", ""),
    "nothing to prepare": ("POST", "/exports", 400, "bad_selection", "source"),
}


@pytest.mark.parametrize(("method", "url", "status", "code", "word"), BAD.values(), ids=BAD.keys())
def test_bad_requests(client, method, url, status, code, word):
    answer = client.open(url, method=method)
    assert (answer.status_code, answer.json["error"]) == (status, code)
    assert word in answer.text
    assert set(answer.json) == {"error", "message", "status", "detail"}


BODIES = {
    "no JSON": (b"{", 400),
    "no object": (b"[1]", 400),
    "a value that is an object": (b'{"source": {"a": 1}, "format": "csv"}', 400),
    "null": (b'{"source": null, "format": "csv"}', 400),
    "an unknown source": (b'{"source": "unheard", "format": "csv"}', 404),
    "no format": (b'{"source": "numbers"}', 400),
    "no UTF-8": (b'{"source": "\xff"}', 400),
    "far too deep": (b"[" * 60_000, 400),
    "half a surrogate pair": (rb'{"source": "numbers", "format": "csv", "name": "\ud800"}', 400),
    "half of one in a key": (rb'{"source": "numbers", "format": "csv", "\udfff": "x"}', 400),
    "half of one in a list": (
        rb'{"source": "numbers", "format": "csv", "id__in": ["\ud800"]}',
        400,
    ),
    "an endless number": (
        b'{"source": "numbers", "format": "csv", "id": ' + b"9" * 5000 + b"}",
        400,
    ),
    "no number": (b'{"source": "numbers", "format": "csv", "limit": NaN}', 400),
    "too much": (b'{"source": "' + b"x" * 70_000 + b'"}', 413),
}


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES.keys())
def test_bad_bodies(client, body, status):
    answer = client.post("/exports", data=body, content_type="application/json")
    assert answer.status_code == status
    assert answer.json["message"]
    assert status != 400 or answer.json["error"] == "bad_selection"


@pytest.mark.parametrize(
    "field", [rb'"name": "\ud800"', rb'"\udfff": "x"', rb'"id__in": ["\ud800"]']
)
def test_half_a_surrogate_pair_is_named(client, field):
    body = b'{"source": "numbers", "format": "csv", ' + field + b"}"
    answer = client.post("/exports", data=body, content_type="application/json")
    assert "half a surrogate pair is no text" in answer.json["message"]


def test_a_whole_surrogate_pair_is_a_text(client):
    body = rb'{"source": "numbers", "format": "csv", "name": "\ud83d\ude00", "limit": 0}'
    answer = client.post("/exports", data=body, content_type="application/json")
    assert answer.json["selection"] == "name__eq=%F0%9F%98%80&limit=0"
