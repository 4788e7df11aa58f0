"""Downloads: they arrive unchanged, at once, and can be resumed."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlencode

from . import remedies
from .findings import Unfit, Wrong
from .site import AGENT, Site, Stream

SMALL_ROWS = 2000
# To record this many rows takes longer than to answer; no more are requested.
LARGE_ROWS, MOST_ROWS = 100_000, 300_000
# The line of a request is in the log within a second.
LOG_S = 3.0
# The most that sockets on the way may hold: 4 MiB to send and 6 to receive, twice.
HELD_BYTES = 20 * 1024 * 1024
# RFC 5737: an address that no client has.
NOBODY = "192.0.2.77"
LOOPBACK = ("127.0.0.1", "::1")
RECORD_S = 10.0
STILL_S = 0.5
ENCODINGS = {"Accept-Encoding": "gzip, br, zstd, deflate"}


class Sample(NamedTuple):
    """A source to download. path: without the format. rows: None if not known without a count."""

    path: str
    rows: int | None

    @property
    def small(self) -> str:
        """The address of an export that is the same as long as the data is."""
        return f"{self.path}.csv?limit={SMALL_ROWS}"

    def large(self, extension: str) -> str:
        """Return the address of an export that does not exist yet. Raises Unfit."""
        if self.rows is None or self.rows < LARGE_ROWS:
            raise Unfit(f"there is no source of {LARGE_ROWS} rows to check with")
        rows = min(self.rows, MOST_ROWS) - random.randrange(LARGE_ROWS // 2)
        return f"{self.path}.{extension}?limit={rows}"


def find_sample(site: Site) -> Sample:
    """Return the largest source that needs no parameters. Raises Unfit."""
    told = site.ask("/sources").check_allowed().json()
    sources = told.get("sources", []) if isinstance(told, dict) else []
    # An unreadable source has an error instead of rows; a denied one has no rows for this token.
    free = [each for each in sources if each.get("parameters") == [] and "denied" not in each]
    if not free:
        raise Unfit("there is no source without parameters to download")
    best = max(free, key=lambda each: each["rows_estimate"] or 0)
    return Sample(best["urls"]["csv"].removesuffix(".csv"), best["rows_estimate"])


def check_download(site: Site) -> str:
    """A small download arrives whole."""
    reply = site.ask(find_sample(site).small).check_allowed()
    if reply.status != 200:
        raise Wrong(f"a download is answered by {reply.describe()}")
    return f"{len(reply.body)} bytes, the first after {reply.first_s * 1000:.0f} ms"


def check_growing(site: Site) -> str:
    """A download begins while it is recorded, which needs HTTP/1.1 all the way to the server."""
    sample = find_sample(site)
    # Twice: on a busy machine the whole export may be recorded by the time of the answer.
    for _ in range(2):
        began_s = time.monotonic()
        with _open_large(site, sample, "csv") as stream:
            seconds = time.monotonic() - began_s
            if stream.headers["Content-Length"] is None:
                return f"begins after {seconds * 1000:.0f} ms, before all is recorded"
    told = f"a download begins when all of it is recorded, after {seconds:.1f} s: HTTP/1.0"
    raise Wrong(told, remedies.HTTP_1_1)


def check_pace(site: Site) -> str:
    """No proxy on the way takes a download in while its client does not read it."""
    ends_s = time.monotonic() + RECORD_S
    with _open_large(site, find_sample(site), "json") as stream:
        address = f"/exports/{stream.headers['Headwater-Export']}"
        # Each has an address of its own, so that no cache answers.
        while (told := _state_of(site, address))["state"] == "running":
            if time.monotonic() > ends_s:
                raise Unfit("the server is too busy to check")
            time.sleep(0.1)
        if told["bytes"] < HELD_BYTES:
            raise Unfit(f"no source is larger than what sockets hold, {HELD_BYTES} bytes")
        time.sleep(STILL_S)
        told = _state_of(site, address)
    if not told["readers"]:
        line = f"all {told['bytes']} bytes were taken in by the proxy, for a client that reads none"
        raise Wrong(line, remedies.UNBUFFERED, remedies.NOT_IGNORED)
    return f"a client that stands still has {told['slowest_reader']} of {told['bytes']} bytes"


def _state_of(site: Site, address: str) -> dict[str, Any]:
    """Return the state of an export. Raises Unfit if there is none."""
    reply = site.ask(f"{address}?doctor={secrets.token_hex(4)}").check_allowed()
    fields = reply.json()
    if reply.status != 200 or not isinstance(fields, dict):
        raise Unfit(f"the state of an export is answered by {reply.describe()}")
    return fields


@contextmanager
def _open_large(site: Site, sample: Sample, extension: str) -> Iterator[Stream]:
    """Yield a download of which nothing is read, and discard its export."""
    address = ""
    try:
        with site.open(sample.large(extension), receive_bytes=8192) as stream:
            if stream.status != 200:
                raise Unfit(f"a download is answered by {stream.status}")
            address = f"/exports/{stream.headers['Headwater-Export']}"
            yield stream
    finally:
        # After the reader is gone: the server logs an export that ends before as an error.
        if address:
            with suppress(OSError, HTTPException):
                site.ask(address, method="DELETE")


def check_resume(site: Site) -> str:
    """The two parts of a cut and resumed transfer are the whole."""
    path = find_sample(site).small
    whole = site.ask(path).check_allowed()
    etag = whole.headers.get("ETag")
    if etag is None or etag.startswith("W/"):
        told = "the ETag is weak" if etag else "the ETag was taken away"
        raise Wrong(f"{told}, so nothing resumes", remedies.UNCOMPRESSED)
    with site.open(path) as stream:
        start = stream.read(len(whole.body) // 2)
    rest = site.ask(path, {"Range": f"bytes={len(start)}-", "If-Range": etag})
    if rest.headers.get("ETag") != etag:
        raise Unfit("the data is changing just now")
    if rest.status != 206:
        told = f"a Range is answered by {rest.status}: it does not arrive"
        raise Wrong(told, remedies.RANGES, remedies.UNCACHED)
    if start + rest.body != whole.body:
        raise Wrong("the parts are not the whole", remedies.UNCACHED)
    return f"{len(start)} + {len(rest.body)} bytes are the {len(whole.body)} of the whole"


def check_compression(site: Site) -> str:
    """No proxy compresses on the way."""
    paths = ["/events/status?poll=1&since=all"]
    with suppress(Unfit):
        paths.append(find_sample(site).small)
    for path in paths:
        encoding = site.ask(path, ENCODINGS).headers.get("Content-Encoding")
        if encoding:
            told = f"{path.partition('?')[0]} is compressed on its way: {encoding}"
            raise Wrong(told, remedies.UNCOMPRESSED)
    return "none is added"


def check_caching(site: Site) -> str:
    """No cache stores answers: each answer has an id of its own."""
    # An address that was never requested: a switch is on whatever its value is.
    path = f"/events/status?poll=1{secrets.token_hex(4)}"
    replies = [site.ask(path).check_allowed() for _ in range(2)]
    first, second = (reply.headers.get("Headwater-Connection") for reply in replies)
    if first is not None and first == second:
        raise Wrong("an answer came twice from a cache", remedies.UNCACHED, remedies.CACHE_CONTROL)
    if "Age" in replies[1].headers:
        raise Wrong("an answer has an Age: a cache is on the way", remedies.UNCACHED)
    return "none"


def check_client(site: Site) -> str:
    """The access log has the right protocol and client address, if the server serves the log."""
    mark = f"{AGENT}/{secrets.token_hex(8)}"
    site.ask("/healthz", {"User-Agent": mark, "X-Forwarded-For": NOBODY})
    seen = _find_in_log(site, mark)
    if seen.get("protocol") == "HTTP/1.0":
        raise Wrong("the server is asked by HTTP/1.0", remedies.HTTP_1_1)
    with site.connect() as sock:
        own, peer = sock.getsockname()[0], sock.getpeername()[0]
    client = str(seen.get("client"))
    if client == NOBODY:
        raise Wrong(
            "the server trusts the addresses that clients claim", remedies.CLIENT, remedies.PROXIES
        )
    # No client reaches a public address from a private one, nor another machine from this one.
    is_foreign = ip_address(peer).is_global or client in LOOPBACK
    if client not in (own, peer) and is_foreign and _is_inner(client):
        told = f"to the server, all clients are at {client}"
        raise Wrong(told, remedies.CLIENT, remedies.PROXIES)
    return f"{client}, {seen.get('protocol')}"


def _is_inner(client: str) -> bool:
    try:
        return not ip_address(client).is_global
    except ValueError:
        return True  # a Unix socket's client has none


def _find_in_log(site: Site, mark: str) -> dict[str, Any]:
    ends_s = time.monotonic() + LOG_S
    # The log line of this search has the text encoded.
    words = urlencode({"plain": 1, "literal": 1, "lines": 1, "grep": f'"agent": "{mark}"'})
    while True:
        reply = site.ask(f"/logs/access?{words}").check_allowed()
        if reply.status != 200:
            raise Unfit("the server shows no log named access")
        if reply.body.strip():
            fields = reply.json()
            return fields if isinstance(fields, dict) else {}
        if time.monotonic() > ends_s:
            raise Unfit("the log named access is not the server's own")
        time.sleep(0.1)
