"""Which Host values name a host, and the four forms of a request target."""

import pytest

from wire.hosts import parse_host, split_target

HOSTS = {
    "a name": ("example.org", "example.org"),
    "a name and a port": ("example.org:8000", "example.org"),
    "capitals": ("LocalHost:80", "LocalHost"),
    "the root's dot": ("localhost.", "localhost."),
    "a name of a container": ("web_1:8000", "web_1"),
    "IPv4": ("127.0.0.1:8000", "127.0.0.1"),
    "IPv6": ("[::1]", "::1"),
    "IPv6 and a port": ("[2001:DB8::1]:8000", "2001:db8::1"),
    "IPv4 in IPv6": ("[::ffff:127.0.0.1]:1", "::ffff:7f00:1"),
    "3986 3.2.3 an empty port": ("example.org:", "example.org"),
    "3986 3.2.3 zeros before a port": ("example.org:0000008000", "example.org"),
    "the last port": ("example.org:65535", "example.org"),
    "9110 4.2.1 empty": ("", None),
    "no host but a port": (":8000", None),
    "the first port that is none": ("example.org:65536", None),
    "a port of many digits": ("example.org:" + "9" * 40, None),
    "a port that is no number": ("127.0.0.1:evil.example", None),
    "a port of other digits": ("example.org:٣", None),
    "a negative port": ("example.org:-1", None),
    "two ports": ("example.org:80:80", None),
    "9110 4.2.4 userinfo": ("evil.example@127.0.0.1", None),
    "userinfo and a password": ("a:b@127.0.0.1", None),
    "a list": ("127.0.0.1,evil.example", None),
    "a list with a blank": ("127.0.0.1, evil.example", None),
    "a blank": ("127.0.0.1 evil.example", None),
    "a blank in front": (" localhost", None),
    "a line feed behind": ("localhost\n", None),
    "a tab": ("local\thost", None),
    "a path": ("localhost/x", None),
    "an address": ("http://localhost", None),
    "a query": ("localhost?x", None),
    "a fragment": ("localhost#x", None),
    "a backslash": ("evil.example\\localhost", None),
    "percent-encoding": ("%6cocalhost", None),
    "quotes": ('"localhost"', None),
    "not ASCII": ("l\xf6calhost", None),
    "behind the bracket": ("[::1]evil.example", None),
    "before the bracket": ("evil.example[::1]", None),
    "an open bracket": ("[::1", None),
    "a closing bracket": ("::1]", None),
    "empty brackets": ("[]", None),
    "IPv6 without brackets": ("::1", None),
    "IPv4 in brackets": ("[127.0.0.1]", None),
    "a name in brackets": ("[localhost]", None),
    "no IPv6": ("[1:2:3]", None),
    "a zone": ("[fe80::1%25eth0]", None),
    "another version of IP": ("[v1.x]", None),
    "longer than DNS": ("a" * 256, None),
}


@pytest.mark.parametrize(("text", "host"), HOSTS.values(), ids=HOSTS.keys())
def test_parse_host(text, host):
    assert parse_host(text) == host


TARGETS = {
    "3.2.1 origin form": ("/a?b=http://c/", (None, "/a?b=http://c/")),
    "3.2.1 two slashes": ("//evil.example/a", (None, "//evil.example/a")),
    "3.2.2 absolute form": ("http://a.example:80/b?c", ("a.example:80", "/b?c")),
    "3.2.2 of https": ("HTTPS://a.example/b", ("a.example", "/b")),
    "9110 4.2.3 no path": ("http://a.example", ("a.example", "/")),
    "no path but a query": ("http://a.example?b=/", ("a.example", "/?b=/")),
    "two slashes behind the authority": ("http://a.example//b", ("a.example", "//b")),
    "userinfo stays in the authority": ("http://b@a.example/", ("b@a.example", "/")),
    "no authority": ("http:///b", ("", "/b")),
    "3.2.4 asterisk form": ("*", (None, "*")),
    "another scheme": ("ftp://a.example/b", None),
    "no slash": ("a/b?c=http://d/", None),
    "3.2.3 authority form": ("a.example:80", None),
}


@pytest.mark.parametrize(("target", "parts"), TARGETS.values(), ids=TARGETS.keys())
def test_split_target(target, parts):
    assert split_target(target) == parts
