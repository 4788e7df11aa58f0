import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.digests import repr_digest

# RFC 9530 has this digest in B.1, of the content {"hello": "world"} and a line feed.
HELLO = ("sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:", b'{"hello": "world"}\n')

NOT_SHA256 = {
    "short": "0" * 63,
    "long": "0" * 65,
    "not hexadecimal": "g" * 64,
    "with blanks": " " * 64,
}


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
