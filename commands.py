"""The commands of `flask --app wsgi`. They run beside a server or without one, and start nothing.

Way in: register_commands, called by wsgi.py.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import click
from flask import Flask
from flask.cli import AppGroup

from auth import Token, Tokens
from auth.access import BARE, AccessError, check_scope
from deploy import doctor
from settings import Settings
from sources.catalogue.catalogue import load_catalogue, sample_catalogue
from sources.errors import CatalogueError
from state import State, StateError

# The command that prints the problems of the catalogue.
CHECK = "catalogue"


def register_commands(app: Flask, settings: Settings, problems: Sequence[str]) -> None:
    """Add the commands to app.

    settings: name the instance folder and the catalogue. problems: of the catalogue, which wsgi.py
    has already read.
    """
    app.cli.add_command(_token_commands(settings))
    app.cli.add_command(_examine)

    @app.cli.command(CHECK)
    def catalogue() -> None:
        """Print the problems of the catalogue, one a line; with any, the exit status is 1."""
        for problem in problems:
            click.echo(problem)
        sys.exit(1 if problems else 0)


# The columns of `tokens list`; times are UTC.
HEADER = ("id", "name", "made", "expires", "withdrawn", "scopes", "attributes")

_UNIT_S = {"m": 60, "h": 3600, "d": 86_400}
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def _token_commands(settings: Settings) -> AppGroup:
    tokens = Tokens(State(settings.instance))
    group = AppGroup(
        "tokens", help="Make, list and withdraw tokens; a running server takes the changes over."
    )

    @group.command("add")
    @click.argument("name")
    @click.option("--scope", "scopes", multiple=True, required=True, help="read:flights, admin, …")
    @click.option("--attribute", "attributes", multiple=True, help="region=EU, for `where`")
    @click.option("--expires", help="30d, 12h, 90m; without it, never")
    def add(
        name: str, scopes: tuple[str, ...], attributes: tuple[str, ...], expires: str | None
    ) -> None:
        """Make a token for NAME and print it: it is shown only now."""
        if not re.fullmatch(r"[A-Za-z0-9_.@-]{1,64}", name):
            raise click.BadParameter("a name is 1 to 64 letters, digits and _ . @ -")
        try:
            checked = [check_scope(scope) for scope in scopes]
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
        with _said():
            text = tokens.add(name, checked, _pairs_of(attributes), _end_of(expires))
        for scope in _idle_ones(checked, settings):
            click.echo(f"warning: the catalogue has nothing that {scope} is for", err=True)
        click.echo(text)

    @group.command("list")
    def show() -> None:
        """List all tokens that were made, without their secrets."""
        with _said():
            tokens.refresh()
        rows = [HEADER, *map(_row_of, tokens.all())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            click.echo("  ".join(cells).rstrip())

    @group.command("withdraw")
    @click.argument("token_id")
    def withdraw(token_id: str) -> None:
        """Withdraw the token with this id; a running server ends its streams in seconds."""
        with _said():
            token = tokens.withdraw(token_id)
        click.echo(f"withdrawn: {token.id} of {token.name}")

    return group


def _row_of(token: Token) -> tuple[str, ...]:
    """Return the row of a token under HEADER."""
    times = map(_shown, (token.made_s, token.expires_s, token.withdrawn_s))
    pairs = ",".join(f"{key}={value}" for key, value in token.attributes.items())
    return token.id, token.name, *times, ",".join(token.scopes), pairs or "-"


def _shown(time_s: float | None) -> str:
    if time_s is None:
        return "-"
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _idle_ones(scopes: Sequence[str], settings: Settings) -> list[str]:
    """Return the scopes whose one name is not in the catalogue.

    Return none if it cannot be read: the command that checks it says why.
    """
    try:
        if settings.catalogue is None:
            catalogue = sample_catalogue(settings.instance)
        else:
            catalogue = load_catalogue(settings.catalogue)
    except CatalogueError:
        return []
    topics = {*catalogue.topics, *(f"logs/{log}" for log in catalogue.logs)}
    known = {
        # The downloads of the original contract are of `users`, whatever the catalogue has.
        "read": {*catalogue.sources, *catalogue.folders, "users"},
        "subscribe": {*topics, "status", "exports", "exports/*"},
        "publish": {*topics, "broadcast"},
    }

    def is_idle(scope: str) -> bool:
        action, _, name = scope.partition(":")
        if scope in BARE or name.endswith("*"):
            return False
        return not any(_covers(pattern, name) for pattern in known[action])

    return [scope for scope in scopes if is_idle(scope)]


def _covers(pattern: str, name: str) -> bool:
    return name == pattern or (pattern.endswith("/*") and name.startswith(pattern[:-1]))


@contextmanager
def _said() -> Iterator[None]:
    """End a command that fails with a message of one line."""
    try:
        yield
    except (StateError, AccessError) as error:
        raise click.ClickException(str(error)) from error


def _pairs_of(texts: Sequence[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts if "=" in text)
    if len(pairs) < len(texts) or not all(map(_ATTRIBUTE.fullmatch, pairs)):
        raise click.BadParameter("an attribute is name=value, each name once")
    return pairs


def _end_of(text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if not found:
        raise click.BadParameter("--expires is a number and m, h or d: 90m, 12h, 30d")
    return time.time() + int(found[1]) * _UNIT_S[found[2]]


@click.command("doctor", add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def _examine(words: tuple[str, ...]) -> None:
    """Examine a deployed address as clients use it; print problems and their remedies."""
    sys.exit(doctor.main(words))
