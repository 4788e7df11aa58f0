"""Goes through a deployed address as clients do, and says what is wrong and how to mend it.

`flask --app wsgi doctor URL`, or `python -m doctor URL` with this folder alone, on any machine: it
imports nothing of ours and only the standard library. It changes nothing on the server, but that it
records two large exports, which it discards, and a small one, which stays as any download does.
examination: all checks in their order, and the command. reach, transfers, feeds, websockets,
limits: the checks. site: the address that is examined. findings: what a check says. remedies: what
to do.
Way in: examine, main.
"""

from .examination import Case, examine, main
from .findings import Finding, Verdict
from .site import Site

__all__ = ["Case", "Finding", "Site", "Verdict", "examine", "main"]
