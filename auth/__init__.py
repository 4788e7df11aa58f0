"""Which client sends a request, what it may do, and how much at once.

access: scopes, principals, and the decision about them. scopes: what each route requires. tokens:
the tokens of this server. links: signed addresses. ended_sessions: browser sessions that were
logged out. secret: the key that signs. origins: which pages may send requests. credentials: finds
the identity of a request. identity: the identity of a request. clients: connections, to be counted
and cut. rates: requests a minute. request_scheduler: which request begins next. places: a fixed
number of places that quota keys share. native_threads: native threads that are shared in the same
way. authenticator: checks each request with all of these. answers: the answer to a refusal, and the
headers of every answer. Knows WSGI, and neither Flask nor Socket.IO nor a green library.
"""

from auth.authenticator import Authenticator
from auth.clients import Clients
from auth.credentials import Credentials
from auth.ended_sessions import EndedSessions
from auth.identity import RequestIdentity
from auth.links import Link, Links
from auth.native_threads import NativeThreads
from auth.places import Places
from auth.rates import Rates
from auth.secret import SecretUnusable, read_secret
from auth.tokens import Token, Tokens

__all__ = [
    "Authenticator",
    "Clients",
    "Credentials",
    "EndedSessions",
    "Link",
    "Links",
    "NativeThreads",
    "Places",
    "Rates",
    "RequestIdentity",
    "SecretUnusable",
    "Token",
    "Tokens",
    "read_secret",
]
