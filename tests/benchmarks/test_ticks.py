from __future__ import annotations

import pytest

from benchmarks.ticks import Ticks, anchor, lateness

TEXT = b'42/live,["status_update",{"data":"Server time: %.6f, Count: %d"}]'


def test_a_tick_is_read_once_for_each_client():
    ticks = Ticks()
    for text in (TEXT % (1000.5, 7), TEXT % (1000.5, 7), b'42/live,["response",{"data":"x"}]'):
        ticks.on_text(None, b"", text)
    assert ticks.served_at == {7: 1000.5}
    assert [number for number, _ in ticks.arrivals] == [7, 7]


def test_lateness_counts_from_the_least_late():
    served_at = {7: 1007.3, 8: 1008.1, 9: 1009.2, 11: 1011.1}
    late_s = lateness(served_at.items(), anchor(served_at))
    assert late_s == pytest.approx([0.2, 0, 0.1, 0])
