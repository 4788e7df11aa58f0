"""What is spoken on sockets: feeds of topics over raw WebSocket and Socket.IO.

The protocols themselves are in engineio. extension: Flask-SocketIO on them. server: what it calls.
handlers: functions and namespaces of Flask-SocketIO. environs: what they know of a request.
admission: who may open sessions. connections: those of our worker. feeds, live: the addresses under
/ws and the namespace /live. live_packets: how events look there. answers: what a client is told of
an error. registration: the way in.
"""
