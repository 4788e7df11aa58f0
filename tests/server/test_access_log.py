"""The access log: a line of JSON whatever a client sends, that rotates by itself."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from server import access_log
from server.access_log import make_logger_class

PAGE = Path(__file__).parents[2] / "docs" / "logs.md"

ENVIRON = {
    "REMOTE_ADDR": "127.0.0.1",
    "REQUEST_METHOD": "GET",
    "RAW_URI": "/logs/access?lines=1",
    "SERVER_PROTOCOL": "HTTP/1.1",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "access.log"


@pytest.fixture
def logger(path):
    return make_logger_class(path)(Config())


def log(logger, sent=5, **environ):
    response = SimpleNamespace(status="200 OK", sent=sent)
    logger.access(response, None, {**ENVIRON, **environ}, timedelta(seconds=1.5))
    logger.flush()


def lines_in(path):
    return [json.loads(line) for line in path.read_bytes().decode().split("\n")[:-1]]


def test_a_request_is_a_line(logger, path):
    log(logger, HTTP_USER_AGENT="curl/8", HTTP_REFERER="http://x/")
    (line,) = lines_in(path)
    assert line.pop("time")[-1] == "Z"
    assert line == {
        "id": None,
        "client": "127.0.0.1", "method": "GET", "path": "/logs/access?lines=1",
        "protocol": "HTTP/1.1", "status": 200, "bytes": 5, "seconds": 1.5, "agent": "curl/8",
        "referer": "http://x/",
    }  # fmt: skip


def test_the_fields_are_those_of_the_docs(logger, path):
    log(logger)
    (line,) = lines_in(path)
    told = (
        PAGE.read_text(encoding="utf-8")
        .partition("once it is over: ")[2]
        .partition(". It rotates")[0]
    )
    assert re.findall(r"`(\w+)`", told) == list(line)


INJECTIONS = ['"}\n{"a":"', "\r\n", "\\", "\x00\x1b[2J", "\x85\u2028", "\udcff", "é🌊"]


@pytest.mark.parametrize("text", INJECTIONS, ids=ascii)
def test_nothing_that_a_client_sends_makes_a_line(logger, path, text):
    log(logger, HTTP_USER_AGENT=text, RAW_URI=text)
    (line,) = lines_in(path)
    assert line["path"] == line["agent"]
    assert line["agent"].encode("utf-8", "backslashreplace") in (
        text.encode("utf-8", "backslashreplace"), text.encode("ascii", "backslashreplace"),
    )  # fmt: skip


def test_what_a_client_says_of_itself_is_bounded(logger, path):
    log(logger, HTTP_USER_AGENT="x" * 8000, HTTP_REFERER="y" * 8000)
    (line,) = lines_in(path)
    assert (len(line["agent"]), len(line["referer"])) == (500, 500)


def test_it_rotates_by_itself_and_keeps_a_few(logger, path, monkeypatch):
    monkeypatch.setattr(access_log, "MAX_FILE_BYTES", 1000)
    for _ in range(50):
        log(logger)
    found = sorted(each.name for each in path.parent.iterdir())
    assert found == ["access.log", *(f"access.log.{n}" for n in range(1, 5))]
    assert max(each.stat().st_size for each in path.parent.iterdir()) <= 1000
    assert all(lines_in(each) for each in path.parent.iterdir())


def test_what_was_sent_past_gunicorn_counts(logger, path):
    log(logger, sent=0, **{"headwater.client": SimpleNamespace(sent_bytes=70)})
    assert lines_in(path)[0]["bytes"] == 70


def test_a_connection_that_was_taken_over_is_logged_when_it_ends(logger, path):
    told = logger.begin(ENVIRON)
    assert not path.exists()
    logger.end(told, 2.5)
    logger.flush()
    (line,) = lines_in(path)
    assert (line["status"], line["seconds"], line["bytes"]) == (101, 2.5, None)


def test_a_request_that_never_became_one_is_logged(logger, path):
    response = SimpleNamespace(status="400 Bad Request", sent=0)
    logger.access(response, None, {}, timedelta())
    logger.flush()
    assert lines_in(path)[0]["status"] == 400


def test_off_is_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log(make_logger_class(None)(Config()))
    assert list(tmp_path.iterdir()) == []


def test_where_it_cannot_be_written_is_said_once(tmp_path, capsys):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "access.log").mkdir()
    logger = make_logger_class(tmp_path / "logs" / "access.log")(Config())
    log(logger)
    log(logger)
    assert capsys.readouterr().err.count("access log") == 1


def test_a_disk_that_takes_nothing_holds_nobody_up(tmp_path, monkeypatch, capsys):
    """Opening a FIFO waits for a reader, as a disk that has gone would be waited for."""
    monkeypatch.setattr(access_log, "MAX_WAITING", 3)
    path = tmp_path / "access.log"
    os.mkfifo(path)
    logger = make_logger_class(path)(Config())
    for number in range(10):
        logger.end(json.dumps({"number": number}), 0.0)
    assert capsys.readouterr().err.count("lines are lost") == 1
    with open(path) as file:
        assert json.loads(file.readline())["number"] == 0


def test_usr1_opens_it_anew(logger, path):
    log(logger)
    path.rename(path.with_name("moved"))
    logger.reopen_files()
    log(logger)
    assert len(lines_in(path)) == len(lines_in(path.with_name("moved"))) == 1
