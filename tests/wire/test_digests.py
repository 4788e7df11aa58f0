import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.digests import MAX_WANT_CHARS, repr_digest, wants_sha256

# RFC 9530 has this digest in B.1, of the content {"hello": "world"} and a line feed.
HELLO = ("sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:", b'{"hello": "world"}\n')

WANTS = {
    "4 a preference": ("sha-256=1", True),
    "4 the highest preference": ("sha-256=10", True),
    "4 zero is not acceptable": ("sha-256=0", False),
    "4 example, others first": ("sha-512=3, sha-256=10, unixsum=0", True),
    "4 refused beside others": ("sha-512=3 ,\tsha-256=0", False),
    "4 not named": ("sha-512=10", None),
    "4 a name that only begins so": ("sha-256x=1", None),
    "4 preferences end at 10": ("sha-256=11", None),
    "4 preferences are not negative": ("sha-256=-1", None),
    "4 preferences are integers": ("sha-256=1.0", None),
    "4 a preference is due": ("sha-256", None),
    "RFC 8941 3.2 keys are lower case": ("SHA-256=1", None),
    "RFC 8941 4.2 what is malformed spoils all": ("sha-256=1, !", None),
    "RFC 8941 4.2.2 no comma at the end": ("sha-256=1,", None),
    "RFC 8941 4.2.2 the last of a repeated key": ("sha-256=1, sha-256=0", False),
    "RFC 8941 4.2 surrounding blanks": (" sha-256=1 ", True),
    "no header": (None, None),
    "an empty header": ("", None),
    "ours: only ASCII digits are numbers": ("sha-256=١", None),
    "ours: as long as is allowed": ("sha-256=1".ljust(MAX_WANT_CHARS), True),
    "ours: one character more": ("sha-256=1".ljust(MAX_WANT_CHARS + 1), None),
    "ours: 100 kB": ("a=1," * 25_000 + "sha-256=1", None),
}

NOT_SHA256 = {
    "short": "0" * 63,
    "long": "0" * 65,
    "not hexadecimal": "g" * 64,
    "with blanks": " " * 64,
}


@pytest.mark.parametrize(("header", "want"), WANTS.values(), ids=WANTS.keys())
def test_wants_sha256(header, want):
    assert wants_sha256(header) is want


def test_rfc_9530_b_1_repr_digest():
    want, content = HELLO
    assert repr_digest(hashlib.sha256(content).hexdigest()) == want


@pytest.mark.parametrize("text", NOT_SHA256.values(), ids=NOT_SHA256.keys())
def test_what_is_no_sha256_is_refused(text):
    with pytest.raises(ValueError):
        repr_digest(text)


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_the_digest_can_be_read_back(digest):
    value = repr_digest(digest.hex())
    assert value.startswith("sha-256=:")
    assert value.endswith(":")
    assert base64.b64decode(value[9:-1], validate=True) == digest


@settings(deadline=None)
@given(st.text() | st.text("sha-256=10,. \t"))
def test_any_text_is_an_answer(header):
    assert wants_sha256(header) in {True, False, None}
