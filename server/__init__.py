"""The gunicorn worker: connections, requests and responses as bytes, and the server's own logs.

worker: gunicorn's eventlet worker, made ours. request: heads that are known again. response: what
many answers share. native_pool: functions that block, on native threads. monkey_patching: eventlet
imported quietly. access_log, log_format: what the server says of itself.
The one room that knows gunicorn and eventlet; knows nothing of what it serves.
"""
