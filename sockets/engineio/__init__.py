"""Engine.IO and Socket.IO over polling and WebSocket: a protocol stack by itself.

contract: what it needs of the program that uses it, all given as arguments. errors: what can go
wrong. unsolicited, unfinished: bounds of what clients send. cors: whose pages may connect.
frames, handshake: the pure parts of WebSocket. message_parser: from frames to messages. tcp: what
Python's sockets do not tell. websocket: one of them. acceptor: takes connections over for them.
packets: those of Engine.IO. polling: writes to polls. session: one client. sessions: all of them.
polls, upgrades: the two transports. watch: pings, and the end of what is over. engine: the WSGI
application. socketio_packets: those of Socket.IO. attachments: binary events that are not whole.
members: who is in which namespace and room. emitter: sends events. server: receives them.
Knows WSGI, and neither Headwater nor Flask nor a green library.
"""
