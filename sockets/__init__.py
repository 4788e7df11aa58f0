"""What is spoken on sockets: raw WebSocket, Engine.IO and Socket.IO, and the feeds over them.

websocket: RFC 6455 on a client's connection. frames, handshake: its pure parts. sessions: Engine.IO
over polling and WebSocket. polling: a client's polls as a writer. packets: what both protocols
write and read. engine: Socket.IO, as an extension of Flask, by make_socketio. members: who is in
which namespace and room. feeds, live: the addresses under /ws and the namespace /live.
live_packets: how events look there. answers, errors: what can go wrong, and
what a client is told of it.
"""
