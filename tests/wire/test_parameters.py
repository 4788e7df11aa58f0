"""A word that nobody knows is told, with the one that it is nearly."""

from __future__ import annotations

import pytest

from wire.parameters import UnknownParameter, check_parameters

KNOWN = ("since", "poll", "whole")
UNKNOWN = {
    "sicne": "sicne: there is no such parameter; is it since?",
    "Poll": "Poll: there is no such parameter; is it poll?",
    "_": "_: there is no such parameter; there are since, poll, whole",
    "utm_source": "utm_source: there is no such parameter; there are since, poll, whole",
    "\n": "'\\n': there is no such parameter; there are since, poll, whole",
}


@pytest.mark.parametrize(("word", "said"), UNKNOWN.items())
def test_an_unknown_word_is_told(word, said):
    with pytest.raises(UnknownParameter) as caught:
        check_parameters(["since", word], KNOWN)
    assert str(caught.value) == said


def test_a_long_one_is_cut():
    with pytest.raises(UnknownParameter) as caught:
        check_parameters(["x" * 10_000], KNOWN)
    assert len(str(caught.value)) < 200


def test_those_that_are_known_are_not():
    check_parameters(["poll", "since", "poll"], KNOWN)
    check_parameters([], KNOWN)
