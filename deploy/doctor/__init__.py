"""Examines a deployed address as clients use it, and prints problems and their remedies.

`flask --app wsgi doctor URL`, or `python -m doctor URL` with this folder alone, on any machine: it
imports only the standard library, nothing of Headwater. It changes nothing on the server, except
that it records two large exports, which it discards, and a small one, which stays as any download
does. examination: all checks in their order, and the command. reach, transfers, feeds, websockets,
limits: the checks. site: the address that is examined. findings: the results of checks. remedies:
lines that solve problems. Way in: examine, main.
"""

from .examination import Case, examine, main
from .findings import Finding, Verdict
from .site import Site

__all__ = ["Case", "Finding", "Site", "Verdict", "examine", "main"]
