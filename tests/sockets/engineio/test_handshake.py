import pytest

from sockets.engineio.acceptor import Acceptor, no_connection
from sockets.engineio.errors import BadHandshake, NoConnection
from sockets.engineio.handshake import answer_handshake

REQUEST = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "example.com",
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_UPGRADE": "WebSocket",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_the_example_of_the_standard():
    lines = answer_handshake(REQUEST, [("X-More", "yes")]).decode().split("\r\n")
    assert lines == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "X-More: yes",
        "",
        "",
    ]


REFUSED = {
    "4.2.1 1: a method that is not GET": ({"REQUEST_METHOD": "POST"}, 400),
    "4.2.1 1: HTTP/1.0": ({"SERVER_PROTOCOL": "HTTP/1.0"}, 400),
    "4.2.1 3: no Upgrade": ({"HTTP_UPGRADE": ""}, 426),
    "4.2.1 3: an upgrade to something else": ({"HTTP_UPGRADE": "h2c"}, 426),
    "4.2.1 4: no Connection": ({"HTTP_CONNECTION": "keep-alive"}, 426),
    "4.2.1 5: no key": ({"HTTP_SEC_WEBSOCKET_KEY": ""}, 400),
    "4.2.1 5: a key of 15 bytes": ({"HTTP_SEC_WEBSOCKET_KEY": "MTIzNDU2Nzg5MDEyMzQ1"}, 400),
    "4.2.1 5: a key that is no base64": ({"HTTP_SEC_WEBSOCKET_KEY": "?" * 22 + "=="}, 400),
    "4.2.1 6: no version": ({"HTTP_SEC_WEBSOCKET_VERSION": ""}, 426),
    "4.2.1 6: version 8": ({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, 426),
    "ours: a body, that would be read as frames": ({"CONTENT_LENGTH": "3"}, 400),
    "ours: a chunked body": ({"HTTP_TRANSFER_ENCODING": "chunked"}, 400),
}


@pytest.mark.parametrize(("change", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(change, status):
    with pytest.raises(BadHandshake) as raised:
        answer_handshake(REQUEST | change)
    assert raised.value.status == status


def test_a_refusal_says_what_would_be_right():
    with pytest.raises(BadHandshake) as raised:
        answer_handshake(REQUEST | {"HTTP_UPGRADE": ""})
    assert raised.value.headers["Upgrade"] == "websocket"
    with pytest.raises(BadHandshake) as raised:
        answer_handshake(REQUEST | {"HTTP_SEC_WEBSOCKET_VERSION": "8"})
    assert raised.value.headers == {"Sec-WebSocket-Version": "13"}


BAD_FIELDS = [("X-A", "b\r\nX-C: d"), ("X-A\r\nX-B", "c"), ("X A", "b"), ("", "b")]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
def test_a_field_cannot_bring_others(name, value):
    with pytest.raises(ValueError, match="no header field"):
        answer_handshake(REQUEST, [(name, value)])


def test_a_server_without_connections_is_named():
    with pytest.raises(NoConnection, match=r"gunicorn\.conf\.py") as raised:
        Acceptor(no_connection, print).serve(REQUEST, iter, "")
    assert raised.value.status == 501
