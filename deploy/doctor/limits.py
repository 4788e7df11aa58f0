"""The size of requests that pass the proxy, so that only the server's limits apply."""

from __future__ import annotations

from . import remedies
from .findings import Unfit, Wrong
from .site import Site

# The largest body that one request publishes.
BODY_BYTES = 4 * 1024 * 1024
# The length of a selection of hundreds of values.
ADDRESS_BYTES = 8000
JSON = {"Content-Type": "application/json"}


def check_body(site: Site) -> str:
    """The largest publication arrives. It is white space, which the server itself refuses."""
    try:
        reply = site.ask("/events/doctor", JSON, method="POST", body=b" " * BODY_BYTES)
    except ConnectionError as error:
        raise Unfit(f"the connection was ended while it was sent: {error}") from error
    if reply.status == 413 and reply.refusal is None:
        raise Wrong(f"{BODY_BYTES} bytes are more than the proxy takes", remedies.BODY)
    if reply.refusal is None:
        raise Wrong(f"{BODY_BYTES} bytes are answered by {reply.describe()}", remedies.BODY)
    return f"{BODY_BYTES} bytes arrive"


def check_head(site: Site) -> str:
    """A long address arrives."""
    path = "/healthz?doctor="
    reply = site.ask(path + "x" * (ADDRESS_BYTES - len(path)))
    if reply.status != 200:
        told = f"an address of {ADDRESS_BYTES} bytes is answered by {reply.describe()}"
        raise Wrong(told, remedies.HEAD)
    return f"an address of {ADDRESS_BYTES} bytes arrives"
