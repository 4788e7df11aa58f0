"""gunicorn's settings for plain_app.py: Headwater's worker, and no log of requests."""

from server.worker import make_worker_class

worker_class = make_worker_class(body_s=30.0, stall_s=120.0, most_pending=0)
worker_connections = 1000
keepalive = 75
forwarded_allow_ips = ""
control_socket_disable = True
