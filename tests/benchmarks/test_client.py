from __future__ import annotations

import pytest

from benchmarks.client import _Framing

BODY = b"5\r\nhello\r\nB\r\n, 0\r\n\r\nworl\r\n1\r\nd\r\n0\r\n\r\n"
PAYLOAD = 5 + 11 + 1


@pytest.mark.parametrize("step", range(1, len(BODY) + 1))
def test_chunks_are_counted_wherever_they_are_cut(step):
    framing = _Framing({"transfer-encoding": "chunked"})
    for at in range(0, len(BODY), step):
        assert not framing.is_whole
        piece = bytearray(BODY[at : at + step])
        framing.take(piece, len(piece))
    assert framing.is_whole
    assert framing.body_bytes == PAYLOAD
