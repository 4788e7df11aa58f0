from __future__ import annotations

import socket

import pytest

from benchmarks.crowd import Dialogue, Member
from benchmarks.tally import PAYLOAD_BYTES, ServedTally, Tally, payload
from benchmarks.websocket import read_frame


@pytest.fixture
def members():
    with socket.socket() as nowhere:
        yield [Member(index, nowhere, Dialogue("/")) for index in range(2)]


def event(seq: int) -> bytes:
    text = f'42/live,["event",{{"data":"{payload(seq)}"}}]'.encode()
    return bytes([0x81, 126, 0, len(text)]) + text


def give(tally: Tally, member: Member, *events: int) -> None:
    """Let a member receive events as a Crowd does."""
    data = b"".join(map(event, events))
    # What lies behind is from an earlier read, and must not be looked at.
    buffer = bytearray(data + event(events[-1] + 1))
    at = tally.eat(member, buffer, 0, len(data))
    while at < len(data):
        frame = read_frame(buffer, at, len(data))
        assert frame is not None
        tally.on_text(member, bytes(buffer[at : frame.stop]), frame.payload)
        at = tally.eat(member, buffer, frame.stop, len(data))
    assert at == len(data)


def test_a_payload_has_its_bytes():
    assert {len(payload(seq)) for seq in (0, 7, 999_999_999)} == {PAYLOAD_BYTES}


def test_events_in_order_are_counted(members):
    tally = Tally()
    tally.due_s = [0.0] * 5
    one, other = members
    give(tally, one, 0, 1, 2)
    give(tally, other, 0)
    give(tally, other, 1, 2, 3, 4)
    assert (one.seq, other.seq, tally.missing(members)) == (3, 5, 2)
    assert (tally.skipped, tally.strayed) == (0, 0)
    assert len(tally.latencies_s) == 3, "the first of them is the one that is sampled"


WRONG = {
    "one left out": ([0, 2], 1, 0),
    "two left out, one known": ([0, 3, 4], 2, 0),
    "one twice": ([0, 1, 1, 2], 0, 1),
    "in another order": ([0, 2, 1, 3], 1, 1),
}


@pytest.mark.parametrize(("events", "skipped", "strayed"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_seen(members, events, skipped, strayed):
    tally = Tally()
    give(tally, members[0], 0, 1, 2, 3, 4)
    give(tally, members[1], *events)
    assert (tally.skipped, tally.strayed) == (skipped, strayed)


def test_where_several_publish_the_first_client_teaches_the_order(members):
    tally = ServedTally()
    tally.due_s = [0.0] * 4
    one, other = members
    give(tally, one, 1, 0, 3, 2)
    give(tally, other, 1, 0)
    give(tally, other, 3)
    assert (one.seq, other.seq, tally.strayed, tally.missing(members)) == (4, 3, 0, 1)
    give(tally, other, 0)
    assert tally.strayed == 1, "another order than the first had"
    give(tally, one, 2)
    assert tally.strayed == 2, "twice"


def stream(*events: int) -> bytes:
    return b"".join(f'data: "{payload(seq)}"\n\n'.encode() for seq in events)


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 18, 19, 20, 100, 115, 116])
def test_events_of_a_stream_are_counted_wherever_it_is_cut(members, cut):
    tally = Tally()
    tally.due_s = [0.0] * 3
    data = stream(0, 1, 2)
    for member in members:
        for piece in (data[:cut], data[cut:]):
            kept, member.rest = member.rest, b""
            tally.on_stream(member, kept + piece)
    assert [member.seq for member in members] == [3, 3]
    assert (tally.skipped, tally.strayed) == (0, 0)


def test_what_is_wrong_in_a_stream_is_told_of_each_client(members):
    tally = Tally()
    tally.due_s = [0.0] * 4
    for member in members:
        tally.on_stream(member, stream(0, 2, 1))
    assert (tally.skipped, tally.strayed) == (2, 2)
