"""Who is there: tokens, signed links, open connections, and how much each may have.

tokens: the file of tokens. links: signed addresses. secret: the key that signs. private_file: how
these are written. ended_sessions: what was logged out. visit: who asks. clients: who is connected,
to be counted and cut. rates: requests a minute. turns: whose request begins next. places: what
owners share. threads: native ones, shared so. unfinished: what has not come whole. hearing: what
sockets share. gate: all of it in front of one request. answers: what is said of a refusal, and with
every answer.
Knows WSGI, and neither Flask nor Socket.IO nor a green library; what may be done is access.py's.
"""

from guard.clients import Clients
from guard.ended_sessions import EndedSessions
from guard.gate import Gate
from guard.hearing import Hearing
from guard.links import Link, Links
from guard.places import Places
from guard.rates import Rates
from guard.secret import SecretUnusable, read_secret
from guard.threads import NativeThreads
from guard.tokens import Token, Tokens, TokensUnreadable
from guard.visit import Visit

__all__ = [
    "Clients",
    "EndedSessions",
    "Gate",
    "Hearing",
    "Link",
    "Links",
    "NativeThreads",
    "Places",
    "Rates",
    "SecretUnusable",
    "Token",
    "Tokens",
    "TokensUnreadable",
    "Visit",
    "read_secret",
]
