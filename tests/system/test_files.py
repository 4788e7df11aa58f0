"""Files and listings of folders, on a running server; RFC 9110 also for a folder as ZIP."""

import email
import os
import re
import socket
import subprocess
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from http.client import IncompleteRead
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.system.server import need, wait_until
from tests.system.test_bad_input import check

FOLDERS = ("tree", "names", "many", "loose", "big")
CATALOGUE = "".join(f'[folders.{name}]\npath = "{name}"\n' for name in FOLDERS)

MIB = 1024 * 1024
BIG_BYTES = 300 * MIB
MAX_GROWTH_BYTES = 64 * MIB

PLAIN = b"".join(b"line %d\n" % i for i in range(1000))
SECRET = b"nobody may read this"
MODIFIED_S = 1_700_000_000.5

# Names, and what they are served as.
NAMES = {
    "note.txt": ("text/plain; charset=utf-8", "inline"),
    "film.mp4": ("video/mp4", "inline"),
    "film.webm": ("video/webm", "inline"),
    "sound.mp3": ("audio/mpeg", "inline"),
    "sound.wav": ("audio/x-wav", "inline"),
    "picture.PNG": ("image/png", "inline"),
    "picture.jpeg": ("image/jpeg", "inline"),
    "picture.avif": ("image/avif", "inline"),
    "paper.pdf": ("application/pdf", "inline"),
    "page.html": ("text/html; charset=utf-8", "attachment"),
    "page.HTM": ("text/html; charset=utf-8", "attachment"),
    "data.xml": ("text/xml; charset=utf-8", "attachment"),
    "drawing.svg": ("image/svg+xml", "attachment"),
    "drawing.svgz": ("application/gzip", "attachment"),
    "rows.csv": ("text/csv; charset=utf-8", "attachment"),
    "rows.csv.gz": ("application/gzip", "attachment"),
    "all.tar.xz": ("application/x-xz", "attachment"),
    "all.zip": ("application/zip", "attachment"),
    "anything": ("application/octet-stream", "attachment"),
    "html": ("application/octet-stream", "attachment"),
    "a.unknown": ("application/octet-stream", "attachment"),
}
# What media players call their files, and a browser plays or shows.
MEDIA = {
    "picture.webp": "image/webp",
    "sound.flac": "audio/flac",
    "sound.m4a": "audio/mp4",
    "sound.ogg": "audio/ogg",
    "film.mkv": "video/x-matroska",
    "film.ogv": "video/ogg",
}
# Names that are hard for HTML, for URLs or for Content-Disposition.
HARD_NAMES = [
    "<img src=x onerror=alert(1)>.txt",
    "<script>alert(1)<",
    '" onerror="alert(1).png',
    "' onerror='alert(1).mp4",
    "\"'&amp;.txt",
    "{{ 7 * 7 }}.txt",
    "Ünïcødé 日本 🌊.txt",
    "e\u0301 in two.txt",
    "a b+c%20d%2fe.txt",
    "query?x=1#part;y.txt",
    "back\\slash.txt",
    "dots..",
    " blank ",
    "x" * 251 + ".txt",
    "日" * 85,
]
LINE_BREAKS = ["two\nlines.txt", "carriage\rreturn.txt"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """What is served, and beside it what is not."""
    root = tmp_path_factory.mktemp("folders")
    for name in FOLDERS:
        root.joinpath(name).mkdir()
    root.joinpath("secret.txt").write_bytes(SECRET)
    make_tree(root / "tree")
    for name in [*NAMES, *MEDIA, *HARD_NAMES, *LINE_BREAKS]:
        root.joinpath("names", name).write_bytes(b"content")
    for i in range(2500):
        root.joinpath("many", f"{i:04}").write_bytes(b"x" * (i * 7 % 11))
    with root.joinpath("big", "big.bin").open("wb") as file:
        file.truncate(BIG_BYTES)
    return root


def make_tree(tree):
    tree.joinpath("plain.txt").write_bytes(PLAIN)
    tree.joinpath("empty.bin").touch()
    tree.joinpath("sub", "deeper").mkdir(parents=True)
    tree.joinpath("sub", "inner.txt").write_bytes(b"inner")
    tree.joinpath("sub", "up").symlink_to("../plain.txt")
    tree.joinpath(".hidden").write_bytes(SECRET)
    tree.joinpath(".git").mkdir()
    tree.joinpath(".git", "config").write_bytes(SECRET)
    tree.joinpath("in").symlink_to("plain.txt")
    tree.joinpath("folder-in").symlink_to("sub")
    tree.joinpath("out").symlink_to("../secret.txt")
    tree.joinpath("out-absolute").symlink_to(tree.parent / "secret.txt")
    tree.joinpath("folder-out").symlink_to("..")
    tree.joinpath("root").symlink_to("/")
    tree.joinpath("circle").symlink_to("circle")
    tree.joinpath("nowhere").symlink_to("nothing")
    tree.joinpath("to-hidden").symlink_to(".hidden")
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tree / "socket"))
    with suppress(PermissionError):  # only root makes devices
        os.mknod(tree / "device", 0o020666, os.makedev(1, 5))
    os.utime(tree / "plain.txt", (MODIFIED_S, MODIFIED_S))


@pytest.fixture(scope="module")
def server(serve_all, folders):
    """A server of FOLDERS; all of them have been left alone for a while."""
    wait_until_settled(*folders.rglob("*"))
    catalogue = CATALOGUE.replace('path = "', f'path = "{folders}/')
    return serve_all(catalogue=catalogue)


def wait_until_settled(*paths):
    """Wait until the next change of them can be told from the last one."""
    newest_s = max(path.lstat().st_ctime for path in paths)
    wait_until(lambda: newest_s < time.time() - 0.1, "settled")


@pytest.fixture
def put(server, folders):
    """A verb: put(name, content) returns the path of a file of the folder `loose`, settled."""
    made = []

    def put(name, content):
        made.append(folders / "loose" / name)
        made[-1].write_bytes(content)
        wait_until_settled(made[-1])
        return made[-1]

    yield put
    for path in made:
        path.unlink(missing_ok=True)


def etag_of(server, path):
    return server.get(path, "HEAD").headers["ETag"]


# RFC 9110, 13 and 14: a file, and a folder as ZIP.


class Served:
    """What is served at a path, as it is at first."""

    def __init__(self, server, path):
        self.server, self.path = server, path
        first = server.get(path)
        self.whole, self.headers = first.body, first.headers
        self.size, self.etag = len(self.whole), first.headers["ETag"]
        self.media_type = first.headers["Content-Type"]

    def get(self, method="GET", **headers):
        return self.server.get(self.path, method, None, **headers)


@pytest.fixture(scope="module", params=["/files/tree/plain.txt", "/download/tree.zip"])
def served(server, request):
    return Served(server, request.param)


@pytest.fixture(scope="module")
def file(server):
    return Served(server, "/files/tree/plain.txt")


def test_the_whole(served):
    answer = served.get()
    assert answer.status == 200
    assert answer.headers["Content-Length"] == str(served.size)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert re.fullmatch('"[0-9a-f]+"', answer.headers["ETag"])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.body == served.whole


def test_a_file_is_its_content(file):
    assert file.whole == PLAIN
    assert file.headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"


ONE = {
    "14.1.2 the first 500": ("bytes=0-499", slice(0, 500)),
    "14.1.2 the second 500": ("bytes=500-999", slice(500, 1000)),
    "14.1.2 one byte": ("bytes=7-7", slice(7, 8)),
    "14.1.2 the first byte": ("bytes=0-0", slice(0, 1)),
    "14.1.2 the last 500": ("bytes=-500", slice(-500, None)),
    "14.1.2 the last byte": ("bytes=-1", slice(-1, None)),
    "14.1.2 open": ("bytes=2000-", slice(2000, None)),
    "14.1.2 open from the start": ("bytes=0-", slice(0, None)),
    "14.1.2 last past the end is clipped": ("bytes=99-99999999", slice(99, None)),
    "14.1.2 suffix longer than the whole": ("bytes=-99999999", slice(0, None)),
    "14.1.2 one satisfiable span is enough": ("bytes=3-5,99999999-", slice(3, 6)),
    "14.1 unit in any case": ("BYTES=1-2", slice(1, 3)),
}


@pytest.mark.parametrize(("header", "part"), ONE.values(), ids=ONE.keys())
def test_one_span(served, header, part):
    answer = served.get(Range=header)
    assert answer.status == 206
    assert answer.body == served.whole[part]
    start, stop, _ = part.indices(served.size)
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{served.size}"
    assert answer.headers["Content-Length"] == str(stop - start)
    for name in ("ETag", "Content-Type", "Content-Disposition", "Last-Modified", "Cache-Control"):
        assert answer.headers[name] == served.headers[name]


WHOLE = {
    "14.2 unknown unit": "items=0-9",
    "14.1.1 last before first": "bytes=9-5",
    "14.1.1 no number": "bytes=a-b",
    "14.1.1 empty": "bytes=",
    "14.1.1 only a sign": "bytes=-",
    "14.1.1 negative": "bytes=--5",
    "ours: not ASCII digits": "bytes=1_0-20",
    "ours: absurd number": f"bytes={'9' * 30}-",
    "14.2 many small spans": "bytes=" + ",".join(f"{i}-{i}" for i in range(17)),
    "14.2 more than the whole": "bytes=0-,0-",
    "14.2 header of 3,000 characters": "bytes=0-1" + "," * 3000,
}


@pytest.mark.parametrize("header", WHOLE.values(), ids=WHOLE.keys())
def test_what_is_no_range_gets_the_whole(served, header):
    answer = served.get(Range=header)
    assert (answer.status, answer.body) == (200, served.whole)
    assert answer.headers["Content-Range"] is None


@pytest.mark.parametrize("spans", ["0-9,20-29", "-5,0-4", "5-6,1-2,2990-", "0-0,-1"])
def test_several_spans(served, spans):
    answer = served.get(Range=f"bytes={spans}")
    assert answer.status == 206
    assert answer.headers["Content-Range"] is None
    assert answer.headers["Content-Length"] == str(len(answer.body))
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + answer.body).get_payload()
    assert len(parts) == spans.count(",") + 1
    for part, asked in zip(parts, spans.split(","), strict=True):
        first, last = asked.split("-")
        start = int(first) if first else served.size - int(last)
        stop = int(last) + 1 if first and last else served.size
        assert part["Content-Range"] == f"bytes {start}-{stop - 1}/{served.size}"
        assert part["Content-Type"] == served.media_type
        assert part.get_payload(decode=True) == served.whole[start:stop]


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=-0", "bytes=99999999-,-0"])
def test_no_byte_that_exists_is_416(served, header):
    answer = served.get(Range=header)
    told = check(answer, 416)
    assert answer.headers["Content-Range"] == f"bytes */{served.size}"
    assert answer.headers["ETag"] == served.etag
    assert told["detail"] == {"size": served.size}


OTHER = '"0000000000000000"'
FUTURE = "Sat, 01 Jan 2050 00:00:00 GMT"
PAST = "Sat, 01 Jan 2000 00:00:00 GMT"
SPAN = {"Range": "bytes=1-2"}

# What is asked, with {etag} for the right one, and the status it gets.
CONDITIONS = {
    "13.1.5 If-Range that matches": ({"If_Range": "{etag}", **SPAN}, 206),
    "13.1.5 If-Range of another": ({"If_Range": OTHER, **SPAN}, 200),
    "13.1.5 If-Range is compared strongly": ({"If_Range": "W/{etag}", **SPAN}, 200),
    "13.1.5 If-Range that is none": ({"If_Range": "yesterday", **SPAN}, 200),
    "14.2 If-Range without Range": ({"If_Range": "{etag}"}, 200),
    "13.1.5 416 where If-Range holds": ({"If_Range": "{etag}", "Range": "bytes=99999999-"}, 416),
    "13.1.5 200 where it does not": ({"If_Range": OTHER, "Range": "bytes=99999999-"}, 200),
    "13.1.1 If-Match that matches": ({"If_Match": "{etag}"}, 200),
    "13.1.1 If-Match in a list": ({"If_Match": OTHER + ", {etag}"}, 200),
    "13.1.1 If-Match *": ({"If_Match": "*"}, 200),
    "13.1.1 If-Match of another": ({"If_Match": OTHER}, 412),
    "13.1.1 If-Match is compared strongly": ({"If_Match": "W/{etag}"}, 412),
    "13.1.2 If-None-Match that matches": ({"If_None_Match": "{etag}"}, 304),
    "13.1.2 If-None-Match is compared weakly": ({"If_None_Match": "W/{etag}"}, 304),
    "13.1.2 If-None-Match *": ({"If_None_Match": "*"}, 304),
    "13.1.2 If-None-Match of another": ({"If_None_Match": OTHER}, 200),
    "13.2.2 412 before 304": ({"If_Match": OTHER, "If_None_Match": "{etag}"}, 412),
    "13.2.2 304 before 206": ({"If_None_Match": "{etag}", **SPAN}, 304),
    "13.2.2 412 before 416": ({"If_Match": OTHER, "Range": "bytes=99999999-"}, 412),
    "13.2.2 304 before 416": ({"If_None_Match": "{etag}", "Range": "bytes=99999999-"}, 304),
}


@pytest.mark.parametrize(("asked", "status"), CONDITIONS.values(), ids=CONDITIONS.keys())
def test_conditions(served, asked, status):
    check_condition(served, asked, status)


# Of a file only: nobody knows when all of a folder was modified.
DATES = {
    "13.1.5 a date in If-Range is never strong enough": ({"If_Range": "{date}", **SPAN}, 200),
    "13.1.5 a later date in If-Range": ({"If_Range": FUTURE, **SPAN}, 200),
    "13.1.3 If-Modified-Since its date": ({"If_Modified_Since": "{date}"}, 304),
    "13.1.3 If-Modified-Since a later one": ({"If_Modified_Since": FUTURE}, 304),
    "13.1.3 If-Modified-Since an earlier one": ({"If_Modified_Since": PAST}, 200),
    "13.1.3 If-Modified-Since that is no date": ({"If_Modified_Since": "soon"}, 200),
    "13.1.4 If-Unmodified-Since its date": ({"If_Unmodified_Since": "{date}"}, 200),
    "13.1.4 If-Unmodified-Since an earlier one": ({"If_Unmodified_Since": PAST}, 412),
    "13.1.4 If-Unmodified-Since that is no date": ({"If_Unmodified_Since": "soon"}, 200),
    "13.1.3 If-None-Match decides": ({"If_None_Match": OTHER, "If_Modified_Since": FUTURE}, 200),
    "13.1.4 If-Match decides": ({"If_Match": "{etag}", "If_Unmodified_Since": PAST}, 200),
    "13.2.2 304 before 206": ({"If_Modified_Since": "{date}", **SPAN}, 304),
    "13.2.2 412 before 304": (
        {"If_Unmodified_Since": PAST, "If_Modified_Since": "{date}"},
        412,
    ),
}


@pytest.mark.parametrize(("asked", "status"), DATES.values(), ids=DATES.keys())
def test_conditions_with_dates(file, asked, status):
    check_condition(file, asked, status)


def test_a_date_says_nothing_of_a_folder(server):
    whole = Served(server, "/download/tree.zip")
    assert whole.headers["Last-Modified"] is None
    check_condition(whole, {"If_Modified_Since": FUTURE}, 200)
    check_condition(whole, {"If_Unmodified_Since": PAST}, 200)


def check_condition(served, asked, status):
    known = {"etag": served.etag, "date": served.headers["Last-Modified"]}
    answer = served.get(**{name: value.format_map(known) for name, value in asked.items()})
    assert answer.status == status
    assert answer.headers["ETag"] == served.etag
    if status == 200:
        assert answer.body == served.whole
    if status == 206:
        assert answer.body == served.whole[1:3]
    if status == 304:
        assert answer.body == b""
        assert answer.headers["Cache-Control"] == served.headers["Cache-Control"]
    if status == 412:
        assert check(answer, 412)["error"] == "precondition_failed"


def test_head_is_get_without_the_body(served):
    got, head = served.get(), served.get("HEAD")
    assert (head.status, head.body) == (200, b"")
    own = ("Date", "X-Request-ID")
    named = {name: value for name, value in got.headers.items() if name not in own}
    assert {name: value for name, value in head.headers.items() if name not in own} == named


@pytest.mark.parametrize("header", ["bytes=0-9", "bytes=99999999-"])
def test_head_ignores_a_range(served, header):
    head = served.get("HEAD", Range=header)
    assert (head.status, head.headers["Content-Length"]) == (200, str(served.size))
    assert head.headers["Content-Range"] is None


@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=0-"}, {"Range": "bytes=-1"}])
def test_an_empty_file_is_had_whole(server, asked):
    answer = server.get("/files/tree/empty.bin", **asked)
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/files", "/files/tree/", "/files/tree/plain.txt"])
def test_a_folder_is_only_read(server, path, method):
    answer = server.get(path, method)
    check(answer, 405)
    assert "GET" in answer.headers["Allow"]
    assert method not in answer.headers["Allow"]


# What a name makes of a file.


@pytest.mark.parametrize(("name", "told"), NAMES.items())
def test_type_and_disposition(server, name, told):
    answer = server.get(f"/files/names/{name}")
    assert (answer.status, answer.body) == (200, b"content")
    assert answer.headers["Content-Type"] == told[0]
    assert answer.headers["Content-Disposition"] == f'{told[1]}; filename="{name}"'


LARGE = b"x" * 300_000
TEXTS = {
    "UTF-8": ("café 🌊\n".encode(), "text/plain; charset=utf-8"),
    "large UTF-8": ("é🌊".encode() * 50_000, "text/plain; charset=utf-8"),
    "nothing": (b"", "text/plain; charset=utf-8"),
    "Latin-1": ("café\n".encode("latin-1"), "text/plain"),
    "Latin-1 behind what is looked at": (LARGE + b"\xe9", "text/plain"),
    "UTF-16 with its mark": ("\ufeffcafé\n".encode("utf-16-be"), "text/plain; charset=utf-16"),
    "UTF-16": ("café\r\n".encode("utf-16-le"), "text/plain; charset=utf-16le"),
}


@pytest.mark.parametrize(("content", "media_type"), TEXTS.values(), ids=TEXTS.keys())
def test_a_text_has_the_charset_that_it_is_in_or_none(server, put, content, media_type):
    put("text.txt", content)
    answer = server.get("/files/loose/text.txt")
    assert (answer.headers["Content-Type"], answer.body) == (media_type, content)
    if content:
        part = server.get("/files/loose/text.txt", Range="bytes=0-1")
        assert (part.headers["Content-Type"], part.body) == (media_type, content[:2])
    head = server.get("/files/loose/text.txt", "HEAD")
    assert head.headers["Content-Type"] == media_type


@pytest.mark.parametrize(("name", "media_type"), MEDIA.items())
def test_what_a_browser_plays_is_inline(server, name, media_type):
    headers = server.get(f"/files/names/{name}", "HEAD").headers
    assert headers["Content-Type"] == media_type
    assert headers["Content-Disposition"].startswith("inline;")


@pytest.mark.parametrize(
    ("word", "disposition"),
    {"download=1": "attachment", "download=0": "inline", "download=": "inline"}.items(),
)
def test_download_1_saves_anything(server, word, disposition):
    answer = server.get(f"/files/names/film.mp4?{word}")
    assert answer.headers["Content-Disposition"] == f'{disposition}; filename="film.mp4"'
    assert answer.headers["Content-Type"] == "video/mp4"


@pytest.mark.parametrize("name", HARD_NAMES)
def test_any_name_is_served_and_saved_under_it(server, tmp_path, name):
    answer = server.get(f"/files/names/{quote(name)}?download=1")
    assert (answer.status, answer.body) == (200, b"content")
    header = answer.headers["Content-Disposition"]
    assert header.isascii()
    # Separators are saved as _, as no name has them where it is saved.
    plain = re.search('filename="([^"]*)"', header)[1]
    encoded = re.search(r"filename\*=UTF-8''(\S*)$", header)
    assert (unquote(encoded[1]) if encoded else plain) == name.replace("\\", "_")


@pytest.mark.parametrize("name", LINE_BREAKS)
def test_a_line_break_in_a_name(server, name):
    assert server.get(f"/files/names/{quote(name)}").body == b"content"


def test_a_link_to_a_file_inside_is_what_it_leads_to(server):
    for path in ("in", "sub/up", "folder-in/inner.txt", "folder-in/up"):
        answer = server.get(f"/files/tree/{path}")
        assert answer.status == 200
        assert answer.body in (PLAIN, b"inner")


# Changes.


def rewrite(path, content):
    """Write over the same file, and give it the size and the time that it had."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_etag_changes_with_the_content_also_when_size_and_time_are_restored(server, put):
    path = put("restored.txt", b"one")
    first = server.get("/files/loose/restored.txt")
    assert first.headers["ETag"] == etag_of(server, "/files/loose/restored.txt")
    rewrite(path, b"two")
    wait_until_settled(path)
    second = server.get("/files/loose/restored.txt")
    assert second.body == b"two"
    assert second.headers["Last-Modified"] == first.headers["Last-Modified"]
    assert second.headers["ETag"] != first.headers["ETag"]


def test_what_was_just_written_has_a_weak_etag(server, folders):
    """And so no second half is put to a first one of before: it may change again unseen."""
    path = folders / "loose" / "fresh.txt"

    def is_weak():
        path.write_bytes(b"0123456789")
        return etag_of(server, "/files/loose/fresh.txt").startswith('W/"')

    # The machine may be too busy to ask within 50 ms.
    wait_until(is_weak, "weak")
    etag = etag_of(server, "/files/loose/fresh.txt")
    answer = server.get("/files/loose/fresh.txt", Range="bytes=5-", If_Range=etag)
    assert answer.status == (200 if etag.startswith("W/") else 206)
    wait_until(lambda: not etag_of(server, "/files/loose/fresh.txt").startswith("W/"), "strong")
    path.unlink()


LONG = 48 * MIB


def append(path):
    with path.open("ab") as file:
        file.write(b"more")


def overwrite_the_end(path):
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"other" * 200)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "grown": append,
    "cut short": lambda path: os.truncate(path, LONG // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "overwritten, size and time restored": overwrite_the_end,
    "removed": lambda path: path.unlink(),
    "replaced": lambda path: path.with_name("other").rename(path),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=1000-"}], ids=["whole", "span"])
def test_a_file_that_changes_while_it_is_sent_is_never_whole(server, put, change, asked):
    path = put("long.bin", b"abcdefgh" * (LONG // 8))
    put("other", b"x" * LONG)
    stream = server.open("/files/loose/long.bin", **asked)
    first = stream.read(100_000)
    change(path)
    with pytest.raises(IncompleteRead) as caught:
        stream.read()
    # What came is of the first version.
    received = first + caught.value.partial
    assert len(received) < LONG
    assert received == (b"abcdefgh" * (len(received) // 8 + 1))[: len(received)]
    wait_until(lambda: "ending=failed (the file " in server.log, "it is logged")


def test_of_http_1_0_a_cut_is_seen_too(server, put):
    path = put("long.bin", b"x" * LONG)
    client = server.send(b"GET /files/loose/long.bin HTTP/1.0\r\n\r\n")
    received = len(client.recv(1000))
    append(path)
    with suppress(ConnectionResetError):
        while chunk := client.recv(MIB):
            received += len(chunk)
    assert received < LONG


def test_a_client_that_leaves_leaves_no_file_open(server, put):
    put("long.bin", b"x" * LONG)
    worker = server.worker()
    server.get("/files/loose/long.bin", Range="bytes=0-0")
    before = worker.num_fds()
    for method in ("GET", "HEAD"):
        for _ in range(20):
            server.get("/files/tree/plain.txt", method, None, Range="bytes=1-2,4-5")
            server.get("/files/tree/plain.txt", method, None, If_None_Match="*")
            server.get("/files/tree/plain.txt", method, None, Range="bytes=99999999-")
            server.get("/files/tree/nothing", method)
    for _ in range(20):
        stream = server.open("/files/loose/long.bin", Range="bytes=0-9,10-")
        stream.read(10_000)
        stream.close()
    wait_until(lambda: worker.num_fds() <= before, "all are closed")


# Clients that go on.


@pytest.fixture(scope="module")
def download(server, folders):
    """What is resumed: a file, or a folder as ZIP; twelve MiB of noise."""
    path = folders / "loose" / "noise.bin"
    path.write_bytes(os.urandom(12 * MIB))
    wait_until_settled(path)
    yield lambda kind: "/files/loose/noise.bin" if kind == "file" else "/download/loose.zip"
    path.unlink()


@pytest.mark.parametrize("kind", ["file", "zip"])
def test_curl_goes_on(server, download, tmp_path, kind):
    saved, whole = tmp_path / "saved", server.get(download(kind)).body
    for size in (0, 1, 5_000_001, len(whole) - 1):
        saved.write_bytes(whole[:size])
        curl = server.curl(download(kind), "-C", "-", "-o", saved)
        assert curl.wait(20) == 0, curl.stderr.read()
        assert saved.read_bytes() == whole


@pytest.mark.parametrize("kind", ["file", "zip"])
def test_wget_goes_on(server, download, tmp_path, kind):
    need("wget")
    saved, whole = tmp_path / "saved", server.get(download(kind)).body
    saved.write_bytes(whole[:5_000_001])
    command = ["wget", "-nv", "--no-config", "-c", "-O", saved, server.url(download(kind))]
    subprocess.run(command, check=True, timeout=30)
    assert saved.read_bytes() == whole
    # It went on, and did not begin again.
    sent = f"range='bytes=5000001-' bytes={len(whole) - 5_000_001} "
    wait_until(lambda: sent in server.log, "it is logged")


@pytest.mark.parametrize("kind", ["file", "zip"])
def test_aria2c_in_eight_pieces(server, download, tmp_path, kind):
    need("aria2c")
    whole = server.get(download(kind)).body
    command = ["aria2c", "--no-conf", "-q", "-x8", "-s8", "-k1M", "--file-allocation=none"]
    command += ["-d", tmp_path, "-o", "saved", server.url(download(kind))]
    before = server.log.count("transfer f")
    subprocess.run(command, check=True, timeout=30)
    assert (tmp_path / "saved").read_bytes() == whole
    wait_until(lambda: server.log.count("transfer f") >= before + 8, "eight transfers")


# Listings.


def listing(server, path, **headers):
    answer = server.get(path, **headers)
    assert answer.status == 200, answer.body
    return answer.json()


def test_the_folders(server):
    shown = listing(server, "/files")["folders"]
    assert [folder["name"] for folder in shown] == list(FOLDERS)
    assert [folder["url"] for folder in shown] == [f"/files/{name}/" for name in FOLDERS]
    assert server.get(shown[0]["zip"], "HEAD").headers["Content-Type"] == "application/zip"


def test_a_listing_has_what_is_served_and_nothing_else(server):
    told = listing(server, "/files/tree/")
    assert [told[key] for key in ("folder", "path", "total", "next")] == ["tree", "", 5, None]
    assert [entry["name"] for entry in told["entries"]] == [
        "empty.bin", "folder-in", "in", "plain.txt", "sub",
    ]  # fmt: skip
    [entry] = [entry for entry in told["entries"] if entry["name"] == "plain.txt"]
    assert entry == {
        "name": "plain.txt",
        "type": "file",
        "size": len(PLAIN),
        "modified": MODIFIED_S,
        "url": "/files/tree/plain.txt",
    }


def test_what_a_listing_names_is_there_at_its_address(server):
    ahead, seen = ["/files/tree/", "/files/names/"], []
    while ahead:
        for entry in listing(server, ahead.pop())["entries"]:
            if entry["type"] == "folder":
                assert entry["size"] is None
                ahead.append(entry["url"])
            elif entry["name"] not in LINE_BREAKS:
                answer = server.get(entry["url"])
                assert (answer.status, len(answer.body)) == (200, entry["size"]), entry
                seen.append(entry["name"])
    assert set(HARD_NAMES) < set(seen)
    assert "inner.txt" in seen


def test_an_address_without_its_last_slash_leads_to_the_folder(server):
    answer = server.get("/files/tree")
    assert answer.status == 308
    assert answer.headers["Location"].endswith("/files/tree/")
    assert check(server.get("/files/tree/sub"), 404)["error"] == "is_a_folder"


SORTS = {
    "sort=name": lambda entry: entry["name"],
    "sort=size": lambda entry: (entry["size"], entry["name"]),
    "sort=modified": lambda entry: (entry["modified"], entry["name"]),
}


WAYS = ["", *SORTS, *(sort.replace("=", "=-") for sort in SORTS)]


@pytest.mark.parametrize("way", WAYS)
def test_following_next_shows_every_entry_once_in_order(server, way):
    path, entries, pages = f"/files/many/?limit=300&{way}", [], 0
    while path:
        told = listing(server, path)
        assert told["total"] == 2500
        entries += told["entries"]
        path, pages = told["next"], pages + 1
    assert pages == 9
    assert sorted(entry["name"] for entry in entries) == [f"{i:04}" for i in range(2500)]
    key = SORTS[way.replace("-", "") or "sort=name"]
    assert entries == sorted(entries, key=key, reverse="-" in way)


def test_a_thousand_at_a_time_unless_more_are_asked_for(server):
    told = listing(server, "/files/many/")
    assert len(told["entries"]) == 1000
    assert len(listing(server, told["next"])["entries"]) == 1000
    assert len(listing(server, "/files/many/?limit=10000")["entries"]) == 2500
    past = listing(server, "/files/many/?offset=2500")
    assert (past["entries"], past["next"]) == ([], None)


JSON, HTML = "application/json", "text/html; charset=utf-8"
ACCEPTS = {
    None: JSON,
    "*/*": JSON,
    "application/json": JSON,
    "text/html": HTML,
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": HTML,
    "text/html;q=0.1, application/json": JSON,
    "image/png": JSON,
}


@pytest.mark.parametrize(("accept", "media_type"), ACCEPTS.items())
def test_accept_decides_between_json_and_a_page(server, accept, media_type):
    answer = server.get("/files/tree/", **({"Accept": accept} if accept else {}))
    assert (answer.status, answer.headers["Content-Type"]) == (200, media_type)
    # A page also says who has logged in.
    assert answer.headers["Vary"] == ("Accept, Cookie" if media_type == HTML else "Accept")


def test_a_folder_that_vanishes_is_not_to_be_had_now(serve, tmp_path):
    (tmp_path / "disk").mkdir()
    server = serve(catalogue=f'[folders.disk]\npath = "{tmp_path}/disk"\n')
    assert server.get("/files/disk/").status == 200
    (tmp_path / "disk").rename(tmp_path / "elsewhere")
    for path in ("/files/disk/", "/files/disk/a", "/download/disk.zip", "/download/disk.tar.zst"):
        answer = server.get(path)
        told = answer.json()
        assert (answer.status, told["error"]) == (503, "source_unavailable"), path
        assert told["message"] == "the folder disk is not there now"
    (tmp_path / "elsewhere").rename(tmp_path / "disk")
    assert server.get("/files/disk/").status == 200


class Page(HTMLParser):
    """What a browser sees: texts, the names of elements' attributes, and addresses."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.attributes, self.addresses = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.attributes |= {name for name, _ in attributes}
        self.addresses += [value for name, value in attributes if name in ("href", "src")]

    def handle_data(self, text):
        self.texts.append(text)


def test_on_a_page_names_are_text_and_never_markup(server):
    text = server.get("/files/names/", Accept="text/html").body.decode()
    page = Page(text)
    assert set(HARD_NAMES) < set(page.texts)
    assert not any(name.startswith("on") for name in page.attributes)
    assert "<script>" not in text
    # No address ends early or carries a script.
    addresses = [each for each in page.addresses if each.startswith("/files/names/")]
    assert len(addresses) > len(HARD_NAMES)
    assert all(re.fullmatch(r"[\w/.~%-]*", each, re.ASCII) for each in addresses)
    assert not [each for each in page.addresses if not each.startswith(("/", "?", "#"))]


def test_a_page_shows_sizes_times_and_the_next_page(server):
    page = server.get("/files/tree/", Accept="text/html").body.decode()
    assert f"{len(PLAIN):,}" in page
    assert "2023-11-14 22:13" in page
    assert 'href="/download/tree.zip"' in page
    page = server.get("/files/many/?sort=-size", Accept="text/html").body.decode()
    assert "2,500 entries" in page
    following = "/files/many/?sort=-size&amp;limit=1000&amp;offset=1000"
    assert f'rel="next" href="{following}"' in page


@pytest.mark.parametrize("modified_s", [-1e9, 0, 4e9, 1e10])
def test_a_file_of_any_time_is_served_and_shown(server, put, modified_s):
    path = put("a time", b"x")
    os.utime(path, (modified_s, modified_s))
    answer = server.get("/files/loose/a%20time")
    assert (answer.status, answer.body) == (200, b"x")
    if told := answer.headers["Last-Modified"]:
        # 8.8.2.1: not later than now.
        assert parsedate_to_datetime(told) <= parsedate_to_datetime(answer.headers["Date"])
    assert listing(server, "/files/loose/")["entries"][0]["modified"] == modified_s
    assert server.get("/files/loose/", Accept="text/html").status == 200


def test_a_page_of_a_folder_below_leads_up_again(server):
    page = server.get("/files/tree/sub/deeper/", Accept="text/html").body.decode()
    assert 'href="/files/tree/sub/"' in page
    assert 'href="/files/tree/"' in page
    assert "This folder is empty." in page


# Bad input: a 4xx in the one shape, and nothing of what is outside.

PATHS = {
    "..": ("tree/../secret.txt", 400, "malformed_path"),
    ".. at the end": ("tree/sub/..", 400, "malformed_path"),
    ".. that stays inside": ("tree/sub/../plain.txt", 400, "malformed_path"),
    ".": ("tree/./plain.txt", 400, "malformed_path"),
    "encoded dots": ("tree/%2e%2e/secret.txt", 400, "malformed_path"),
    "encoded dots, in part": ("tree/.%2E/secret.txt", 400, "malformed_path"),
    "encoded twice": ("tree/%252e%252e/secret.txt", 404, "no_such_file"),
    "an encoded slash": ("tree/sub%2finner.txt", 400, "malformed_path"),
    "an encoded slash in capitals": ("tree/..%2Fsecret.txt", 400, "malformed_path"),
    "a slash of too many bytes": ("tree/..%c0%afsecret.txt", 400, "malformed_path"),
    "a full-width slash": ("tree/..%ef%bc%8fsecret.txt", 404, "no_such_file"),
    "backslashes": ("tree/..\\secret.txt", 404, "no_such_file"),
    "encoded backslashes": ("tree/..%5csecret.txt", 404, "no_such_file"),
    "NUL": ("tree/plain.txt%00", 400, "malformed_path"),
    "NUL and another end": ("tree/plain.txt%00.png", 400, "malformed_path"),
    "not UTF-8": ("tree/%ff%fe", 400, "malformed_path"),
    "half a character": ("tree/%ed%a0%80", 400, "malformed_path"),
    "a trailing dot": ("tree/plain.txt.", 404, "no_such_file"),
    "a trailing blank": ("tree/plain.txt%20", 404, "no_such_file"),
    "an empty name": ("tree/sub/%2e/inner.txt", 400, "malformed_path"),
    "a file as a folder": ("tree/plain.txt/", 404, "is_a_file"),
    "a file in a file": ("tree/plain.txt/x", 404, "no_such_file"),
    "a folder as a file": ("tree/sub", 404, "is_a_folder"),
    "nothing there": ("tree/nothing", 404, "no_such_file"),
    "no folder there": ("tree/nothing/", 404, "no_such_file"),
    "another case": ("tree/PLAIN.TXT", 404, "no_such_file"),
    "a link out": ("tree/out", 404, "no_such_file"),
    "an absolute link out": ("tree/out-absolute", 404, "no_such_file"),
    "through a link to a folder out": ("tree/folder-out/secret.txt", 404, "no_such_file"),
    "back in through a link out": ("tree/folder-out/tree/plain.txt", 404, "no_such_file"),
    "a listing of what is out": ("tree/folder-out/", 404, "no_such_file"),
    "a listing of the root": ("tree/root/", 404, "no_such_file"),
    "through a link to the root": ("tree/root/etc/passwd", 404, "no_such_file"),
    "a circle": ("tree/circle", 404, "no_such_file"),
    "a link to nothing": ("tree/nowhere", 404, "no_such_file"),
    "a hidden file": ("tree/.hidden", 404, "no_such_file"),
    "in a hidden folder": ("tree/.git/config", 404, "no_such_file"),
    "a hidden folder": ("tree/.git/", 404, "no_such_file"),
    "a link to a hidden file": ("tree/to-hidden", 404, "no_such_file"),
    "a pipe": ("tree/pipe", 404, "no_such_file"),
    "a socket": ("tree/socket", 404, "no_such_file"),
    "a device": ("tree/device", 404, "no_such_file"),
    "a name of 300 bytes": (f"tree/{'x' * 300}", 404, "no_such_file"),
    "a path of 8,000 bytes": (f"tree/{'x/' * 4000}x", 404, "no_such_file"),
    "4,000 times ..": (f"tree/{'../' * 2600}x", 400, "malformed_path"),
    "an unknown folder": ("nothing/plain.txt", 404, "unknown_folder"),
    "an unknown folder's listing": ("nothing/", 404, "unknown_folder"),
    "a folder in capitals": ("TREE/plain.txt", 404, "unknown_folder"),
    "a folder that is ..": ("%2e%2e/secret.txt", 404, "unknown_folder"),
    "a folder not UTF-8": ("%ff/plain.txt", 404, "unknown_folder"),
    "a folder with NUL": ("tree%00/plain.txt", 404, "unknown_folder"),
    "an unknown sort": ("tree/?sort=colour", 400, "malformed"),
    "a sort twice down": ("tree/?sort=--name", 400, "malformed"),
    "no sort": ("tree/?sort=", 400, "malformed"),
    "no limit": ("tree/?limit=", 400, "malformed"),
    "a limit of 0": ("tree/?limit=0", 400, "malformed"),
    "a limit of 10,001": ("tree/?limit=10001", 400, "malformed"),
    "a limit below 0": ("tree/?limit=-1", 400, "malformed"),
    "a limit with a sign": ("tree/?limit=%2b5", 400, "malformed"),
    "a limit with an underscore": ("tree/?limit=1_0", 400, "malformed"),
    "a limit that is not ASCII": ("tree/?limit=%D9%A3", 400, "malformed"),
    "a limit that is absurd": (f"tree/?limit={'9' * 5000}", 400, "malformed"),
    "an offset below 0": ("tree/?offset=-1", 400, "malformed"),
    "an offset that is a word": ("tree/?offset=ten", 400, "malformed"),
    "an offset past a milliard": ("tree/?offset=1000000001", 400, "malformed"),
    "an offset that is absurd": (f"tree/?offset={'9' * 5000}", 400, "malformed"),
}


@pytest.mark.parametrize(("path", "status", "error"), PATHS.values(), ids=PATHS.keys())
def test_bad_paths(server, path, status, error):
    answer = server.get(f"/files/{path}")
    assert check(answer, status)["error"] == error
    assert SECRET not in answer.body
    assert len(answer.body) < 1000


@pytest.mark.parametrize(
    "path", ["tree//plain.txt", "tree/sub//inner.txt", "tree//etc/passwd", "tree//", "tree/%2fetc"]
)
def test_double_slashes_are_no_way_to_a_file(server, path):
    """A name of nothing is malformed; what the routing mends is sent back to the mended address."""
    answer = server.get(f"/files/{path}")
    if answer.status == 308:
        mended = f"/files/{unquote(path)}".replace("//", "/")
        assert answer.headers["Location"] == server.url(mended)
    else:
        check(answer, 400)


def test_an_absolute_form_of_the_address_is_checked_too(server):
    for target in (b"/files/tree/..%2fsecret.txt", b"/files/tree/../secret.txt"):
        client = server.send(b"GET http://localhost%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target)
        assert client.recv(4096).startswith(b"HTTP/1.1 400")


# Whatever is asked: never a 5xx, and nothing of what is outside.

SEGMENTS = st.sampled_from(
    ["tree", "sub", "plain.txt", "in", "folder-in", "folder-out", "out", "secret.txt", "..", ".",
     ".hidden", "", "%2e%2e", "%2f", "%00", "%ff", "%0a", "%", "%zz", "\\", "nothing", "pipe"]
)  # fmt: skip
WORDS = st.sampled_from(["sort", "limit", "offset", "download", "x"])
VALUES = st.sampled_from(["name", "-size", "", "0", "1", "-1", "1e3", "%00", "%ff", "9" * 20])
RANGES = st.none() | st.from_regex(r"bytes=[0-9,-]{0,20}", fullmatch=True)


@settings(max_examples=200, suppress_health_check=list(HealthCheck), database=None)
@given(
    segments=st.lists(SEGMENTS, max_size=6),
    words=st.lists(st.tuples(WORDS, VALUES), max_size=3),
    asks=RANGES,
    accept=st.sampled_from(["*/*", "text/html", "application/json", ";;q=x"]),
)
def test_no_question_is_answered_by_a_5xx(server, segments, words, asks, accept):
    query = "&".join(f"{key}={value}" for key, value in words)
    headers = {"Accept": accept} | ({"Range": asks} if asks else {})
    answer = server.get(f"/files/{'/'.join(['tree', *segments])}?{query}", **headers)
    assert answer.status in (200, 206, 308, 400, 404, 416), answer.body
    assert SECRET not in answer.body
    # Whom a page is shown is told as a page what was wrong, too.
    if answer.status >= 400 and accept != "text/html":
        check(answer, answer.status)


def test_nothing_of_all_this_was_a_mistake_of_the_server(server):
    assert "request failed" not in server.log


# After the test above: it asks for what is one.
@pytest.mark.parametrize("zeros", [20, 5000])
def test_zeros_in_front_hide_no_absurd_number(server, zeros):
    answer = server.get(f"/files/tree/?offset={'0' * zeros}{'9' * 3000}")
    assert check(answer, 400)["error"] == "malformed"


# Memory.


def test_many_large_transfers_need_little_memory(server):
    worker = server.worker()
    paths = ["/files/big/big.bin", "/download/big.zip"]
    server.get(paths[0], Range="bytes=0-0")
    before = worker.memory_full_info().pss
    slow = [server.open(path) for path in [*paths, *paths, paths[0]]]
    assert [len(stream.read(100_000)) for stream in slow] == [100_000] * 5
    grown = [0]
    for path in paths:
        curl = server.curl(path, "-o", os.devnull, "-w", "%{size_download}")
        while curl.poll() is None:
            grown.append(worker.memory_full_info().pss - before)
        assert int(curl.stdout.read()) >= BIG_BYTES
    assert max(grown) < MAX_GROWTH_BYTES
