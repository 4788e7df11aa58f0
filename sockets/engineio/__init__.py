"""Engine.IO and Socket.IO over polling and WebSocket: a protocol stack by itself.

contract: the needs of the stack, which the program that uses it passes as arguments. errors: the
errors of the stack. unsolicited, unfinished: limits of client input. cors: which pages may connect.
frames, handshake: the pure parts of WebSocket. message_parser: from frames to messages. tcp:
functions that Python's sockets lack. websocket: one WebSocket. acceptor: takes connections over for
WebSockets. packets: those of Engine.IO. polling: writes to polls. session: one client. sessions:
all clients. polls, upgrades: the two transports. watch: pings, and the end of expired sessions.
engine: the WSGI application. socketio_packets: those of Socket.IO. attachments: incomplete binary
events. members: the clients of each namespace and room. emitter: sends events. server: receives
events. Knows WSGI, and neither Headwater nor Flask nor a green library.
"""
