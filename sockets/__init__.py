"""What is spoken on sockets: raw WebSocket, Engine.IO and Socket.IO, and the feeds over them.

websocket: RFC 6455 on a client's connection. frames, handshake: its pure parts. errors: what can go
wrong, and the statuses of it.
"""
