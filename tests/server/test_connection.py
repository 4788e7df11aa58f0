"""The worker's connection has all that the application uses of it; mypy compares the signatures."""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from server.connection import Connection
from wire.connection import ClientConnection, Writable

USED = {
    name
    for protocol in (Writable, ClientConnection)
    for name in {**vars(protocol), **protocol.__annotations__}
    if not name.startswith("_")
}


@pytest.fixture
def connection():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours, Counter(), Counter(), "", is_pending=False)


def test_the_contract_was_read():
    assert {"send_now", "take_over", "is_awaited", "sent_bytes"} <= USED


@pytest.mark.parametrize("name", sorted(USED))
def test_it_has_all_that_the_application_uses(connection, name):
    assert hasattr(connection, name)


def test_what_tls_has_read_already_shows_on_no_socket(connection):
    """A socket that is no FileSocket cannot say what it takes, nor be waited for."""
    assert (connection.send_now, connection.calls_back) == (None, False)


def test_a_connection_is_counted_by_its_address_until_it_is_admitted():
    pending = Counter()
    gone = []
    connection = Connection(None, Counter(), pending, "10.0.0.1", is_pending=True)
    assert pending == {"10.0.0.1": 1}
    connection.admit(gone.append)
    connection.end_pending()
    assert (pending, gone) == ({}, [])


def test_nor_when_it_is_taken_over():
    pending = Counter()
    connection = Connection(None, Counter(), pending, "10.0.0.1", is_pending=True)
    connection.take_over()
    assert pending == {}
