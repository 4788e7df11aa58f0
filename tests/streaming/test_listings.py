"""Sizes as the pages write them."""

from __future__ import annotations

import pytest

from streaming.listings import show_bytes

SIZES = {
    0: "0 B", 999: "999 B", 1000: "1.0 kB", 99_900: "99.9 kB", 100_400: "100 kB",
    31_049_577: "31.0 MB", 2 * 10**18: "2000 PB",
}  # fmt: skip


@pytest.mark.parametrize(("size_bytes", "want"), SIZES.items())
def test_a_size(size_bytes, want):
    assert show_bytes(size_bytes) == want
