"""Sources by the names that requests have for them."""

from __future__ import annotations

import pytest

from auth import NativeThreads
from journal import run_here
from sources.catalogue.catalogue import load_catalogue
from streaming.errors import Refusal
from streaming.source_lookup import SourceLookup


@pytest.fixture
def lookup(tmp_path, lay_site):
    """The sources of the sites."""
    sources = load_catalogue(lay_site(tmp_path)).sources
    return SourceLookup(sources, {}, NativeThreads(run_here))


UNKNOWN = {
    "an unknown source": ("unheard", "unheard"),
    "one that is near": ("numbrs", "is it numbers?"),
    "no name": ("", "''"),
}


@pytest.mark.parametrize(("name", "says"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_is_refused(lookup, name, says):
    with pytest.raises(Refusal) as caught:
        lookup.read_spec(name, "csv", [])
    assert (caught.value.status, caught.value.code) == (404, "unknown_source")
    assert says in str(caught.value)


def test_a_long_name_is_not_echoed(lookup):
    with pytest.raises(Refusal) as caught:
        lookup.read_spec("x" * 9999, "csv", [])
    assert len(str(caught.value)) < 200
