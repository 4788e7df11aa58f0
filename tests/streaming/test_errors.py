"""Every public error of the floors below has its answer."""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil

import pytest
from flask import Flask, request
from werkzeug.exceptions import BadRequest, BadRequestKeyError, default_exceptions

import encoders.errors
import exports.errors
import journal.errors
import sources.errors
import sources.logs.bytes
import state.errors
import topics.errors
from auth.access import TooMany
from auth.answers import ANSWERS, message_for_client
from exports import exports as exports_module
from exports import runner as runner_module
from exports.errors import QueueFull
from journal import JournalFailed
from sources.errors import BadSelection, MissingAttribute
from streaming.errors import FAILURES, RETRY_AFTER_S, Refusal, register_errors
from topics import NotReady

FLOORS = ("wire", "encoders", "sources", "journal", "topics", "exports", "state")

# Public errors that no request can meet, with the reason.
NEVER_MET = {
    sources.errors.SourceError: "a root: only what is below it is raised",
    journal.errors.JournalError: "a root: only what is below it is raised",
    topics.errors.TopicError: "a root: only what is below it is raised",
    exports.errors.ExportError: "a root: only what is below it is raised",
    sources.errors.FolderError: "a root: only what is below it is raised",
    state.errors.StateError: "a root: only what is below it is raised",
    sources.errors.CatalogueError: "stops the start",
    sources.errors.SampleError: "stops `make run`",
    sources.logs.bytes.AtWork: "the folder is looked at again",
    encoders.errors.EncodeError: "raised in recording processes; it comes as JournalFailed",
    **dict.fromkeys(
        (
            journal.errors.ConditionFailed,
            journal.errors.SequenceConflict,
            journal.errors.StaleProducer,
            journal.errors.TopicClosed,
        ),
        "no request can set a condition yet",
    ),
}


def public_errors():
    """Yield every exception class with a public name that a module of FLOORS defines."""
    for floor in FLOORS:
        package = importlib.import_module(floor)
        for info in pkgutil.walk_packages(package.__path__, f"{floor}."):
            module = importlib.import_module(info.name)
            for name, value in inspect.getmembers(module, inspect.isclass):
                is_ours = issubclass(value, BaseException) and value.__module__ == module.__name__
                if is_ours and not name.startswith("_"):
                    yield value


PUBLIC = sorted(public_errors(), key=lambda kind: kind.__name__)


def test_the_errors_were_found():
    known = {
        "BadSelection",
        "UnsatisfiableRange",
        "JournalFull",
        "QueueFull",
        "NotUtf8",
        "KeyReused",
    }
    assert known <= {kind.__name__ for kind in PUBLIC}


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
def test_every_public_error_has_an_answer_or_a_reason(kind):
    is_answered = any(base in ANSWERS or base is JournalFailed for base in kind.__mro__)
    is_never_met = kind in NEVER_MET or issubclass(kind, encoders.errors.EncodeError)
    assert is_answered != is_never_met, f"{kind.__name__}: auth/answers.py, or NEVER_MET here"


@pytest.fixture
def answer_to():
    """answer_to(error): the response to a request whose handler raises it."""

    def ask(error, **request):
        app = Flask(__name__)
        register_errors(app)

        @app.get("/")
        def fail():
            raise error

        return app.test_client().get("/", **request)

    return ask


def make(kind):
    """Return an error of this kind, whatever it takes."""
    arguments = {
        BadSelection: (["a: is bad", "b: too"],),
        MissingAttribute: ("flights", ["region"]),
        QueueFull: (3,),
        TooMany: ("too_many", "the reason", 7),
    }
    return kind(*arguments.get(kind, ("the reason",)))


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.__name__)
def test_the_answer_to_each_error(answer_to, kind):
    status, code = ANSWERS[kind]
    error = make(kind)
    answer = answer_to(error)
    assert answer.status_code == status
    detail = answer.json.pop("detail")
    assert answer.json["error"] == code
    assert answer.json["message"] == message_for_client(error)
    assert answer.json["status"] == status
    assert detail == ({"problems": ["a: is bad", "b: too"]} if kind is BadSelection else {})


@pytest.mark.parametrize("kind", [state.StateBusy, state.StateFull, state.StateUnusable])
def test_clients_read_no_path_of_the_server(answer_to, caplog, kind):
    path = "/srv/instance/state.db"
    answer = answer_to(kind(f"{path} is locked"))
    assert "/srv" not in answer.text
    assert "state of the server" in answer.json["message"]
    assert f"error={path} is locked" in caplog.text


def test_a_kind_below_one_in_the_table_has_its_answer(answer_to):
    from wire.ranges import UnsatisfiableRange

    assert answer_to(UnsatisfiableRange("no such byte")).json["error"] == "malformed"


def test_what_can_be_tried_again_says_when(answer_to):
    for error in (QueueFull(3), NotReady("the server is starting")):
        assert answer_to(error).headers["Retry-After"] == str(RETRY_AFTER_S)
    assert "Retry-After" not in answer_to(BadSelection(["x"])).headers


@pytest.mark.parametrize(("code", "status"), [*FAILURES.items(), ("anything_else", 503)])
def test_an_export_that_failed_before_its_first_byte(answer_to, code, status):
    answer = answer_to(JournalFailed(code, "the reason"))
    assert (answer.status_code, answer.json["error"]) == (status, code)
    assert answer.json["message"] == "the reason"


def test_the_outcomes_of_the_runner_are_words_of_the_table():
    codes = [
        value.code
        for value in {**vars(exports_module), **vars(runner_module)}.values()
        if isinstance(value, exports_module.Outcome)
    ]
    assert {"cancelled", "abandoned", "interrupted"} == set(codes)
    assert {"cancelled", "abandoned"} <= set(FAILURES)


def test_a_refusal_has_its_detail_and_headers(answer_to):
    answer = answer_to(
        Refusal(416, "no_range", "none", {"size": 3}, {"Content-Range": "bytes */3"})
    )
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */3"
    assert answer.json == {
        "error": "no_range", "message": "none", "status": 416, "detail": {"size": 3}
    }  # fmt: skip


@pytest.mark.parametrize("status", [400, 404, 405, 411, 413, 414, 415, 429, 503])
def test_every_http_error_has_the_one_shape(answer_to, status):
    answer = answer_to(default_exceptions[status]())
    assert answer.status_code == status
    assert set(answer.json) == {"error", "message", "status", "detail"}
    assert answer.json["error"].replace("_", "").isalpha()


def test_a_405_says_what_is_allowed():
    app = Flask(__name__)
    register_errors(app)
    app.get("/")(lambda: "")
    answer = app.test_client().delete("/")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert answer.json["error"] == "method_not_allowed"
    assert answer.json["message"] == "DELETE is not for this address; it takes GET, HEAD, OPTIONS"


@pytest.mark.parametrize("status", [400, 404, 415])
def test_what_werkzeug_says_in_general_is_said_in_our_words(answer_to, status):
    message = answer_to(default_exceptions[status]()).json["message"]
    assert message != default_exceptions[status].description
    assert message.endswith("; GET /openapi.json lists what there is")


def test_a_missing_field_is_said_in_our_words(answer_to):
    message = answer_to(BadRequestKeyError("name")).json["message"]
    assert message == "the request cannot be understood; GET /openapi.json lists what there is"


def test_what_was_said_of_a_request_is_kept(answer_to):
    assert answer_to(BadRequest("no `name` in it")).json["message"] == "no `name` in it"


@pytest.mark.parametrize(("most", "told"), [(65_536, 65_536), (4 * 1024**2 + 1, 4 * 1024**2)])
def test_a_413_says_how_much_there_may_be(most, told):
    app = Flask(__name__)
    register_errors(app)

    @app.post("/")
    def take():
        request.max_content_length = most
        return request.get_data()

    answer = app.test_client().post("/", data=b"x" * (most + 1))
    assert (answer.status_code, answer.json["error"]) == (413, "request_entity_too_large")
    assert answer.json["message"] == f"the body of this request may have {told} bytes"
    assert answer.json["detail"] == {"max_bytes": told}


def test_a_413_names_the_fields_of_a_form():
    app = Flask(__name__)
    register_errors(app)
    app.post("/")(lambda: str(len(request.form)))
    fields = {f"f{n}": "x" for n in range(1001)}
    answer = app.test_client().post("/", data=fields, content_type="multipart/form-data")
    assert answer.status_code == 413
    assert answer.json["message"].endswith(", and 1000 fields")


def test_a_mistake_of_ours_tells_nothing_of_us(answer_to, caplog):
    caplog.set_level(logging.ERROR)
    answer = answer_to(ZeroDivisionError("in /etc/secret"))
    assert (answer.status_code, answer.json["error"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "in /etc/secret" in caplog.text
