"""The gunicorn worker: connections, requests and responses as bytes, and the server's own logs.

worker: the gunicorn worker, on eventlet. hooks: functions that an application may give the worker.
connections, connection: all connections, and one. refusals: refusals before the application is
called, and their answers. gateway: calls the application. draining: the end of a worker. request:
remembers heads of requests. target: the requested host and path. request_body, response_body:
bodies, in turn. response: the parts that many answers share. native_pool: functions that block, on
native threads. monkey_patching: eventlet imported quietly. green_sockets: functions that eventlet's
sockets lack. access_log, log_format: the server's own logs. The one room that knows gunicorn and
eventlet; knows nothing of the application.
"""
