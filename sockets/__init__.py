"""The protocols on sockets: feeds of topics over raw WebSocket and Socket.IO.

The protocols themselves are in engineio. extension: Flask-SocketIO on this stack. server: the
server that Flask-SocketIO calls. handlers: functions and namespaces of Flask-SocketIO. environs:
the environ of a request, stored for handlers. admission: which clients may open sessions.
connections: those of the gunicorn worker. feeds, live: the addresses under /ws and the namespace
/live. live_packets: events as packets of /live. answers: the answers to errors. registration: the
way in.
"""
