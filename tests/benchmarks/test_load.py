from __future__ import annotations

import pytest

from benchmarks.client import BadAnswer
from benchmarks.crowd import Dialogue
from benchmarks.load import loading
from benchmarks.peers.broadcasters import prebuilt

CLIENTS, EVENTS = 20, 100
ANYWHERE = Dialogue("/")._asdict()


@pytest.mark.parametrize("frames_a_write", [1, 10])
def test_every_client_gets_every_event(tmp_path, frames_a_write):
    with (
        prebuilt(tmp_path, CLIENTS, frames_a_write, EVENTS) as peer,
        loading(
            "drink", 30, address=peer.address, clients=CLIENTS, listen=ANYWHERE, events=EVENTS
        ) as load,
    ):
        drunk = load.report(30)
    assert drunk["wrong"] == 0
    assert drunk["least"] == EVENTS


def test_what_fails_there_is_told_here():
    nobody = ("127.0.0.1", 1)
    with (
        loading("hold", 30, address=nobody, clients=1, listen=ANYWHERE) as load,
        pytest.raises(BadAnswer, match="ConnectionRefusedError"),
    ):
        load.report(30)
