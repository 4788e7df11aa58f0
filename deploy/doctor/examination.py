"""All checks in their order, and the command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path

from .feeds import check_events, check_heartbeats
from .findings import Finding, Unfit, Verdict, Wrong
from .limits import check_body, check_head
from .reach import check_address, check_health, check_token
from .site import Site
from .transfers import (
    check_caching,
    check_client,
    check_compression,
    check_download,
    check_growing,
    check_pace,
    check_resume,
)
from .websockets import check_origin, check_socket_io, check_websocket

SLOW_S = 75.0
QUIET = "quiet-feed"

HELP = "Examine a deployed address as clients use it; print problems and their remedies."

# Not HEADWATER_…: those names are the server's, which refuses unknown ones.
VARIABLE = "DOCTOR_TOKEN"

Check = Callable[[Site], str]

# If one of these fails, there is nothing to examine.
FIRST: dict[str, Check] = {"address": check_address, "server": check_health}
# Only if a token is given: otherwise checks that need one are skipped.
TOKEN: dict[str, Check] = {"token": check_token}
REST: dict[str, Check] = {
    "seen-as": check_client,
    "download": check_download,
    "growing": check_growing,
    "pace": check_pace,
    "resume": check_resume,
    "compression": check_compression,
    "cache": check_caching,
    "events": check_events,
    "websocket": check_websocket,
    "origin": check_origin,
    "socket.io": check_socket_io,
    "long-address": check_head,
    "large-body": check_body,
}


@dataclass(frozen=True)
class Case:
    """The options of an examination.

    token: one that may read and follow. hold_s: how long a quiet feed is held, 0: not at all. only:
    the names of checks; all if empty.
    """

    url: str
    token: str | None = None
    hold_s: float = 0.0
    only: Sequence[str] = ()


def examine(case: Case) -> Iterator[Finding]:
    """Yield the finding of each check, as soon as it ends. Raises ValueError for a bad address."""
    site = Site.parse(case.url, case.token)
    first = FIRST | TOKEN if case.token else FIRST
    for name, check in first.items():
        finding = _run(name, check, site)
        yield finding
        if finding.verdict is not Verdict.OK:
            return
    rest: dict[str, Check] = {**REST, QUIET: partial(check_heartbeats, hold_s=case.hold_s)}
    for name in case.only or rest:
        yield _run(name, rest[name], site)


def _run(name: str, check: Check, site: Site) -> Finding:
    try:
        return Finding(name, Verdict.OK, check(site))
    except Unfit as error:
        return Finding(name, Verdict.SKIPPED, str(error))
    except Wrong as error:
        return Finding(name, Verdict.WRONG, str(error), error.remedies)
    except (OSError, HTTPException) as error:
        return Finding(name, Verdict.WRONG, f"it was cut: {error!r}")


def main(words: Sequence[str]) -> int:
    """Examine the address of the command line, print a line a check, return the exit status."""
    parser = argparse.ArgumentParser(prog="doctor", description=HELP)
    parser.add_argument("url", help="as clients have it: https://headwater.example")
    parser.add_argument(
        "--token-file", metavar="FILE",
        help=f"with a token that may read, and subscribe to status; - is the standard"
        f" input; without it, the token is in {VARIABLE}",
    )  # fmt: skip
    parser.add_argument("--token", help="the token itself, which the list of processes then shows")
    parser.add_argument(
        "--slow", nargs="?", type=float, const=SLOW_S, default=0.0, metavar="SECONDS",
        help="hold a quiet feed as well, for 75 s or so many",
    )  # fmt: skip
    parser.add_argument(
        "--only", nargs="+", choices=[*REST, QUIET], default=(), metavar="CHECK",
        help="of " + ", ".join([*REST, QUIET]),
    )  # fmt: skip
    told = parser.parse_args(words)
    try:
        Site.parse(told.url)
        token = told.token or _token_of(told.token_file)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if told.token:
        print(f"doctor: the list of processes shows --token: use {VARIABLE}", file=sys.stderr)
    try:
        return report(Case(told.url, token, told.slow, told.only), partial(print, flush=True))
    except BrokenPipeError:
        # The reader of the output, such as `head`, has closed it. At its end Python would write
        # there once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _token_of(file: str | None) -> str | None:
    """Return the token in the file, else in the environment, None if there is none.

    file: "-" for the standard input. Raises OSError, and ValueError for a text that cannot be a
    token.
    """
    if file is None:
        text = os.environ.get(VARIABLE, "")
    elif file == "-":
        text = sys.stdin.readline()
    else:
        text = Path(file).read_text(encoding="utf-8", errors="replace")
    token = text.strip()
    if (file is not None and not token) or not (token.isascii() and "\n" not in token):
        raise ValueError(f"there is no token in {file or VARIABLE}")
    return token or None


def report(case: Case, show: Callable[[str], object]) -> int:
    """Print each finding; return 1 if something is wrong, else 0."""
    wrong = 0
    for finding in examine(case):
        show(str(finding))
        wrong += finding.verdict is Verdict.WRONG
    return 1 if wrong else 0
