"""The commands of `flask --app wsgi`, as somebody types them: what they print, and where."""

import re

import pytest
from flask import Flask

from auth import Tokens
from commands import HEADER, register_commands
from settings import Settings
from state import State

CATALOGUE = """
[sources.users]
generate = "users"
rows = 1
[sources.orders]
generate = "users"
rows = 1
[folders.papers]
path = "papers"
[logs.web]
path = "web.log"
[topics.alerts]
[topics."shop/*"]
"""


@pytest.fixture
def type_in(tmp_path):
    """type_in(*words): what a command of a server with CATALOGUE says, and its exit status."""
    catalogue = tmp_path / "headwater.toml"
    catalogue.write_text(CATALOGUE)
    app = Flask("app")
    settings = Settings(catalogue=catalogue, instance=tmp_path / "instance")
    register_commands(app, settings, ["orders: a problem", "web: another"])
    return lambda *words: app.test_cli_runner().invoke(args=list(words))


def rows_of(said):
    """Return what `tokens list` says, a dictionary a token."""
    head, *lines = [re.split(r" {2,}", line) for line in said.stdout.splitlines()]
    assert tuple(head) == HEADER
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_the_catalogues_problems_are_printed_once(type_in):
    said = type_in("catalogue")
    assert (said.exit_code, said.stderr) == (1, "")
    assert said.stdout.splitlines() == ["orders: a problem", "web: another"]


def test_without_tokens_the_list_is_its_header(type_in):
    assert rows_of(type_in("tokens", "list")) == []


def test_the_list_shows_all_but_the_secret(type_in):
    add = ("tokens", "add", "ann", "--scope", "read:orders", "--scope", "publish:shop/*")
    text = type_in(*add, "--expires", "30d", "--attribute", "region=EU").stdout.strip()
    token_id, secret = text.split("_", 2)[1:]
    said = type_in("tokens", "list")
    (row,) = rows_of(said)
    assert secret not in said.output
    assert (row["id"], row["name"], row["withdrawn"]) == (token_id, "ann", "-")
    assert (row["scopes"], row["attributes"]) == ("read:orders,publish:shop/*", "region=EU")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", row["expires"])
    assert row["made"] < row["expires"]
    type_in("tokens", "withdraw", token_id)
    (row,) = rows_of(type_in("tokens", "list"))
    assert row["withdrawn"] >= row["made"]


def test_one_that_never_expires_says_so(type_in):
    type_in("tokens", "add", "ann", "--scope", "admin")
    (row,) = rows_of(type_in("tokens", "list"))
    assert (row["expires"], row["attributes"]) == ("-", "-")


KNOWN = (
    "admin", "metrics", "read:orders", "read:papers", "read:users", "read:*", "read:nothing*",
    "subscribe:alerts", "subscribe:shop/a/b", "subscribe:shop/*", "subscribe:logs/web",
    "subscribe:status", "subscribe:exports", "subscribe:exports/0123", "publish:alerts",
    "publish:shop/a", "publish:broadcast",
)  # fmt: skip
UNKNOWN = (
    "read:nosuchsource", "read:alerts", "subscribe:orders", "subscribe:shop", "subscribe:logs/app",
    "publish:alert", "publish:status", "subscribe:broadcast",
)  # fmt: skip


@pytest.mark.parametrize("scope", KNOWN)
def test_a_scope_for_what_there_is(type_in, scope):
    assert type_in("tokens", "add", "ann", "--scope", scope).stderr == ""


@pytest.mark.parametrize("scope", UNKNOWN)
def test_a_scope_for_nothing_is_a_warning_beside_the_token(type_in, tmp_path, scope):
    said = type_in("tokens", "add", "ann", "--scope", scope, "--scope", "read:orders")
    assert said.exit_code == 0
    assert said.stderr == f"warning: the catalogue has nothing that {scope} is for\n"
    assert re.fullmatch(r"hw_[0-9a-f]{12}_\S{43}\n", said.stdout)
    tokens = Tokens(State(tmp_path / "instance"))
    tokens.refresh()
    assert tokens.find(said.stdout.strip()).scopes == (scope, "read:orders")


def test_without_a_catalogue_that_can_be_read_nothing_is_warned_of(type_in, tmp_path):
    for text in ("[sources.a\n", "[sources.a]\n"):
        (tmp_path / "headwater.toml").write_text(text)
        assert type_in("tokens", "add", "ann", "--scope", "read:nosuchsource").stderr == ""
    (tmp_path / "headwater.toml").unlink()
    assert type_in("tokens", "add", "ann", "--scope", "read:nosuchsource").stderr == ""
