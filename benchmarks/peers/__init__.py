"""What we are compared with: the sqlite3 program, nginx, the generators of textbooks; and, for live
feeds, Flask-SocketIO, Node's Socket.IO and FastAPI (broadcasters, with the apps that it starts)."""
