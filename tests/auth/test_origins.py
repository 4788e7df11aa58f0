"""Whose pages may ask: table of origins, with proxies in front and with a list of others."""

import pytest

from auth.origins import Origins, is_loopback, is_loopback_host

ORIGINS = {
    "no browser": ({}, True),
    "the same": ({"HTTP_ORIGIN": "http://example.com"}, True),
    "another host": ({"HTTP_ORIGIN": "http://example.org"}, False),
    "another port": ({"HTTP_ORIGIN": "http://example.com:8080"}, False),
    "another scheme": ({"HTTP_ORIGIN": "https://example.com"}, False),
    "a file or a sandbox": ({"HTTP_ORIGIN": "null"}, False),
    "none": ({"HTTP_ORIGIN": ""}, False),
    "behind a proxy that speaks TLS": (
        {"HTTP_ORIGIN": "https://example.com", "HTTP_X_FORWARDED_PROTO": "https"},
        True,
    ),
    "behind two proxies": (
        {
            "HTTP_ORIGIN": "https://a.example",
            "HTTP_X_FORWARDED_PROTO": "https, http",
            "HTTP_X_FORWARDED_HOST": "a.example, b.example",
        },
        True,
    ),
}


def fetched(site, mode="no-cors", dest="image", **more):
    """Return what a browser that speaks of no Origin says."""
    said = {"SITE": site, "MODE": mode, "DEST": dest}
    return {f"HTTP_SEC_FETCH_{key}": value for key, value in said.items()} | more


FETCHED = {
    "an image of our own page": (fetched("same-origin"), True),
    "an address that was typed": (fetched("none", "navigate", "document"), True),
    "an image of another site's page": (fetched("cross-site"), False),
    "a script of another port's page": (fetched("same-site", dest="script"), False),
    "a prefetch": (fetched("cross-site", dest="empty"), False),
    "a word that is new": (fetched("far-away"), False),
    "a link that a person opened": (fetched("cross-site", "navigate", "document"), True),
    "a link of a sibling site": (fetched("same-site", "navigate", "document"), True),
    "a frame": (fetched("cross-site", "navigate", "iframe"), False),
    "a form": (fetched("cross-site", "navigate", "document", REQUEST_METHOD="POST"), False),
    "a page loaded ahead": (
        fetched("cross-site", "navigate", "document", HTTP_SEC_PURPOSE="prefetch;prerender"),
        False,
    ),
    "our origin": (fetched("same-origin", "cors", HTTP_ORIGIN="http://example.com"), True),
}


@pytest.mark.parametrize(("change", "may"), FETCHED.values(), ids=FETCHED.keys())
def test_what_other_sites_embed_is_not_asked_by_a_person(change, may):
    environ = {"HTTP_HOST": "example.com", "wsgi.url_scheme": "http", "REQUEST_METHOD": "GET"}
    assert Origins().allow(environ | change) is may


@pytest.mark.parametrize(("change", "may"), ORIGINS.values(), ids=ORIGINS.keys())
def test_pages_of_the_same_origin_may_ask(change, may):
    environ = {"HTTP_HOST": "example.com", "wsgi.url_scheme": "http"} | change
    assert Origins().allow(environ) is may


def test_other_sites_may_when_they_are_listed():
    environ = {"HTTP_HOST": "example.com", "wsgi.url_scheme": "http"}
    origins = Origins(("https://friend.example",))
    assert origins.allow(environ | {"HTTP_ORIGIN": "https://friend.example"})
    assert origins.allow(environ | {"HTTP_ORIGIN": "http://example.com"})
    assert not origins.allow(environ | {"HTTP_ORIGIN": "https://friend.example.org"})


HOSTS = {
    "localhost": True,
    "LOCALHOST.": True,
    "a.localhost": True,
    "127.0.0.1": True,
    "127.8.9.10": True,
    "::1": True,
    "0.0.0.0": False,
    "192.168.1.1": False,
    "localhost.example.com": False,
    "example.com": False,
    "127.0.0.1.nip.example": False,
    "": False,
}


@pytest.mark.parametrize(("host", "is_ours"), HOSTS.items(), ids=HOSTS.keys())
def test_what_only_this_machine_reaches(host, is_ours):
    assert is_loopback(host) is is_ours


def test_the_port_of_a_host_does_not_matter():
    assert is_loopback_host({"HTTP_HOST": "localhost:8000"})
    assert is_loopback_host({"HTTP_HOST": "[::1]:8000"})
    assert not is_loopback_host({"HTTP_HOST": "example.com:8000"})
    assert not is_loopback_host({"HTTP_HOST": "[::1"})
    assert not is_loopback_host({"HTTP_HOST": "[::1]evil.example"})
    assert not is_loopback_host({"HTTP_HOST": "evil.example@127.0.0.1"})
    assert not is_loopback_host({"HTTP_HOST": "127.0.0.1:evil.example"})
    assert is_loopback_host({})
