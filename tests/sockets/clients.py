"""Clients that do what they are told, wrong things too: a raw WebSocket, and polls of Engine.IO."""

import http.client
import json
import socket
import ssl
import struct

KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN = 0x80

OPENING = {
    "Host": "127.0.0.1",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def frame(opcode, payload=b"", *, head=FIN, mask=b"\x37\xfa\x21\x3d"):
    """Return a frame as clients send it. head: FIN and reserved bits. mask: b"" for none."""
    masked = 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        length = bytes([masked | size])
    elif size < 65536:
        length = struct.pack("!BH", masked | 126, size)
    else:
        length = struct.pack("!BQ", masked | 127, size)
    if mask:
        keys = (mask * (size // 4 + 1))[:size]
        payload = (int.from_bytes(payload) ^ int.from_bytes(keys)).to_bytes(size)
    return bytes([head | opcode]) + length + mask + payload


def close(code, reason=""):
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


class RawWebSocket:
    """A socket that has been upgraded. port: on this machine. headers: more, None leaves one out.

    seconds: how long it waits for anything. early: bytes that it sends in one packet with the
    request. handshake: the head of the answer.
    """

    def __init__(
        self, port, path, *, tls=False, receive_bytes=None, seconds=10, early=b"", **headers
    ):
        self._sock = socket.socket()
        self._sock.settimeout(seconds)
        if receive_bytes:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._sock.connect(("127.0.0.1", port))
        if tls:
            context = ssl._create_unverified_context()
            self._sock = context.wrap_socket(self._sock)
        fields = OPENING | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{k}: {v}\r\n" for k, v in fields.items() if v is not None)
        self._sock.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode() + early)
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._read()
        self.handshake, _, self._data = self._data.partition(b"\r\n\r\n")

    @property
    def status(self):
        return int(self.handshake.split()[1])

    def send(self, *frames):
        """Send the frames in one write; text is made one."""
        frames = [frame(TEXT, f.encode()) if isinstance(f, str) else f for f in frames]
        self._sock.sendall(b"".join(frames))

    def receive(self):
        """Return the opcode and the payload of the next frame."""
        while (found := self._take()) is None:
            self._read()
        return found

    def text(self):
        """Return the next text message; pings are passed over."""
        while (found := self.receive())[0] == PING:
            pass
        assert found[0] == TEXT, found
        return found[1].decode()

    def close_code(self):
        """Return the code the server closes with; what comes before the close is passed over."""
        while (found := self.receive())[0] != CLOSE:
            pass
        return struct.unpack("!H", found[1][:2])[0] if found[1] else None

    def is_ended(self):
        """Wait for the end of the connection; whatever comes before it is passed over."""
        try:
            while self._sock.recv(65536):
                pass
        except (ConnectionResetError, ssl.SSLError):
            pass
        return True

    def rest(self):
        """Return the bytes up to the end of the connection."""
        while piece := self._sock.recv(65536):
            self._data += piece
        return self._data

    def stop_sending(self):
        self._sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Be gone without a word."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def shut(self):
        self._sock.close()

    close = shut

    def fileno(self):
        return self._sock.fileno()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._sock.close()

    def _take(self):
        data = self._data
        if len(data) < 2:
            return None
        assert not data[1] & 0x80, "a server masks nothing"
        start, size = 2, data[1]
        if size >= 126:
            start += 2 if size == 126 else 8
            size = int.from_bytes(data[2:start])
        if len(data) < start + size:
            return None
        self._data = data[start + size :]
        assert data[0] & 0xF0 == FIN, "a server sends whole messages, without extensions"
        return data[0] & 0x0F, data[start : start + size]

    def _read(self):
        piece = self._sock.recv(65536)
        assert piece, f"the connection has ended behind {self._data!r}"
        self._data += piece


class Asked:
    """A request that was sent, on a connection of its own."""

    def __init__(self, port, seconds, method, path, body):
        self._client = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
        self._client.request(method, path, body)

    def answer(self):
        """Wait for the answer; return status and text."""
        answer = self._client.getresponse()
        return answer.status, answer.read().decode()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._client.close()


class Polling:
    """An Engine.IO session over polling, opened by the constructor. opened: the open packet.

    sid: another's session; then nothing is opened.
    """

    def __init__(self, port, path="/socket.io/", sid=None, seconds=10):
        self._port = port
        self._seconds = seconds
        self._path = path if "?" in path else f"{path}?EIO=4&transport=polling"
        self.sid = sid
        if sid is None:
            status, text = self.poll()
            assert status == 200, text
            assert text[0] == "0", text
            self.opened = json.loads(text[1:])
            self.sid = self.opened["sid"]
        if self.sid:
            self._path += f"&sid={self.sid}"

    def begin(self, method, body=None):
        """Send a request; its answer() is status and text."""
        return Asked(self._port, self._seconds, method, self._path, body)

    def ask(self, method, body=None):
        """Return status and text of a request."""
        with self.begin(method, body) as asked:
            return asked.answer()

    def poll(self):
        return self.ask("GET")

    def post(self, body):
        return self.ask("POST", body)

    def packets(self):
        """Poll once; return the packets but pings, which are answered."""
        status, text = self.poll()
        assert status == 200, text
        packets = text.split("\x1e")
        if "2" in packets:
            assert self.post("3")[0] == 200
        return [packet for packet in packets if packet != "2"]

    def packet(self):
        """Poll until something comes; return the first packet."""
        while not (packets := self.packets()):
            pass
        return packets[0]
