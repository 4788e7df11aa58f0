"""The gunicorn worker: connections, requests and responses as bytes, and the server's own logs.

worker: gunicorn's eventlet worker, made ours. hooks: what an application may ask of it.
connections, connection: all of them, and one. refusals: what is refused before the application is
asked, and its answers. gateway: calls the application. draining: the end. request: heads that are
known again.
target: the host and the path that are asked for. request_body, response_body: bodies, in turn.
response: what many answers share. native_pool: functions that block, on native threads.
monkey_patching: eventlet imported quietly. green_sockets: what its sockets lack. access_log,
log_format: the server's own logs.
The one room that knows gunicorn and eventlet; knows nothing of what it serves.
"""
