"""Requests made up from /openapi.json against a real server: `make soak`, FUZZ_CASES of them.

schemathesis makes what fits the document and what does not; whatever comes back must be in the
document, by status, media type and schema, and must end. test_openapi.py asks less, each time.
"""

import itertools
import json
import os
import time
from collections import Counter
from contextlib import suppress
from typing import NamedTuple

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from requests.exceptions import InvalidHeader
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from auth.tokens import Tokens
from state import State
from tests.system.server import wait_until

CASES = int(os.environ.get("FUZZ_CASES", "20000"))
# A new seed each time, unless one is given to repeat a run.
SEED = int(os.environ.get("FUZZ_SEED", str(time.time_ns() % 10**6)))
# So many make up a round, in which every operation has its turn.
ROUND = 1000

# No answer takes longer; the report of a source that gives nothing takes the longest.
DEADLINE_S = 25.0
MOST_BYTES = 8 << 20

# Tokens are sent by ourselves: who shows too many that are none is asked to wait.
WITHOUT_TOKENS = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
# The last is for whole bodies, which those of HEAD and of ranges are not.
CHECKS = [
    status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
# Their lines are events.
LIVE = ("/events/{names}", "/logs/{name}")

# `hopeless` fails at its first row, the database of `gone` is removed, `files` is a folder too.
CATALOGUE = """
sources.things = { database = "sqlite:///things.db", table = "things" }
sources.gone = { database = "sqlite:///gone.db", table = "things" }
sources.users = { generate = "users", rows = 300 }
sources.files = { generate = "users", rows = 30 }

[sources.above]
database = "sqlite:///things.db"
query = "select * from things where id > :least"
parameters.least = { type = "int", default = 2 }

[sources.hopeless]
database = "sqlite:///things.db"
query = "select json('no') as i"

[folders.files]
path = "files"

[logs.web]
path = "web.log"

[topics."demo/*"]
durable = true

[topics."quick/*"]
"""

# What there is, put into the document's parameters: by chance alone nothing would be found.
THERE = {
    "source": ["things", "above", "users", "files", "hopeless", "gone"],
    "folder": ["files"],
    "log": ["web"],
    "file": ["things.csv", "above.json.gz", "users.xlsx", "hopeless.csv", "gone.tsv",
             "things.parquet", "things.ndjson.zst", "files.tar.zst", "things.exe"],
    "path": ["plain.txt", "page.html", "below/", "below/data.json", "none", "below", "a%b c.txt"],
    "filename": ["page.css", "icon.svg", "js/live.js", "none.css"],
    "export_id": ["<complete>", "<failed>", "<cancelled>", "0123456789abcdef"],
    "topic": ["demo/a", "quick/b", "status", "logs/web", "exports", "none/x", "demo/*"],
    "names": ["demo/a", "quick/b,demo/*", "logs/web", "*", "demo/a,none/x", "logs/none"],
    "columns": ["id", "t,id", "name", "none"],
    "sort": ["id", "-id,t", "none"],
    "If-Match": ["*", '"none"', 'W/"none"'],
    "If-None-Match": ["*", '"none"', 'W/"none", "x"'],
}  # fmt: skip
ORDERS = {
    "source": THERE["source"],
    "columns": THERE["columns"],
    "sort": THERE["sort"],
    "limit": ["3", "0", "x"],
    "excel": ["0", "1", "x"],
}
LINKED = ["/download/things.csv?limit=1", "/files/files/plain.txt", "/exports", "/none", "//x"]
RANGE = "^bytes=[0-9]{0,3}-[0-9]{0,4}(, ?[0-9]{0,3}-[0-9]{0,4}){0,3}$"
FILTERS = {
    "type": "object",
    "maxProperties": 3,
    "additionalProperties": False,
    "properties": {
        "id__gt": {"type": "string", "pattern": "^[0-9]{1,3}$"},
        "id__in": {"enum": ["1,2", "7", ""]},
        "t__like": {"type": "string", "maxLength": 5},
        "b__null": {"enum": ["0", "1", "2"]},
        "least": {"enum": ["0", "99", "x"]},
    },
}
JSON = "application/json"
SCOPES = {"admin": ["admin"], "reader": ["read:things", "read:files", "subscribe:demo/*"]}
ACCEPTED = [
    "", "*/*", "application/json", "text/html", "text/html,*/*;q=0.8", "application/x-ndjson",
    "text/event-stream", "text/plain", "image/png", "text/html;q=2, ;", "application/json;q=0",
]  # fmt: skip


def with_what_there_is(document):
    """Return the document with parameters that can be found, and an order that can be filled."""
    parameters, schemas = (document["components"][kind] for kind in ("parameters", "schemas"))
    for name, values in THERE.items():
        parameters[name]["schema"] = {"enum": values}
    parameters["Range"]["schema"] = {"type": "string", "pattern": RANGE}
    parameters["filters"]["schema"] = FILTERS
    for order in (schemas["Order"], schemas["OrderForm"]):
        order["properties"] |= {name: {"enum": values} for name, values in ORDERS.items()}
        order["additionalProperties"] = False
    schemas["NewLink"]["properties"]["url"] = {"enum": LINKED}
    return document


class Manner(NamedTuple):
    """How something is asked. token: whose, "" for none. is_odd: by HEAD, or as another type."""

    accept: str
    token: str
    is_odd: bool


MANNERS = st.builds(
    Manner,
    st.sampled_from(ACCEPTED),
    st.sampled_from(["admin"] * 7 + ["reader", "reader", ""]),
    st.sampled_from([False] * 9 + [True]),
)


class Fuzz:
    """Asks a server. asked: how many answers there were; answered: of each operation and status.

    problems: an example of each, with what was asked.
    """

    def __init__(self, server, tokens):
        self.asked = 0
        self.answered = Counter()
        self.problems = {}
        self._server = server
        self._tokens = tokens
        self._session = requests.Session()
        document = with_what_there_is(self._session.get(server.url("/openapi.json")).json())
        self._events = jsonschema_rs.validator_for(
            {"components": document["components"], "$ref": "#/components/schemas/Event"}
        )
        schema = schemathesis.openapi.from_dict(document, config=WITHOUT_TOKENS)
        self._operations = [each.ok() for each in schema.get_all_operations()]
        self._exports = {}

    def run(self, cases, number):
        """Ask about so many: more of who takes more. number: the seed; the same asks the same."""
        weights = [2 + 3 * len(takes(each)) for each in self._operations]
        for operation, weight in zip(self._operations, weights, strict=True):
            share = max(3, cases * weight // sum(weights))
            modes = [GenerationMode.POSITIVE, *[GenerationMode.NEGATIVE] * bool(takes(operation))]
            for mode in modes:
                strategy = operation.as_strategy(generation_mode=mode)
                self._ask_many(strategy, share // len(modes), number)

    def _ask_many(self, strategy, cases, number):
        @seed(number)
        @settings(
            max_examples=cases,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy, MANNERS)
        def ask_each(case, manner):
            self.ask(case, manner)

        # Where any text fits, there is nothing that does not.
        with suppress(Unsatisfiable):
            ask_each()

    def ask(self, case, manner):
        """Ask one, and note what is wrong with the answer."""
        sent = self._request_of(case, manner)
        try:
            answer = self._answer_to(sent)
            self.asked += 1
            self.answered[case.operation.label, answer.status_code] += 1
            is_whole = sent["method"] != "HEAD" and answer.status_code != 206
            case.validate_response(answer, checks=CHECKS if is_whole else CHECKS[:-1])
            if case.operation.path in LIVE and "ndjson" in answer.headers["Content-Type"]:
                for line in answer.content.splitlines():
                    self._events.validate(json.loads(line))
        except InvalidHeader:
            return
        except (OSError, ValueError) as error:
            self._note(case, sent, f"{type(error).__name__}: {error}")
        except BaseExceptionGroup as group:
            for error in group.exceptions:
                self._note(case, sent, f"{type(error).__name__}: {error}")

    def _request_of(self, case, manner):
        sent = case.as_transport_kwargs(base_url=self._server.base)
        headers = sent["headers"] = dict(sent.get("headers") or {})
        if manner.accept:
            headers["Accept"] = manner.accept
        if manner.token:
            headers["Authorization"] = f"Bearer {self._tokens[manner.token]}"
        if manner.is_odd and case.method == "GET":
            sent["method"] = "HEAD"
        elif manner.is_odd and "Content-Type" in headers:
            headers["Content-Type"] = "text/plain"
        # What has slashes in it is sent with them; but `requests` would follow /../ by itself.
        with_slashes = sent["url"].replace("%2F", "/")
        if "/." not in with_slashes:
            sent["url"] = with_slashes
        for state in ("complete", "failed", "cancelled"):
            mark = f"%3C{state}%3E"
            if mark in sent["url"]:
                sent["url"] = sent["url"].replace(mark, self._export(state, case.method))
        # What never ends is for other tests.
        if case.operation.label == "GET /events/{names}":
            sent["params"] = {**(sent.get("params") or {}), "poll": "1"}
        if case.operation.label == "GET /logs/{name}":
            sent["params"] = {**(sent.get("params") or {}), "follow": "0"}
        return sent

    def _export(self, state, method):
        """Return the id of an export in this state; another one once it was discarded."""
        admin = {"Authorization": f"Bearer {self._tokens['admin']}"}
        if state not in self._exports:
            source = "hopeless" if state == "failed" else "things"
            order = json.dumps({"source": source, "format": "csv", "limit": len(self._exports) + 1})
            told = self._server.get("/exports", "POST", order, Content_Type=JSON, **admin).json()
            address = f"/exports/{told['id']}"
            if state == "cancelled":
                self._server.get(address, "DELETE", **admin)
            wait_until(lambda: self._server.get(address, **admin).json()["ended"], "it ends", 30)
            self._exports[state] = told["id"]
        return self._exports.pop(state) if method == "DELETE" else self._exports[state]

    def _answer_to(self, sent):
        """Return the answer, read to its end. Raises TimeoutError when there is none."""
        ends_s = time.monotonic() + DEADLINE_S
        answer = self._session.request(
            **sent, stream=True, timeout=DEADLINE_S, allow_redirects=False
        )
        body = b""
        for chunk in answer.iter_content(65536):
            body += chunk
            if time.monotonic() > ends_s or len(body) > MOST_BYTES:
                answer.close()
                raise TimeoutError("the answer does not end")
        # Where `requests` keeps what it has read by itself.
        answer._content = body
        return answer

    def _note(self, case, sent, problem):
        key = case.operation.label, problem.partition("\n")[0][:100]
        self.problems.setdefault(key, f"{problem}\n{ {**sent, 'headers': dict(sent['headers'])} }")

    def told(self):
        """Return the figures of all operations, a line each."""
        lines = {}
        for (label, status), count in sorted(self.answered.items()):
            lines.setdefault(label, []).append(f"{status}: {count}")
        return "\n".join(f"{label}  {', '.join(counts)}" for label, counts in lines.items())


def takes(operation):
    """Return what an operation takes: its parameters and bodies."""
    return [*operation.iter_parameters(), *operation.body]


def lay_files(folder):
    """Put there what the catalogue names besides databases."""
    (folder / "files" / "below").mkdir(parents=True)
    for name in ("plain.txt", "page.html", "below/data.json", "a%b c.txt"):
        (folder / "files" / name).write_text("[1, 2]\n")
    (folder / "web.log").write_text("".join(f"GET /{i} 200\n" for i in range(500)))


@pytest.fixture
def fuzz(tmp_path, launch):
    """A Fuzz on a server that has a little of everything."""
    folder = tmp_path / "0"
    lay_files(folder)
    gone = folder / "gone.db"
    gone.symlink_to("things.db")
    server = launch(catalogue=CATALOGUE).wait_until_it_answers()
    gone.unlink()
    tokens = Tokens(State(server.instance))
    made = {name: tokens.add(name, scopes, {}) for name, scopes in SCOPES.items()}
    wait_until(lambda: server.get("/exports").status == 401, "it asks for tokens")
    yield Fuzz(server, made)
    assert "request failed" not in server.log
    assert "Traceback" not in server.log


def check(fuzz):
    """Fail with every problem that was found."""
    print(f"{fuzz.asked} answers\n{fuzz.told()}")
    told = "\n\n".join(fuzz.problems.values())
    assert not told, told


def test_every_answer_is_in_the_document_many_times(fuzz):
    print(f"FUZZ_SEED={SEED}")
    for number in itertools.count(SEED):
        if fuzz.asked >= CASES:
            break
        fuzz.run(ROUND, number)
    check(fuzz)
