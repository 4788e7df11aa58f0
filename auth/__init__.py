"""Who is there: tokens, signed links, open connections, and how much each may have.

access: which scopes allow what. scopes: what each route requires. tokens: the tokens.
links: signed addresses. secret: the key that signs.
ended_sessions: what was logged out. identity: who asks. origins: whose pages may ask. clients: who
is connected, to be counted and cut. rates: requests a minute. request_scheduler: whose request
begins next. places: what several owners share. native_threads: threads, shared so. unfinished: what
has not come whole. socket_limits: what sockets share. authenticator: all of it in front of one
request. answers: what is said of a refusal, and with every answer.
Knows WSGI, and neither Flask nor Socket.IO nor a green library.
"""

from auth.authenticator import Authenticator
from auth.clients import Clients
from auth.ended_sessions import EndedSessions
from auth.identity import RequestIdentity
from auth.links import Link, Links
from auth.native_threads import NativeThreads
from auth.places import Places
from auth.rates import Rates
from auth.secret import SecretUnusable, read_secret
from auth.socket_limits import SocketLimits
from auth.tokens import Token, Tokens

__all__ = [
    "Authenticator",
    "Clients",
    "EndedSessions",
    "Link",
    "Links",
    "NativeThreads",
    "Places",
    "Rates",
    "RequestIdentity",
    "SecretUnusable",
    "SocketLimits",
    "Token",
    "Tokens",
    "read_secret",
]
