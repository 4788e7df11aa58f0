"""Checks that a Headwater answers at the address. If not, no other check is possible."""

from __future__ import annotations

import socket
import ssl
import time
from http.client import HTTPException

from . import remedies
from .findings import Wrong
from .site import Reply, Site


def check_address(site: Site) -> str:
    """The name, the connection and the certificate."""
    began_s = time.monotonic()
    try:
        with site.connect() as sock:
            address = sock.getpeername()[0]
    except socket.gaierror as error:
        raise Wrong(f"the name {site.host} has no address: {error.strerror}", "its DNS") from error
    except ssl.SSLCertVerificationError as error:
        told = f"the certificate is not valid: {error.verify_message}"
        raise Wrong(told, remedies.CERTIFICATE) from error
    except ssl.SSLError as error:
        raise Wrong(f"no TLS is spoken there: {error.reason}", remedies.LISTEN_TLS) from error
    except TimeoutError as error:
        told = f"no answer at port {site.port}"
        raise Wrong(told, "the firewall before it") from error
    except OSError as error:
        line = remedies.LISTEN_TLS if site.is_tls else remedies.LISTEN
        usual = "443" if site.is_tls else "80"
        remedy = line.replace(usual, str(site.port))
        raise Wrong(f"port {site.port} is not open: {error.strerror}", remedy) from error
    return f"{address}, port {site.port}, after {(time.monotonic() - began_s) * 1000:.0f} ms"


def check_health(site: Site) -> str:
    """The server behind the proxy is alive."""
    try:
        reply = site.ask("/healthz")
    except TimeoutError as error:
        raise Wrong("the port is open, but no answer comes", remedies.RUNNING) from error
    except (OSError, HTTPException) as error:
        raise Wrong(f"the answer is not HTTP: {error!r}", remedies.LISTEN) from error
    fields = reply.json()
    if reply.status == 200 and isinstance(fields, dict) and fields.get("status") == "alive":
        return f"alive, after {reply.first_s * 1000:.0f} ms"
    raise _why_not(site, reply)


def check_token(site: Site) -> str:
    """The given token is valid, whatever its scopes."""
    reply = site.ask("/sources")
    refusal = reply.refusal
    if refusal and reply.status == 401:
        raise Wrong(f"the token is refused: {refusal['message']}", remedies.TOKEN)
    return "it is good"


def _why_not(site: Site, reply: Reply) -> Wrong:
    refusal = reply.refusal
    if reply.status == 400 and b"HTTPS port" in reply.body:
        return Wrong(f"TLS is spoken there: examine https://{site.name}")
    if reply.status in (301, 302, 307, 308):
        return Wrong(f"it is elsewhere: examine {reply.headers.get('Location')}")
    if reply.status in (502, 504) or (refusal and refusal["error"] == "not_ready"):
        return Wrong("the proxy does not reach the server", remedies.UPSTREAM, remedies.RUNNING)
    if refusal and reply.status == 403:
        return Wrong(reply.describe(), remedies.TOKEN, remedies.HOST)
    if refusal and refusal["error"] == "deaf":
        return Wrong(reply.describe(), remedies.RUNNING)
    told = f"the server at {site.name} is no Headwater: {reply.describe()}"
    return Wrong(told, remedies.NAME, remedies.PASS)
