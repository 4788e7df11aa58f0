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

import doctor
from access import AccessError, check_scope
from guard import Tokens, TokensUnreadable
from settings import Settings


def register_commands(app: Flask, settings: Settings, problems: Sequence[str]) -> None:
    """Add the commands to app.

    settings: whose instance folder they are about. problems: of the catalogue, which wsgi.py has
    read already.
    """
    app.cli.add_command(_token_commands(Tokens(settings.instance / "tokens.json")))
    app.cli.add_command(_examine)

    @app.cli.command("catalogue")
    def catalogue() -> None:
        """Say what is wrong with the catalogue, a problem a line; then the exit status is 1."""
        for problem in problems:
            click.echo(problem)
        sys.exit(1 if problems else 0)


_UNIT_S = {"m": 60, "h": 3600, "d": 86_400}
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def _token_commands(tokens: Tokens) -> AppGroup:
    group = AppGroup("tokens", help="Make, list and withdraw tokens; a running server follows.")

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
        click.echo(text)

    @group.command("list")
    def show() -> None:
        """List all tokens that were made, without their secrets."""
        with _said():
            tokens.refresh()
        for token in tokens.all():
            state = "good" if token.is_good() else "expired"
            state = "withdrawn" if token.withdrawn_s else state
            made = datetime.fromtimestamp(token.made_s, UTC).strftime("%Y-%m-%d %H:%M")
            more = [f"{key}={value}" for key, value in token.attributes.items()]
            click.echo(" ".join([token.id, token.name, state, made, *token.scopes, *more]))

    @group.command("withdraw")
    @click.argument("token_id")
    def withdraw(token_id: str) -> None:
        """Make the token with this id useless; a running server ends its streams in seconds."""
        with _said():
            token = tokens.withdraw(token_id)
        click.echo(f"withdrawn: {token.id} of {token.name}")

    return group


@contextmanager
def _said() -> Iterator[None]:
    """Say what cannot be done in one line."""
    try:
        yield
    except (TokensUnreadable, AccessError, OSError) as error:
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
    """Go through a deployed address as clients do; say what is wrong and what mends it."""
    sys.exit(doctor.main(words))
